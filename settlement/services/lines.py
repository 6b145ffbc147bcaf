"""Lines of a bill: their amounts, what they are mapped to, what the catalogue says of them.

Everything here reads and decides; nothing is written. A line that no catalogue entry covers is no
refusal: it is the member's own to pay, and says so before the quote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from merchants import selectors as merchants
from messaging import sql
from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from settlement import benefits, money
from settlement.requests import MOST_FEN, LineRequest
from settlement.selectors.rules import CatalogueFacts
from settlement.services.desk import Desk


class BillEmpty(Refusal):
    """Nothing to price."""

    code = "bill_empty"
    text = _("The bill has no lines.")


class TooManyLines(Refusal):
    """More lines than one bill may have."""

    code = "too_many_lines"
    text = _("A bill may have at most %(most)s lines.")


class AmountNegative(Refusal):
    """Returns are refunds, not negative lines."""

    code = "amount_negative"
    text = _("Line %(line_no)s: the amount is negative.")


class QuantityNotPositive(Refusal):
    """Nothing of something."""

    code = "quantity_not_positive"
    text = _("Line %(line_no)s: the quantity must be more than zero.")


class AmountMismatch(Refusal):
    """The three figures of a line contradict each other."""

    code = "amount_mismatch"
    text = _("Line %(line_no)s: quantity × unit price is not the amount.")


class ItemUnknown(Refusal):
    """Not in the merchant's list, or not in the area's catalogue."""

    code = "item_unknown"
    text = _("Line %(line_no)s: there is no item with this code.")


class PrescriptionUnknown(Refusal):
    """No such prescription of this person."""

    code = "prescription_unknown"
    text = _("Line %(line_no)s: this person has no such prescription for the item.")


class PrescriptionExpired(Refusal):
    """Past its validity."""

    code = "prescription_expired"
    text = _("Line %(line_no)s: the prescription is no longer valid.")


class PrescriptionExhausted(Refusal):
    """Already filled."""

    code = "prescription_exhausted"
    text = _("Line %(line_no)s: more than the prescription has left.")


class PrescribersDiffer(Refusal):
    """Prescriptions of hospitals of different levels on one bill."""

    code = "prescribers_differ"
    text = _(
        "Line %(line_no)s: its prescription is from a hospital of another level; please bill it"
        " by itself."
    )


class TraceCodeRepeated(Refusal):
    """The same pack twice on one bill."""

    code = "trace_code_repeated"
    text = _("Line %(line_no)s: a trace code appears twice on the bill.")


class TraceCodeUsed(Refusal):
    """The pack was sold before."""

    code = "trace_code_used"
    text = _("A trace code on the bill was already settled elsewhere.")


@dataclass(slots=True)
class BillLine:
    """A line as it will be stored, with what the catalogue says of it on the service date.

    Not frozen: a bill's lines belong to one request, and two steps after reading fill in what the
    catalogue and the prescriptions say.
    """

    no: int
    code: str
    national_code: str
    name: str
    quantity: str
    unit_price: str
    amount_fen: int
    split_pack: bool
    trace_codes: tuple[str, ...]
    prescription: str
    facts: CatalogueFacts | None
    # Where it came from: the row of a visit's line, None for a line that is yet to be stored.
    row_id: int | None = None
    # The row of the prescription's line that it draws on, with its quantity in ten-thousandths.
    prescription_row: int | None = None
    # When it was done, where that may differ within a bill: the lines of a visit.
    service_date: date | None = None

    @property
    def quantity_e4(self) -> int:
        """The quantity in ten-thousandths."""
        return money.quantity_units(self.quantity)

    def for_calculator(self) -> benefits.Line:
        """The line as the calculator takes it."""
        facts = self.facts
        return benefits.Line(
            no=self.no,
            code=self.national_code,
            name=self.name,
            amount_fen=self.amount_fen,
            item_class=facts.item_class if facts else "none",  # type: ignore[arg-type]
            first_pay_bp=facts.first_pay_bp if facts else 0,
            over_limit_fen=min(
                self.amount_fen, money.over_limit(self.quantity, self.unit_price, facts.price_limit)
            )
            if facts and facts.price_limit
            else 0,
            covered=bool(facts and facts.covered),
            account_ok=bool(facts and facts.account_ok),
            prescription=self.prescription_row is not None,
            prescription_only=bool(facts and facts.prescription_only),
            disease_codes=facts.disease_codes if facts else (),
            group=facts.drug_group if facts else "",
            restriction=facts.restriction if facts else None,
        )

    def described(self) -> dict[str, Any]:
        """What the terminal is told about it besides money."""
        return {
            "no": self.no,
            "code": self.code,
            "national_code": self.national_code,
            "name": self.name,
            "quantity": self.quantity,
            "unit_price": self.unit_price,
            "amount_fen": self.amount_fen,
            "mapped": bool(self.national_code),
            "in_catalogue": self.facts is not None,
        }


def read_lines(desk: Desk, requested: Sequence[LineRequest]) -> list[BillLine]:
    """Check figures and codes of lines as they were sent; the catalogue is yet to be asked.

    Raises BillEmpty, TooManyLines, FieldInvalid, AmountNegative, QuantityNotPositive,
    AmountMismatch, ItemUnknown, TraceCodeRepeated, each naming the line.
    """
    if not requested:
        raise BillEmpty(param="lines")
    if len(requested) > settings.MAX_LINES:
        raise TooManyLines(param="lines", most=settings.MAX_LINES)
    for index, line in enumerate(requested):
        _check_figures(index, line)
    check_traces(requested)
    items = merchants.items_by_code(
        merchant_id=desk.terminal.merchant_id,
        codes=sorted({line.code for line in requested if line.code}),
    )
    bare: list[BillLine] = []
    for index, line in enumerate(requested):
        if line.code:
            item = items.get(line.code)
            if item is None:
                raise ItemUnknown(param=f"lines[{index}].code", line_no=index + 1)
            national_code, name = item.national_code, item.name
        else:
            if not line.national_code:
                raise FieldInvalid(
                    param=f"lines[{index}].code",
                    field=f"lines[{index}].code",
                    problem=_("give the item's own code or its national code"),
                )
            national_code, name = line.national_code, line.name or ""
        bare.append(
            BillLine(
                no=index + 1,
                code=line.code or "",
                national_code=national_code,
                name=name,
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount_fen=line.amount_fen,
                split_pack=line.split_pack,
                trace_codes=tuple(line.trace_codes),
                prescription=line.prescription or "",
                facts=None,
            )
        )
    return bare


def national_codes(lines: Sequence[BillLine]) -> list[str]:
    """The codes to ask the catalogue for, each once."""
    return sorted({line.national_code for line in lines if line.national_code})


def add_catalogue(lines: Sequence[BillLine], facts: Mapping[str, CatalogueFacts]) -> None:
    """Note on each line what the area's catalogue says of it on its day.

    A national code that the catalogue does not have is refused when the line named it itself;
    mapped by the merchant's list, it is the member's own to pay. Raises ItemUnknown.
    """
    for line in lines:
        line.facts = facts.get(line.national_code)
        if line.facts is None and not line.code:
            raise ItemUnknown(param=f"lines[{line.no - 1}].national_code", line_no=line.no)
        if not line.name and line.facts is not None:
            line.name = line.facts.name


def _check_figures(index: int, line: LineRequest) -> None:
    where = f"lines[{index}]"
    try:
        quantity = money.quantity_units(line.quantity)
    except ValueError as error:
        field = f"{where}.quantity"
        raise FieldInvalid(param=field, field=field, problem=str(error)) from None
    try:
        money.unit_price_units(line.unit_price)
    except ValueError as error:
        field = f"{where}.unit_price"
        raise FieldInvalid(param=field, field=field, problem=str(error)) from None
    if line.amount_fen < 0:
        raise AmountNegative(param=f"{where}.amount_fen", line_no=index + 1)
    if line.amount_fen > MOST_FEN:
        field = f"{where}.amount_fen"
        raise FieldInvalid(param=field, field=field, problem=_("the amount is too large"))
    if quantity == 0:
        raise QuantityNotPositive(param=f"{where}.quantity", line_no=index + 1)
    if not money.amount_matches(line.quantity, line.unit_price, line.amount_fen):
        raise AmountMismatch(param=f"{where}.amount_fen", line_no=index + 1)


def check_traces(lines: Sequence[LineRequest | BillLine]) -> None:
    """Refuse a pack that is twice on a bill. Raises TraceCodeRepeated."""
    whole: set[str] = set()
    parts: set[str] = set()
    for index, line in enumerate(lines):
        for code in line.trace_codes:
            # A split pack is sold in several parts under the one code it carries.
            if code in whole or (code in parts and not line.split_pack):
                raise TraceCodeRepeated(param=f"lines[{index}].trace_codes", line_no=index + 1)
            (parts if line.split_pack else whole).add(code)


@dataclass(frozen=True, slots=True)
class Prescribed:
    """What the prescriptions on a bill say of it: the prescribing hospital's level (None without a
    prescription, 0 of one that is not registered here), and the coded diagnoses."""

    level: int | None = None
    diagnoses: frozenset[str] = frozenset()


def add_prescriptions(
    lines: Sequence[BillLine], *, member_id: int, service_date: date
) -> Prescribed:
    """Note on each line that names a prescription which row of it the line draws on.

    Under the member's lock: a prescription is one member's, so that lock is the one that keeps two
    tills from filling it twice. Raises PrescriptionUnknown, PrescriptionExpired,
    PrescriptionExhausted, and PrescribersDiffer where hospitals of different levels have written
    what one bill fills, since their level decides its rates.
    """
    numbers = sorted({line.prescription for line in lines if line.prescription})
    if not numbers:
        return Prescribed()
    rows = sql.fetch(
        "SELECT p.number, l.national_code, l.id, p.until_date, l.quantity_e4 - l.filled_e4,"
        " coalesce(m.level, 0), p.diagnosis_code"
        " FROM settlement_prescription p JOIN settlement_prescriptionline l"
        " ON l.prescription_id = p.id"
        " LEFT JOIN merchants_merchant m ON m.code = p.institution_code"
        f" WHERE p.member_id = %s AND {sql.among('p.number')}",
        (member_id, sql.values(numbers)),
        kinds=(None, None, None, "date", None, None, None),
    )
    levels: dict[str, int] = {row[0]: row[5] for row in rows}
    left: dict[int, int] = {row[2]: row[4] for row in rows}
    by_item: Mapping[tuple[str, str], tuple[int, date]] = {
        (row[0], row[1]): (row[2], row[3]) for row in rows
    }
    for line in lines:
        if not line.prescription:
            continue
        where = f"lines[{line.no - 1}].prescription"
        held = by_item.get((line.prescription, line.national_code))
        if held is None:
            raise PrescriptionUnknown(param=where, line_no=line.no)
        row_id, until_date = held
        if service_date >= until_date:
            raise PrescriptionExpired(param=where, line_no=line.no)
        left[row_id] -= line.quantity_e4
        if left[row_id] < 0:
            raise PrescriptionExhausted(param=where, line_no=line.no)
        line.prescription_row = row_id
        if levels[line.prescription] != levels[numbers[0]]:
            raise PrescribersDiffer(param=where, line_no=line.no)
    return Prescribed(levels[numbers[0]], frozenset(row[6] for row in rows if row[6]))
