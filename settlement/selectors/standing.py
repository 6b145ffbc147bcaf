"""A settlement as it stands now: what was settled, less what came back since."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from messaging import sql
from settlement import benefits, money
from settlement.benefits.following import StandingBill
from settlement.benefits.restating import Settled
from settlement.benefits.returning import remaining_amount
from settlement.selectors.rules import compiled_policy


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
    # Whole packs that have not come back: of a split pack the code says nothing about what is left.
    trace_codes: tuple[str, ...]
    # Each piece has a pack and a code of its own.
    piece_by_piece: bool

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
    policy: benefits.Policy
    # The insured one, whose funds paid.
    area_code: str
    member_seq: int
    benefit_year: int
    accounting_month: date
    total_fen: int
    refunded_fen: int
    # None when nothing of it is left.
    bill: StandingBill | None
    lines: tuple[StandingLine, ...]
    confirm_by: datetime | None
    confirmed_at: datetime | None

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is left; a bill of nothing counts as returned."""
        return self.refunded_fen == self.total_fen


@dataclass(frozen=True, slots=True)
class Turn:
    """The last thing that became of a settlement: `result`, what it has come to since, None when
    nothing is left of it; `gave`, what it last came to by other than a return of its own."""

    result: dict[str, Any] | None
    gave: dict[str, Any] | None


def standing(*, settlement_id: UUID) -> Standing:
    """The settlement, its row locked, with everything that came back of it."""
    row = sql.fetch_one(
        "SELECT member_id, merchant_id, terminal_id, policy_id, member_seq, benefit_year,"
        " total_fen, refunded_fen, inputs, result, confirm_by, confirmed_at,"
        " accounting_month, area_code,"
        " EXISTS (SELECT 1 FROM settlement_restatement x WHERE x.settlement_id = s.id)"
        " FROM settlement_settlement s WHERE id = %s" + sql.for_update(),
        (settlement_id,),
        kinds=(*(None,) * 10, "datetime", "datetime", "date", None, "bool"),
    )
    assert row is not None
    has_returns = row[7] > 0
    turns = turns_of([settlement_id]) if has_returns or row[14] else {}
    lines = lines_of([settlement_id], has_returns=has_returns)[settlement_id]
    policy = compiled_policy(row[3])
    return Standing(
        settlement_id=settlement_id,
        member_id=row[0],
        merchant_id=row[1],
        terminal_id=row[2],
        policy=policy,
        area_code=row[13],
        member_seq=row[4],
        benefit_year=row[5],
        accounting_month=row[12],
        total_fen=row[6],
        refunded_fen=row[7],
        bill=bill_of(
            policy,
            inputs=msgspec.json.decode(row[8]),
            result=msgspec.json.decode(row[9]),
            turn=turns.get(settlement_id),
            remaining_fen={line.no: line.remaining_fen for line in lines},
        ),
        lines=lines,
        confirm_by=row[10],
        confirmed_at=row[11],
    )


def bill_of(
    policy: benefits.Policy,
    *,
    inputs: dict[str, Any],
    result: dict[str, Any],
    turn: Turn | None,
    remaining_fen: Mapping[int, int] | None,
) -> StandingBill | None:
    """What the calculator needs of a settlement that stands, from its stored inputs and result.
    `remaining_fen` by line's number; None where nothing came back."""
    turn = turn or Turn(result=result, gave=None)
    if turn.result is None:
        return None
    read = benefits.inputs_from(inputs)
    return StandingBill(
        settled=Settled(policy, read),
        remaining_fen={line.no: line.amount_fen for line in read["bill"].lines}
        if remaining_fen is None
        else remaining_fen,
        result=benefits.result_from_dict(turn.result),
        gave=benefits.result_from_dict(_gave(turn, result)),
    )


def _gave(turn: Turn, result: dict[str, Any]) -> dict[str, Any]:
    return turn.gave or result


