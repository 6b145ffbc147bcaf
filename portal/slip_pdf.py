"""The slip as a PDF of A4 pages, with the Chinese it needs inside: no font has to be installed.

It lays out what `settlement.selectors.slips` found and works nothing out. The font holds the
characters of GB 2312; any other is written as its code point in brackets, so that nobody's name
loses a character unseen. The same slip gives the same bytes.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from messaging.days import BEIJING
from portal.templatetags.money import yuan

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-GB2312.otf"
_FAMILY = "slip"
_INK, _MUTED, _LINE = (20, 39, 42), (75, 96, 100), (204, 216, 218)
_WIDTH_MM = 174
_KEPT_MM = 24


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    return frozenset(TTFont(FONT, lazy=True).getBestCmap())


def printable(text: str) -> str:
    """The text with every character that the font has not as its code point: 龘 as [U+9F98]."""
    known = _characters()
    return "".join(each if ord(each) in known else f"[U+{ord(each):04X}]" for each in text)


def slip_pdf(slip: dict[str, Any]) -> bytes:
    """The PDF of a sheet as `slip_sheet` gives it, in the active language."""
    page = _Page()
    page.write(_("Settlement slip"), size=18, after=1)
    page.write(f"{slip['merchant']['name']} · {slip['merchant']['code']}", muted=True, after=3)
    if slip["refunded_fen"]:
        page.write(f"{_('Refunded')} {yuan(slip['refunded_fen'])}", size=12, after=2)
    for name, value in (
        (_("Person"), slip["member_name"]),
        (_("Kind of benefit"), slip["kind"]),
        (_("Service date"), slip["service_date"]),
        (_("Accepted at"), f"{slip['accepted_at'].astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"),
        (_("Settlement number"), slip["settlement_id"]),
    ):
        page.pair(name, str(value))
    page.heading(_("Who pays"))
    for share in slip["shares"]:
        page.pair(share["payer"], yuan(share["amount_fen"]), size=12)
    page.pair(_("Total"), yuan(slip["total_fen"]), size=12)
    page.heading(_("Line by line"))
    for line in slip["lines"]:
        page.pair(f"{line['no']}. {line['name']}", yuan(line["amount_fen"]))
        page.write(_parts(line), size=8, muted=True, after=1)
    page.heading(_("Step by step"))
    for layer in slip["layers"]:
        page.pair(layer["title"], yuan(layer["paid_fen"]))
        page.write(_sums(layer), size=8, muted=True, after=1)
    for number, step in enumerate(slip["explanation"], start=1):
        page.write(f"{number}. {step}", size=9, after=0.8)
    if slip["year_to_date"]:
        page.heading(f"{_('The year so far')} {slip['benefit_year']}")
        for each in slip["year_to_date"]:
            page.pair(
                each["name"],
                f"{yuan(each['before_fen'])} + {yuan(each['added_fen'])}"
                f" = {yuan(each['after_fen'])}",
                size=9,
            )
    page.heading("")
    page.write(
        f"{slip['policy_title']} ({slip['policy']}) · {_('calculator')} {slip['engine_version']}",
        size=8,
        muted=True,
    )
    page.write(slip["trace_hash"], size=7, muted=True)
    said = (
        _("Worked out again just now: the same to the fen.")
        if slip["recomputed"]
        else _("Worked out again, other figures come out. Please tell the insurance office.")
    )
    page.write(said, size=9)
    return page.bytes_of(slip["accepted_at"], title=_("Settlement slip"))


def _parts(line: dict[str, Any]) -> str:
    found = [f"{line['quantity']} × {line['unit_price']}", line["national_code"]]
    found.append(f"{_('In range')} {yuan(line['in_range_fen'])}")
    for name, fen in (
        (_("First pay"), line["first_pay_fen"]),
        (_("Over the limit"), line["over_limit_fen"]),
        (_("Out of scope"), line["out_of_scope_fen"]),
    ):
        if fen:
            found.append(f"{name} {yuan(fen)}")
    return " · ".join(each for each in (*found, line["reason"]) if each)


def _sums(layer: dict[str, Any]) -> str:
    found = [f"{_('Base')} {yuan(layer['base_fen'])}"]
    if layer["deductible_fen"]:
        found[0] += f" − {_('deductible')} {yuan(layer['deductible_fen'])}"
    found += [
        f"{yuan(tier['part_fen'])} × {tier['rate']} = {yuan(tier['paid_fen'])}"
        for tier in layer["tiers"]
    ]
    if layer["cap_left_fen"] is not None:
        found.append(f"{_('Left up to the cap')} {yuan(layer['cap_left_fen'])}")
    if layer["over_cap_fen"]:
        found.append(f"{_('not paid above it')} {yuan(layer['over_cap_fen'])}")
    return " · ".join(found)


class _Page:
    """A4 with one font: headings, paragraphs, and a name with its value at the right edge."""

    def __init__(self) -> None:
        self._pdf = FPDF(format="A4", unit="mm")
        self._pdf.set_margins(18, 16)
        self._pdf.set_auto_page_break(auto=True, margin=16)
        self._pdf.add_font(_FAMILY, fname=str(FONT))
        self._pdf.add_page()

    def _font(self, size: float, *, muted: bool) -> Callable[[str], float]:
        self._pdf.set_font(_FAMILY, size=size)
        self._pdf.set_text_color(*(_MUTED if muted else _INK))
        return self._pdf.get_string_width

    def write(self, text: str, *, size: float = 10, muted: bool = False, after: float = 0) -> None:
        self._font(size, muted=muted)
        self._pdf.multi_cell(
            _WIDTH_MM, size * 0.55, printable(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L"
        )
        self._pdf.ln(after)

    def heading(self, text: str) -> None:
        self._pdf.ln(3)
        # A heading at the foot of a page would have lost what it heads.
        if self._pdf.will_page_break(_KEPT_MM):
            self._pdf.add_page()
        self._pdf.set_draw_color(*_LINE)
        self._pdf.line(18, self._pdf.get_y(), 18 + _WIDTH_MM, self._pdf.get_y())
        self._pdf.ln(2)
        if text:
            self.write(text, size=12, after=1)

    def pair(self, name: str, value: str, *, size: float = 10) -> None:
        value = printable(value)
        width = self._font(size, muted=False)(value) + 3
        # The value stands on the name's first line, however many lines the name takes.
        if self._pdf.will_page_break(size * 0.62):
            self._pdf.add_page()
        top = self._pdf.get_y()
        self._pdf.set_x(18 + _WIDTH_MM - width)
        self._pdf.cell(width, size * 0.62, value, align="R")
        self._pdf.set_xy(18, top)
        self._pdf.multi_cell(
            _WIDTH_MM - width,
            size * 0.62,
            printable(name),
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            align="L",
        )

    def bytes_of(self, made_at: Any, *, title: str) -> bytes:
        self._pdf.set_title(title)
        # The moment of the settlement, not of the printing.
        self._pdf.set_creation_date(made_at)
        return bytes(self._pdf.output())
