"""Reading the layers of a policy file: base, deductibles, rates, caps, and what they count.

It turns `[[layer]]` tables into compiled layers and resolves the short names of a base, such as
"in_range.unpaid", into the parts they stand for.  The rest of a file is `loading`'s.
"""

from __future__ import annotations

from typing import Final

from settlement.benefits.policy import (
    LEFT_BY_LAYER,
    REQUIREMENTS,
    UNPAID,
    Amount,
    BasePart,
    Cap,
    Deductible,
    Layer,
    RateRule,
    Tier,
)
from settlement.benefits.reading import NAME, NAME_EXPECTED, Reader
from settlement.benefits.tables import Table
from settlement.benefits.values import PAYERS

MEASURES: Final = ("deductible", "payment", "base", "above_deductible", "personal")
# Cash is what no layer pays.
LAYER_PAYERS: Final = tuple(each for each in PAYERS if each != "cash")
REST: Final = f".{UNPAID}"


def read_layer(reader: Reader, table: Table) -> Layer:
    """One [[layer]].  Problems go to the table; what is returned is usable all the same."""
    name = table.text("name", NAME_EXPECTED)
    if name and NAME.fullmatch(name) is None:
        table.wrong("name", NAME_EXPECTED)
    if name in reader.layer_names or name in reader.parts:
        table.wrong("name", "a name no layer or part before it has")
    reader.layer_names.add(name)
    title = reader.title(table)
    payer = table.choice("payer", LAYER_PAYERS)
    condition = reader.condition(table)
    requires = table.texts("requires", "", allowed=tuple(REQUIREMENTS))
    filing_kind = table.text("filing_kind", "the kind of a filing", required=False) or None
    base, base_parts = _base(reader, table)
    source = reader.source(table)
    rates = tuple(_rate(reader, each) for each in table.tables("rate", required=True))
    deductibles = tuple(_deductible(reader, each) for each in table.tables("deductible"))
    caps = tuple(_cap(reader, each) for each in table.tables("cap"))
    counts: list[tuple[str, str]] = []
    counting = table.table("counts", required=False)
    if counting is not None:
        for measure in MEASURES:
            if counting.has(measure):
                counts.append((measure, reader.accumulator(counting, measure, measure)))
        counting.asked.extend(MEASURES)
        counting.finish()
    table.finish()
    if payer not in ("account", "relative_account"):
        _declare(reader, name, base or tuple(each.part for each in base_parts))
    return Layer(
        name=name,
        title=title,
        payer=payer,
        condition=condition,
        requires=requires,
        filing_kind=filing_kind,
        base=base,
        base_parts=base_parts,
        deductibles=deductibles,
        rates=rates,
        caps=caps,
        counts=tuple(counts),
        source=source,
    )


def _declare(reader: Reader, name: str, base: tuple[str, ...]) -> None:
    """The parts a fund's layer leaves, and everything they may come from."""
    sources = tuple(reader.parts) if UNPAID in base else base
    origins = {name}.union(sources, *(reader.origins.get(part, frozenset()) for part in sources))
    for left in LEFT_BY_LAYER:
        reader.parts.append(f"{name}.{left}")
        reader.origins[f"{name}.{left}"] = frozenset(origins)


def _base(reader: Reader, table: Table) -> tuple[tuple[str, ...], tuple[BasePart, ...]]:
    """The base as plain names, or as parts with conditions when any of them has one."""
    expected = "a list of " + ", ".join([*reader.parts, UNPAID])
    found = table.value("base", expected, required=True)
    if found is None:
        return (), ()
    if not isinstance(found, list) or not found:
        table.wrong("base", expected)
        return (), ()
    if all(isinstance(each, str) for each in found):
        names: list[str] = []
        for each in found:
            resolved = _resolved(reader, each)
            if not resolved:
                table.wrong("base", expected)
                return (), ()
            if each in found[: found.index(each)] or found.count(each) > 1:
                table.problem("base", "expected each entry once")
                return (), ()
            names.extend(part for part in resolved if part not in names)
        if UNPAID in names and len(names) > 1:
            table.wrong("base", f'"{UNPAID}" alone, because it is all there is')
        return tuple(names), ()
    parts: list[BasePart] = []
    for position, each in enumerate(found, start=1):
        if isinstance(each, str):
            each = {"part": each}
        if not isinstance(each, dict):
            table.wrong("base", expected)
            return (), ()
        inner = table.inner(f"base {position}", each)
        part = inner.text("part", expected)
        resolved = _resolved(reader, part)
        if part and (not resolved or UNPAID in resolved):
            inner.wrong("part", "one of " + ", ".join(reader.parts))
        counted = inner.rate_bp("counted", required=False) if inner.has("counted") else 10_000
        inner.asked.append("counted")
        condition = reader.condition(inner)
        inner.finish()
        parts.extend(BasePart(name, counted, condition) for name in resolved)
    return (), tuple(parts)


def _resolved(reader: Reader, part: str) -> tuple[str, ...]:
    """The parts that a name in a base stands for; nothing for a name nobody declared."""
    if part in reader.parts or part == UNPAID:
        return (part,)
    if part.endswith(REST):
        stem = part.removesuffix(REST)
        if stem in reader.parts or stem in reader.layer_names:
            own = (stem,) if stem in reader.parts else ()
            return (*own, *(each for each, from_ in reader.origins.items() if stem in from_))
    return ()


