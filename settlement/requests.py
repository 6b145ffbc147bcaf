"""The shapes of what a terminal may send; `messaging/bodies.py` decodes them strictly.

What fits here is well formed; whether it is true is for the services. A nested bill costs some ten
microseconds this way and most of a millisecond in serializers, hence the exception to the
framework.
"""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from msgspec import UNSET, Meta, UnsetType

from messaging.bodies import FieldInvalid, Payload
from settlement.certainty import CONFIRM_AT_MOST_S

# Amounts beyond this are no bill; it also keeps sums inside the database's bigint.
MOST_FEN = 10**12

Word = Annotated[str, Meta(min_length=1, max_length=30, pattern="^[a-z_]+$")]
Code = Annotated[str, Meta(min_length=1, max_length=40)]
Name = Annotated[str, Meta(max_length=60)]
LongName = Annotated[str, Meta(max_length=120)]


class Evidence(Payload, frozen=True):
    """What was presented: its type, and its value as it was read."""

    type: Word
    value: Annotated[str, Meta(max_length=20_000)]


class ScanRequest(Payload, frozen=True):
    """Present evidence for a declared use."""

    evidence: Evidence
    use: Word


class LineRequest(Payload, frozen=True):
    """One thing done or sold. `code` is the merchant's own item code; without it, the national
    code. Amounts decide, and quantity × unit price must agree within half a fen."""

    quantity: Annotated[str, Meta(max_length=20)]
    unit_price: Annotated[str, Meta(max_length=20)]
    amount_fen: int
    code: Code | None = None
    national_code: Code | None = None
    name: LongName | None = None
    trace_codes: Annotated[list[Code], Meta(max_length=100)] = []
    split_pack: bool = False
    prescription: Code | None = None


class BillRequest(Payload, frozen=True):
    """What is to be priced: a pharmacy's lines under a scan, or a visit's unsettled lines."""

    benefit_kind: Word
    scan_id: UUID | None = None
    visit_id: UUID | None = None
    disease_code: Annotated[str, Meta(max_length=20)] | None = None
    lines: list[LineRequest] | None = None
    fee_batch_ids: Annotated[list[UUID], Meta(max_length=500)] | None = None
    # The most the member wants taken from the account; absent means all there is.
    account_limit_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    # Likewise for all relatives' accounts together.
    relative_limit_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    # The charge package of the treatment, by the policy's code.
    package: Code | None = None
    # Bed-days on this bill of a stay; absent means all of a stay that is one bill.
    days: Annotated[int, Meta(ge=1, le=3_660)] | None = None


_QUOTE_OR_BILL = _("give a quote_id, or a bill with its benefit_kind")


class SettleRequest(Payload, frozen=True):
    """Confirm a quote exactly, or settle a bill without one."""

    quote_id: UUID | None = None
    cash_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    benefit_kind: Word | UnsetType = UNSET
    scan_id: UUID | None = None
    visit_id: UUID | None = None
    disease_code: Annotated[str, Meta(max_length=20)] | None = None
    lines: list[LineRequest] | None = None
    fee_batch_ids: Annotated[list[UUID], Meta(max_length=500)] | None = None
    account_limit_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    relative_limit_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    package: Code | None = None
    days: Annotated[int, Meta(ge=1, le=3_660)] | None = None
    # Two steps: unless it is confirmed within so many seconds it is reversed by itself.
    confirm_within_s: Annotated[int, Meta(ge=10, le=CONFIRM_AT_MOST_S)] | None = None

    def check_confirms_only(self) -> None:
        """With a quote everything is decided: what would be another bill is refused, not passed
        over. Raises FieldInvalid."""
        for name in (
            "scan_id",
            "visit_id",
            "disease_code",
            "fee_batch_ids",
            "account_limit_fen",
            "relative_limit_fen",
            "package",
            "days",
        ):
            if getattr(self, name) is not None:
                raise FieldInvalid(param=name, field=name, problem=_QUOTE_OR_BILL)
        if not isinstance(self.benefit_kind, UnsetType):
            raise FieldInvalid(param="benefit_kind", field="benefit_kind", problem=_QUOTE_OR_BILL)

    def bill(self) -> BillRequest:
        """The bill of a settlement without a quote. Raises FieldInvalid."""
        if isinstance(self.benefit_kind, UnsetType):
            raise FieldInvalid(param="benefit_kind", field="benefit_kind", problem=_QUOTE_OR_BILL)
        return BillRequest(
            benefit_kind=self.benefit_kind,
            scan_id=self.scan_id,
            visit_id=self.visit_id,
            disease_code=self.disease_code,
            lines=self.lines,
            fee_batch_ids=self.fee_batch_ids,
            account_limit_fen=self.account_limit_fen,
            relative_limit_fen=self.relative_limit_fen,
            package=self.package,
            days=self.days,
        )


