"""From a policy file's text to a compiled policy, or to a list of everything wrong with it.

The format is TOML, ``format = 1``, described key by key in docs/policies.md: amounts in yuan, rates
in percent, days as dates.  What is checked here is what a file can say by itself; whether a figure
is right is a matter for its source, which every figure must name, and for `floors`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import date
from typing import Any, Final

from settlement.benefits.layer_loading import read_layer
from settlement.benefits.policy import (
    LINE_PARTS,
    DayBy,
    KindRules,
    NamedPart,
    Package,
    Policy,
    PriceRule,
    RateByCase,
    RefundWithLater,
    Relief,
    Restriction,
)
from settlement.benefits.reading import NAME, NAME_EXPECTED, Reader
from settlement.benefits.tables import PolicyError, Table
from settlement.money import Rounding

FORMAT: Final = 1
ROUNDINGS: Final[tuple[Rounding, ...]] = ("half_up", "half_even")
SPLIT_ORDERS: Final = (
    ("out_of_scope", "over_limit", "first_pay", "away_first_pay"),
    ("out_of_scope", "first_pay", "over_limit", "away_first_pay"),
)
DAYS: Final[tuple[DayBy, ...]] = ("service", "admission", "discharge")
LIFTS: Final = ("catalogue", "caps", "deductibles")
REFUND_WITH_LATER: Final[tuple[RefundWithLater, ...]] = ("stand", "last_first", "restate")


def load_policy(text: str, *, name: str) -> Policy:
    """Compile a policy file.  ``name`` is the file's name, used in messages and kept in results.

    Raises PolicyError with every problem found: file, place, and what was expected there.
    """
    try:
        # A decimal written without quotes keeps its digits; it never becomes a binary float.
        data = _read(text, name)
        problems: list[str] = []
        top = Table(problems, name, "", data)
        policy = _policy(Reader(top), name, hashlib.sha256(text.encode()).hexdigest())
        top.finish()
    except RecursionError:
        # A draft is typed by hand: brackets in brackets without end are bad input, not a fault.
        raise PolicyError([f"{name}: nested too deeply: expected a few levels of tables"]) from None
    if problems:
        raise PolicyError(problems)
    return policy


def _read(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=str)
    except ValueError as error:
        # Not TOML, or a number of thousands of digits.
        raise PolicyError([f"{name}: not readable as TOML: {error}"]) from None


def _policy(reader: Reader, name: str, sha256: str) -> Policy:
    top = reader.top
    found = top.value("format", "format = 1", required=True)
    if found is not None and (type(found) is not int or found != FORMAT):
        top.wrong("format", f"{FORMAT}, the only format this program reads")
    version = top.text("version", 'a version such as "370300-2022.1"')
    area = top.text("area", 'a six-digit pooling area code such as "370300"')
    if area and re.fullmatch(r"[0-9]{6}", area) is None:
        top.wrong("area", "a six-digit pooling area code in quotes")
    title = reader.title(top)
    start = top.day("effective_from", required=True)
    until = top.day("effective_until")
    if start is not None and until is not None and until <= start:
        top.wrong("effective_until", "a day after effective_from")
    rounding = reader.rounding = top.choice("rounding", ROUNDINGS)
    authorities = top.texts("authorities", "a list of names of authority files")
    with_later = top.choice("refund_with_later", REFUND_WITH_LATER, default="stand")
    reader.read_sources()
    _read_figures(reader)
    kind_rules = _read_kinds(reader)
    year_start = (1, 1)
    year = top.table("benefit_year")
    if year is not None:
        year_start = year.month_day("starts")
        reader.source(year)
        year.finish()
    emergency_counts = True
    away = top.table("away", required=False)
    if away is not None:
        emergency_counts = away.flag("emergency_counts_as_filed", default=True)
        reader.source(away)
        away.finish()
    catalogue = _catalogue(reader)
    packages = tuple(_package(reader, each) for each in top.tables("package"))
    relief = _relief(reader)
    layers = tuple(read_layer(reader, each) for each in top.tables("layer", required=True))
    return Policy(
        name=name,
        version=version,
        area=area,
        title=title,
        effective_from=start if start is not None else _ANY_DAY,
        effective_until=until,
        rounding=rounding,
        benefit_year_start=year_start,
        kinds=reader.kinds,
        layers=layers,
        accumulators=dict(sorted(reader.accumulators.items())),
        sources=reader.sources,
        sha256=sha256,
        kind_rules=kind_rules,
        packages=packages,
        relief=relief,
        emergency_counts_as_filed=emergency_counts,
        asks_codes=reader.asks_codes,
        asks_insured_months=reader.asks_insured_months,
        groups=frozenset(reader.groups),
        authorities=authorities,
        refund_with_later=with_later,
        **catalogue,
    )


def _read_figures(reader: Reader) -> None:
    table = reader.top.table("figures", required=False)
    if table is None:
        return
    for key in table.data:
        inner = table.table(key)
        if inner is None:
            continue
        if NAME.fullmatch(key) is None or key in ("total", "base"):
            inner.problem("", f'expected {NAME_EXPECTED}, but not "total" or "base"')
        reader.figures[key] = inner.amount_fen("amount") or 0
        reader.source(inner)
        inner.finish()


def _read_kinds(reader: Reader) -> dict[str, KindRules]:
    rules: dict[str, KindRules] = {}
    table = reader.top.table("kinds")
    if table is None:
        return rules
    for key in table.data:
        inner = table.table(key)
        if inner is None:
            continue
        if NAME.fullmatch(key) is None:
            inner.problem("", f"expected {NAME_EXPECTED}")
        reader.kinds[key] = {language: inner.text(language) for language in ("zh", "en")}
        year_by = inner.choice("year_by", DAYS, default="service")
        rules_by = inner.choice("rules_by", DAYS, default="service")
        numbered_in = None
        if inner.has("numbered_in"):
            numbered_in = reader.accumulator(inner, "numbered_in", "times")
            reader.numbers_bills = True
        inner.asked.append("numbered_in")
        inner.finish()
        own = KindRules(year_by, rules_by, numbered_in)
        if own != KindRules():
            rules[key] = own
    return rules


def _catalogue(reader: Reader) -> dict[str, Any]:
    """The catalogue's arguments of a Policy."""
    table = reader.top.table("catalogue")
    if table is None:
        return {
            "limit_before_first_pay": True,
            "prescription_only_needs_prescription": True,
            "first_pays": (),
            "away_first_pays": (),
        }
    order = table.texts("order", "a list of the steps in order", required=True)
    if order and order not in SPLIT_ORDERS:
        expected = " or ".join(str(list(each)) for each in SPLIT_ORDERS)
        table.wrong("order", expected)
    needs_prescription = table.flag("prescription_only_needs_prescription", default=True)
    amenities = table.texts("amenity_groups", "a list of item groups")
    reader.groups.update(amenities)
    reader.source(table)
    found = {
        "limit_before_first_pay": order != SPLIT_ORDERS[1],
        "prescription_only_needs_prescription": needs_prescription,
        "amenity_groups": frozenset(amenities),
        "first_pays": tuple(
            _rate_by_case(reader, each, line_facts=True) for each in table.tables("first_pay")
        ),
        "away_first_pays": tuple(
            _rate_by_case(reader, each, line_facts=False) for each in table.tables("away_first_pay")
        ),
        "price_rules": tuple(_price_rule(reader, each) for each in table.tables("price_rule")),
        "restrictions": tuple(_restriction(reader, each) for each in table.tables("restriction")),
        "named_parts": tuple(_named_part(reader, each) for each in table.tables("part")),
    }
    table.finish()
    return found


