"""Whom, where and when the rules of a policy tell apart: one situation for each way through them.

A policy's conditions name facts (scheme, category, level, care, ...); a situation gives each a
value.  Two situations in which the same figures hold are one case here, whatever their facts, so
that a search over a policy stays short.  Nothing here knows an amount of a bill.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from typing import Any, Final

from settlement.benefits.conditions import (
    CARE,
    FACTS,
    LONG_TERM_AWAY,
    Condition,
    Facts,
    facts_of,
)
from settlement.benefits.lines import first_match
from settlement.benefits.policy import Cap, Deductible, Layer, Policy, RateRule
from settlement.benefits.values import SCHEMES, SITE_KINDS, Bill, Filing, Line, Member, Site

# The most situations that are laid out for a kind of benefit in all their combinations. Facts for
# which there is no room left are varied one at a time.
MOST_COMBINATIONS: Final = 4_096
_INSTITUTION: Final = "H00000000000"
_DAYS: Final = 10
_AGE: Final = 50
_MONTHS: Final = 240
# The facts by how much the rules of a city hang on them; the first are combined first.
_ORDER: Final = (
    "schemes", "categories", "levels", "care", "filed", "aids", "site_kinds", "age", "ordinals",
    "packages", "filings", "day", "distances", "emergency", "public_emergency", "diseases",
    "insured_months", "diagnoses", "site_marks", "sexes",
)  # fmt: skip

Named = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """Somebody at some place on some day.  ``named`` are the facts that the rules ask for, with
    their values, as the file writes them."""

    kind: str
    day: date
    member: Member
    site: Site
    disease: str
    ordinal: int
    package: str
    diagnoses: tuple[str, ...]
    emergency: bool
    public_emergency: bool
    named: Named

    def bill(self, lines: tuple[Line, ...]) -> Bill:
        """A bill of these lines in the situation."""
        return Bill(
            kind=self.kind,
            disease_code=self.disease or None,
            service_date=self.day,
            lines=lines,
            admission_date=self.day,
            discharge_date=self.day,
            days=_DAYS,
            ordinal=self.ordinal,
            emergency=self.emergency,
            public_emergency=self.public_emergency,
            diagnoses=self.diagnoses,
            package=self.package,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """Situations in which the same rules hold.  ``situation`` stands for them all, ``alike`` are
    the named facts of each, ``layers`` the layers that look at the bill, in their order, with
    only the figures that hold."""

    situation: Situation
    alike: tuple[Named, ...]
    layers: tuple[Layer, ...]


def choices(policy: Policy, kind: str) -> dict[str, list[Any]]:
    """The facts that rules for the kind ask for, each with every value that makes a difference.

    The person holds every filing that a layer requires; other filings are a fact like any other.
    """
    asked = _asked(policy, kind)
    found: dict[str, list[Any]] = {}

    def put(name: str, *more: Any) -> None:
        if asked.get(name):
            found[name] = list(dict.fromkeys([*more, *sorted(asked[name])]))

    if asked.get("schemes"):
        found["schemes"] = list(SCHEMES)
    put("categories", "active")
    if asked.get("levels"):
        found["levels"] = sorted({0, 1, 2, 3} | asked["levels"])
    if asked.get("care") or asked.get("distances") or asked.get("filed"):
        found["care"] = list(CARE)
    if asked.get("distances"):
        found["distances"] = ["province", "beyond"]
    if asked.get("filed"):
        found["filed"] = [True, False]
    if asked.get("site_kinds"):
        found["site_kinds"] = list(SITE_KINDS)
    put("aids", "")
    put("age", _AGE)
    put("ordinals", 1)
    put("packages", "")
    put("filings", "")
    put("day", policy.effective_from)
    if "day" in found:
        found["day"] = [day for day in found["day"] if policy.in_force_on(day)]
    put("diseases", "")
    put("insured_months", _MONTHS)
    put("diagnoses", "")
    put("site_marks", "")
    put("sexes", "")
    for flag in ("emergency", "public_emergency"):
        if asked.get(flag) or (flag == "public_emergency" and policy.relief is not None):
            found[flag] = [False, True]
    return {name: found[name] for name in _ORDER if name in found}


def cases(policy: Policy, kind: str) -> tuple[Case, ...]:
    """Every way through the rules for the kind that a combination of facts leads to."""
    by_way: dict[Hashable, tuple[Situation, tuple[Layer, ...], list[Named]]] = {}
    for chosen in _combinations(choices(policy, kind)):
        situation = _situation(policy, kind, chosen)
        way, layers = _way(policy, situation)
        by_way.setdefault(way, (situation, layers, []))[2].append(situation.named)
    return tuple(
        Case(situation, tuple(alike), layers) for situation, layers, alike in by_way.values()
    )


def _combinations(values: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    together: list[str] = []
    alone: list[str] = []
    count = 1
    for name, each in values.items():
        if count * len(each) <= MOST_COMBINATIONS:
            together.append(name)
            count *= len(each)
        else:
            alone.append(name)
    plain = {name: each[0] for name, each in values.items()}
    for combination in product(*(values[name] for name in together)):
        yield plain | dict(zip(together, combination, strict=True))
    for name in alone:
        for value in values[name][1:]:
            yield plain | {name: value}


def _asked(policy: Policy, kind: str) -> dict[str, set[Any]]:
    """What the conditions of rules that may concern the kind name, by fact."""
    asked: dict[str, set[Any]] = {}
    for condition in _conditions(policy, kind):
        for index, words, _wanted in condition.tests:
            asked.setdefault(FACTS[index], set()).update(words)
        for index, texts, _wanted in condition.sets:
            asked.setdefault(FACTS[index], set()).update(texts)
        for name, low, high in (
            ("age", condition.age_from, condition.age_below),
            ("insured_months", condition.months_from, condition.months_below),
        ):
            for bound in (low, high):
                if bound is not None:
                    asked.setdefault(name, set()).update({max(0, bound - 1), bound})
        for day in (condition.from_date, condition.until_date):
            if day is not None:
                asked.setdefault("day", set()).add(day)
    return asked


def _conditions(policy: Policy, kind: str) -> Iterator[Condition]:
    for rules in (
        policy.first_pays,
        policy.away_first_pays,
        policy.price_rules,
        policy.restrictions,
        policy.named_parts,
        policy.packages,
    ):
        for rule in rules:
            yield rule.condition
    for restriction in policy.restrictions:
        yield from restriction.unless
    kinds = FACTS.index("kinds")
    for layer in policy.layers:
        if any(
            index == kinds and (kind in words) is not wanted
            for index, words, wanted in layer.condition.tests
        ):
            continue
        yield layer.condition
        for part in layer.base_parts:
            yield part.condition
        for figure in _figures(layer):
            yield figure.condition
            for adjustment in figure.adjustments:
                yield adjustment.condition


def _figures(layer: Layer) -> tuple[Deductible | RateRule | Cap, ...]:
    return (*layer.deductibles, *layer.rates, *layer.caps)


def _situation(policy: Policy, kind: str, chosen: Mapping[str, Any]) -> Situation:
    care = chosen.get("care", "home")
    disease = str(chosen.get("diseases", ""))
    required = {kind, *(layer.filing_kind for layer in policy.layers if layer.filing_kind)}
    # A required filing must not make care away from home long-term by itself.
    kinds = required - {LONG_TERM_AWAY}
    if care == "away_long_term":
        kinds.add(LONG_TERM_AWAY)
    elif care == "away_temporary" and chosen.get("filed", True):
        kinds.add("temporary_away")
    if chosen.get("filings"):
        kinds.add(chosen["filings"])
    area = policy.area
    if care != "home":
        beyond = chosen.get("distances", "beyond") == "beyond"
        area = "990000" if beyond else f"{policy.area[:2]}9999"
    mark = chosen.get("site_marks", "")
    return Situation(
        kind=kind,
        day=chosen.get("day", policy.effective_from),
        member=Member(
            scheme=chosen.get("schemes", "employee"),
            category=chosen.get("categories", "active"),
            age=chosen.get("age", _AGE),
            aid=chosen.get("aids") or None,
            pool_in_force=True,
            account_in_force=True,
            filings=tuple(Filing(each, disease) for each in sorted(kinds)),
            sex=chosen.get("sexes") or None,
            insured_months=chosen.get("insured_months", _MONTHS),
        ),
        site=Site(
            kind=chosen.get("site_kinds", "hospital"),
            level=chosen.get("levels", 2),
            institution_code=_INSTITUTION,
            area=area,
            marks=(mark,) if mark else (),
        ),
        disease=disease,
        ordinal=chosen.get("ordinals", 1),
        package=chosen.get("packages", ""),
        diagnoses=(chosen["diagnoses"],) if chosen.get("diagnoses") else (),
        emergency=chosen.get("emergency", False),
        public_emergency=chosen.get("public_emergency", False),
        named=tuple((name, _text(value)) for name, value in chosen.items()),
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) or "none"


def _way(policy: Policy, situation: Situation) -> tuple[Hashable, tuple[Layer, ...]]:
    """Which rules hold, as a value to compare, and the layers that look at the bill."""
    bill, age, day = situation.bill(()), situation.member.age, situation.day
    facts: Facts = facts_of(
        area=policy.area,
        member=situation.member,
        site=situation.site,
        bill=bill,
        filings=situation.member.filings,
        ordinal=situation.ordinal,
        emergency_counts_as_filed=policy.emergency_counts_as_filed,
    )
    own: Facts = (*facts[:-3], "", "A", "")
    found: list[Hashable] = [
        policy.lifted(bill, day),
        first_match(policy.packages, facts, age, day),
        first_match(policy.first_pays, own, age, day),
        first_match(policy.price_rules, own, age, day),
        first_match(policy.away_first_pays, facts, age, day),
        tuple(each.condition.holds(own, age, day) for each in policy.named_parts),
        tuple(
            rule.condition.holds(own, age, day)
            and not any(unless.holds(own, age, day) for unless in rule.unless)
            for rule in policy.restrictions
        ),
    ]
    layers = []
    for position, layer in enumerate(policy.layers):
        if not layer.condition.holds(facts, age, day):
            continue
        deductible = first_match(layer.deductibles, facts, age, day)
        rate = first_match(layer.rates, facts, age, day)
        caps = tuple(cap for cap in layer.caps if cap.condition.holds(facts, age, day))
        own_layer = replace(
            layer,
            deductibles=layer.deductibles[deductible : deductible + 1] if deductible >= 0 else (),
            rates=layer.rates[rate : rate + 1] if rate >= 0 else (),
            caps=caps,
        )
        layers.append(own_layer)
        figures = _figures(own_layer)
        found.append(
            (
                position,
                deductible,
                rate,
                tuple(part.condition.holds(facts, age, day) for part in layer.base_parts),
                tuple(cap.condition.holds(facts, age, day) for cap in layer.caps),
                tuple(
                    each.condition.holds(facts, age, day)
                    for figure in figures
                    for each in figure.adjustments
                ),
            )
        )
        by_ordinal = deductible >= 0 and layer.deductibles[deductible].by_ordinal
        found.append(situation.ordinal if by_ordinal else 0)
        # A rate by the year differs between people for whom the same rules hold.
        steps = {each.how for figure in figures for each in figure.adjustments}
        found.append(situation.member.age if "per_year_of_age" in steps else 0)
        found.append(situation.member.insured_months if "per_insured_year" in steps else 0)
    return tuple(found), tuple(layers)
