"""One member's stored settlements under a draft policy, as if it had been in force.

A settlement stores what it was calculated from, the year to date included. What a draft would have
left there instead is carried as the difference between the two: the next bill of the member starts
from its own stored figures plus that difference, so that corrections from outside the bills (an
import, an opening) are kept, and the policy that priced a bill prices it exactly so again. A return
changes both sides to what they then come to, later bills included where the rules restate those.
Nothing is booked, and money in the real accounts does not change what was paid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from settlement.benefits.calculation import calculate
from settlement.benefits.canonical import inputs_from
from settlement.benefits.following import Carried, StandingBill, rest_of
from settlement.benefits.policy import Policy
from settlement.benefits.restating import Settled
from settlement.benefits.values import BenefitsError, Result


def at_any_time(policy: Policy) -> Policy:
    """The draft without its own first and last day: what comes into force next year is tried on
    last year's bills. Rules that name days of their own keep them."""
    return replace(policy, effective_from=date.min, effective_until=None)


@dataclass(frozen=True, slots=True)
class Became:
    """What a return made of a settlement in truth: its place in the member's order, what it came to
    before and what it comes to from then on; None where nothing of it stands."""

    key: Hashable
    seq: int
    before: Result | None
    after: Result | None


@dataclass(slots=True)
class RehearsedBill:
    """A bill that the draft prices, as it stands in truth (`stored`) and under the draft; None
    where nothing of it does."""

    seq: int
    stored: Result | None
    standing: StandingBill | None

    @property
    def rehearsed(self) -> Result | None:
        """What it comes to under the draft."""
        return None if self.standing is None else self.standing.result


@dataclass(slots=True)
class MemberRehearsal:
    """Feed it the member's settlements and refunds in the order of `member_seq`.

    `policy` comes from `at_any_time`. What was not fed, such as a settlement before the window, and
    what the draft cannot price, differs by nothing: what it counts in truth, and what a return
    makes of that, counts under the draft too. `bills` are the others, in the order of the feed.
    """

    policy: Policy
    bills: dict[Hashable, RehearsedBill] = field(default_factory=dict)
    # Under the draft less in truth: the accumulators by benefit year, and what the account paid.
    _years: dict[int, dict[str, int]] = field(default_factory=dict)
    _account_fen: int = 0

    def settle(
        self, key: Hashable, *, seq: int, inputs: Mapping[str, Any], stored: Result
    ) -> Result:
        """The bill under the draft.

        `inputs` are the canonical inputs and `stored` the result that the settlement keeps. Raises
        BenefitsError when the draft cannot price the bill, ValueError when the inputs are none; the
        member's figures then stay as they are.
        """
        settled = inputs_from(inputs)
        bill = settled["bill"]
        year = self.policy.year_of(bill)
        # A draft that begins its year on another day has nothing stored to start that year from.
        before = dict(settled["year_to_date"]) if year == stored.benefit_year else {}
        for name, amount in self._years.get(year, {}).items():
            before[name] = max(0, before.get(name, 0) + amount)
        result = calculate(
            policy=self.policy,
            member=settled["member"],
            site=settled["site"],
            bill=bill,
            year_to_date=before,
            account_available_fen=max(0, settled["account_available_fen"] - self._account_fen),
        )
        standing = StandingBill.whole(Settled(self.policy, settled), result)
        self.bills[key] = RehearsedBill(seq, stored, standing)
        self._count(self.bills[key], sign=1)
        return result

    def refund(
        self,
        returned: Became,
        *,
        remaining_fen: Mapping[int, int],
        restated: Sequence[Became],
        restates: bool,
    ) -> dict[Hashable, BenefitsError]:
        """A bill came back, whole or in part; in truth that made of it, and of later ones, what is
        said here.

        `remaining_fen` is what is left of its lines, by number. With `restates` the later bills of
        the year are priced again under the draft too. The answer are the bills that the draft can
        no longer price; from here on they differ by nothing.
        """
        refused: dict[Hashable, BenefitsError] = {}
        old, new = self._return(returned, remaining_fen, refused)
        carried = Carried.from_return(old, new)
        year = None if old is None else old.benefit_year
        in_truth = {each.key: each for each in restated}
        places = {each.key: each.seq for each in restated}
        if restates:
            places |= {key: bill.seq for key, bill in self.bills.items() if bill.seq > returned.seq}
        for key in sorted(places, key=places.__getitem__):
            became, bill = in_truth.get(key), self.bills.get(key)
            if bill is None:
                assert became is not None
                carried.pass_on(_of_year(became.before, year), _of_year(became.after, year))
                continue
            stored, standing = bill.stored if became is None else became.after, bill.standing
            if restates and standing is not None and _may_be_restated(standing, year):
                try:
                    result = carried.restate(standing)
                except BenefitsError as error:
                    self._leave_out(key, error, refused)
                    carried.pass_on(standing.result, _of_year(stored, year))
                    continue
                if result is not None:
                    standing = replace(standing, result=result, gave=result)
            self._become(bill, stored, standing)
        return refused

    def _return(
        self,
        returned: Became,
        remaining_fen: Mapping[int, int],
        refused: dict[Hashable, BenefitsError],
    ) -> tuple[Result | None, Result | None]:
        """What the returned bill comes to under the draft, before and from here on."""
        bill = self.bills.get(returned.key)
        if bill is None or bill.standing is None:
            return returned.before, returned.after
        old = bill.standing
        try:
            rest = rest_of(old, remaining_fen=remaining_fen)
        except BenefitsError as error:
            self._leave_out(returned.key, error, refused)
            return old.result, _of_year(returned.after, old.result.benefit_year)
        standing = None
        if rest is not None:
            standing = replace(old, remaining_fen=remaining_fen, result=rest)
        self._become(bill, returned.after, standing)
        return old.result, rest

    def _become(
        self, bill: RehearsedBill, stored: Result | None, standing: StandingBill | None
    ) -> None:
        self._count(bill, sign=-1)
        bill.stored, bill.standing = stored, standing
        self._count(bill, sign=1)

    def _leave_out(
        self, key: Hashable, error: BenefitsError, refused: dict[Hashable, BenefitsError]
    ) -> None:
        self._count(self.bills.pop(key), sign=-1)
        refused[key] = error

    def _count(self, bill: RehearsedBill, *, sign: int) -> None:
        """Carry the difference that the bill makes, or no longer makes."""
        for result, by in ((bill.rehearsed, sign), (bill.stored, -sign)):
            if result is None:
                continue
            year = self._years.setdefault(result.benefit_year, {})
            for name, amount in result.year_to_date_delta.items():
                year[name] = year.get(name, 0) + by * amount
            self._account_fen += by * result.account_fen


