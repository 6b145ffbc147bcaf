"""One member's stored settlements under a draft policy, as if it had been in force.

A settlement stores what it was calculated from, the year to date included. What a draft would have
left there instead is carried as the difference between the two: the next bill of the member starts
from its own stored figures plus that difference, so that corrections from outside the bills (an
import, an opening) are kept, and the policy that priced a bill prices it exactly so again. Nothing
is booked, and money in the real accounts does not change what was paid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from settlement.benefits.calculation import calculate
from settlement.benefits.canonical import inputs_from
from settlement.benefits.policy import Policy
from settlement.benefits.values import Result


def at_any_time(policy: Policy) -> Policy:
    """The draft without its own first and last day: what comes into force next year is tried on
    last year's bills. Rules that name days of their own keep them."""
    return replace(policy, effective_from=date.min, effective_until=None)


@dataclass(frozen=True, slots=True)
class _Difference:
    """What one bill added under the draft, less what it added in truth."""

    amounts: tuple[tuple[int, str, int], ...]
    account_fen: int


@dataclass(slots=True)
class MemberRehearsal:
    """Feed it the member's settlements and refunds in the order of `member_seq`.

    `policy` comes from `at_any_time`. What was not fed, such as a settlement before the window,
    differs by nothing.
    """

    policy: Policy
    _years: dict[int, dict[str, int]] = field(default_factory=dict)
    _account_fen: int = 0
    _bills: dict[Hashable, _Difference] = field(default_factory=dict)

    def settle(
        self,
        key: Hashable,
        *,
        inputs: Mapping[str, Any],
        benefit_year: int,
        delta: Mapping[str, int],
        account_fen: int,
    ) -> Result:
        """The bill under the draft.

        `inputs` are the stored canonical inputs, `benefit_year`, `delta` and `account_fen` what
        the settlement stored of its result (fen). Raises BenefitsError when the draft cannot price
        the bill, ValueError when the inputs are none; the member's figures then stay as they are.
        """
        stored = inputs_from(inputs)
        bill = stored["bill"]
        year = self.policy.year_of(bill)
        # A draft that begins its year on another day has nothing stored to start that year from.
        before = dict(stored["year_to_date"]) if year == benefit_year else {}
        for name, amount in self._years.get(year, {}).items():
            before[name] = max(0, before.get(name, 0) + amount)
        result = calculate(
            policy=self.policy,
            member=stored["member"],
            site=stored["site"],
            bill=bill,
            year_to_date=before,
            account_available_fen=max(0, stored["account_available_fen"] - self._account_fen),
        )
        self._book(
            key,
            _Difference(
                amounts=(
                    *(
                        (result.benefit_year, name, amount)
                        for name, amount in result.year_to_date_delta.items()
                    ),
                    *((benefit_year, name, -amount) for name, amount in delta.items()),
                ),
                account_fen=result.account_fen - account_fen,
            ),
        )
        return result

    def refund(self, key: Hashable) -> None:
        """The whole bill came back: what it had added is gone again, under the draft too."""
        was = self._bills.pop(key, None)
        if was is not None:
            self._add(was, sign=-1)

    def _book(self, key: Hashable, difference: _Difference) -> None:
        self._bills[key] = difference
        self._add(difference, sign=1)

    def _add(self, difference: _Difference, *, sign: int) -> None:
        for year, name, amount in difference.amounts:
            amounts = self._years.setdefault(year, {})
            amounts[name] = amounts.get(name, 0) + sign * amount
        self._account_fen += sign * difference.account_fen


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
