"""From a policy file's text to a compiled policy, or to a list of everything wrong with it.

The format is TOML, ``format = 1``, described key by key in docs/policies.md: amounts in yuan, rates
in percent, days as dates.  What is checked here is what a file can say by itself; whether a figure
is right is a matter for its source, which every figure must name.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from typing import Final

from settlement.benefits.policy import (
    CARE,
    FACTS,
    LEFT_BY_LAYER,
    LINE_FACTS,
    LINE_PARTS,
    REQUIREMENTS,
    UNPAID,
    Cap,
    Condition,
    Deductible,
    Layer,
    Policy,
    RateByCase,
    RateRule,
)
from settlement.benefits.tables import PolicyError, Table
from settlement.benefits.values import ITEM_CLASSES, PAYERS, SCHEMES, SITE_KINDS
from settlement.money import Rounding

FORMAT: Final = 1
ROUNDINGS: Final[tuple[Rounding, ...]] = ("half_up", "half_even")
ASSUMPTION: Final = "assumption"
SPLIT_ORDERS: Final = (
    ("out_of_scope", "over_limit", "first_pay", "away_first_pay"),
    ("out_of_scope", "first_pay", "over_limit", "away_first_pay"),
)
MEASURES: Final = ("deductible", "payment", "base", "above_deductible", "personal")

# Cash is what no layer pays; a relative's account has no balance among the inputs of this engine.
LAYER_PAYERS: Final = tuple(each for each in PAYERS if each not in ("cash", "relative_account"))

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ACCUMULATOR = re.compile(r"[a-z][a-z0-9_]*(\.([a-z][a-z0-9_]*|\{disease\}))+")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "schemes": SCHEMES,
    "site_kinds": SITE_KINDS,
    "care": CARE,
    "classes": ITEM_CLASSES,
}


def load_policy(text: str, *, name: str) -> Policy:
    """Compile a policy file.  ``name`` is the file's name, used in messages and kept in results.

    Raises PolicyError with every problem found: file, place, and what was expected there.
    """
    try:
        # A decimal written without quotes keeps its digits; it never becomes a binary float.
        data = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"{name}: not readable as TOML: {error}"]) from None
    problems: list[str] = []
    top = Table(problems, name, "", data)
    policy = _Reader(top).policy(name, hashlib.sha256(text.encode()).hexdigest())
    top.finish()
    if problems:
        raise PolicyError(problems)
    return policy


class _Reader:
    """Holds what the parts of one file share: its sources, kinds, layers and accumulators."""

    def __init__(self, top: Table) -> None:
        self.top = top
        self.sources: dict[str, str] = {}
        self.kinds: dict[str, Mapping[str, str]] = {}
        self.parts: list[str] = [*LINE_PARTS, UNPAID]
        self.layer_names: set[str] = set()
        self.accumulators: dict[str, str] = {}

    def policy(self, name: str, sha256: str) -> Policy:
        top = self.top
        found = top.value("format", "format = 1", required=True)
        if found is not None and (type(found) is not int or found != FORMAT):
            top.wrong("format", f"{FORMAT}, the only format this program reads")
        version = top.text("version", 'a version such as "370300-2022.1"')
        area = top.text("area", 'a six-digit pooling area code such as "370300"')
        if area and re.fullmatch(r"[0-9]{6}", area) is None:
            top.wrong("area", "a six-digit pooling area code in quotes")
        title = self.title(top)
        start = top.day("effective_from", required=True)
        until = top.day("effective_until")
        if start is not None and until is not None and until <= start:
            top.wrong("effective_until", "a day after effective_from")
        rounding = top.choice("rounding", ROUNDINGS)
        self.read_sources()
        self.read_kinds()
        year_start = (1, 1)
        year = top.table("benefit_year")
        if year is not None:
            year_start = year.month_day("starts")
            self.source(year)
            year.finish()
        limit_first, needs_prescription, first_pays, away = self.catalogue()
        layers = tuple(self.layer(each) for each in top.tables("layer", required=True))
        from_date = start if start is not None else _ANY_DAY
        return Policy(
            name=name,
            version=version,
            area=area,
            title=title,
            effective_from=from_date,
            effective_until=until,
            rounding=rounding,
            benefit_year_start=year_start,
            kinds=self.kinds,
            limit_before_first_pay=limit_first,
            prescription_only_needs_prescription=needs_prescription,
            first_pays=first_pays,
            away_first_pays=away,
            layers=layers,
            accumulators=dict(sorted(self.accumulators.items())),
            sources=self.sources,
            sha256=sha256,
        )

    def title(self, table: Table) -> Mapping[str, str]:
        inner = table.table("title")
        if inner is None:
            return {"zh": "", "en": ""}
        title = {language: inner.text(language) for language in ("zh", "en")}
        inner.finish()
        return title

    def read_sources(self) -> None:
        table = self.top.table("sources", required=False)
        if table is None:
            return
        for key in table.data:
            if key == ASSUMPTION:
                table.problem(key, "is a reserved word and cannot name a source")
            self.sources[key] = table.text(key, "a text that says where the rule is published")

    def source(self, table: Table) -> str:
        expected = f'the name of an entry of [sources], or "{ASSUMPTION}"'
        found = table.text("source", expected)
        if found and found != ASSUMPTION and found not in self.sources:
            table.wrong("source", expected)
        # A note tells the reader why an assumption was made; the calculation has no use for it.
        table.text("note", required=False)
        return found

    def read_kinds(self) -> None:
        table = self.top.table("kinds")
        if table is None:
            return
        for key in table.data:
            inner = table.table(key)
            if inner is None:
                continue
            if _NAME.fullmatch(key) is None:
                inner.problem("", "expected a name of small letters, digits and underscores")
            self.kinds[key] = {language: inner.text(language) for language in ("zh", "en")}
            inner.finish()

    def catalogue(
        self,
    ) -> tuple[bool, bool, tuple[RateByCase, ...], tuple[RateByCase, ...]]:
        table = self.top.table("catalogue")
        if table is None:
            return True, True, (), ()
        order = table.texts("order", "a list of the steps in order", required=True)
        if order and order not in SPLIT_ORDERS:
            expected = " or ".join(str(list(each)) for each in SPLIT_ORDERS)
            table.wrong("order", expected)
        needs_prescription = table.flag("prescription_only_needs_prescription", default=True)
        self.source(table)
        first_pays = tuple(
            self.rate_by_case(each, line_facts=True) for each in table.tables("first_pay")
        )
        away = tuple(
            self.rate_by_case(each, line_facts=False) for each in table.tables("away_first_pay")
        )
        table.finish()
        return order != SPLIT_ORDERS[1], needs_prescription, first_pays, away

    def rate_by_case(self, table: Table, *, line_facts: bool) -> RateByCase:
        rule = RateByCase(
            self.condition(table, line_facts=line_facts), table.rate_bp("rate"), self.source(table)
        )
        table.finish()
        return rule

    def condition(self, table: Table, *, line_facts: bool = False) -> Condition:
        tests: list[tuple[int, frozenset[str | int]]] = []
        for index, fact in enumerate(FACTS):
            if fact in LINE_FACTS and not line_facts:
                continue
            allowed: tuple[str | int, ...]
            if fact == "levels":
                allowed = table.whole_numbers(
                    fact, "a list of hospital levels, 0 (unrated) to 3", low=0, high=3
                )
            elif fact == "kinds":
                allowed = table.texts(fact, "", allowed=tuple(self.kinds))
            else:
                allowed = table.texts(fact, "a list of words", allowed=_CHOICES.get(fact))
            if allowed:
                tests.append((index, frozenset(allowed)))
        age_from = table.whole_number("age_from", "an age in years", low=0, high=150)
        age_below = table.whole_number("age_below", "an age in years", low=0, high=150)
        from_date, until_date = table.day("from"), table.day("until")
        if from_date is not None and until_date is not None and until_date <= from_date:
            table.wrong("until", "a day after from")
        return Condition(tuple(tests), age_from, age_below, from_date, until_date)

    def layer(self, table: Table) -> Layer:
        name = table.text("name", "a name of small letters, digits and underscores")
        if name and _NAME.fullmatch(name) is None:
            table.wrong("name", "a name of small letters, digits and underscores")
        if name in self.layer_names:
            table.wrong("name", "a name no layer before it has")
        self.layer_names.add(name)
        title = self.title(table)
        payer = table.choice("payer", LAYER_PAYERS)
        condition = self.condition(table)
        requires = table.texts("requires", "", allowed=tuple(REQUIREMENTS))
        filing_kind = table.text("filing_kind", "the kind of a filing", required=False) or None
        base = table.texts("base", "", allowed=tuple(self.parts), required=True)
        if UNPAID in base and len(base) > 1:
            table.wrong("base", f'"{UNPAID}" alone, because it is all there is')
        source = self.source(table)
        rates = tuple(self.rate(each) for each in table.tables("rate", required=True))
        deductibles = tuple(self.deductible(each) for each in table.tables("deductible"))
        caps = tuple(self.cap(each) for each in table.tables("cap"))
        counts: list[tuple[str, str]] = []
        counting = table.table("counts", required=False)
        if counting is not None:
            for measure in MEASURES:
                if counting.has(measure):
                    counts.append((measure, self.accumulator(counting, measure, measure)))
            counting.asked.extend(MEASURES)
            counting.finish()
        table.finish()
        self.parts.extend(f"{name}.{left}" for left in LEFT_BY_LAYER)
        return Layer(
            name=name,
            title=title,
            payer=payer,
            condition=condition,
            requires=requires,
            filing_kind=filing_kind,
            base=base,
            deductibles=deductibles,
            rates=rates,
            caps=caps,
            counts=tuple(counts),
            source=source,
        )

    def rate(self, table: Table) -> RateRule:
        condition = self.condition(table)
        if table.has("tiers"):
            bands = self.bands(table)
            from_zero = (
                table.choice("tiers_counted", ("from_zero", "after_deductible")) == "from_zero"
            )
            measure = "base" if from_zero else "above_deductible"
            counts_in = self.per(table, key="tiers_per", measure=measure)
        else:
            bands = ((0, None, table.rate_bp("rate")),)
            from_zero, counts_in = False, None
        rule = RateRule(condition, bands, from_zero, counts_in, self.source(table))
        table.finish()
        return rule

    def bands(self, table: Table) -> tuple[tuple[int, int | None, int], ...]:
        found: list[tuple[int, int | None, int]] = []
        lower = 0
        inner_tables = table.tables("tiers", required=True)
        for position, inner in enumerate(inner_tables, start=1):
            upper = inner.amount_fen("up_to", required=position < len(inner_tables))
            if upper is not None and upper <= lower:
                inner.wrong("up_to", "an amount above the tier before it")
            found.append((lower, upper, inner.rate_bp("rate")))
            lower = upper if upper is not None else lower
            inner.finish()
        if found and found[-1][1] is not None:
            table.problem("tiers", "expected a last tier without up_to")
        return tuple(found)

    def deductible(self, table: Table) -> Deductible:
        rule = Deductible(
            condition=self.condition(table),
            amount_fen=table.amount_fen("amount") or 0,
            counts_in=self.per(table, key="per", measure="deductible"),
            source=self.source(table),
        )
        table.finish()
        return rule

    def cap(self, table: Table) -> Cap:
        of_base = table.choice("of", ("payment", "base"), default="payment") == "base"
        rule = Cap(
            condition=self.condition(table),
            amount_fen=table.amount_fen("amount") or 0,
            of_base=of_base,
            counts_in=self.per(table, key="per", measure="base" if of_base else "payment"),
            source=self.source(table),
        )
        table.finish()
        return rule

    def per(self, table: Table, *, key: str, measure: str) -> str | None:
        """The accumulator of a figure that goes by the year; None for one that goes by the bill."""
        if table.choice(key, ("bill", "year")) == "year":
            return self.accumulator(table, "counts_in", measure)
        table.asked.append("counts_in")
        if table.has("counts_in"):
            table.problem("counts_in", f'expected only with {key} = "year"')
        return None

    def accumulator(self, table: Table, key: str, measure: str) -> str:
        expected = 'the name of an accumulator, such as "chronic.deductible"'
        name = table.text(key, expected)
        if not name:
            return ""
        if _ACCUMULATOR.fullmatch(name) is None:
            table.wrong(key, expected)
        elif self.accumulators.setdefault(name, measure) != measure:
            table.problem(
                key, f'"{name}" already counts the {self.accumulators[name]}, not the {measure}'
            )
        return name


# Stands in for a missing day while the rest of the file is checked; never leaves this module.
_ANY_DAY: Final = date.min
