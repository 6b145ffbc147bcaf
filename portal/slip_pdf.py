"""The slip as a PDF of A4 pages, with the Chinese it needs inside: no font has to be installed.

It lays out a slip that was issued and works nothing out. The font holds the characters of GB 2312;
any other is written as its code point in brackets, so that nobody's name loses a character unseen.
The same issued slip gives the same bytes, whenever it is asked for.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from portal.templatetags.moments import beijing
from portal.templatetags.money import yuan

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-GB2312.otf"
_FAMILY = "slip"
_INK, _MUTED, _LINE = (20, 39, 42), (75, 96, 100), (204, 216, 218)
_LEFT_MM, _WIDTH_MM, _GUTTER_MM = 18.0, 174.0, 10.0
_KEPT_MM = 13.0


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    return frozenset(TTFont(FONT, lazy=True).getBestCmap())


def printable(text: str) -> str:
    """The text with every character that the font has not as its code point: 龘 as [U+9F98]."""
    known = _characters()
    return "".join(each if ord(each) in known else f"[U+{ord(each):04X}]" for each in text)


def slip_pdf(found: dict[str, Any]) -> bytes:
    """The PDF of a slip as `settlement.selectors.slips.slip` gives it, in the active language. It
    must have been issued."""
    slip: dict[str, Any] = found["slip"]
    page = _Page()
    page.write(_("Settlement slip"), size=17, after=0.5)
    page.write(f"{slip['merchant']['name']} · {slip['merchant']['code']}", muted=True, after=2)
    if slip["refunded_fen"]:
        page.write(f"{_('Refunded')} {yuan(slip['refunded_fen'])}", size=12, after=2)
    page.two_pairs(
        (_("Person"), slip["member"]["name"]),
        (_("Kind of benefit"), capfirst(slip["benefit_title"])),
    )
    page.two_pairs(
        (_("Service date"), slip["service_date"]),
        (_("Accepted at"), beijing(slip["accepted_at"])),
    )
    page.pair(_("Settlement number"), slip["settlement_id"], size=9)
    page.heading(_("Who pays"))
    for share in slip["shares"]:
        page.pair(share["title"], yuan(share["amount_fen"]), size=10.5)
    page.pair(_("Total"), yuan(slip["total_fen"]), size=10.5)
    page.heading(_("Line by line"))
    for line in slip["lines"]:
        page.pair(f"{line['no']}. {line['name']}", yuan(line["amount_fen"]), size=9)
        page.write(_parts(line), size=7.5, muted=True, after=0.6)
    page.heading(_("Step by step"))
    for layer in slip["layers"]:
        page.pair(layer["title"], yuan(layer["paid_fen"]), size=9)
        page.write(_sums(layer), size=7.5, muted=True, after=0.6)
    page.heading(_("In words"))
    for number, step in enumerate(slip["steps"], start=1):
        page.write(f"{number}. {step['text']}", size=8.5, after=0 if step["source"] else 0.4)
        if step["source"]:
            page.write(step["source"], size=7, muted=True, after=0.4)
    if slip["year_to_date"]:
        page.heading(f"{_('The year so far')} {slip['benefit_year']}")
        for each in slip["year_to_date"]:
            page.pair(
                each["title"],
                f"{yuan(each['before_fen'])} + {yuan(each['added_fen'])}"
                f" = {yuan(each['after_fen'])}",
                size=8.5,
            )
    page.heading("")
    page.write(
        f"{slip['policy_title']} ({slip['policy']}) · {_('calculator')} {slip['engine_version']}"
        f" · {_('Worked out again: the same to the fen.')}",
        size=7.5,
        muted=True,
    )
    page.write(f"{_('Issued at')} {beijing(found['issued_at'])}", size=7.5, muted=True)
    # Out of the f-strings, where the extractor of texts would not see them: no template has these.
    figures, whole = _("Fingerprint of the figures"), _("Fingerprint of the slip")
    page.write(f"{figures} {slip['trace_hash']}", size=6.5, muted=True)
    page.write(f"{whole} {found['sha256']}", size=6.5, muted=True)
    return page.bytes_of(datetime.fromisoformat(found["issued_at"]), title=_("Settlement slip"))


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
    return " · ".join(each for each in (*found, line["reason_text"]) if each)


def _sums(layer: dict[str, Any]) -> str:
    found = [f"{_('Base')} {yuan(layer['base_fen'])}"]
    if layer["counted_fen"] != layer["base_fen"] and not layer["reason"]:
        found.append(f"{_('of which counts')} {yuan(layer['counted_fen'])}")
    deductible = f"− {_('deductible')} {yuan(layer['deductible_fen'])}"
    from_payment = layer["deductible_taken_off"] == "payment"
    if layer["deductible_fen"] and not from_payment:
        found[-1] += f" {deductible}"
    found += [
        f"{yuan(tier['part_fen'])} × {tier['rate']} = {yuan(tier['paid_fen'])}"
        for tier in layer["tiers"]
    ]
    if layer["deductible_fen"] and from_payment:
        found.append(deductible)
    if layer["cap_left_fen"] is not None:
        found.append(f"{_('Left up to the cap')} {yuan(layer['cap_left_fen'])}")
    if layer["over_cap_fen"]:
        found.append(f"{_('not paid above it')} {yuan(layer['over_cap_fen'])}")
    if layer["reason_text"]:
        found.append(layer["reason_text"])
    return " · ".join(found)


class _Page:
    """A4 with one font: headings, paragraphs, and a name with its value at the right edge."""

    def __init__(self) -> None:
        self._pdf = FPDF(format="A4", unit="mm")
        self._pdf.set_margins(_LEFT_MM, 14)
        self._pdf.set_auto_page_break(auto=True, margin=12)
        self._pdf.add_font(_FAMILY, fname=str(FONT))
        self._pdf.add_page()

    def _font(self, size: float, *, muted: bool) -> Callable[[str], float]:
        self._pdf.set_font(_FAMILY, size=size)
        self._pdf.set_text_color(*(_MUTED if muted else _INK))
        return self._pdf.get_string_width

    def write(self, text: str, *, size: float = 10, muted: bool = False, after: float = 0) -> None:
        self._font(size, muted=muted)
        self._pdf.multi_cell(
            _WIDTH_MM, size * 0.5, printable(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L"
        )
        self._pdf.ln(after)

    def heading(self, text: str) -> None:
        self._pdf.ln(1.6)
        # A heading at the foot of a page would have lost what it heads.
        if self._pdf.will_page_break(_KEPT_MM):
            self._pdf.add_page()
        self._pdf.set_draw_color(*_LINE)
        self._pdf.line(_LEFT_MM, self._pdf.get_y(), _LEFT_MM + _WIDTH_MM, self._pdf.get_y())
        self._pdf.ln(1.2)
        if text:
            self.write(text, size=11, after=0.5)

    def two_pairs(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Two pairs side by side."""
        half = (_WIDTH_MM - _GUTTER_MM) / 2
        if self._pdf.will_page_break(_KEPT_MM):
            self._pdf.add_page()
        top = self._pdf.get_y()
        self.pair(*left, size=9, width=half)
        below = self._pdf.get_y()
        self._pdf.set_y(top)
        self.pair(*right, size=9, left=_LEFT_MM + half + _GUTTER_MM, width=half)
        self._pdf.set_y(max(below, self._pdf.get_y()))

    def pair(
        self,
        name: str,
        value: str,
        *,
        size: float = 10,
        left: float = _LEFT_MM,
        width: float = _WIDTH_MM,
    ) -> None:
        value = printable(value)
        taken = self._font(size, muted=False)(value) + 3
        # The value stands on the name's first line, however many lines the name takes.
        if self._pdf.will_page_break(size * 0.53):
            self._pdf.add_page()
        top = self._pdf.get_y()
        self._pdf.set_x(left + width - taken)
        self._pdf.cell(taken, size * 0.53, value, align="R")
        self._pdf.set_xy(left, top)
        self._pdf.multi_cell(
            width - taken,
            size * 0.53,
            printable(name),
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            align="L",
        )

    def bytes_of(self, made_at: datetime, *, title: str) -> bytes:
        self._pdf.set_title(title)
        # The moment of the issue, not of the printing: the bytes are the same for ever.
        self._pdf.set_creation_date(made_at)
        return bytes(self._pdf.output())
