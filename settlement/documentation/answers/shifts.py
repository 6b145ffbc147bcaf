"""Answers about shifts, totals and their comparison."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from .shapes import AnswerShape, Fen


class PayerTotal(AnswerShape):
    """One payer's part of all that was settled and refunded."""

    payer: Annotated[
        str, Meta(description="`pool`, another fund, `account`, `relative_account` or `cash`.")
    ]
    settled_fen: Fen
    refunded_fen: Fen
    net_fen: Annotated[int, Meta(description="Settled less refunded.")]


class TenderTotal(AnswerShape):
    """What members paid themselves in one kind of money."""

    tender: Annotated[str, Meta(description="`cash` is what lies in the drawer.")]
    received_fen: Fen
    given_back_fen: Fen
    net_fen: Annotated[int, Meta(description="Received less given back.")]


class Sums(AnswerShape):
    """Sums over settlements and refunds, by payer and by tender."""

    settlements: Annotated[int, Meta(description="How many.")]
    settled_fen: Fen
    refunds: Annotated[int, Meta(description="How many.")]
    refunded_fen: Fen
    net_fen: Annotated[int, Meta(description="Settled less refunded.")]
    payers: list[PayerTotal]
    tenders: list[TenderTotal]


class Part(Sums):
    """The sums of one terminal and operator."""

    terminal_id: int
    terminal_name: str
    operator: Annotated[str, Meta(description="Empty where none was named.")]


class Totals(Sums):
    """What was settled and refunded. The parts make the whole."""

    day: date | None
    shift_id: UUID | None
    terminal_id: Annotated[int | None, Meta(description="What it is narrowed to.")]
    operator: Annotated[str | None, Meta(description="What it is narrowed to.")]
    parts: list[Part]


class ShiftRecord(Sums):
    """A shift with its sums and its drawer."""

    shift_id: UUID
    state: Literal["open", "closed"]
    terminal_id: int
    terminal_name: str
    operator: str
    opened_at: Annotated[datetime, Meta(description="What is accepted from here on is in it.")]
    closed_at: Annotated[
        datetime | None, Meta(description="What is accepted from here on is not in it.")
    ]
    opening_float_fen: Fen
    cash_received_fen: Annotated[int, Meta(description="Of the tender `cash`.")]
    cash_given_back_fen: Annotated[int, Meta(description="Of the tender `cash`.")]
    expected_fen: Annotated[int, Meta(description="Float and cash received, less cash given back.")]
    counted_fen: int | None
    difference_fen: Annotated[
        int | None, Meta(description="Counted less expected: negative when money is missing.")
    ]


class RowBehind(AnswerShape):
    """A settlement or refund that is part of our figure."""

    kind: Literal["settlement", "refund"]
    amount_fen: Annotated[int, Meta(description="This payer's part; negative when refunded.")]
    accepted_at: datetime
    settlement_id: UUID | UnsetType = UNSET
    refund_id: UUID | UnsetType = UNSET


class Difference(AnswerShape):
    """A figure of yours that is not ours."""

    what: Literal["payer", "tender", "count"]
    name: Annotated[str, Meta(description="Of the payer or tender; `settlements` or `refunds`.")]
    yours: Annotated[int, Meta(description="Fen, or how many.")]
    ours: Annotated[int, Meta(description="Fen, or how many.")]
    difference: Annotated[int, Meta(description="Yours less ours.")]
    rows: Annotated[
        list[RowBehind] | None,
        Meta(description="What makes up our figure, oldest first, when asked for."),
    ]
    rows_left_off: int


class Unlisted(AnswerShape):
    """Where a settlement or refund is that is missing in one of the lists."""

    ours_fen: Annotated[
        int | None, Meta(description="Our total; null when your institution has none such.")
    ]
    business_date: date | None
    accepted_at: datetime | None
    terminal_id: int | None
    operator: str | None
    settlement_id: UUID | UnsetType = UNSET
    refund_id: UUID | UnsetType = UNSET
    yours_fen: int | UnsetType = UNSET


class Unlike(AnswerShape):
    """In both lists, not of the same total."""

    yours_fen: int
    ours_fen: int
    settlement_id: UUID | UnsetType = UNSET
    refund_id: UUID | UnsetType = UNSET


class ListCompared(AnswerShape):
    """Your list against ours."""

    only_yours: Annotated[
        list[Unlisted],
        Meta(description="Ours in another day, till or shift, or none of yours at all."),
    ]
    only_ours: list[Unlisted]
    differ: list[Unlike]
    different: Annotated[int, Meta(description="How many in all.")]
    left_off: Annotated[int, Meta(description="How many of those are not shown.")]


class Compared(AnswerShape):
    """Whether your figures are ours, and what is not."""

    equal: bool
    differences: list[Difference]
    settlement_list: ListCompared | None
    refund_list: ListCompared | None
