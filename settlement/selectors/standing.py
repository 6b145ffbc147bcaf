"""A settlement as it stands now: what was settled, less what came back since."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from messaging import sql
from settlement import benefits, money
from settlement.benefits.returning import remaining_amount


@dataclass(frozen=True, slots=True)
class StandingLine:
    """A line of it, by the number that the calculator and the record give it."""

    no: int
    row_id: int
    national_code: str
    amount_fen: int
    quantity_e4: int
    returned_e4: int
    # Of amounts that came back without a quantity.
    returned_fen: int
    prescription: str
    # Whole packs only: of a split pack the code says nothing about what is left.
    trace_codes: tuple[str, ...]

    @property
    def remaining_fen(self) -> int:
        """What is left of it."""
        return remaining_amount(
            self.amount_fen,
            self.quantity_e4,
            returned_e4=self.returned_e4,
            returned_fen=self.returned_fen,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole settlement. Read under the member's lock it stays true until the end of the
    transaction."""

    settlement_id: UUID
    member_id: int
    merchant_id: int
    terminal_id: int
    policy_id: int
    member_seq: int
    benefit_year: int
    accounting_month: date
    total_fen: int
    refunded_fen: int
    inputs: dict[str, Any]
    original: benefits.Result
    # By payer, and by relative's account, in fen.
    shares: Mapping[str, int]
    relatives: Mapping[int, int]
    # What it counts in the year to date now.
    delta: Mapping[str, int]
    lines: tuple[StandingLine, ...]
    confirm_by: datetime | None
    confirmed_at: datetime | None

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is left; a bill of nothing counts as returned."""
        return self.refunded_fen == self.total_fen


def standing(*, settlement_id: UUID) -> Standing:
    """The settlement, its row locked, with everything that came back of it."""
    row = sql.fetch_one(
        "SELECT member_id, merchant_id, terminal_id, policy_id, member_seq, benefit_year,"
        " total_fen, refunded_fen, inputs, result, confirm_by, confirmed_at, accounting_month"
        " FROM settlement_settlement WHERE id = %s" + sql.for_update(),
        (settlement_id,),
        kinds=(*(None,) * 10, "datetime", "datetime", "date"),
    )
    assert row is not None
    original = benefits.result_from_dict(msgspec.json.decode(row[9]))
    has_returns = row[7] > 0
    latest = _latest_result(settlement_id) if has_returns else msgspec.json.decode(row[9])
    return Standing(
        settlement_id=settlement_id,
        member_id=row[0],
        merchant_id=row[1],
        terminal_id=row[2],
        policy_id=row[3],
        member_seq=row[4],
        benefit_year=row[5],
        accounting_month=row[12],
        total_fen=row[6],
        refunded_fen=row[7],
        inputs=msgspec.json.decode(row[8]),
        original=original,
        shares=_left(
            "SELECT payer, amount_fen FROM settlement_share WHERE settlement_id = %s",
            "SELECT s.payer, s.amount_fen FROM settlement_refundshare s"
            " JOIN settlement_refund r ON r.id = s.refund_id WHERE r.settlement_id = %s",
            settlement_id,
            has_returns=has_returns,
        ),
        relatives=_left(
            "SELECT account_id, amount_fen FROM settlement_relativeshare WHERE settlement_id = %s",
            "SELECT p.account_id, p.amount_fen FROM settlement_relativerefund p"
            " JOIN settlement_refund r ON r.id = p.refund_id WHERE r.settlement_id = %s",
            settlement_id,
            has_returns=has_returns,
        )
        if original.relative_draws
        else {},
        delta=latest["year_to_date_delta"] if latest else {},
        lines=_lines(settlement_id, has_returns=has_returns),
        confirm_by=row[10],
        confirmed_at=row[11],
    )


def _latest_result(settlement_id: UUID) -> dict[str, Any] | None:
    row = sql.fetch_one(
        "SELECT result FROM settlement_refund WHERE settlement_id = %s"
        " ORDER BY member_seq DESC LIMIT 1",
        (settlement_id,),
    )
    return msgspec.json.decode(row[0]) if row and row[0] else None


def _left(given: str, returned: str, settlement_id: UUID, *, has_returns: bool) -> dict[Any, int]:
    left: dict[Any, int] = dict(sql.fetch(given + " ORDER BY id", (settlement_id,)))
    for name, amount_fen in sql.fetch(returned, (settlement_id,)) if has_returns else ():
        left[name] = left.get(name, 0) - amount_fen
    return {name: amount for name, amount in left.items() if amount}


def _lines(settlement_id: UUID, *, has_returns: bool) -> tuple[StandingLine, ...]:
    returned: dict[int, tuple[int, int]] = {}
    if has_returns:
        for line_id, quantity_e4, amount_fen in sql.fetch(
            "SELECT l.line_id, l.quantity_e4, l.amount_fen FROM settlement_refundline l"
            " JOIN settlement_refund r ON r.id = l.refund_id WHERE r.settlement_id = %s",
            (settlement_id,),
        ):
            so_far = returned.get(line_id, (0, 0))
            # What came with a quantity is worked out from the quantity.
            beside = 0 if quantity_e4 else amount_fen
            returned[line_id] = (so_far[0] + quantity_e4, so_far[1] + beside)
    rows = sql.fetch(
        "SELECT l.id, l.national_code, l.amount_fen, l.quantity, l.prescription_number,"
        " l.split_pack, l.trace_codes FROM settlement_line l"
        " JOIN settlement_feebatch b ON b.id = l.fee_batch_id"
        " WHERE l.settlement_id = %s ORDER BY b.number, l.number",
        (settlement_id,),
        kinds=(None, None, None, None, None, "bool", None),
    )
    return tuple(
        StandingLine(
            number,
            row[0],
            row[1],
            row[2],
            money.quantity_units(row[3]),
            *returned.get(row[0], (0, 0)),
            prescription=row[4],
            trace_codes=() if row[5] else tuple(msgspec.json.decode(row[6])),
        )
        for number, row in enumerate(rows, start=1)
    )
