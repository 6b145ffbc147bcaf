"""Answers about money: estimates, quotes, settlements, slips, refunds, and a request's outcome."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from .presence import StoredLine
from .shapes import AnswerShape, Fen, ShareShape, Texts


class PricedLine(StoredLine):
    """A line taken apart; the four parts make its amount, or what a package charges for it."""

    in_range_fen: Fen
    first_pay_fen: Annotated[int, Meta(description="先行自付, the member's part before benefits.")]
    over_limit_fen: Annotated[int, Meta(description="The excess over a price limit.")]
    out_of_scope_fen: Annotated[int, Meta(description="自费, nothing a fund looks at.")]
    reason: Annotated[str | None, Meta(description="Why it is out of scope.")]


class Estimated(AnswerShape):
    """Who would pay what."""

    total_fen: Fen
    shares: list[ShareShape]
    pool_fen: Annotated[int, Meta(description="All funds together.")]
    account_fen: Fen
    relative_fen: Annotated[int, Meta(description="What relatives' accounts pay (家庭共济).")]
    cash_fen: Fen
    hospital_payment_fen: Annotated[
        int | None, Meta(description="What a package pays the institution in place of the bill.")
    ]
    lines: list[PricedLine]
    explanation: Texts
    policy: Annotated[str, Meta(description="The version of the policy that was applied.")]


class Quoted(Estimated):
    """Who will pay what if it is settled in time."""

    quote_id: UUID
    expires_at: datetime
    seconds_left: int
    reads_year_to_date: Annotated[
        bool, Meta(description="True: no other till may quote for this person meanwhile.")
    ]


class Released(AnswerShape):
    """The quote holds nothing any more."""

    quote_id: UUID
    state: Literal["released"]


class TenderRefundAnswer(AnswerShape):
    """What a refund of the settlement sends back of a part."""

    refund_id: UUID
    amount_fen: Fen
    state: Literal["returning", "returned"]
    by_hand: Annotated[bool, Meta(description="The service has nothing of it: hand it out.")]


class TenderPartAnswer(AnswerShape):
    """One part of the cash, in one kind of money."""

    tender_id: UUID
    kind: Literal["cash", "bank_card", "wechat", "alipay", "credit"]
    amount_fen: Annotated[
        int, Meta(description="Of credit what the line gave, which may be less than was asked.")
    ]
    state: Literal[
        "received",
        "asked",
        "unknown",
        "authorised",
        "declined",
        "capturing",
        "captured",
        "debt",
        "returning",
        "returned",
    ]
    reference: Annotated[
        str | None, Meta(description="The payment service's, or the card terminal's.")
    ]
    certain_by: Annotated[datetime, Meta(description="Nothing stays unknown for longer.")]
    refunds: list[TenderRefundAnswer]


class Tendered(AnswerShape):
    """How the cash part of the quote is paid."""

    quote_id: UUID
    quote_state: Literal["live", "confirmed", "released", "replaced", "expired"]
    expires_at: Annotated[datetime, Meta(description="Later than it was, after an unknown part.")]
    cash_fen: Fen
    uncertain_fen: Annotated[int, Meta(description="Asked for or unknown: ask again.")]
    left_fen: Annotated[int, Meta(description="Still to be paid, in cash or any other kind.")]
    parts: list[TenderPartAnswer]


class Settled(Estimated):
    """The accepted bill: final, on disk. Posting follows."""

    settlement_id: UUID
    state: Literal["accepted"]
    visit_id: UUID
    scan_id: UUID
    quote_id: UUID | None
    member_seq: int
    benefit_kind: str
    business_date: date
    service_date: date
    benefit_year: int
    account_balance_fen: Annotated[int, Meta(description="What is left on the account.")]
    confirm_by: Annotated[
        datetime | None, Meta(description="Two-step: reversed by itself unless confirmed by then.")
    ]
    accepted_at: datetime


class ReturnedLine(AnswerShape):
    """What came back of a line."""

    no: int
    quantity: Annotated[str, Meta(description="0 for an amount without goods.")]
    amount_fen: Fen


class RefundRecord(AnswerShape):
    """A returned settlement, or a part of one, with what each payer got back."""

    refund_id: UUID
    settlement_id: UUID
    kind: Literal["refund", "reversal"]
    state: Literal["accepted", "posted"]
    reason: str
    member_seq: int
    business_date: date
    total_fen: Fen
    shares: list[ShareShape]
    lines: list[ReturnedLine]
    accepted_at: datetime
    posted_at: datetime | None


class SettledLine(AnswerShape):
    """A line of a stored settlement, taken apart."""

    no: int
    code: str
    national_code: str
    name: str
    quantity: str
    unit_price: str
    amount_fen: Fen
    in_range_fen: Fen
    first_pay_fen: Fen
    over_limit_fen: Fen
    out_of_scope_fen: Fen
    reason: str | None


class RecordedLine(SettledLine):
    """A line of a stored settlement, with what may still come back of it."""

    remaining_quantity: Annotated[str, Meta(description="Less what came back; 0 when all did.")]
    remaining_fen: Annotated[
        int, Meta(description="Less what came back, with goods and without; 0 when all did.")
    ]
    trace_codes: Annotated[
        list[str],
        Meta(description="The whole packs that have not come back. A part names its own of them."),
    ]


class SettlementFacts(AnswerShape):
    """What acceptance fixed for good."""

    settlement_id: UUID
    visit_id: UUID
    scan_id: UUID
    quote_id: UUID | None
    member_seq: int
    benefit_kind: str
    disease_code: str | None
    business_date: date
    service_date: date
    benefit_year: int
    total_fen: Fen
    pool_fen: Fen
    account_fen: Fen
    relative_fen: Fen
    cash_fen: Fen
    hospital_payment_fen: int | None
    policy: str
    engine_version: str
    trace_hash: str
    accepted_at: datetime


class RestatedRecord(AnswerShape):
    """What a settlement comes to since an earlier one of the year came back."""

    restated_at: datetime
    shares: list[ShareShape]


class Standing(AnswerShape):
    """What became of a settlement since."""

    state: Literal["accepted", "posted"]
    posted_at: datetime | None
    refunded_fen: Fen
    refunds: list[RefundRecord]
    restated: Annotated[
        list[RestatedRecord],
        Meta(description="Where the area's rules restate; what that changed went with the return."),
    ]


class SettlementRecord(SettlementFacts):
    """A settlement as it is kept, with what became of it."""

    state: Literal["accepted", "posted"]
    posted_at: datetime | None
    refunded_fen: Fen
    refunds: list[RefundRecord]
    restated: list[RestatedRecord]
    shares: list[ShareShape]
    lines: list[RecordedLine]
    explanation: Texts


class MerchantName(AnswerShape):
    """The institution on a slip."""

    code: str
    name: str


class MemberName(AnswerShape):
    """The person on a slip, masked."""

    name: str


class SlipShare(ShareShape):
    """One payer's part, with what the payer is called."""

    title: str


