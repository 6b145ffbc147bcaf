"""A policy compiled for calculation: figures, layers and the order they run in.

`loading` makes these values from a file and has checked them; the calculation reads them.  A figure
is always a list of alternatives with conditions, so that one layer states active and retired,
employee and resident.  Nothing here knows a bill's lines or does money arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from settlement.benefits.conditions import PACKAGES, Condition
from settlement.benefits.values import Bill
from settlement.money import Rounding

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
# Rates are counted in hundred-millionths while they are adjusted, so that 85 % of 72.5 % is exact.
RATE_UNITS: Final = 100_000_000
PER_BASIS_POINT: Final = RATE_UNITS // 10_000

# Marks of the catalogue that put an item without a group of its own into one, the narrower first:
# 双通道 drugs are chosen from those that were negotiated (谈判药).
MARK_GROUPS: Final = ("dual_channel", "negotiated")

DayBy = Literal["service", "admission", "discharge"]
RefundWithLater = Literal["stand", "last_first", "restate"]
How = Literal["times", "personal_times", "plus", "minus", "per_year_of_age", "per_insured_year"]


@dataclass(frozen=True, slots=True)
class Amount:
    """Fen that are known when the file is read, or a percentage of a bill's own figure.

    ``of`` is empty for fixed fen, "total" for what the bill charges, "base" for the layer's base.
    """

    fen: int
    percent_bp: int = 0
    of: str = ""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of a figure for a case: percentages in basis points, amounts in fen.

    ``beyond`` is the year from which "per_year_of_age" and "per_insured_year" count.
    """

    condition: Condition
    how: How
    value: int
    beyond: int
    source: str


@dataclass(frozen=True, slots=True)
class RateByCase:
    """One flat rate for the lines or bills that meet a condition."""

    condition: Condition
    rate_bp: int
    source: str


@dataclass(frozen=True, slots=True)
class PriceRule:
    """Lines that are charged, or counted, at a part of their amount.

    ``charged`` true: the rest is not charged to anybody; false: it is out of scope.
    """

    condition: Condition
    rate_bp: int
    charged: bool
    source: str


@dataclass(frozen=True, slots=True)
class Restriction:
    """Lines that stay with the member unless one of the conditions holds."""

    condition: Condition
    unless: tuple[Condition, ...]
    source: str


@dataclass(frozen=True, slots=True)
class NamedPart:
    """Lines whose ``of`` part is kept apart under a name of its own."""

    name: str
    of: str
    condition: Condition
    source: str


@dataclass(frozen=True, slots=True)
class Package:
    """A price for a whole treatment (按病种、按床日).

    With ``sets`` "charge" it replaces the bill before benefits; with "hospital_payment" it only
    says what the hospital is paid.  ``bands`` are (up to day or None, fen a day); empty for one
    price.  Lines of the groups ``beside`` are not part of the package.
    """

    name: str
    title: Mapping[str, str]
    condition: Condition
    sets: Literal["charge", "hospital_payment"]
    price_fen: int
    bands: tuple[tuple[int | None, int], ...]
    at_most_the_bill: bool
    beside: frozenset[str]
    source: str

    def codes(self) -> tuple[str, ...]:
        """The codes by which a bill asks for it, in alphabetical order."""
        wanted = frozenset[str | int]().union(
            *(words for at, words, holds in self.condition.tests if at == PACKAGES and holds)
        )
        return tuple(sorted(str(code) for code in wanted))