def turns_of(settlement_ids: Collection[UUID]) -> dict[UUID, Turn]:
    """What became of these settlements, by id, without those of which nothing did."""
    turns: dict[UUID, Turn] = {}
    for identifier, _seq, result_json, restated in sql.fetch(
        "SELECT r.settlement_id, r.member_seq, r.result, 0 FROM settlement_refund r"
        f" WHERE {sql.among('r.settlement_id')}"
        " UNION ALL SELECT x.settlement_id, r.member_seq, x.result, 1"
        " FROM settlement_restatement x JOIN settlement_refund r ON r.id = x.refund_id"
        f" WHERE {sql.among('x.settlement_id')} ORDER BY 2",
        (sql.values(settlement_ids),) * 2,
        kinds=("uuid", None, None, None),
    ):
        result = msgspec.json.decode(result_json) if result_json else None
        gave = turns[identifier].gave if identifier in turns else None
        turns[identifier] = Turn(result, result if restated else gave)
    return turns


def shares_now(settlement_id: UUID) -> dict[str, int]:
    """By payer in fen, what a settlement comes to of which something came back, or that was
    restated, since; of others, and where nothing is left, nothing."""
    turn = turns_of([settlement_id]).get(settlement_id)
    result = (turn.result if turn else None) or {"shares": ()}
    return {share["payer"]: share["amount_fen"] for share in result["shares"]}


def lines_of(
    settlement_ids: Collection[UUID], *, has_returns: bool
) -> dict[UUID, tuple[StandingLine, ...]]:
    """The lines of these settlements, by id, as they stand."""
    returned: dict[int, tuple[int, int]] = {}
    if has_returns:
        for line_id, quantity_e4, amount_fen in sql.fetch(
            "SELECT l.line_id, l.quantity_e4, l.amount_fen FROM settlement_refundline l"
            " JOIN settlement_refund r ON r.id = l.refund_id"
            f" WHERE {sql.among('r.settlement_id')}",
            (sql.values(settlement_ids),),
        ):
            so_far = returned.get(line_id, (0, 0))
            # What came with a quantity is worked out from the quantity.
            beside = 0 if quantity_e4 else amount_fen
            returned[line_id] = (so_far[0] + quantity_e4, so_far[1] + beside)
    found: dict[UUID, list[StandingLine]] = {identifier: [] for identifier in settlement_ids}
    sold = _sold(settlement_ids) if has_returns else set()
    for row in sql.fetch(
        "SELECT l.id, l.national_code, l.amount_fen, l.quantity, l.prescription_number,"
        " l.split_pack, l.trace_codes, l.settlement_id FROM settlement_line l"
        " JOIN settlement_feebatch b ON b.id = l.fee_batch_id"
        f" WHERE {sql.among('l.settlement_id')} ORDER BY b.number, l.number",
        (sql.values(settlement_ids),),
        kinds=(*(None,) * 5, "bool", None, "uuid"),
    ):
        lines = found[row[7]]
        quantity_e4 = money.quantity_units(row[3])
        codes = () if row[5] else tuple(msgspec.json.decode(row[6]))
        lines.append(
            StandingLine(
                len(lines) + 1,
                row[0],
                row[1],
                row[2],
                quantity_e4,
                *returned.get(row[0], (0, 0)),
                prescription=row[4],
                trace_codes=tuple(
                    code for code in codes if not has_returns or (row[7], code) in sold
                ),
                piece_by_piece=len(codes) * 10_000 == quantity_e4,
            )
        )
    return {identifier: tuple(lines) for identifier, lines in found.items()}


def _sold(settlement_ids: Collection[UUID]) -> set[tuple[Any, ...]]:
    """Settlement and code of every pack that is out. One that came back is forgotten here, and is
    another settlement's when it is sold again."""
    return set(
        sql.fetch(
            f"SELECT settlement_id, code FROM settlement_tracecode"
            f" WHERE {sql.among('settlement_id')}",
            (sql.values(settlement_ids),),
            kinds=("uuid", None),
        )
    )