class SlipLine(SettledLine):
    """A line with the reason in words."""

    reason_text: Annotated[
        str | None, Meta(description="Null where there is no reason, or its layer tells it.")
    ]


class TierRecord(AnswerShape):
    """A band of a layer: the part of the bill in it, and what it pays before any cap."""

    from_fen: Fen
    to_fen: Annotated[int | None, Meta(description="Null for a band without an end.")]
    rate_bp: Annotated[int, Meta(description="Basis points.")]
    rate_rest: Annotated[int, Meta(description="Ten-thousandths of a basis point beyond them.")]
    rate: Annotated[str, Meta(description="Both as people write them, such as 61.625%.")]
    part_fen: Fen
    paid_fen: Fen


class LayerRecord(AnswerShape):
    """One payer's step: its base less the deductible, by bands, at most what a cap leaves."""

    name: str
    title: str
    payer: str
    base_fen: Fen
    counted_fen: Annotated[int, Meta(description="Of the base, what a cap on the cost lets count.")]
    deductible_left_fen: Annotated[int, Meta(description="Still to be met before this bill.")]
    deductible_taken_off: Annotated[
        Literal["base", "payment", "nothing_once_reached"] | None,
        Meta(description="What the deductible comes off; null where there is none."),
    ]
    deductible_fen: Fen
    rate_kind: Annotated[
        Literal["rate", "fixed", "stated"] | None,
        Meta(description="Null where no rate applies: the layer pays nothing."),
    ]
    amount_fen: Annotated[
        int | None, Meta(description="The amount of a fixed or stated payment, else null.")
    ]
    bands_from_fen: Annotated[int, Meta(description="Where in the bands this bill begins.")]
    tiers: list[TierRecord]
    cap_left_fen: Annotated[int | None, Meta(description="Null where no payment is capped.")]
    over_cap_fen: Annotated[int, Meta(description="What a cap kept from being paid.")]
    paid_fen: Fen
    reason: Annotated[str | None, Meta(description="Why it paid nothing, or null.")]
    reason_text: Annotated[str | None, Meta(description="The same in words.")]
    source: Annotated[str | None, Meta(description="Where its figures are published.")]


