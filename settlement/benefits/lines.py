"""Taking the lines of a bill apart: out of scope, over the limit, first pay, in range.

This is the catalogue's half of a calculation (自费, 超限价, 先行自付, 政策范围内).  It works on
what the line already carries of its item and on the policy's own first pays; it looks nothing up,
and it knows no payer.
"""

from __future__ import annotations

from datetime import date

from settlement.benefits.policy import LINE_PARTS, Facts, Policy, RateByCase
from settlement.benefits.values import Bill, FirstPayTrace, Line, LineSplit
from settlement.money import share_of

# What is still unpaid, by part: [account may pay, account may not].
Parts = dict[str, list[int]]


def take_lines_apart(
    policy: Policy, bill: Bill, facts: Facts, age: int | None
) -> tuple[list[LineSplit], tuple[FirstPayTrace, ...], Parts]:
    """Every line's parts in the order of line numbers, where first pay comes from, and the sums.

    Rounds once a line for the first pay, by the policy's rounding, and once more for the extra
    first pay of care away from home; the fen left over stays in range.
    """
    day = bill.service_date
    rounding = policy.rounding
    away_rule = _first_match(policy.away_first_pays, facts, age, day)
    away_bp = policy.away_first_pays[away_rule].rate_bp if away_rule >= 0 else 0
    rules: dict[tuple[str, str], int] = {}
    used: dict[tuple[str, int], list[int]] = {}
    sums = {part: [0, 0] for part in LINE_PARTS}
    in_range_sums, first_pay_sums = sums["in_range"], sums["first_pay"]
    over_limit_sums, out_of_scope_sums = sums["over_limit"], sums["out_of_scope"]
    splits: list[LineSplit] = []
    for line in sorted(bill.lines, key=_line_number):
        half = 0 if line.account_ok else 1
        amount = line.amount_fen
        reason = _outside(policy, bill, line)
        if reason:
            out_of_scope_sums[half] += amount
            splits.append(LineSplit(line.no, amount, 0, 0, 0, line.account_ok, reason))
            continue
        rate = line.first_pay_bp
        rule = -1
        if policy.first_pays:
            group = (line.group, line.item_class)
            if group not in rules:
                rules[group] = _first_match(policy.first_pays, (*facts[:-2], *group), age, day)
            rule = rules[group]
            if rule >= 0:
                rate = policy.first_pays[rule].rate_bp
        limit = line.over_limit_fen
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
        splits.append(LineSplit(line.no, 0, limit, first, in_range, line.account_ok, ""))
    traces = tuple(
        FirstPayTrace(step, rule, base, amount) for (step, rule), (base, amount) in used.items()
    )
    return splits, tuple(sorted(traces, key=_step_order)), sums


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
    """Why the whole line is outside the fund's scope, or nothing."""
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


def _first_match(rules: tuple[RateByCase, ...], facts: Facts, age: int | None, day: date) -> int:
    """The position of the first rule that holds, or -1."""
    for index, rule in enumerate(rules):
        if rule.condition.holds(facts, age, day):
            return index
    return -1