@dataclass(frozen=True, slots=True)
class Deductible:
    condition: Condition
    amount: Amount
    # The accumulator of a deductible met once a year; None when every bill meets it anew.
    counts_in: str | None
    source: str
    # Basis points for the first, second, ... bill of the year; the last one goes on.
    by_ordinal: tuple[int, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    at_least_fen: int | None = None
    at_most_fen: int | None = None
    # The most all deductibles of a year may come to, and where they are counted.
    ceiling_fen: int | None = None
    ceiling_in: str | None = None
    # Taken off what the layer would pay, instead of off its base.
    after_rate: bool = False
    # Once the base reaches it, nothing is taken off at all.
    whole_once_reached: bool = False


# (from, to or None, rate in basis points)
Tier = tuple[int, int | None, int]


@dataclass(frozen=True, slots=True)
class RateRule:
    """Bands of cost with a rate each; a flat rate is one band without an end.

    ``from_zero`` says where the bands are counted from: the first fen of the base, with the
    deductible inside the first band, or the first fen above the deductible.  ``counts_in`` is the
    accumulator of bands that go on over the year; None when every bill starts at the first band.
    ``kind`` "fixed" pays ``fixed_fen`` (a day with ``per_day``), "stated" what the bill says was
    paid elsewhere.
    """

    condition: Condition
    tiers: tuple[Tier, ...]
    from_zero: bool
    counts_in: str | None
    source: str
    kind: Literal["rate", "fixed", "stated"] = "rate"
    fixed_fen: int = 0
    per_day: bool = False
    adjustments: tuple[Adjustment, ...] = ()
    at_least_bp: int = 0
    at_most_bp: int = 10_000


@dataclass(frozen=True, slots=True)
class Cap:
    """The most a layer pays, or the most cost it looks at; over a year when it counts somewhere."""

    condition: Condition
    amount: Amount
    of_base: bool
    counts_in: str | None
    source: str
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, slots=True)
class BasePart:
    """A part of the bill that a layer looks at, in full or counted at ``counted_bp``."""

    part: str
    counted_bp: int
    condition: Condition


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
    # Names when every part counts in full whatever the case, which is nearly always.
    base: tuple[str, ...]
    base_parts: tuple[BasePart, ...]
    deductibles: tuple[Deductible, ...]
    rates: tuple[RateRule, ...]
    caps: tuple[Cap, ...]
    # Accumulators kept for other rules or for people: (measure, name).
    counts: tuple[tuple[str, str], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Relief:
    """A public emergency (疫情): what is lifted for bills that carry its flag, and when."""

    lifts: frozenset[str]
    from_date: date | None
    until_date: date | None
    source: str


@dataclass(frozen=True, slots=True)
class KindRules:
    """Which day of a bill decides what, and where bills of the kind are numbered over the year."""

    year_by: DayBy = "service"
    rules_by: DayBy = "service"
    numbered_in: str | None = None


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
    kind_rules: Mapping[str, KindRules] = field(default_factory=dict)
    amenity_groups: frozenset[str] = frozenset()
    price_rules: tuple[PriceRule, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    named_parts: tuple[NamedPart, ...] = ()
    packages: tuple[Package, ...] = ()
    relief: Relief | None = None
    emergency_counts_as_filed: bool = True
    # Whether rules ask for the code of an item, and not only for its group and class.
    asks_codes: bool = False
    # Whether rules go by how long the member has been insured.
    asks_insured_months: bool = False
    # Every item group that a rule names.
    groups: frozenset[str] = frozenset()
    # What becomes of later settlements of the year when an earlier one is returned.
    refund_with_later: RefundWithLater = "stand"
    # Names of the authorities whose floors apply; empty: nobody's, so the policy is unchecked.
    authorities: tuple[str, ...] = ()

    def group_of(self, marks: Collection[str]) -> str:
        """The group of an item that the catalogue gives these marks and no group, empty for none.

        Only a group that a rule names: an item with both marks then meets a rule for either.
        """
        for group in MARK_GROUPS:
            if group in marks and group in self.groups:
                return group
        return ""

    def benefit_year(self, day: date) -> int:
        """The benefit year a day belongs to, named by the calendar year in which it begins."""
        return day.year if (day.month, day.day) >= self.benefit_year_start else day.year - 1

    def has_payer(self, payer: str) -> bool:
        """Whether a layer of the policy is this payer's."""
        return any(layer.payer == payer for layer in self.layers)

    def in_force_on(self, day: date) -> bool:
        """Whether the half-open effective interval contains the day."""
        return self.effective_from <= day and (
            self.effective_until is None or day < self.effective_until
        )

    def year_of(self, bill: Bill) -> int:
        """The benefit year of a bill, by the day that its kind goes by."""
        return self.benefit_year(day_of(bill, self.kind_rules.get(bill.kind, PLAIN).year_by))

    def is_for_stays(self, kind: str) -> bool:
        """Whether the kind goes by the day of admission or discharge: only a stay has one."""
        rules = self.kind_rules.get(kind, PLAIN)
        return (rules.year_by, rules.rules_by) != ("service", "service")

    def may_be_a_stay(self, kind: str) -> bool:
        """Whether a stay may be billed as the kind: it goes by a stay's days, or is numbered."""
        rules = self.kind_rules.get(kind, PLAIN)
        return rules != PLAIN

    def lifted(self, bill: Bill, day: date) -> frozenset[str]:
        """What a public emergency lifts for the bill: any of catalogue, caps, deductibles."""
        relief = self.relief
        if relief is None or not bill.public_emergency:
            return frozenset()
        if relief.from_date is not None and day < relief.from_date:
            return frozenset()
        if relief.until_date is not None and day >= relief.until_date:
            return frozenset()
        return relief.lifts

    def rules_day(self, bill: Bill) -> date:
        """The Beijing day whose rules price the bill, by the day that its kind goes by."""
        return day_of(bill, self.kind_rules.get(bill.kind, PLAIN).rules_by)


PLAIN: Final = KindRules()


def day_of(bill: Bill, by: DayBy) -> date:
    """The bill's day of that name; a bill that does not carry it goes by its service date."""
    if by == "admission":
        return bill.admission_date or bill.service_date
    if by == "discharge":
        return bill.discharge_date or bill.service_date
    return bill.service_date