class StepRecord(AnswerShape):
    """One sentence of the explanation."""

    text: str
    source: Annotated[str | None, Meta(description="Where its figures are published.")]


class YearFigure(AnswerShape):
    """What was used of the benefit year: before this bill, by it, and after it."""

    name: Annotated[str, Meta(description="As the area's policy calls it.")]
    title: Annotated[str, Meta(description="As people call it.")]
    before_fen: Fen
    added_fen: int
    after_fen: Fen


class SlipRecord(SettlementFacts):
    """A settlement with the names a slip bears, and every step to its shares."""

    language: Literal["zh", "en"]
    audience: Annotated[Literal["citizen", "cashier"], Meta(description="Whom it speaks to.")]
    merchant: MerchantName
    member: MemberName
    benefit_title: str
    policy_title: str
    rounding: Literal["half_up", "half_even"]
    refunded_fen: Annotated[
        int, Meta(description="Given back before the slip was issued; a later refund is not in it.")
    ]
    shares: list[SlipShare]
    lines: list[SlipLine]
    layers: list[LayerRecord]
    steps: list[StepRecord]
    explanation: Texts
    year_to_date: list[YearFigure]


class Slip(AnswerShape):
    """The one-bill slip as it was issued; `text` is its plain-language part, ready to print."""

    slip: SlipRecord
    text: Texts
    issued_at: datetime
    sha256: Annotated[
        str,
        Meta(description="Of `slip` as JSON without spaces, its members in the order of names."),
    ]
    current: Standing


class RestatedBills(AnswerShape):
    """How many later settlements count anew, wherever they are, and what each payer gets back for
    them together."""

    settlements: int
    shares: Annotated[
        list[ShareShape], Meta(description="They sum to nothing; less than that is paid more.")
    ]


class Refunded(AnswerShape):
    """An accepted refund: every payer has its part back."""

    refund_id: UUID
    settlement_id: UUID
    kind: Literal["refund", "reversal"]
    state: Literal["accepted"]
    member_seq: int
    business_date: date
    total_fen: Fen
    shares: Annotated[
        list[ShareShape], Meta(description="Less than nothing for one whose part has grown.")
    ]
    lines: list[ReturnedLine]
    remaining_fen: Annotated[int, Meta(description="What is left of the settlement.")]
    would_differ: Annotated[
        list[UUID], Meta(description="Later settlements that counted on it; they stand.")
    ]
    restated: Annotated[
        RestatedBills | None,
        Meta(description="Of later settlements that count anew; included in `shares`."),
    ]
    account_balance_fen: int
    accepted_at: datetime


class ReversalRecord(AnswerShape):
    """What a reversal returned."""

    refund_id: UUID
    settlement_id: UUID
    total_fen: Fen


class Reversed(AnswerShape):
    """What became of a withdrawn act."""

    original_key: str
    operation: Annotated[str | None, Meta(description="Null when nothing ever came.")]
    outcome: Literal["barred", "refused", "nothing_to_withdraw", "released", "reversed"]
    refund: ReversalRecord | None


class Confirmed(AnswerShape):
    """The result is known."""

    settlement_id: UUID
    confirmed_at: datetime


class Outcome(AnswerShape):
    """What a request was answered, refusals included."""

    idempotency_key: str
    operation: str
    status: int
    code: Annotated[str | None, Meta(description="The refusal's code, or null.")]
    answer: Annotated[dict[str, Any], Meta(description="The body, as it was answered then.")]
