"""A bill typed or pasted by its lines, as fund staff have it: from a slip, or from a spreadsheet.

A line of text is a line of the bill, its parts separated by tabs or commas:

    item, amount, class, first pay %, over the price limit, prescription

Item and amount are needed; the class may stand before the amount. An item that is a national code
of the area's catalogue takes from it what is left out; of any other item the class has to be said.
"No" for the prescription is a prescription drug that is sold without one. The numbers of the lines
are those of the text.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from settlement.benefits import Line
from settlement.benefits.values import ItemClass
from settlement.money import BASIS_POINTS, fen
from settlement.selectors.rules import CatalogueFacts

MOST_LINES: Final = 200
MOST_FEN: Final = 1_000_000_000
_MOST_NAME: Final = 120
_CLASSES: Final[Mapping[str, ItemClass]] = {
    "a": "A", "甲": "A", "甲类": "A",
    "b": "B", "乙": "B", "乙类": "B",
    "c": "C", "丙": "C", "丙类": "C", "自费": "C",
    "none": "none", "无": "none", "目录外": "none",
}  # fmt: skip
_YES_NO: Final = {"yes": True, "y": True, "是": True, "有": True, "√": True,
                  "no": False, "n": False, "否": False, "无": False, "×": False}  # fmt: skip
_Word = TypeVar("_Word")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%?")


@dataclass(frozen=True, slots=True)
class TypedLine:
    """One line as it was typed; None is left out. ``no`` is its place in the text, from 1."""

    no: int
    item: str
    amount_fen: int
    item_class: ItemClass | None
    first_pay_bp: int | None
    over_limit_fen: int | None
    prescription: bool | None


def read(text: str) -> tuple[TypedLine, ...]:
    """The lines of the text without the empty ones; raises ValidationError with one message for
    each line that cannot be read."""
    found: list[TypedLine] = []
    wrong: list[ValidationError] = []
    for number, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        try:
            found.append(_line(number, row))
        except ValueError as error:
            wrong.append(_at(number, str(error)))
    if len(found) > MOST_LINES:
        wrong.append(ValidationError(_("At most %(most)s lines"), params={"most": MOST_LINES}))
    if wrong:
        raise ValidationError(wrong[:10])
    return tuple(found)


def priced(typed: Sequence[TypedLine], facts: Mapping[str, CatalogueFacts]) -> tuple[Line, ...]:
    """The lines as the calculator takes them, with what the catalogue says by national code.

    Raises ValidationError with one message for each line whose item it does not have and whose
    class is left out.
    """
    wrong = [
        _at(line.no, _("the catalogue has no such code today: say the class, A, B or C"))
        for line in typed
        if line.item_class is None and line.item not in facts
    ]
    if wrong:
        raise ValidationError(wrong[:10])
    return tuple(_priced(line, facts.get(line.item)) for line in typed)


def _at(number: int, problem: str) -> ValidationError:
    return ValidationError(
        _("Line %(number)s: %(problem)s"), params={"number": number, "problem": problem}
    )


def _line(number: int, row: str) -> TypedLine:
    parts = [part.strip() for part in (row.split("\t") if "\t" in row else re.split("[,，]", row))]
    # A spreadsheet's empty cells to the right say nothing.
    while parts and not parts[-1]:
        parts.pop()
    item, *rest = parts or [""]
    # What a Chinese keyboard types as wide signs means the same as the narrow ones.
    rest = [unicodedata.normalize("NFKC", part).strip() for part in rest]
    if not item or len(item) > _MOST_NAME or not rest or not rest[0]:
        raise ValueError(_("expected an item and an amount, such as: blood count, 20, A"))
    if len(rest) > 5:
        raise ValueError(_("expected six parts at most, such as: valsartan, 120.50, B, 10, 5, yes"))
    if rest[0].lower() in _CLASSES and len(rest) > 1:
        # The class before the amount, as many slips print it.
        rest[:2] = rest[1], rest[0]
    amount, item_class, first_pay, over_limit, prescription = (*rest, "", "", "", "", "")[:5]
    amount_fen = _amount(amount)
    over_limit_fen = _amount(over_limit) if over_limit else None
    if over_limit_fen is not None and over_limit_fen > amount_fen:
        raise ValueError(_("more is over the price limit than the line comes to"))
    return TypedLine(
        no=number,
        item=item,
        amount_fen=amount_fen,
        item_class=_chosen(_CLASSES.get, item_class, _("expected the class A, B, C or none")),
        first_pay_bp=_percent(first_pay) if first_pay else None,
        over_limit_fen=over_limit_fen,
        prescription=_chosen(
            _YES_NO.get, prescription, _("expected yes or no for the prescription")
        ),
    )


def _amount(text: str) -> int:
    try:
        amount_fen = fen(text.removeprefix("¥").removesuffix("元").strip())
    except ValueError:
        amount_fen = -1
    if not 0 <= amount_fen <= MOST_FEN:
        raise ValueError(
            _("expected an amount in yuan with at most two decimals, found %(found)s")
            % {"found": text[:40]}
        )
    return amount_fen


def _percent(text: str) -> int:
    match = _PERCENT.fullmatch(text.replace(" ", ""))
    rate_bp = -1
    if match is not None:
        rate_bp = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if not 0 <= rate_bp <= BASIS_POINTS:
        raise ValueError(
            _("expected a first pay of 0 to 100 %%, found %(found)s") % {"found": text[:40]}
        )
    return rate_bp


def _chosen(find: Callable[[str], _Word | None], text: str, problem: str) -> _Word | None:
    if not text:
        return None
    found = find(text.lower())
    if found is None:
        raise ValueError(problem)
    return found


def _priced(line: TypedLine, facts: CatalogueFacts | None) -> Line:
    item_class: str = line.item_class or (facts.item_class if facts else "none")
    first_pay_bp = line.first_pay_bp
    if first_pay_bp is None:
        first_pay_bp = facts.first_pay_bp if facts else 0
    covered = item_class in ("A", "B")
    if facts and line.item_class is None:
        covered = facts.covered
    return Line(
        no=line.no,
        code=line.item if facts else "",
        name=facts.name if facts else line.item,
        amount_fen=line.amount_fen,
        item_class=item_class,  # type: ignore[arg-type]
        first_pay_bp=first_pay_bp,
        over_limit_fen=line.over_limit_fen or 0,
        covered=covered,
        account_ok=facts.account_ok if facts else covered,
        prescription=line.prescription is not False,
        prescription_only=facts.prescription_only if facts else line.prescription is False,
        disease_codes=facts.disease_codes if facts else (),
        group=facts.drug_group if facts else "",
    )