def _rate_by_case(reader: Reader, table: Table, *, line_facts: bool) -> RateByCase:
    rule = RateByCase(
        reader.condition(table, line_facts=line_facts), table.rate_bp("rate"), reader.source(table)
    )
    table.finish()
    return rule


def _price_rule(reader: Reader, table: Table) -> PriceRule:
    rule = PriceRule(
        condition=reader.condition(table, line_facts=True),
        rate_bp=table.rate_bp("counted"),
        charged=table.choice("rest", ("not_charged", "out_of_scope")) == "not_charged",
        source=reader.source(table),
    )
    table.finish()
    return rule


def _restriction(reader: Reader, table: Table) -> Restriction:
    unless = []
    for inner in table.tables("unless", required=True):
        unless.append(reader.condition(inner, line_facts=True))
        inner.finish()
    rule = Restriction(
        reader.condition(table, line_facts=True), tuple(unless), reader.source(table)
    )
    table.finish()
    return rule


def _named_part(reader: Reader, table: Table) -> NamedPart:
    name = table.text("name", NAME_EXPECTED)
    if name and (NAME.fullmatch(name) is None or name in reader.parts):
        table.wrong("name", f"{NAME_EXPECTED}, not used before")
    reader.parts.append(name)
    part = NamedPart(
        name=name,
        of=table.choice("of", LINE_PARTS),
        condition=reader.condition(table, line_facts=True),
        source=reader.source(table),
    )
    table.finish()
    return part


def _package(reader: Reader, table: Table) -> Package:
    name = table.text("name", NAME_EXPECTED)
    title = reader.title(table)
    condition = reader.condition(table)
    bands: list[tuple[int | None, int]] = []
    price = 0
    if table.has("per_day") and isinstance(table.data["per_day"], list):
        inner_tables = table.tables("per_day")
        last = 0
        for position, inner in enumerate(inner_tables, start=1):
            days = inner.whole_number("up_to_day", "a number of days", low=1, high=3_660)
            if position < len(inner_tables) and (days is None or days <= last):
                inner.wrong("up_to_day", "a day after the band before it")
            if position == len(inner_tables) and days is not None:
                inner.wrong("up_to_day", "no such key in the last band")
            last = days or last
            bands.append((days, reader.fen(inner, "price", required=True) or 0))
            inner.finish()
    elif table.has("per_day"):
        bands.append((None, reader.fen(table, "per_day", required=True) or 0))
    else:
        price = reader.fen(table, "price", required=True) or 0
    table.asked.extend(("price", "per_day"))
    if table.has("price") and bands:
        table.problem("price", "expected only without per_day")
    beside = table.texts("beside", "a list of item groups")
    reader.groups.update(beside)
    package = Package(
        name=name,
        title=title,
        condition=condition,
        sets=table.choice("sets", ("charge", "hospital_payment")),
        price_fen=price,
        bands=tuple(bands),
        at_most_the_bill=table.flag("at_most_the_bill", default=False),
        beside=frozenset(beside),
        source=reader.source(table),
    )
    table.finish()
    return package


def _relief(reader: Reader) -> Relief | None:
    table = reader.top.table("public_emergency", required=False)
    if table is None:
        return None
    lifts = table.texts("lifts", "", allowed=LIFTS, required=True)
    from_date, until_date = table.day("from"), table.day("until")
    if from_date is not None and until_date is not None and until_date <= from_date:
        table.wrong("until", "a day after from")
    relief = Relief(frozenset(lifts), from_date, until_date, reader.source(table))
    table.finish()
    return relief


# Stands in for a missing day while the rest of the file is checked; never leaves this module.
_ANY_DAY: Final = date.min
