"""What an authority asks of the policies below it: least rates, least caps, caps it forbids.

A floor is data of a nation or a province, in a file of its own; it is no rule of payment and the
calculation never reads it.  A policy is checked only against the authorities it names, which must
lie above its area, and only where their dates and conditions meet.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from settlement.benefits.conditions import POSITION, Condition
from settlement.benefits.policy import Adjustment, Cap, Layer, Policy, RateRule, Tier
from settlement.benefits.reading import NAME, NAME_EXPECTED, Reader
from settlement.benefits.tables import PolicyError, Table
from settlement.benefits.values import OWN_PAYERS, PAYERS
from settlement.money import yuan

MEASURES: Final = ("rate", "every_tier", "average", "cap")
FUND_PAYERS: Final = tuple(payer for payer in PAYERS if payer not in OWN_PAYERS)
# A floor speaks of care at home unless it says otherwise.
_AT_HOME: Final[Mapping[int, frozenset[str | int]]] = {
    POSITION["care"]: frozenset({"home"}),
    POSITION["distances"]: frozenset({"area"}),
    POSITION["public_emergency"]: frozenset({False}),
    POSITION["filed"]: frozenset({False}),
}


@dataclass(frozen=True, slots=True)
class Floor:
    """One demand.  ``at_least`` is basis points, or fen for a cap; None forbids every cap.

    ``over_fen`` is the cost over which an average is taken.  With ``not_below`` the rates must also
    be no lower than those of another category of person.
    """

    measures: str
    payers: tuple[str, ...]
    condition: Condition
    at_least: int | None
    over_fen: int
    not_below: str
    source: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A nation or a province: area "000000", or two digits and four zeros."""

    name: str
    file_name: str
    area: str
    title: Mapping[str, str]
    floors: tuple[Floor, ...]
    sources: Mapping[str, str]

    def is_above(self, area: str) -> bool:
        """Whether a pooling area lies in the authority's own."""
        return area.startswith(self.area.rstrip("0"))


def load_authority(text: str, *, name: str) -> Authority:
    """Read an authority's file.  Raises PolicyError with every problem found, like a policy's."""
    try:
        data = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"{name}: not readable as TOML: {error}"]) from None
    problems: list[str] = []
    top = Table(problems, name, "", data)
    reader = Reader(top)
    if top.value("format", "format = 1", required=True) != 1:
        top.wrong("format", "1, the only format this program reads")
    own = top.text("name", NAME_EXPECTED)
    if own and NAME.fullmatch(own) is None:
        top.wrong("name", NAME_EXPECTED)
    area = top.text("area", 'a six-digit code, "000000" for the nation')
    if area and re.fullmatch(r"0{6}|[0-9]{2}0{4}", area) is None:
        top.wrong("area", '"000000" for the nation or a province such as "210000"')
    title = reader.title(top)
    reader.read_sources()
    # The kinds of bill are the policies' own words: any may be named here.
    kinds = top.texts("kinds", "a list of kinds of bill that the floors name")
    reader.kinds.update({kind: {} for kind in kinds})
    floors = tuple(_floor(reader, table) for table in top.tables("floor", required=True))
    top.finish()
    if problems:
        raise PolicyError(problems)
    return Authority(own, name, area, title, floors, reader.sources)


def _floor(reader: Reader, table: Table) -> Floor:
    measures = table.choice("measures", MEASURES)
    payers = table.texts("payers", "", allowed=FUND_PAYERS, required=True)
    condition = reader.condition(table)
    forbidden = table.flag("cap_forbidden", default=False)
    at_least: int | None = None
    if measures == "cap":
        at_least = table.amount_fen("at_least", required=not forbidden)
    else:
        if forbidden:
            table.problem("cap_forbidden", 'expected only with measures = "cap"')
        at_least = table.rate_bp("at_least")
    over = table.amount_fen("over", required=measures == "average") or 0
    if measures != "average" and table.has("over"):
        table.problem("over", 'expected only with measures = "average"')
    not_below = table.text("not_below_category", "a category", required=False)
    floor = Floor(
        measures=measures,
        payers=payers,
        condition=condition,
        at_least=None if forbidden else at_least,
        over_fen=over,
        not_below=not_below,
        source=reader.source(table),
    )
    table.finish()
    return floor


def check_floors(policy: Policy, authorities: Sequence[Authority]) -> tuple[str, ...]:
    """Everything in the policy that an authority above it does not allow, one text each.

    A policy that names no authority is checked against none: its ``authorities`` is empty.
    """
    known = {authority.name: authority for authority in authorities}
    problems: list[str] = []
    for name in policy.authorities:
        authority = known.get(name)
        if authority is None:
            found = ", ".join(sorted(known)) or "none"
            problems.append(f"{policy.name}: authorities: no authority {name!r}, known: {found}")
        elif not authority.is_above(policy.area):
            problems.append(
                f"{policy.name}: authorities: {name} ({authority.area}) is not above {policy.area}"
            )
        else:
            for number, floor in enumerate(authority.floors, start=1):
                where = f"{authority.name} ({authority.file_name}: floor {number})"
                problems.extend(_breaches(policy, floor, where))
    return tuple(problems)


