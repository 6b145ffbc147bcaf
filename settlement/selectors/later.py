"""Settlements of a benefit year that came after one, and whether its return concerns them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from messaging import sql
from settlement import benefits
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import Standing

# Looked at one by one; of more, the answer names those found among the first.
MOST = 200


@dataclass(frozen=True, slots=True)
class Later:
    """One of them that read the year to date, as it was settled."""

    settlement_id: UUID
    policy_id: int
    inputs: dict[str, Any]
    trace_hash: str

    def differs(self, moved: Mapping[str, int]) -> bool:
        """Whether it would have come to other figures had `moved` never been counted."""
        inputs = benefits.inputs_from(self.inputs)
        before = {
            name: max(0, amount - moved.get(name, 0))
            for name, amount in inputs["year_to_date"].items()
        }
        inputs["year_to_date"] = before
        try:
            again = benefits.calculate(policy=compiled_policy(self.policy_id), **inputs)
        except benefits.BenefitsError:
            return True
        return benefits.trace_hash(again) != self.trace_hash


def later_settlements(found: Standing, *, moved: Mapping[str, int]) -> tuple[Later, ...]:
    """Those that stand and were worked out from an accumulator that the return moves, in order."""
    names = {name for name, amount in moved.items() if amount}
    rows = sql.fetch(
        "SELECT id, policy_id, inputs, trace_hash, result FROM settlement_settlement"
        " WHERE member_id = %s AND benefit_year = %s AND member_seq > %s"
        " AND refunded_fen < total_fen ORDER BY member_seq LIMIT %s",
        (found.member_id, found.benefit_year, found.member_seq, MOST),
        kinds=("uuid", None, None, None, None),
    )
    later = []
    for identifier, policy_id, inputs_json, trace_hash, result_json in rows:
        inputs = msgspec.json.decode(inputs_json)
        reads = msgspec.json.decode(result_json)["reads_year_to_date"]
        if reads and names & inputs["year_to_date"].keys():
            later.append(Later(identifier, policy_id, inputs, trace_hash))
    return tuple(later)