class TenderPart(Payload, frozen=True):
    """One part of the cash. WeChat and Alipay take the `payment_code` that the customer shows, a
    bank card the card terminal's own `reference`; cash and credit need neither."""

    kind: Literal["cash", "bank_card", "wechat", "alipay", "credit"]
    amount_fen: Annotated[int, Meta(ge=1, le=MOST_FEN)]
    payment_code: Annotated[str, Meta(pattern="^[0-9]{16,24}$")] | None = None
    reference: Annotated[str, Meta(pattern="^[0-9A-Za-z-]{6,40}$")] | None = None

    def __repr__(self) -> str:
        # A payment code is money for a minute: it must not reach a log with whatever quotes this.
        return f"TenderPart(kind={self.kind!r}, amount_fen={self.amount_fen})"


_CODE_OR_NONE = _("WeChat and Alipay need it, other kinds have none")
_REFERENCE_OR_NONE = _("a bank card needs it, other kinds have none")


class TenderRequest(Payload, frozen=True):
    """Pay parts of a quote's cash."""

    parts: Annotated[list[TenderPart], Meta(min_length=1, max_length=10)]

    def check(self) -> None:
        """Each kind comes with what it needs and nothing else. Raises FieldInvalid."""
        for index, part in enumerate(self.parts):
            if (part.payment_code is not None) != (part.kind in ("wechat", "alipay")):
                field = f"parts[{index}].payment_code"
                raise FieldInvalid(param=field, field=field, problem=_CODE_OR_NONE)
            if (part.reference is not None) != (part.kind == "bank_card"):
                field = f"parts[{index}].reference"
                raise FieldInvalid(param=field, field=field, problem=_REFERENCE_OR_NONE)


class ReleaseRequest(Payload, frozen=True):
    """Nothing but the address says which quote."""


class ReturnedLine(Payload, frozen=True):
    """A line that comes back: whole, or so much of its quantity, or so many fen of it.

    `no` is the line's number in the settlement. Whole packs that come back are named where only a
    part of a line's packs does.
    """

    no: Annotated[int, Meta(ge=1, le=10_000)]
    quantity: Annotated[str, Meta(max_length=20)] | None = None
    amount_fen: Annotated[int, Meta(ge=1, le=MOST_FEN)] | None = None
    trace_codes: Annotated[list[Code], Meta(max_length=100)] | None = None


class RefundRequest(Payload, frozen=True):
    """Return a settlement: whatever is left of it, or the lines named."""

    settlement_id: UUID
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    lines: Annotated[list[ReturnedLine], Meta(min_length=1, max_length=10_000)] | None = None
    # What payers whose part grows would pay more, as an earlier refusal told.
    accept_payment_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)] = 0


