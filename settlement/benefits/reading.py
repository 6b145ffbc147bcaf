"""What every part of a policy file is read with: conditions, amounts, adjustments, sources, names.

One Reader belongs to one file and remembers what the file has declared so far: its sources, kinds,
figures, parts and accumulators.  It knows how a rule is spelt and nothing about what it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from settlement.benefits.conditions import (
    CARE,
    DISTANCES,
    FLAG_FACTS,
    LINE_FACTS,
    POSITION,
    SCALAR_FACTS,
    SET_FACTS,
    Condition,
)
from settlement.benefits.policy import LINE_PARTS, Adjustment, Amount, How
from settlement.benefits.tables import Table, percent_in
from settlement.benefits.values import ITEM_CLASSES, SCHEMES, SITE_KINDS
from settlement.money import BASIS_POINTS, Rounding, rounded_quotient

ASSUMPTION: Final = "assumption"
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
NAME_EXPECTED: Final = "a name of small letters, digits and underscores"
SEXES: Final = ("female", "male")
# How long a figure lasts, and the mark that keeps its accumulators apart.
PERIODS: Final[Mapping[str, str]] = {
    "year": "",
    "disease": "{disease}",
    "stay": "{stay}",
    "day": "{day}",
    "month": "{month}",
}
TIMES: Final = ".times"

_ACCUMULATOR = re.compile(r"[a-z][a-z0-9_]*(\.([a-z][a-z0-9_]*|\{(?:disease|stay|day|month)\}))+")
_PERCENT_OF = re.compile(r"(\S+%) of ([a-z][a-z0-9_]*)")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "schemes": SCHEMES,
    "site_kinds": SITE_KINDS,
    "care": CARE,
    "distances": DISTANCES,
    "sexes": SEXES,
    "classes": ITEM_CLASSES,
}
_NUMBERS: Final[Mapping[str, tuple[str, int, int]]] = {
    "levels": ("a list of hospital levels, 0 (unrated) to 3", 0, 3),
    "ordinals": ("a list of whole numbers from 1", 1, 999),
}
# Ten times a figure is more than any rule takes.
_MOST_TIMES: Final = 100_000
_TIMES_EXPECTED: Final = 'a percentage in quotes, such as "70%" or "200%"'


class Reader:
    """Holds what the parts of one file share: its sources, kinds, layers and accumulators."""

    def __init__(self, top: Table) -> None:
        self.top = top
        self.rounding: Rounding = "half_up"
        self.sources: dict[str, str] = {}
        self.kinds: dict[str, Mapping[str, str]] = {}
        self.figures: dict[str, int] = {}
        # Every part a base may name, and the parts each layer's own parts come from.
        self.parts: list[str] = list(LINE_PARTS)
        self.origins: dict[str, frozenset[str]] = {}
        self.layer_names: set[str] = set()
        self.accumulators: dict[str, str] = {}
        self.asks_codes = False
        self.asks_insured_months = False
        # Every item group that a rule names.
        self.groups: set[str] = set()
        self.numbers_bills = False

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

    def condition(self, table: Table, *, line_facts: bool = False) -> Condition:
        tests: list[tuple[int, frozenset[str | int], bool]] = []
        sets: list[tuple[int, frozenset[str], bool]] = []
        for fact in (*SCALAR_FACTS, *SET_FACTS, *(LINE_FACTS if line_facts else ())):
            for key, wanted in ((fact, True), (f"not_{fact}", False)):
                if not wanted and not table.has(key):
                    continue
                if fact in _NUMBERS:
                    expected, low, high = _NUMBERS[fact]
                    numbers = table.whole_numbers(key, expected, low=low, high=high)
                    if numbers:
                        tests.append((POSITION[fact], frozenset(numbers), wanted))
                    continue
                allowed = tuple(self.kinds) if fact == "kinds" else _CHOICES.get(fact)
                words = table.texts(key, "a list of words", allowed=allowed)
                if words and fact in SET_FACTS:
                    sets.append((POSITION[fact], frozenset(words), wanted))
                elif words:
                    tests.append((POSITION[fact], frozenset(words), wanted))
                    self.asks_codes = self.asks_codes or fact == "codes"
                    if fact == "groups":
                        self.groups.update(words)
        for fact in FLAG_FACTS:
            if table.has(fact):
                wanted = table.flag(fact, default=True)
                tests.append((POSITION[fact], frozenset((True,)), wanted))
            table.asked.append(fact)
        age_from = table.whole_number("age_from", "an age in years", low=0, high=150)
        age_below = table.whole_number("age_below", "an age in years", low=0, high=150)
        months = "a number of months"
        months_from = table.whole_number("insured_months_from", months, low=0, high=1_800)
        months_below = table.whole_number("insured_months_below", months, low=0, high=1_800)
        if months_from is not None or months_below is not None:
            self.asks_insured_months = True
        from_date, until_date = table.day("from"), table.day("until")
        if from_date is not None and until_date is not None and until_date <= from_date:
            table.wrong("until", "a day after from")
        return Condition(
            tuple(tests),
            tuple(sets),
            age_from,
            age_below,
            months_from,
            months_below,
            from_date,
            until_date,
        )

    def amount(
        self, table: Table, key: str, *, of_bill: bool = False, required: bool = True
    ) -> Amount | None:
        """Yuan, or "5% of" a figure of the file; with ``of_bill`` also of "total" or "base"."""
        found = table.data.get(key)
        match = _PERCENT_OF.fullmatch(found) if isinstance(found, str) else None
        if match is None and isinstance(found, str) and found in self.figures:
            table.asked.append(key)
            return Amount(self.figures[found])
        if match is None:
            amount = table.amount_fen(key, required=required)
            return Amount(amount) if amount is not None else None
        table.asked.append(key)
        percent, of = percent_in(match[1]), match[2]
        bill_figures = ("total", "base") if of_bill else ()
        if percent is None or percent > _MOST_TIMES:
            table.wrong(key, 'a percentage before "of", such as "5% of average_wage"')
        elif of in bill_figures:
            return Amount(0, percent, of)
        elif of in self.figures:
            exact = self.figures[of] * percent
            return Amount(rounded_quotient(exact, BASIS_POINTS, rounding=self.rounding))
        else:
            known = ", ".join([*self.figures, *bill_figures]) or "none is declared"
            table.wrong(key, f'a figure of [figures] after "of" ({known})')
        return None

    def fen(self, table: Table, key: str, *, required: bool = False) -> int | None:
        """An amount known when the file is read, in fen."""
        amount = self.amount(table, key, required=required)
        return amount.fen if amount is not None else None

    def adjustments(self, table: Table, *, of_rate: bool) -> tuple[Adjustment, ...]:
        return tuple(self._adjustment(each, of_rate) for each in table.tables("adjust"))

    def _adjustment(self, table: Table, of_rate: bool) -> Adjustment:
        condition = self.condition(table)
        ways: dict[str, How] = {"times": "times"}
        if of_rate:
            ways |= {
                "personal_times": "personal_times",
                "plus_points": "plus",
                "minus_points": "minus",
                "plus_points_per_year_of_age": "per_year_of_age",
                "plus_points_per_insured_year": "per_insured_year",
            }
        else:
            ways |= {"plus": "plus", "minus": "minus", "plus_per_insured_year": "per_insured_year"}
        stated = [key for key in ways if table.has(key)]
        table.asked.extend(ways)
        beyond = table.whole_number("beyond", "a number of years", low=0, high=150) or 0
        value = 0
        how: How = "times"
        if len(stated) != 1:
            table.problem("", "expected exactly one of " + ", ".join(ways))
        else:
            key = stated[0]
            how = ways[key]
            if "points" in key:
                value = table.rate_bp(key)
            elif of_rate or key == "times":
                value = table.percent_bp(key, _TIMES_EXPECTED, most=_MOST_TIMES)
            else:
                value = self.fen(table, key, required=True) or 0
        adjustment = Adjustment(condition, how, value, beyond, self.source(table))
        table.finish()
        return adjustment

    def per(self, table: Table, *, key: str, measure: str) -> str | None:
        """The accumulator of a figure that goes by a period; None for one that goes by the bill."""
        period = table.choice(key, ("bill", *PERIODS))
        if period != "bill":
            return self.accumulator(table, "counts_in", measure, mark=PERIODS[period])
        table.asked.append("counts_in")
        if table.has("counts_in"):
            table.problem("counts_in", f'expected only with {key} = "year" or another period')
        return None

    def accumulator(self, table: Table, key: str, measure: str, *, mark: str = "") -> str:
        """A name to count under; one name measures one thing, and only numbers end in .times."""
        expected = 'the name of an accumulator, such as "chronic.deductible"'
        if measure == "times":
            expected = 'a name that ends in .times, such as "inpatient.times"'
        name = table.text(key, expected)
        if not name:
            return ""
        if _ACCUMULATOR.fullmatch(name) is None or name.endswith(TIMES) != (measure == "times"):
            table.wrong(key, expected)
            return name
        if mark and mark not in name:
            name = f"{name}.{mark}"
        if self.accumulators.setdefault(name, measure) != measure:
            table.problem(
                key, f'"{name}" already counts the {self.accumulators[name]}, not the {measure}'
            )
        return name
