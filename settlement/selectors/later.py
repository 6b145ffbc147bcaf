"""Settlements of a benefit year that came after one, as they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from messaging import sql
from settlement.benefits.following import StandingBill, year_before
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import Standing, bill_of, lines_of, turns_of


@dataclass(frozen=True, slots=True)
class Later:
    """One of them that read the year to date."""

    settlement_id: UUID
    # The insured one, whose funds paid.
    area_code: str
    bill: StandingBill

    def counted_on(self, moved: Mapping[str, int]) -> bool:
        """Whether it was worked out from an accumulator that is moved."""
        return any(moved.get(name) for name in year_before(self.bill.result))


def later_settlements(found: Standing, *, limit: int | None) -> tuple[Later, ...]:
    """Those that stand, in the order in which they were settled; of more than `limit` the first."""
    rows = sql.fetch(
        "SELECT id, policy_id, inputs, result, area_code, refunded_fen FROM settlement_settlement"
        " WHERE member_id = %s AND benefit_year = %s AND member_seq > %s"
        " AND refunded_fen < total_fen ORDER BY member_seq"
        + ("" if limit is None else f" LIMIT {limit:d}"),
        (found.member_id, found.benefit_year, found.member_seq),
        kinds=("uuid", *(None,) * 5),
    )
    if not rows:
        return ()
    turns = turns_of([row[0] for row in rows])
    in_part = [row[0] for row in rows if row[5]]
    lines = lines_of(in_part, has_returns=True) if in_part else {}
    later = []
    for identifier, policy_id, inputs_json, result_json, area_code, refunded_fen in rows:
        inputs = msgspec.json.decode(inputs_json)
        bill = bill_of(
            compiled_policy(policy_id),
            inputs=inputs,
            result=msgspec.json.decode(result_json),
            turn=turns.get(identifier),
            remaining_fen={line.no: line.remaining_fen for line in lines[identifier]}
            if refunded_fen
            else None,
        )
        if bill is not None and bill.result.reads_year_to_date:
            later.append(Later(identifier, area_code, bill))
    return tuple(later)


def holders_of(
    *, member_id: int, benefit_year: int, from_seq: int, until_seq: int | None
) -> frozenset[int]:
    """Whose accounts paid for the member's settlements of the year, of the numbers from one to
    another, or to the last; members by id."""
    return frozenset(
        holder_id
        for (holder_id,) in sql.fetch(
            "SELECT DISTINCT a.member_id FROM settlement_relativeshare r"
            " JOIN settlement_account a ON a.id = r.account_id"
            " JOIN settlement_settlement s ON s.id = r.settlement_id"
            " WHERE s.member_id = %s AND s.benefit_year = %s AND s.member_seq >= %s"
            + ("" if until_seq is None else f" AND s.member_seq <= {until_seq:d}"),
            (member_id, benefit_year, from_seq),
        )
    )
