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
    # Of a bill of another benefit year, the stay that it goes on with: only what is counted for the
    # stay itself was carried over. Empty for one of the same year.
    stay: str = ""

    def found_of(self, moved: Mapping[str, int]) -> dict[str, int]:
        """Of what is moved, what this one found when it was worked out."""
        return {name: fen for name, fen in moved.items() if self.stay in name}

    def counted_on(self, moved: Mapping[str, int]) -> bool:
        """Whether it was worked out from an accumulator that is moved."""
        found = self.found_of(moved)
        return any(found.get(name) for name in year_before(self.bill.result))


def later_settlements(found: Standing, *, limit: int | None) -> tuple[Later, ...]:
    """Those of the year that stand, and those of the same stay in another year, in the order in
    which they were settled; of more than `limit` the first."""
    rows = sql.fetch(
        "SELECT id, policy_id, inputs, result, area_code, refunded_fen, benefit_year"
        " FROM settlement_settlement WHERE member_id = %s AND member_seq > %s"
        " AND (benefit_year = %s"
        " OR visit_id = (SELECT visit_id FROM settlement_settlement WHERE id = %s))"
        " AND refunded_fen < total_fen ORDER BY member_seq"
        + ("" if limit is None else f" LIMIT {limit:d}"),
        (found.member_id, found.member_seq, found.benefit_year, found.settlement_id),
        kinds=("uuid", *(None,) * 6),
    )
    if not rows:
        return ()
    turns = turns_of([row[0] for row in rows])
    in_part = [row[0] for row in rows if row[5]]
    lines = lines_of(in_part, has_returns=True) if in_part else {}
    later = []
    for identifier, policy_id, inputs_json, result_json, area_code, refunded_fen, year in rows:
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
        if bill is None or not bill.result.reads_year_to_date:
            continue
        stay = "" if year == found.benefit_year else bill.settled.inputs["bill"].stay
        if stay or year == found.benefit_year:
            later.append(Later(identifier, area_code, bill, stay))
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
