"""What a rule can ask before it applies: facts about the person, the place, the bill and the line.

A condition is a list of demands that must all hold; what it does not mention does not matter.
`facts_of` lays the facts of one bill out as a tuple, in the order of FACTS, so that asking is a
look-up.  Nothing here knows a figure, a layer or where a condition stands in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from settlement.benefits.values import Bill, Filing, Member, Site, UseRestriction

Fact = str | int | bool | None | frozenset[str]
Facts = tuple[Fact, ...]

# Facts with one value, as conditions name them.  The last three belong to a line.
SCALAR_FACTS: Final = (
    "schemes",
    "categories",
    "aids",
    "kinds",
    "diseases",
    "site_kinds",
    "levels",
    "care",
    "distances",
    "sexes",
    "ordinals",
    "packages",
)
# Facts with any number of values: one of them has to be among those asked for.
SET_FACTS: Final = ("filings", "site_marks", "diagnoses")
# Yes or no.
FLAG_FACTS: Final = ("filed", "emergency", "public_emergency")
LINE_FACTS: Final = ("groups", "classes", "codes")
FACTS: Final = (*SCALAR_FACTS, *SET_FACTS, *FLAG_FACTS, "insured_months", *LINE_FACTS)
POSITION: Final = {name: index for index, name in enumerate(FACTS)}
INSURED_MONTHS: Final = POSITION["insured_months"]
_SEX: Final = POSITION["sexes"]
_LEVEL: Final = POSITION["levels"]
_DIAGNOSES: Final = POSITION["diagnoses"]
_EMERGENCY: Final = POSITION["emergency"]
ORDINAL: Final = POSITION["ordinals"]
PACKAGES: Final = POSITION["packages"]

CARE: Final = ("home", "away_temporary", "away_long_term")
DISTANCES: Final = ("area", "province", "beyond")
LONG_TERM_AWAY: Final = "long_term_away"
# Holding one of these makes care away from home "filed".
AWAY_FILINGS: Final = frozenset({LONG_TERM_AWAY, "temporary_away", "referral"})


@dataclass(frozen=True, slots=True)
class Condition:
    """Everything stated must hold; what is not stated does not matter.  Intervals are half-open.

    ``tests`` and ``sets`` are (position, words, wanted): with ``wanted`` false none may match.
    """

    tests: tuple[tuple[int, frozenset[str | int], bool], ...] = ()
    sets: tuple[tuple[int, frozenset[str], bool], ...] = ()
    age_from: int | None = None
    age_below: int | None = None
    months_from: int | None = None
    months_below: int | None = None
    from_date: date | None = None
    until_date: date | None = None

    def holds(self, facts: Facts, age: int | None, day: date) -> bool:
        """Whether everything asked is so; an unknown age or insured time satisfies no bound."""
        for index, allowed, wanted in self.tests:
            if (facts[index] in allowed) is not wanted:
                return False
        for index, words, wanted in self.sets:
            if words.isdisjoint(facts[index]) is wanted:  # type: ignore[arg-type]
                return False
        if self.age_from is not None and (age is None or age < self.age_from):
            return False
        if self.age_below is not None and (age is None or age >= self.age_below):
            return False
        if self.months_from is not None or self.months_below is not None:
            months = facts[INSURED_MONTHS]
            if not isinstance(months, int):
                return False
            if self.months_from is not None and months < self.months_from:
                return False
            if self.months_below is not None and months >= self.months_below:
                return False
        if self.from_date is not None and day < self.from_date:
            return False
        return self.until_date is None or day < self.until_date


ALWAYS: Final = Condition()


def may_use(restriction: UseRestriction, facts: Facts, age: int | None) -> bool:
    """Whether a bill's facts are within an item's restriction; what is not known is outside it.

    Diagnosis codes begin alike in either case: an area writes c16.900 where another has C16.900.
    """
    if restriction.sex is not None and facts[_SEX] != restriction.sex:
        return False
    if restriction.age_from is not None and (age is None or age < restriction.age_from):
        return False
    if restriction.age_below is not None and (age is None or age >= restriction.age_below):
        return False
    if restriction.levels and facts[_LEVEL] not in restriction.levels:
        return False
    if restriction.emergency and not facts[_EMERGENCY]:
        return False
    if not restriction.diagnoses:
        return True
    beginnings = tuple(code.upper() for code in restriction.diagnoses)
    diagnoses: frozenset[str] = facts[_DIAGNOSES]  # type: ignore[assignment]
    return any(code.upper().startswith(beginnings) for code in diagnoses)


def filings_in_force(member: Member, day: date) -> tuple[Filing, ...]:
    """The member's filings whose half-open period contains the day."""
    for filing in member.filings:
        if filing.from_date is not None or filing.until_date is not None:
            break
    else:
        return member.filings
    return tuple(
        filing
        for filing in member.filings
        if (filing.from_date is None or filing.from_date <= day)
        and (filing.until_date is None or day < filing.until_date)
    )


def facts_of(
    *,
    area: str,
    member: Member,
    site: Site,
    bill: Bill,
    filings: tuple[Filing, ...],
    ordinal: int,
    emergency_counts_as_filed: bool,
) -> Facts:
    """The facts of one bill in the order of FACTS, the line's own left empty.

    ``area`` is the insured area; a site without an area is at home.  A filing counts at this site
    when it names the institution or none, and for this bill when it names its disease or none.
    """
    away = bool(site.area) and site.area != area
    distance = "area"
    if away:
        distance = "province" if site.area[:2] == area[:2] else "beyond"
    kinds = frozenset(
        filing.kind
        for filing in filings
        if (not filing.institution_codes or site.institution_code in filing.institution_codes)
        and (not filing.disease_code or filing.disease_code == bill.disease_code)
    )
    care = "home"
    if away:
        long_term = any(filing.kind == LONG_TERM_AWAY for filing in filings)
        care = "away_long_term" if long_term else "away_temporary"
    return (
        member.scheme,
        member.category,
        member.aid,
        bill.kind,
        bill.disease_code,
        site.kind,
        site.level if bill.prescribing_level is None else bill.prescribing_level,
        care,
        distance,
        member.sex,
        ordinal,
        bill.package,
        kinds,
        frozenset(site.marks),
        frozenset(bill.diagnoses),
        not AWAY_FILINGS.isdisjoint(kinds) or (bill.emergency and emergency_counts_as_filed),
        bill.emergency,
        bill.public_emergency,
        member.insured_months,
        "",
        "",
        "",
    )