def _may_be_restated(bill: StandingBill, year: int | None) -> bool:
    """Whether the return of a bill of that benefit year may concern it; of a bill that comes to
    nothing there is nothing to pay otherwise."""
    return bill.result.benefit_year == year and bill.result.total_fen > 0


def _of_year(result: Result | None, year: int | None) -> Result | None:
    """The result, or None where it counts in another benefit year."""
    return result if result is not None and result.benefit_year == year else None


@dataclass(slots=True)
class Costs:
    """Bills of one kind summed up: what each payer paid in truth, and would pay, in fen."""

    bills: int = 0
    total_fen: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    rehearsed: dict[str, int] = field(default_factory=dict)

    def add(
        self, *, total_fen: int, stored: Mapping[str, int], rehearsed: Mapping[str, int]
    ) -> None:
        """One more bill, with its shares by payer."""
        self.bills += 1
        self.total_fen += total_fen
        for into, shares in ((self.stored, stored), (self.rehearsed, rehearsed)):
            for payer, amount in shares.items():
                into[payer] = into.get(payer, 0) + amount

    def differences(self) -> dict[str, int]:
        """Rehearsed less stored by payer, without the payers whose part stays."""
        found = {
            payer: self.rehearsed.get(payer, 0) - self.stored.get(payer, 0)
            for payer in {**self.stored, **self.rehearsed}
        }
        return {payer: amount for payer, amount in found.items() if amount}


def group_of(inputs: Mapping[str, Any]) -> str:
    """The group of people a bill counts for: scheme, category and aid, such as
    "employee/retired"."""
    member = inputs["member"]
    return "/".join(str(member[name]) for name in ("scheme", "category", "aid") if member[name])


def kind_of(inputs: Mapping[str, Any]) -> str:
    """The kind of benefit the bill was settled under."""
    return str(inputs["bill"]["kind"])
