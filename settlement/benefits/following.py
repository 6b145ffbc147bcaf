"""What a return does to the bills of the year that came after it (`refund_with_later`).

A bill was worked out from what earlier bills had counted. When one of those comes back, each later
bill is priced again, in the order in which they were settled, from the year to date that it would
then have found. Accounts may give what they gave, and of what the return itself gives back to the
member's own account as much as a later bill would have taken; no other money of theirs is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from settlement.benefits.canonical import trace_hash
from settlement.benefits.restating import Settled
from settlement.benefits.returning import result_of_rest, shares_back, shares_of
from settlement.benefits.values import Result


@dataclass(frozen=True, slots=True)
class StandingBill:
    """A bill of which something stands: its lines' remaining fen by number, and what it comes to
    now. `gave` is the result whose parts of accounts were really paid."""

    settled: Settled
    remaining_fen: Mapping[int, int]
    result: Result
    gave: Result

    @classmethod
    def whole(cls, settled: Settled, result: Result) -> StandingBill:
        """The bill as it was settled, with nothing returned."""
        remaining_fen = {line.no: line.amount_fen for line in settled.inputs["bill"].lines}
        return cls(settled, remaining_fen, result, result)

    def settled_from(self, year_to_date: Mapping[str, int]) -> Settled:
        """The bill as it would be settled from another year to date."""
        return Settled(
            self.settled.policy, {**self.settled.inputs, "year_to_date": dict(year_to_date)}
        )


def year_before(result: Result) -> dict[str, int]:
    """The year to date that a result was worked out from, by accumulator, without zeros."""
    before = {
        name: amount - result.year_to_date_delta.get(name, 0)
        for name, amount in result.year_to_date_after.items()
    }
    return {name: amount for name, amount in before.items() if amount}


def counted_less(before: Result | None, after: Result | None) -> dict[str, int]:
    """What the year to date loses, by accumulator, when a bill comes to `after` in place of
    `before`; less than nothing where it counts more from now on."""
    old = {} if before is None else before.year_to_date_delta
    new = {} if after is None else after.year_to_date_delta
    found = {name: old.get(name, 0) - new.get(name, 0) for name in {**old, **new}}
    return {name: amount for name, amount in found.items() if amount}


def rest_of(bill: StandingBill, *, remaining_fen: Mapping[int, int]) -> Result | None:
    """The bill with so much of each line, from the year to date that it counts from; None when
    nothing of it is left. Raises as `result_of_rest`."""
    return result_of_rest(
        bill.settled_from(year_before(bill.result)),
        remaining_fen=remaining_fen,
        account_fen=bill.gave.account_fen,
        draws=bill.gave.relative_draws,
    )


@dataclass(slots=True)
class Carried:
    """What a return takes along from one later bill to the next: `gone`, what no longer counts
    before it, by accumulator; `spare_fen`, what the member's own account got back and no bill has
    taken since."""

    gone: dict[str, int]
    spare_fen: int

    @classmethod
    def from_return(cls, before: Result | None, after: Result | None) -> Carried:
        """What it is when a bill comes to `after` in place of `before`."""
        back_fen = shares_back(shares_of(before), after).get("account", 0)
        return cls(counted_less(before, after), max(0, back_fen))

    def restate(self, bill: StandingBill) -> Result | None:
        """What the next bill comes to; None for one that the year to date does not concern. Raises
        BenefitsError when it can no longer be priced; then nothing is carried on from it."""
        if not (bill.result.reads_year_to_date and any(self.gone.values())):
            return None
        if not any(bill.remaining_fen.values()):
            # Free goods under a package that charges its price all the same: there is nothing of
            # which it could be priced again.
            return None
        before, gone = year_before(bill.result), self.gone
        # A correction from outside the bills may have lowered the year below what they count.
        less = {
            name: max(0, before.get(name, 0) - gone.get(name, 0)) for name in {**before, **gone}
        }
        result = result_of_rest(
            bill.settled_from(less),
            remaining_fen=bill.remaining_fen,
            account_fen=bill.result.account_fen + max(0, self.spare_fen),
            draws=bill.result.relative_draws,
        )
        assert result is not None
        self.pass_on(bill.result, result)
        return result

    def pass_on(self, before: Result | None, after: Result | None) -> None:
        """A later bill comes to `after` in place of `before`: what it counts more or less from
        then on goes on to the next."""
        for name, amount in counted_less(before, after).items():
            self.gone[name] = self.gone.get(name, 0) + amount
        self.spare_fen += shares_back(shares_of(before), after).get("account", 0)


def restated_after(
    bills: Sequence[StandingBill], *, moved: Mapping[str, int], account_fen: int
) -> tuple[Result | None, ...]:
    """What each bill comes to once `moved` no longer counts before the first of them; None for one
    that the year to date does not concern. `account_fen` is what the return gives back to the
    member's own account.

    What a bill counts more or less from then on goes on to the next. Raises BenefitsError when one
    of them can no longer be priced.
    """
    carried = Carried(dict(moved), max(0, account_fen))
    return tuple([carried.restate(bill) for bill in bills])


def concerns(bill: StandingBill, result: Result) -> bool:
    """Whether somebody pays another part of the bill, or it counts otherwise, under `result`."""
    return bool(shares_back(shares_of(bill.result), result) or counted_less(bill.result, result))


def same_figures(one: Result | None, other: Result | None) -> bool:
    """Whether two results agree in every figure, in what they were worked out from included."""
    if one is None or other is None:
        return one is other
    return (
        trace_hash(one) == trace_hash(other)
        and one.year_to_date_after == other.year_to_date_after
        and one.reads_year_to_date == other.reads_year_to_date
    )