class ReverseRequest(Payload, frozen=True):
    """Withdraw the act that was sent under a key, whatever became of it."""

    original_key: Annotated[str, Meta(min_length=1, max_length=255)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "unknown outcome"


class ConfirmRequest(Payload, frozen=True):
    """The client knows the result; the address says of what."""


class Diagnosis(Payload, frozen=True):
    """A diagnosis by its code; one of a visit's is the main one."""

    code: Annotated[str, Meta(min_length=1, max_length=20)]
    name: LongName
    main: bool = False


class OpenVisitRequest(Payload, frozen=True):
    """Open a visit (挂号); a registration line becomes its first fee batch.

    `admission_date` is an admission's first day, today when absent. `emergency` is one at the door
    (急诊), `public_emergency` a declared one (疫情).
    """

    scan_id: UUID
    kind: Word = "outpatient"
    department: Name = ""
    doctor: Name = ""
    registration_line: LineRequest | None = None
    admission_date: date | None = None
    emergency: bool = False
    public_emergency: bool = False


class AddFeesRequest(Payload, frozen=True):
    """Upload what was done in a visit."""

    lines: list[LineRequest]
    scan_id: UUID | None = None
    department: Name = ""
    doctor: Name = ""
    service_date: date | None = None
    diagnoses: Annotated[list[Diagnosis], Meta(max_length=20)] = []
    # The diagnosis turned out to be one of a declared public emergency.
    public_emergency: bool = False


class DischargeRequest(Payload, frozen=True):
    """End a stay; its last bill may follow. The day is today when absent."""

    discharge_date: date | None = None


class PrescribedLine(Payload, frozen=True):
    """An item and how much of it may be dispensed."""

    national_code: Code
    quantity: Annotated[str, Meta(max_length=20)]


class PrescribeRequest(Payload, frozen=True):
    """Issue a prescription in a visit."""

    prescriber: Annotated[str, Meta(min_length=1, max_length=60)]
    diagnosis: Annotated[str, Meta(min_length=1, max_length=120)]
    lines: Annotated[list[PrescribedLine], Meta(min_length=1, max_length=50)]
    valid_days: Annotated[int, Meta(ge=1, le=30)] = 3
    # The diagnosis by its code, which rules for some drugs go by.
    diagnosis_code: Annotated[str, Meta(max_length=20)] = ""


class PickUpRequest(Payload, frozen=True):
    """Hand out the drugs of a settlement against a scan of their own."""

    scan_id: UUID
    settlement_id: UUID


class OpenShiftRequest(Payload, frozen=True):
    """Begin a shift with what is in the drawer. `operator` is whoever answers for it."""

    opening_float_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)]
    operator: Annotated[str, Meta(max_length=30)] = ""


class CloseShiftRequest(Payload, frozen=True):
    """End a shift with what was counted in the drawer, by the operator who opened it."""

    counted_fen: Annotated[int, Meta(ge=0, le=MOST_FEN)]
    operator: Annotated[str, Meta(max_length=30)] = ""


class ListedSettlement(Payload, frozen=True):
    """A settlement as the merchant has it."""

    settlement_id: UUID
    total_fen: int

    @property
    def id(self) -> UUID:
        """Which one it is."""
        return self.settlement_id


class ListedRefund(Payload, frozen=True):
    """A refund as the merchant has it."""

    refund_id: UUID
    total_fen: int

    @property
    def id(self) -> UUID:
        """Which one it is."""
        return self.refund_id


OwnFen = Annotated[int, Meta(ge=-MOST_FEN, le=MOST_FEN)]
OwnFigures = Annotated[dict[Word, OwnFen], Meta(max_length=50)]


class TotalsComparison(Payload, frozen=True):
    """The merchant's own figures of a day or a shift. By payer and by tender: settled less
    refunded, in fen; a name that is missing is nothing. What is absent is not compared."""

    day: date | None = None
    shift_id: UUID | None = None
    terminal_id: int | None = None
    operator: Annotated[str, Meta(max_length=30)] | None = None
    payers: OwnFigures | None = None
    tenders: OwnFigures | None = None
    settlements: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    refunds: Annotated[int, Meta(ge=0, le=MOST_FEN)] | None = None
    # With each difference the settlements and refunds that make up our figure.
    show_rows: bool = False
    settlement_list: Annotated[list[ListedSettlement], Meta(max_length=10_000)] | None = None
    refund_list: Annotated[list[ListedRefund], Meta(max_length=10_000)] | None = None
