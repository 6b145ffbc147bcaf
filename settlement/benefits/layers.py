"""One layer of a policy at work: its base, its deductible, its tiers, its cap, and what it leaves.

The parts of the bill go in and come out changed: what a fund's layer looked at leaves under the
layer's own names, what an account did not pay keeps its name.  Each part is kept in two halves, for
lines the account may pay and for the others.  It decides nothing about the order of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from settlement.benefits.conditions import Facts
from settlement.benefits.figures import adjusted_rates, cap_amount, deductible_amount
from settlement.benefits.ledger import YearToDate
from settlement.benefits.lines import Parts, first_match
from settlement.benefits.policy import (
    PER_BASIS_POINT,
    RATE_UNITS,
    UNPAID,
    Deductible,
    Layer,
    RateRule,
)
from settlement.benefits.values import BenefitsError, Bill, LayerTrace, TierTrace
from settlement.money import Rounding, rounded_quotient, share_of


@dataclass(slots=True)
class Run:
    """What all layers of one calculation share; ``parts``, ``ledger`` and ``stated`` change."""

    bill: Bill
    facts: Facts
    age: int | None
    day: date
    rounding: Rounding
    parts: Parts
    ledger: YearToDate
    total_fen: int
    # What a slip says each payer paid elsewhere and no layer has taken over yet.
    stated: dict[str, int]
    caps_lifted: bool
    deductibles_lifted: bool


def run_layer(layer: Layer, run: Run, *, missing: str, account_left: int | None) -> LayerTrace:
    """One layer's step.  ``missing`` is why it may not pay; ``account_left`` makes it an account's.

    Raises BenefitsError when a rate goes by the day and the bill has no days, or when more is
    stated as paid than there is to pay for.
    """
    facts, age, day, ledger = run.facts, run.age, run.day, run.ledger
    taken = _taken(layer, run)
    base_ok = base_other = 0
    for _, ok, other in taken:
        base_ok += ok
        base_other += other
    # An account pays only for lines it may pay for; every other payer looks at all of them.
    base = base_ok if account_left is not None else base_ok + base_other

    rate_rule = first_match(layer.rates, facts, age, day)
    if missing or rate_rule < 0:
        return _nothing(layer, base, missing or "no_rate_for_this_case", -1)
    if not base:
        return _nothing(layer, 0, "nothing_in_base", rate_rule)
    rate = layer.rates[rate_rule]

    # Cost bands first: cost above them never reaches the deductible or a rate.
    payment_left: int | None = account_left
    cap_rule = -1
    eligible = base
    caps_in_year: list[tuple[str, bool]] = []
    for index, cap in enumerate(layer.caps):
        if run.caps_lifted or not cap.condition.holds(facts, age, day):
            continue
        left = cap_amount(
            cap,
            facts=facts,
            age=age,
            day=day,
            total_fen=run.total_fen,
            base_fen=base,
            rounding=run.rounding,
        )
        if cap.counts_in is not None:
            left = max(0, left - ledger.read(cap.counts_in))
            caps_in_year.append((cap.counts_in, cap.of_base))
        if cap.of_base:
            if left < eligible:
                eligible, cap_rule = left, index
        elif payment_left is None or left < payment_left:
            payment_left, cap_rule = left, index

    deductible = deductible_left = deductible_met = 0
    rule: Deductible | None = None
    deductible_rule = -1
    if not run.deductibles_lifted and layer.deductibles:
        deductible_rule = first_match(layer.deductibles, facts, age, day)
    if deductible_rule >= 0:
        rule = layer.deductibles[deductible_rule]
        # A percentage is of the cost that counts: above a cost cap nothing more is taken off.
        deductible_left = _deductible_left(rule, run, eligible)
        deductible_met = deductible = min(eligible, deductible_left)
        if rule.after_rate or (rule.whole_once_reached and eligible >= deductible_left):
            deductible = 0

    tiers: tuple[TierTrace, ...] = ()
    start = set_fen = 0
    if rate.kind == "rate":
        start = _start(rate, run, deductible)
        tiers = _bands(rate, run, start, deductible, eligible)
        uncapped = sum([tier.paid_fen for tier in tiers])
    elif rate.kind == "fixed":
        set_fen = _fixed(rate, run)
        uncapped = min(set_fen, eligible - deductible)
    else:
        set_fen = run.stated.get(layer.payer, 0)
        uncapped = min(set_fen, eligible - deductible)
        run.stated[layer.payer] = set_fen - uncapped
    if rule is not None and rule.after_rate:
        deductible_met = deductible = min(uncapped, deductible_left)
        uncapped -= deductible
    paid = uncapped if payment_left is None else min(uncapped, payment_left)
    over_cap = (base - eligible) + (uncapped - paid)

    if account_left is None:
        marks = (paid, paid + deductible, base - over_cap, base)
        _leave(layer, run.parts, taken, marks, base_ok, base_other)
    else:
        _draw(run.parts, taken, paid)

    # Each accumulator moves once a bill, however many figures of the layer count in it.
    moves: dict[str, int] = {}
    if rule is not None:
        if rule.counts_in is not None:
            moves[rule.counts_in] = deductible_met
        if rule.ceiling_in is not None:
            moves[rule.ceiling_in] = deductible_met
    for name, of_base in caps_in_year:
        moves[name] = eligible if of_base else paid
    before_rate = 0 if rule is not None and rule.after_rate else deductible
    if rate.counts_in is not None:
        moves[rate.counts_in] = eligible if rate.from_zero else eligible - before_rate
    for measure, name in layer.counts:
        moves[name] = {
            "deductible": deductible,
            "payment": paid,
            "base": eligible,
            "above_deductible": eligible - before_rate,
            "personal": base - paid,
        }[measure]
    for name, amount in moves.items():
        ledger.add(name, amount)

    reason = ""
    if not paid:
        reason = _why_nothing(account_left, payment_left, eligible, deductible, uncapped, rate.kind)
    return LayerTrace(
        layer.name,
        layer.payer,
        base,
        deductible_left,
        deductible,
        tiers,
        payment_left,
        over_cap,
        paid,
        reason,
        deductible_rule,
        rate_rule,
        cap_rule,
        eligible,
        start,
        set_fen,
    )


def _taken(layer: Layer, run: Run) -> list[tuple[str, int, int]]:
    """The parts the layer looks at, in its order: name, account half, other half."""
    parts = run.parts
    if not layer.base_parts:
        sources = tuple(parts) if UNPAID in layer.base else layer.base
        return [(name, parts[name][0], parts[name][1]) for name in sources if name in parts]
    found: list[tuple[str, int, int]] = []
    seen: set[str] = set()
    for each in layer.base_parts:
        part = parts.get(each.part)
        if part is None or each.part in seen:
            continue
        if each.condition.holds(run.facts, run.age, run.day):
            seen.add(each.part)
            ok, other = (share_of(half, each.counted_bp, rounding=run.rounding) for half in part)
            found.append((each.part, ok, other))
    return found


def _deductible_left(rule: Deductible, run: Run, base: int) -> int:
    left = deductible_amount(
        rule,
        facts=run.facts,
        age=run.age,
        day=run.day,
        total_fen=run.total_fen,
        base_fen=base,
        rounding=run.rounding,
    )
    if rule.counts_in is not None:
        left = max(0, left - run.ledger.read(rule.counts_in))
    if rule.ceiling_in is not None and rule.ceiling_fen is not None:
        left = min(left, max(0, rule.ceiling_fen - run.ledger.read(rule.ceiling_in)))
    return left


def _fixed(rate: RateRule, run: Run) -> int:
    if not rate.per_day:
        return rate.fixed_fen
    if run.bill.days is None:
        raise BenefitsError("days_missing", "days", "a fixed amount goes by the day")
    return rate.fixed_fen * run.bill.days


def _start(rate: RateRule, run: Run, deductible: int) -> int:
    """Where in the bands the first fen after the deductible falls."""
    before = run.ledger.read(rate.counts_in) if rate.counts_in is not None else 0
    return before + deductible if rate.from_zero else before


def _bands(
    rate: RateRule, run: Run, start: int, deductible: int, eligible: int
) -> tuple[TierTrace, ...]:
    """The bands the bill falls in and what each pays.

    The exact sum over the bands is rounded once; a band's own figure is the step between two
    rounded running sums, so the bands add up to the payment to the fen.
    """
    end = start + eligible - deductible
    if rate.adjustments or rate.at_least_bp or rate.at_most_bp < 10_000:
        bands = adjusted_rates(rate, facts=run.facts, age=run.age, day=run.day)
    else:
        bands = [(lower, upper, bp * PER_BASIS_POINT) for lower, upper, bp in rate.tiers]
    found: list[TierTrace] = []
    exact = rounded = 0
    for lower, upper, units in bands:
        low = lower if lower > start else start
        high = end if upper is None or end < upper else upper
        if high <= low:
            continue
        exact += (high - low) * units
        running = rounded_quotient(exact, RATE_UNITS, rounding=run.rounding)
        rate_bp, rest = divmod(units, PER_BASIS_POINT)
        found.append(TierTrace(lower, upper, rate_bp, high - low, running - rounded, rest))
        rounded = running
    return tuple(found)


def _leave(
    layer: Layer,
    parts: Parts,
    taken: list[tuple[str, int, int]],
    marks: tuple[int, int, int, int],
    base_ok: int,
    base_other: int,
) -> None:
    """Take the base out of the parts and put back what the layer leaves of it, by its own names."""
    # The halves follow the whole in proportion: cumulative, so each half stays whole and positive.
    if not base_other:
        ok_marks: tuple[int, ...] = marks
    elif not base_ok:
        ok_marks = (0, 0, 0, 0)
    else:
        base = base_ok + base_other
        ok_marks = tuple([rounded_quotient(mark * base_ok, base) for mark in marks])
    for name, ok, other in taken:
        part = parts[name]
        part[0] -= ok
        part[1] -= other
        if not part[0] and not part[1]:
            del parts[name]
    for position, left_name in enumerate(("deductible", "co_payment", "above_cap"), start=1):
        amount = marks[position] - marks[position - 1]
        if amount:
            amount_ok = ok_marks[position] - ok_marks[position - 1]
            parts[f"{layer.name}.{left_name}"] = [amount_ok, amount - amount_ok]


def _draw(parts: Parts, taken: list[tuple[str, int, int]], paid: int) -> None:
    """Take what an account pays from the parts in the order of the base."""
    for name, ok, _ in taken:
        drawn = min(ok, paid)
        parts[name][0] -= drawn
        paid -= drawn


def _why_nothing(
    account_left: int | None,
    payment_left: int | None,
    eligible: int,
    deductible: int,
    uncapped: int,
    kind: str,
) -> str:
    if account_left == 0:
        return "account_empty"
    if payment_left == 0 or not eligible:
        return "cap_reached"
    if deductible == eligible:
        return "within_deductible"
    if kind == "stated":
        return "nothing_stated"
    return "rounds_to_nothing" if not uncapped else "cap_reached"


def _nothing(layer: Layer, base: int, reason: str, rate_rule: int) -> LayerTrace:
    return LayerTrace(
        layer.name, layer.payer, base, 0, 0, (), None, 0, 0, reason, rate_rule=rate_rule
    )


def unclaimed(stated: Mapping[str, int]) -> str:
    """The first payer stated to have paid more than its layers could take over, or nothing."""
    return next((payer for payer, left in stated.items() if left), "")
