"""What of a settlement's lines is to come back, as a till says it: a line whole, so much of its
quantity, or so many fen of it; the packs by their codes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.utils.translation import gettext_lazy as _

from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from settlement import money
from settlement.requests import ReturnedLine
from settlement.selectors.standing import Standing, StandingLine
from settlement.services.returning import ReturnedPart


class RefundTooMuch(Refusal):
    """More of a line than is left of it."""

    code = "refund_too_much"
    text = _("Line %(line_no)s: more than is left of it.")


@dataclass(slots=True)
class Wish:
    """What is to come back of the lines, and what of each then remains (fen, by number)."""

    parts: list[ReturnedPart] = field(default_factory=list)
    remaining_fen: dict[int, int] = field(default_factory=dict)


def whole(found: Standing) -> Wish:
    """All that is left of a settlement."""
    wish = Wish(remaining_fen={line.no: 0 for line in found.lines})
    for line in found.lines:
        left_e4 = line.quantity_e4 - line.returned_e4
        if left_e4:
            wish.parts.append(
                ReturnedPart(line, left_e4, line.remaining_fen, codes=line.trace_codes)
            )
    return wish


def parts_of(found: Standing, asked: Sequence[ReturnedLine]) -> Wish:
    """What a till asks for, and what then remains of every line. Raises FieldInvalid and
    RefundTooMuch, with the place in the request."""
    by_number = {line.no: line for line in found.lines}
    wish = Wish(remaining_fen={line.no: line.remaining_fen for line in found.lines})
    seen: set[int] = set()
    for index, each in enumerate(asked):
        where = f"lines[{index}]"
        line = by_number.get(each.no)
        if line is None or each.no in seen:
            problem = _("once a line of the settlement") if line else _("no line of the settlement")
            raise FieldInvalid(param=f"{where}.no", field=f"{where}.no", problem=problem)
        seen.add(each.no)
        part, after = _part(line, each, where=where)
        wish.parts.append(part)
        wish.remaining_fen[each.no] = after.remaining_fen
    return wish


def _part(
    line: StandingLine, asked: ReturnedLine, *, where: str
) -> tuple[ReturnedPart, StandingLine]:
    """What comes back of one line, and the line as it then stands."""
    if asked.quantity is not None and asked.amount_fen is not None:
        raise FieldInvalid(
            param=f"{where}.amount_fen",
            field=f"{where}.amount_fen",
            problem=_("give a quantity or an amount"),
        )
    left_e4 = line.quantity_e4 - line.returned_e4
    quantity_e4 = left_e4
    if asked.quantity is not None:
        try:
            quantity_e4 = money.quantity_units(asked.quantity)
        except ValueError as error:
            field_ = f"{where}.quantity"
            raise FieldInvalid(param=field_, field=field_, problem=str(error)) from None
    elif asked.amount_fen is not None:
        quantity_e4 = 0
    too_much = quantity_e4 > left_e4 or (asked.amount_fen or 0) > line.remaining_fen
    if too_much or not line.remaining_fen or (quantity_e4 == 0 and not asked.amount_fen):
        raise RefundTooMuch(param=where, line_no=line.no)
    after = replace(
        line,
        returned_e4=line.returned_e4 + quantity_e4,
        returned_fen=line.returned_fen + (asked.amount_fen or 0),
    )
    try:
        amount_fen = line.remaining_fen - after.remaining_fen
    except ValueError:
        raise RefundTooMuch(param=where, line_no=line.no) from None
    codes = _codes(
        line, asked, is_rest=quantity_e4 == left_e4, quantity_e4=quantity_e4, where=where
    )
    return ReturnedPart(line, quantity_e4, amount_fen, codes=codes), after


def _codes(
    line: StandingLine, asked: ReturnedLine, *, is_rest: bool, quantity_e4: int, where: str
) -> tuple[str, ...]:
    """The packs that are back on the shelf and may be sold again."""
    named = tuple(asked.trace_codes or ())
    problem: object = None
    if foreign := set(named) - set(line.trace_codes):
        problem = _("%s is not a pack of this line") % sorted(foreign)[0]
    elif named and not quantity_e4:
        problem = _("an amount without goods brings no pack back")
    elif line.trace_codes and quantity_e4 and not is_rest and not named:
        problem = _("name the packs that come back")
    elif line.piece_by_piece and quantity_e4 and not is_rest and len(named) * 10_000 != quantity_e4:
        problem = _("name as many packs as come back")
    if problem is not None:
        field_ = f"{where}.trace_codes"
        raise FieldInvalid(param=field_, field=field_, problem=problem)
    return line.trace_codes if is_rest else named