def _rate(reader: Reader, table: Table) -> RateRule:
    condition = reader.condition(table)
    ways = [key for key in ("rate", "tiers", "fixed", "fixed_per_day", "stated") if table.has(key)]
    if len(ways) > 1:
        table.problem(ways[1], f"expected only one of rate, tiers, fixed, stated beside {ways[0]}")
    adjustments = reader.adjustments(table, of_rate=True)
    low = table.rate_bp("at_least", required=False)
    high = table.rate_bp("at_most", required=False) if table.has("at_most") else 10_000
    table.asked.append("at_most")
    if high < low:
        table.wrong("at_most", "a rate of at_least or more")
    bands: tuple[Tier, ...] = ()
    from_zero, counts_in, fixed_fen = False, None, 0
    kind = ways[0] if ways else "rate"
    if kind == "tiers":
        bands = _bands(reader, table)
        counted = table.choice("tiers_counted", ("from_zero", "after_deductible"))
        from_zero = counted == "from_zero"
        measure = "base" if from_zero else "above_deductible"
        counts_in = reader.per(table, key="tiers_per", measure=measure)
    elif kind in ("fixed", "fixed_per_day"):
        fixed_fen = reader.fen(table, kind, required=True) or 0
    elif kind == "stated":
        if not table.flag("stated", default=True):
            table.wrong("stated", "true, or the key left out")
    else:
        bands = ((0, None, table.rate_bp("rate")),)
    if adjustments and not bands:
        table.problem("adjust", "expected only beside rate or tiers")
    rule = RateRule(
        condition,
        bands,
        from_zero,
        counts_in,
        reader.source(table),
        kind="rate" if bands else "stated" if kind == "stated" else "fixed",
        fixed_fen=fixed_fen,
        per_day=kind == "fixed_per_day",
        adjustments=adjustments,
        at_least_bp=low,
        at_most_bp=high,
    )
    table.asked.extend(("rate", "tiers", "fixed", "fixed_per_day", "stated"))
    table.finish()
    return rule


def _bands(reader: Reader, table: Table) -> tuple[Tier, ...]:
    found: list[Tier] = []
    lower = 0
    inner_tables = table.tables("tiers", required=True)
    for position, inner in enumerate(inner_tables, start=1):
        upper = reader.fen(inner, "up_to", required=position < len(inner_tables))
        if upper is not None and upper <= lower:
            inner.wrong("up_to", "an amount above the tier before it")
        found.append((lower, upper, inner.rate_bp("rate")))
        lower = upper if upper is not None else lower
        inner.finish()
    if found and found[-1][1] is not None:
        table.problem("tiers", "expected a last tier without up_to")
    return tuple(found)


def _deductible(reader: Reader, table: Table) -> Deductible:
    condition = reader.condition(table)
    amount = reader.amount(table, "amount", of_bill=True) or Amount(0)
    by_ordinal: tuple[int, ...] = ()
    ordinal_table = table.texts("by_ordinal", 'a list of percentages, such as ["100%", "50%"]')
    if ordinal_table or table.has("by_ordinal"):
        by_ordinal = _percentages(table, "by_ordinal")
        if not reader.numbers_bills:
            table.problem("by_ordinal", "expected a kind of bill with numbered_in in [kinds]")
    takes = table.choice("taken_off", ("base", "payment", "nothing_once_reached"), default="base")
    ceiling = reader.fen(table, "year_ceiling")
    ceiling_in = None
    if ceiling is not None:
        ceiling_in = reader.accumulator(table, "ceiling_counts_in", "deductible")
    elif table.has("ceiling_counts_in"):
        table.problem("ceiling_counts_in", "expected only with year_ceiling")
    table.asked.append("ceiling_counts_in")
    rule = Deductible(
        condition=condition,
        amount=amount,
        counts_in=reader.per(table, key="per", measure="deductible"),
        source=reader.source(table),
        by_ordinal=by_ordinal,
        adjustments=reader.adjustments(table, of_rate=False),
        at_least_fen=reader.fen(table, "at_least"),
        at_most_fen=reader.fen(table, "at_most"),
        ceiling_fen=ceiling,
        ceiling_in=ceiling_in,
        after_rate=takes == "payment",
        whole_once_reached=takes == "nothing_once_reached",
    )
    table.finish()
    return rule


def _percentages(table: Table, key: str) -> tuple[int, ...]:
    """A list of percentages, read one by one so that the wrong one is named."""
    found = table.data.get(key)
    if not isinstance(found, list):
        return ()
    inner = table.inner(key, {str(position): each for position, each in enumerate(found, 1)})
    expected = 'a percentage in quotes, such as "70%"'
    return tuple(inner.percent_bp(position, expected, most=100_000) for position in inner.data)


def _cap(reader: Reader, table: Table) -> Cap:
    of_base = table.choice("of", ("payment", "base"), default="payment") == "base"
    rule = Cap(
        condition=reader.condition(table),
        amount=reader.amount(table, "amount", of_bill=True) or Amount(0),
        of_base=of_base,
        counts_in=reader.per(table, key="per", measure="base" if of_base else "payment"),
        source=reader.source(table),
        adjustments=reader.adjustments(table, of_rate=False),
    )
    table.finish()
    return rule
