"""What a figure of the policy comes to for one bill: deductibles, rates and caps, adjusted.

A figure starts from an amount or a rate and is changed step by step (by ordinal, for a category,
away from home); every step is exact and the end is rounded once.  It knows neither the parts of a
bill nor what was paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from settlement.benefits.conditions import INSURED_MONTHS, ORDINAL, Facts
from settlement.benefits.policy import (
    PER_BASIS_POINT,
    RATE_UNITS,
    Adjustment,
    Amount,
    Cap,
    Deductible,
    RateRule,
)
from settlement.money import BASIS_POINTS, Rounding, rounded_quotient


def deductible_amount(
    rule: Deductible,
    *,
    facts: Facts,
    age: int | None,
    day: date,
    total_fen: int,
    base_fen: int,
    rounding: Rounding,
) -> int:
    """The deductible in fen before anything met earlier is taken off."""
    if not (rule.by_ordinal or rule.adjustments or rule.amount.of):
        amount = rule.amount.fen
    else:
        numerator, denominator = _start(rule.amount, total_fen, base_fen)
        if rule.by_ordinal:
            ordinal = facts[ORDINAL]
            place = min(int(ordinal) if isinstance(ordinal, int) else 1, len(rule.by_ordinal))
            numerator *= rule.by_ordinal[place - 1]
            denominator *= BASIS_POINTS
        amount = _adjusted(rule.adjustments, numerator, denominator, facts, age, day, rounding)
    if rule.at_least_fen is not None and amount < rule.at_least_fen:
        amount = rule.at_least_fen
    if rule.at_most_fen is not None and amount > rule.at_most_fen:
        amount = rule.at_most_fen
    return amount


def cap_amount(
    cap: Cap,
    *,
    facts: Facts,
    age: int | None,
    day: date,
    total_fen: int,
    base_fen: int,
    rounding: Rounding,
) -> int:
    """The cap in fen before anything used up earlier is taken off."""
    if not cap.adjustments and not cap.amount.of:
        return cap.amount.fen
    numerator, denominator = _start(cap.amount, total_fen, base_fen)
    return _adjusted(cap.adjustments, numerator, denominator, facts, age, day, rounding)


def adjusted_rates(
    rule: RateRule, *, facts: Facts, age: int | None, day: date
) -> list[tuple[int, int | None, int]]:
    """The rule's bands with their rates in hundred-millionths (RATE_UNITS is 100 %).

    A rate that points take below 0 % or above 100 % stops there, or at the rule's own bounds.
    """
    steps = [
        (each.how, _step_value(each, facts, age))
        for each in rule.adjustments
        if each.condition.holds(facts, age, day)
    ]
    low, high = rule.at_least_bp * PER_BASIS_POINT, rule.at_most_bp * PER_BASIS_POINT
    found = []
    for lower, upper, rate_bp in rule.tiers:
        # Exact over 10^4 to the power of the multiplications, rounded once at the end.
        numerator, denominator = rate_bp, BASIS_POINTS
        for how, value in steps:
            if how == "times":
                numerator, denominator = numerator * value, denominator * BASIS_POINTS
            elif how == "personal_times":
                rest = (denominator - numerator) * value
                denominator *= BASIS_POINTS
                numerator = denominator - rest
            elif how == "minus":
                numerator -= value * denominator // BASIS_POINTS
            else:
                numerator += value * denominator // BASIS_POINTS
        rate = (
            rounded_quotient(numerator * RATE_UNITS, denominator)
            if steps
            else (rate_bp * PER_BASIS_POINT)
        )
        found.append((lower, upper, min(high, max(low, rate, 0), RATE_UNITS)))
    return found


def _step_value(step: Adjustment, facts: Facts, age: int | None) -> int:
    """The step's own value, or its value for each year of age or insurance beyond a bound."""
    if step.how == "per_year_of_age":
        return step.value * max(0, (age or 0) - step.beyond)
    if step.how == "per_insured_year":
        months = facts[INSURED_MONTHS]
        years = months // 12 if isinstance(months, int) else 0
        return step.value * max(0, years - step.beyond)
    return step.value


def _start(amount: Amount, total_fen: int, base_fen: int) -> tuple[int, int]:
    if not amount.of:
        return amount.fen, 1
    whole = total_fen if amount.of == "total" else base_fen
    return whole * amount.percent_bp, BASIS_POINTS


def _adjusted(
    adjustments: Sequence[Adjustment],
    numerator: int,
    denominator: int,
    facts: Facts,
    age: int | None,
    day: date,
    rounding: Rounding,
) -> int:
    for step in adjustments:
        if not step.condition.holds(facts, age, day):
            continue
        value = _step_value(step, facts, age)
        if step.how == "times":
            numerator, denominator = numerator * value, denominator * BASIS_POINTS
        elif step.how == "minus":
            numerator -= value * denominator
        else:
            numerator += value * denominator
    return max(0, rounded_quotient(numerator, denominator, rounding=rounding))
