"""A stored settlement priced again from what is stored with it, and a member's year added up again.

What differs is named figure by figure.  Nothing here knows a row or a person: a bill is what its
settlement stored, and figures are compared, never texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from settlement.benefits.calculation import calculate
from settlement.benefits.canonical import (
    inputs_from,
    result_from_dict,
    result_to_dict,
    trace_hash,
)
from settlement.benefits.policy import Policy
from settlement.benefits.values import BenefitsError, Result

# Versions may differ where every figure agrees.
_NO_FIGURES: Final = frozenset({"engine", "policy", "format"})
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that differs: its path, what is stored, and what it should be."""

    name: str
    stored: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a settlement keeps. Amounts in fen; `shares` by payer, `relatives` by account."""

    inputs: Mapping[str, Any]
    result: Mapping[str, Any]
    trace_hash: str
    benefit_year: int
    columns: Mapping[str, int]
    shares: Mapping[str, int]
    relatives: Mapping[str, int]


def differences(stored: Stored, *, policy: Policy) -> list[Figure]:
    """Every figure of a settlement that its policy and its stored inputs do not give again, what
    was paid before how it was worked out."""
    found: list[Figure] = []
    try:
        inputs = inputs_from(stored.inputs)
        named = stored.inputs["policy"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return [Figure("inputs", "unreadable", "the inputs of a calculation")]
    if named != policy.sha256:
        found.append(_figure("inputs.policy.sha256", named, policy.sha256))
    try:
        result = calculate(policy=policy, **inputs)
    except BenefitsError as refused:
        return [*found, Figure("calculation", "priced", f"refused: {refused.code}")]
    found += _rows(stored, result)
    replayed = trace_hash(result)
    if stored.trace_hash != replayed:
        found.append(_figure("trace_hash", stored.trace_hash, replayed))
    try:
        kept = trace_hash(result_from_dict(stored.result))
    except ValueError:
        kept = "unreadable"
    if kept != replayed:
        found += _walk("result", stored.result, result_to_dict(result))
    return found


def _rows(stored: Stored, result: Result) -> Iterator[Figure]:
    """What stands in columns and rows of its own beside the result."""
    columns = {
        "total_fen": result.total_fen,
        "fund_fen": result.fund_fen,
        "account_fen": result.account_fen,
        "relative_fen": result.share("relative_account"),
        "cash_fen": result.cash_fen,
        "benefit_year": result.benefit_year,
    }
    yield from amounts("", {**stored.columns, "benefit_year": stored.benefit_year}, columns)
    shares = {share.payer: share.amount_fen for share in result.shares if share.amount_fen}
    yield from amounts("share.", stored.shares, shares)
    draws = {draw.holder: draw.amount_fen for draw in result.relative_draws}
    yield from amounts("relative.", stored.relatives, draws)


def amounts(prefix: str, stored: Mapping[str, int], replayed: Mapping[str, int]) -> list[Figure]:
    """The amounts that differ; one that is not there is zero."""
    return [
        _figure(prefix + name, stored.get(name, 0), replayed.get(name, 0))
        for name in sorted({*stored, *replayed})
        if stored.get(name, 0) != replayed.get(name, 0)
    ]


def _walk(path: str, stored: Any, replayed: Any) -> Iterator[Figure]:
    if isinstance(stored, Mapping) and isinstance(replayed, Mapping):
        for name in sorted({*stored, *replayed} - _NO_FIGURES):
            yield from _walk(f"{path}.{name}", stored.get(name), replayed.get(name))
    elif isinstance(stored, list) and isinstance(replayed, list | tuple):
        for place in range(max(len(stored), len(replayed))):
            one, other = (side[place] if place < len(side) else None for side in (stored, replayed))
            yield from _walk(f"{path}[{place}]", one, other)
    elif stored != replayed:
        yield _figure(path, stored, replayed)


def _figure(name: str, stored: object, replayed: object) -> Figure:
    return Figure(name, str(stored)[:_LONGEST], str(replayed)[:_LONGEST])


@dataclass(slots=True)
class MemberYears:
    """One member's years to date added up again, in the order of `member_seq`.

    A year is known from its first bill on, and as long as no number is missing: a bill that was not
    fed may have added anything. What belongs to one stay is left out, because it may be carried
    over from another year; its bills' own figures are compared all the same.
    """

    _years: dict[int, dict[str, int]] = field(default_factory=dict)
    _stays: set[str] = field(default_factory=set)
    _seq: int = 0

    def settled(
        self,
        seq: int,
        *,
        inputs: Mapping[str, Any],
        benefit_year: int,
        delta: Mapping[str, int],
        reads: bool,
    ) -> list[Figure]:
        """A bill. Where it read the year to date (`reads`), that must be what went before left."""
        self._follow(seq)
        if stay := inputs["bill"].get("stay"):
            self._stays.add(stay)
        before = self._counted(inputs["year_to_date"])
        known = self._years.get(benefit_year)
        if known is None:
            if reads:
                self._years[benefit_year] = dict(before)
                self._add(benefit_year, delta, sign=1)
            return []
        wrong = amounts("inputs.year_to_date.", before, self._counted(known)) if reads else []
        if wrong:
            # One moved amount is one finding, not one for every later bill.
            self._years[benefit_year] = dict(before)
        self._add(benefit_year, delta, sign=1)
        return wrong

    def refunded(
        self, seq: int, *, benefit_year: int, before: Mapping[str, int], after: Mapping[str, int]
    ) -> None:
        """A bill came back, whole or in part: it counted `before`, and counts `after` from now."""
        self._follow(seq)
        self.restated(benefit_year=benefit_year, before=before, after=after)

    def restated(
        self, *, benefit_year: int, before: Mapping[str, int], after: Mapping[str, int]
    ) -> None:
        """A bill counts otherwise from now on, because another one came back."""
        if benefit_year in self._years:
            self._add(benefit_year, before, sign=-1)
            self._add(benefit_year, after, sign=1)

    def ends(self, benefit_year: int, stored: Mapping[str, int]) -> list[Figure]:
        """The stored year, after the member's last bill and refund."""
        known = self._years.get(benefit_year)
        if known is None:
            return []
        return amounts("year_to_date.", self._counted(stored), self._counted(known))

    def _follow(self, seq: int) -> None:
        if seq != self._seq + 1:
            self._years.clear()
        self._seq = seq

    def _counted(self, amounts: Mapping[str, int]) -> dict[str, int]:
        return {
            name: amount
            for name, amount in amounts.items()
            if amount and not any(stay in name for stay in self._stays)
        }

    def _add(self, year: int, delta: Mapping[str, int], *, sign: int) -> None:
        known = self._years[year]
        for name, amount in delta.items():
            known[name] = known.get(name, 0) + sign * amount
