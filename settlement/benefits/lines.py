"""Taking the lines of a bill apart: out of scope, over the limit, first pay, in range.

This is the catalogue's half of a calculation (自费, 超限价, 先行自付, 政策范围内).  It works on
what the line already carries of its item and on the policy's own catalogue rules; it looks nothing
up, and it knows no payer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, Protocol

from settlement.benefits.conditions import POSITION, Condition, Facts, may_use
from settlement.benefits.policy import LINE_PARTS, Policy
from settlement.benefits.values import Bill, FirstPayTrace, Line, LineSplit, PriceTrace
from settlement.money import share_of

# What is still unpaid, by part: [account may pay, account may not].
Parts = dict[str, list[int]]


class _Conditional(Protocol):
    @property
    def condition(self) -> Condition: ...


class _ItemRules(NamedTuple):
    """What the policy says of one group, class and code: the same for all its lines."""

    reason: str
    first_pay: int
    price: int
    # Where the line's in-range, first-pay, over-limit and out-of-scope parts are added up.
    sums: tuple[list[int], list[int], list[int], list[int]]


class Split(NamedTuple):
    """The lines taken apart, in the order of line numbers."""

    lines: list[LineSplit]
    first_pays: tuple[FirstPayTrace, ...]
    prices: tuple[PriceTrace, ...]
    parts: Parts
    charged_fen: int


def take_lines_apart(
    policy: Policy,
    bill: Bill,
    lines: Iterable[Line],
    facts: Facts,
    age: int | None,
    day: date,
    lifted: bool,
) -> Split:
    """Every line's parts, where first pay comes from, what price rules changed, and the sums.

    ``lifted``: a public emergency puts everything in range.  Rounds once a line for a price rule,
    for the first pay, and once more for the extra first pay of care away from home; the fen left
    over stays in range.
    """
    rounding = policy.rounding
    away_rule = first_match(policy.away_first_pays, facts, age, day)
    away_bp = policy.away_first_pays[away_rule].rate_bp if away_rule >= 0 and not lifted else 0
    sums: Parts = {part: [0, 0] for part in LINE_PARTS}
    for named in policy.named_parts:
        sums[named.name] = [0, 0]
    plain = _ItemRules(
        "",
        -1,
        -1,
        (sums["in_range"], sums["first_pay"], sums["over_limit"], sums["out_of_scope"]),
    )
    by_item: dict[tuple[str, str, str], _ItemRules] = {}
    used: dict[tuple[str, int], list[int]] = {}
    priced: dict[int, list[int]] = {}
    splits: list[LineSplit] = []
    total = 0
    special = bool(
        policy.first_pays
        or policy.amenity_groups
        or policy.price_rules
        or policy.restrictions
        or policy.named_parts
    )
    asks_codes = policy.asks_codes
    rules = plain
    for line in sorted(lines, key=_line_number):
        half = 0 if line.account_ok else 1
        amount = line.amount_fen
        if special:
            key = (line.group, line.item_class, line.code if asks_codes else "")
            found = by_item.get(key)
            if found is None:
                found = by_item[key] = _rules_for(policy, key, facts, age, day, sums, plain, lifted)
            rules = found
        rest = 0
        if rules.price >= 0:
            price_rule = policy.price_rules[rules.price]
            counted = share_of(amount, price_rule.rate_bp, rounding=rounding)
            tally = priced.setdefault(rules.price, [0, 0])
            tally[0] += amount
            tally[1] += counted
            if not price_rule.charged:
                rest = amount - counted
            amount = counted
        total += amount + rest
        in_range_sums, first_pay_sums, over_limit_sums, out_of_scope_sums = rules.sums
        reason = "" if lifted else _outside(policy, bill, line)
        restriction = ""
        if not (reason or lifted):
            if line.restriction is not None and not may_use(line.restriction, facts, age):
                reason, restriction = "restricted_use", line.restriction.text
            else:
                reason = rules.reason
        if reason:
            out_of_scope_sums[half] += amount + rest
            splits.append(
                LineSplit(line.no, amount + rest, 0, 0, 0, line.account_ok, reason, restriction)
            )
            continue
        rate = 0 if lifted else line.first_pay_bp
        rule = rules.first_pay
        if rule >= 0:
            rate = policy.first_pays[rule].rate_bp
        limit = 0 if lifted else line.over_limit_fen
        if limit > amount:
            limit = amount
        base = amount - limit if policy.limit_before_first_pay else amount
        first = 0
        if rate:
            first = share_of(base, rate, rounding=rounding)
            _note(used, ("item" if rule < 0 else "group", rule), base, first)
            if limit > amount - first:
                limit = amount - first
        in_range = amount - limit - first
        if away_bp:
            extra = share_of(in_range, away_bp, rounding=rounding)
            _note(used, ("away", away_rule), in_range, extra)
            first += extra
            in_range -= extra
        in_range_sums[half] += in_range
        first_pay_sums[half] += first
        over_limit_sums[half] += limit
        out_of_scope_sums[half] += rest
        reason = "counted_in_part" if rest else ""
        splits.append(LineSplit(line.no, rest, limit, first, in_range, line.account_ok, reason))
    traces = tuple(
        FirstPayTrace(step, rule, base, amount) for (step, rule), (base, amount) in used.items()
    )
    return Split(
        splits,
        tuple(sorted(traces, key=_step_order)),
        tuple(
            PriceTrace("price_rule", rule, listed, counted)
            for rule, (listed, counted) in sorted(priced.items())
        ),
        sums,
        total,
    )


def _rules_for(
    policy: Policy,
    key: tuple[str, str, str],
    facts: Facts,
    age: int | None,
    day: date,
    sums: Parts,
    plain: _ItemRules,
    lifted: bool,
) -> _ItemRules:
    own: Facts = (*facts[:-3], *key)
    reason = reason_of_rules(policy, own, age, day)
    places = dict(zip(LINE_PARTS, plain.sums, strict=True))
    for named in reversed(policy.named_parts):
        if named.condition.holds(own, age, day):
            places[named.of] = sums[named.name]
    return _ItemRules(
        reason,
        -1 if lifted else first_match(policy.first_pays, own, age, day),
        first_match(policy.price_rules, own, age, day),
        (places["in_range"], places["first_pay"], places["over_limit"], places["out_of_scope"]),
    )


def reason_of_rules(policy: Policy, own: Facts, age: int | None, day: date) -> str:
    """Why the policy's own catalogue rules keep a line out of scope, or nothing; ``own`` are the
    facts with the line's last three."""
    if own[POSITION["groups"]] in policy.amenity_groups:
        return "amenity"
    if any(
        rule.condition.holds(own, age, day)
        and not any(unless.holds(own, age, day) for unless in rule.unless)
        for rule in policy.restrictions
    ):
        return "restricted_use"
    return ""


def _note(
    used: dict[tuple[str, int], list[int]], key: tuple[str, int], base: int, fen: int
) -> None:
    sums = used.setdefault(key, [0, 0])
    sums[0] += base
    sums[1] += fen


def _step_order(trace: FirstPayTrace) -> tuple[int, int]:
    return ("item", "group", "away").index(trace.step), trace.rule


def _line_number(line: Line) -> int:
    return line.no


def _outside(policy: Policy, bill: Bill, line: Line) -> str:
    """Why the catalogue leaves the whole line outside the fund's scope, or nothing."""
    if not line.covered:
        return "not_in_catalogue"
    if line.item_class == "C":
        return "class_c"
    if (
        line.prescription_only
        and not line.prescription
        and policy.prescription_only_needs_prescription
    ):
        return "needs_prescription"
    if bill.disease_code and line.disease_codes and bill.disease_code not in line.disease_codes:
        return "not_for_this_disease"
    return ""


def first_match(rules: Iterable[_Conditional], facts: Facts, age: int | None, day: date) -> int:
    """The position of the first rule that holds, or -1."""
    for index, rule in enumerate(rules):
        if rule.condition.holds(facts, age, day):
            return index
    return -1