def _breaches(policy: Policy, floor: Floor, where: str) -> list[str]:
    found: list[str] = []
    for position, layer in enumerate(policy.layers, start=1):
        if layer.payer not in floor.payers or not _meet(floor, layer.condition, policy):
            continue
        place = f"{policy.name}: layer {position} ({layer.name})"
        if floor.measures == "cap":
            found.extend(_caps(policy, floor, layer, place, where))
        else:
            found.extend(_rates(policy, floor, layer, place, where))
    return found


def _caps(policy: Policy, floor: Floor, layer: Layer, place: str, where: str) -> list[str]:
    found = []
    for number, cap in enumerate(layer.caps, start=1):
        if not _meet(floor, cap.condition, policy):
            continue
        amount = _least_cap(cap)
        if floor.at_least is None:
            found.append(f"{place}: cap {number}: {where} allows no cap")
        elif amount < floor.at_least:
            found.append(
                f"{place}: cap {number}: amount: {yuan(amount)} is below the "
                f"{yuan(floor.at_least)} that {where} asks for"
            )
    return found


def _least_cap(cap: Cap) -> int:
    return 0 if cap.amount.of else cap.amount.fen


def _rates(policy: Policy, floor: Floor, layer: Layer, place: str, where: str) -> list[str]:
    found = []
    least = floor.at_least or 0
    for number, rule in enumerate(layer.rates, start=1):
        if rule.kind != "rate" or not _meet(floor, rule.condition, policy):
            continue
        rates = _least_rates(policy, floor, rule)
        if floor.measures == "average":
            rates = [_average(rule.tiers, rates, floor.over_fen)]
        for tier, rate in enumerate(rates, start=1):
            if rate < least:
                key = f"tiers {tier}: rate" if len(rates) > 1 else "rate"
                found.append(
                    f"{place}: rate {number}: {key}: {_percent(rate)} is below the "
                    f"{_percent(least)} that {where} asks for ({floor.measures})"
                )
        if floor.not_below:
            found.extend(
                _order(policy, floor, layer, rule, rates, f"{place}: rate {number}", where)
            )
    return found


def _order(
    policy: Policy,
    floor: Floor,
    layer: Layer,
    rule: RateRule,
    rates: list[int],
    place: str,
    where: str,
) -> list[str]:
    """Rates of the floor's people against those of the category that must not fare better."""
    others = Floor(
        floor.measures,
        floor.payers,
        _for_category(floor.condition, floor.not_below),
        0,
        floor.over_fen,
        "",
        floor.source,
    )
    found = []
    for other in layer.rates:
        same_place = all(
            _allowed(rule.condition, POSITION[fact]) == _allowed(other.condition, POSITION[fact])
            for fact in ("levels", "site_kinds", "kinds")
        )
        if other.kind != "rate" or not same_place or not _meet(others, other.condition, policy):
            continue
        for rate, better in zip(rates, _least_rates(policy, others, other), strict=False):
            if rate < better:
                found.append(
                    f"{place}: rate: {_percent(rate)} is below the {_percent(better)} of "
                    f"{floor.not_below}, which {where} does not allow"
                )
        break
    return found


def _for_category(condition: Condition, category: str) -> Condition:
    index = POSITION["categories"]
    tests = tuple(test for test in condition.tests if test[0] != index)
    return Condition(
        (*tests, (index, frozenset((category,)), True)),
        from_date=condition.from_date,
        until_date=condition.until_date,
    )


def _allowed(condition: Condition, index: int) -> frozenset[str | int] | None:
    return next((words for at, words, wanted in condition.tests if at == index and wanted), None)


def _meet(floor: Floor, condition: Condition, policy: Policy) -> bool:
    """Whether a rule can hold for somebody the floor speaks of, on a day they share."""
    asked = {index: words for index, words, wanted in floor.condition.tests if wanted}
    for index, words, wanted in condition.tests:
        mine = asked.get(index, _AT_HOME.get(index))
        if mine is None:
            continue
        if wanted and mine.isdisjoint(words):
            return False
        if not wanted and mine <= words:
            return False
    start = max(
        day
        for day in (policy.effective_from, condition.from_date, floor.condition.from_date)
        if day is not None
    )
    ends = [
        day
        for day in (policy.effective_until, condition.until_date, floor.condition.until_date)
        if day is not None
    ]
    return not ends or start < min(ends, default=date.max)


def _least_rates(policy: Policy, floor: Floor, rule: RateRule) -> list[int]:
    """The tiers' rates in basis points after every lowering adjustment the floor could meet."""
    lowering = [
        each
        for each in rule.adjustments
        if each.how in ("minus", "times") and _meet(floor, each.condition, policy)
    ]
    return [max(rule.at_least_bp, _lowered(rate_bp, lowering)) for _, _, rate_bp in rule.tiers]


def _lowered(rate_bp: int, lowering: Sequence[Adjustment]) -> int:
    for each in lowering:
        changed = rate_bp - each.value if each.how == "minus" else rate_bp * each.value // 10_000
        rate_bp = max(0, min(rate_bp, changed))
    return rate_bp


def _average(tiers: Sequence[Tier], rates: Sequence[int], over_fen: int) -> int:
    """The rate over the first ``over_fen`` of cost, rounded down."""
    paid = 0
    for (lower, upper, _), rate_bp in zip(tiers, rates, strict=True):
        top = over_fen if upper is None else min(upper, over_fen)
        if top > lower:
            paid += (top - lower) * rate_bp
    return paid // over_fen if over_fen else 0


def _percent(rate_bp: int) -> str:
    whole, rest = divmod(rate_bp, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "%"
