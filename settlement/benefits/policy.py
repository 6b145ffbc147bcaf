"""A policy compiled for calculation: conditions, figures, layers and the order they run in.

`loading` makes these values from a file and has checked them; `calculation` reads them.  A figure
is always a list of alternatives with conditions, so that one layer states active and retired,
employee and resident.  Nothing here knows a bill's lines or does money arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from settlement.money import Rounding

# The facts a condition can ask for, in the order `calculation` lays them out.
FACTS: Final = (
    "schemes",
    "categories",
    "aids",
    "kinds",
    "diseases",
    "site_kinds",
    "levels",
    "care",
    "groups",
    "classes",
)
LINE_FACTS: Final = frozenset({"groups", "classes"})
CARE: Final = ("home", "away_temporary", "away_long_term")
# What a member must have for a layer to pay at all, with the reason given when it is missing.
REQUIREMENTS: Final = {
    "pool_in_force": "pool_frozen",
    "account_in_force": "account_frozen",
    "filing": "disease_not_filed",
    "chosen_institution": "institution_not_chosen",
}
# The parts of a bill a layer can build on; after a layer, "<layer>.deductible",
# "<layer>.co_payment" and "<layer>.above_cap" name what it left.
LINE_PARTS: Final = ("in_range", "first_pay", "over_limit", "out_of_scope")
LEFT_BY_LAYER: Final = ("deductible", "co_payment", "above_cap")
UNPAID: Final = "unpaid"

Facts = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """Everything stated must hold; what is not stated does not matter.  Intervals are half-open."""

    tests: tuple[tuple[int, frozenset[str | int]], ...] = ()
    age_from: int | None = None
    age_below: int | None = None
    from_date: date | None = None
    until_date: date | None = None

    def holds(self, facts: Facts, age: int | None, day: date) -> bool:
        for index, allowed in self.tests:
            if facts[index] not in allowed:
                return False
        if self.age_from is not None and (age is None or age < self.age_from):
            return False
        if self.age_below is not None and (age is None or age >= self.age_below):
            return False
        if self.from_date is not None and day < self.from_date:
            return False
        return self.until_date is None or day < self.until_date


@dataclass(frozen=True, slots=True)
class RateByCase:
    """One flat rate for the lines or bills that meet a condition."""

    condition: Condition
    rate_bp: int
    source: str


@dataclass(frozen=True, slots=True)
class Deductible:
    condition: Condition
    amount_fen: int
    # The accumulator of a deductible met once a year; None when every bill meets it anew.
    counts_in: str | None
    source: str


@dataclass(frozen=True, slots=True)
class RateRule:
    """Bands of cost with a rate each; a flat rate is one band without an end.

    ``from_zero`` says where the bands are counted from: the first fen of the base, with the
    deductible inside the first band, or the first fen above the deductible.  ``counts_in`` is the
    accumulator of bands that go on over the year; None when every bill starts at the first band.
    """

    condition: Condition
    # (from, to or None, rate)
    tiers: tuple[tuple[int, int | None, int], ...]
    from_zero: bool
    counts_in: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Cap:
    """The most a layer pays, or the most cost it looks at; over a year when it counts somewhere."""

    condition: Condition
    amount_fen: int
    of_base: bool
    counts_in: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One payer's step over what the steps before it left."""

    name: str
    title: Mapping[str, str]
    payer: str
    condition: Condition
    requires: tuple[str, ...]
    # The kind of filing that "filing" and "chosen_institution" look for; None is the bill's kind.
    filing_kind: str | None
    base: tuple[str, ...]
    deductibles: tuple[Deductible, ...]
    rates: tuple[RateRule, ...]
    caps: tuple[Cap, ...]
    # Accumulators kept for other rules or for people: (measure, name).
    counts: tuple[tuple[str, str], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one pooling area over one period; immutable once loaded."""

    name: str
    version: str
    area: str
    title: Mapping[str, str]
    effective_from: date
    effective_until: date | None
    rounding: Rounding
    benefit_year_start: tuple[int, int]
    kinds: Mapping[str, Mapping[str, str]]
    # Whether the price-limit excess comes off before the first pay is taken.
    limit_before_first_pay: bool
    prescription_only_needs_prescription: bool
    first_pays: tuple[RateByCase, ...]
    away_first_pays: tuple[RateByCase, ...]
    layers: tuple[Layer, ...]
    # Every accumulator the policy counts in and what it measures: deductible, payment, base, ...
    accumulators: Mapping[str, str]
    sources: Mapping[str, str]
    sha256: str

    def benefit_year(self, day: date) -> int:
        """The benefit year a day belongs to, named by the calendar year in which it begins."""
        return day.year if (day.month, day.day) >= self.benefit_year_start else day.year - 1

    def in_force_on(self, day: date) -> bool:
        """Whether the half-open effective interval contains the day."""
        return self.effective_from <= day and (
            self.effective_until is None or day < self.effective_until
        )
