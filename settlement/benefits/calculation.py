"""The calculation: take each line apart, then let each layer pay from what is left, in order.

Pure integer arithmetic on the values given.  Rounding happens once per line for a first pay and
once per layer for a payment; the fen a layer does not pay stays with the member.  The lines are
summed into a few parts before any layer runs, so their order cannot matter; each part is kept in
two halves, for lines the account may pay and for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final

from settlement.benefits.lines import Parts, take_lines_apart
from settlement.benefits.policy import (
    REQUIREMENTS,
    UNPAID,
    Facts,
    Layer,
    Policy,
    RateRule,
)
from settlement.benefits.values import (
    OWN_PAYERS,
    PAYERS,
    BenefitsError,
    Bill,
    LayerTrace,
    Member,
    Result,
    Share,
    Site,
    TierTrace,
)
from settlement.money import BASIS_POINTS, Rounding, rounded_quotient

# Goes up when the same inputs could give another figure; stored with every settlement.
ENGINE_VERSION: Final = "1.0"

LONG_TERM_AWAY: Final = "long_term_away"


class _YearToDate:
    """The accumulators while a bill is priced; remembers whether anyone looked."""

    __slots__ = ("after", "before", "disease", "was_read")

    def __init__(self, before: Mapping[str, int], disease: str | None) -> None:
        self.before = before
        self.after = {name: amount for name, amount in before.items() if amount}
        self.disease = disease or ""
        self.was_read = False

    def read(self, name: str) -> int:
        self.was_read = True
        return self.after.get(self._own(name), 0)

    def add(self, name: str, amount_fen: int) -> None:
        if amount_fen:
            own = self._own(name)
            self.after[own] = self.after.get(own, 0) + amount_fen

    def delta(self) -> dict[str, int]:
        before = self.before
        return {
            name: amount - before.get(name, 0)
            for name, amount in sorted(self.after.items())
            if amount != before.get(name, 0)
        }

    def _own(self, name: str) -> str:
        return name.replace("{disease}", self.disease) if "{" in name else name


def calculate(
    *,
    policy: Policy,
    member: Member,
    site: Site,
    bill: Bill,
    year_to_date: Mapping[str, int],
    account_available_fen: int,
) -> Result:
    """Who pays which fen of the bill under the policy.

    ``year_to_date`` holds the member's accumulators of ``policy.benefit_year(bill.service_date)``
    in fen; names the policy does not know are carried through.  ``account_available_fen`` is what
    the member's account can give now.  Raises BenefitsError for inputs that cannot be priced.
    """
    _check(policy, bill, year_to_date, account_available_fen)
    care = _care(policy, member, site)
    facts: Facts = (
        member.scheme,
        member.category,
        member.aid,
        bill.kind,
        bill.disease_code,
        site.kind,
        site.level,
        care,
        "",
        "",
    )
    splits, first_pays, parts = take_lines_apart(policy, bill, facts, member.age)
    total = sum(line.amount_fen for line in bill.lines)

    ledger = _YearToDate(year_to_date, bill.disease_code)
    account_left = account_available_fen
    if bill.account_limit_fen is not None:
        account_left = min(account_left, bill.account_limit_fen)
    paid_by: dict[str, int] = {}
    traces: list[LayerTrace] = []
    refusals: list[str] = []
    fund_may_pay = False
    for layer in policy.layers:
        if not layer.condition.holds(facts, member.age, bill.service_date):
            continue
        is_account = layer.payer == "account"
        trace = _run_layer(
            layer,
            policy.rounding,
            parts,
            ledger,
            _missing(layer, member, site, bill),
            facts,
            member.age,
            bill.service_date,
            account_left if is_account else None,
        )
        if is_account:
            if trace.reason == "account_empty" and account_available_fen:
                trace = replace(trace, reason="account_not_wanted")
            account_left -= trace.paid_fen
        elif layer.payer not in OWN_PAYERS:
            if trace.rate_rule >= 0:
                fund_may_pay = True
            else:
                refusals.append(trace.reason)
        traces.append(trace)
        paid_by[layer.payer] = paid_by.get(layer.payer, 0) + trace.paid_fen

    paid_by["cash"] = total - sum(paid_by.values())
    if not fund_may_pay:
        reason = refusals[0] if refusals else "no_fund_for_this_kind"
        splits = [replace(split, reason=split.reason or reason) for split in splits]
    return Result(
        total_fen=total,
        shares=tuple(Share(payer, paid_by[payer]) for payer in PAYERS if paid_by.get(payer)),
        line_splits=tuple(splits),
        first_pays=first_pays,
        layers=tuple(traces),
        year_to_date_after=ledger.after,
        year_to_date_delta=ledger.delta(),
        reads_year_to_date=ledger.was_read,
        benefit_year=policy.benefit_year(bill.service_date),
        policy_name=policy.name,
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        engine_version=ENGINE_VERSION,
    )


def _check(
    policy: Policy, bill: Bill, year_to_date: Mapping[str, int], account_available_fen: int
) -> None:
    if not policy.in_force_on(bill.service_date):
        raise BenefitsError(
            "policy_not_in_force",
            "service_date",
            f"{bill.service_date} is outside the period of {policy.version}",
        )
    if bill.kind not in policy.kinds:
        known = ", ".join(policy.kinds)
        raise BenefitsError("unknown_kind", "kind", f"expected one of {known}, found {bill.kind!r}")
    if account_available_fen < 0:
        raise BenefitsError("negative_amount", "account_available_fen", "expected zero or more")
    if bill.account_limit_fen is not None and bill.account_limit_fen < 0:
        raise BenefitsError("negative_amount", "account_limit_fen", "expected zero or more")
    for name, amount in year_to_date.items():
        if amount < 0:
            raise BenefitsError("negative_amount", f"year_to_date.{name}", "expected zero or more")
    numbers: set[int] = set()
    for line in bill.lines:
        if line.amount_fen < 0 or line.over_limit_fen < 0:
            raise BenefitsError("negative_amount", f"lines.{line.no}", "expected zero or more")
        if not 0 <= line.first_pay_bp <= BASIS_POINTS:
            raise BenefitsError(
                "rate_out_of_range", f"lines.{line.no}", "expected 0 to 10000 basis points"
            )
        numbers.add(line.no)
    if len(numbers) != len(bill.lines):
        raise BenefitsError("duplicate_line", "lines", "expected each line number once")


def _care(policy: Policy, member: Member, site: Site) -> str:
    if site.area == policy.area:
        return "home"
    if any(filing.kind == LONG_TERM_AWAY for filing in member.filings):
        return "away_long_term"
    return "away_temporary"


def _missing(layer: Layer, member: Member, site: Site, bill: Bill) -> str:
    """The reason of the first requirement the member does not meet, or nothing."""
    for requirement in layer.requires:
        if requirement == "pool_in_force":
            met = member.pool_in_force
        elif requirement == "account_in_force":
            met = member.account_in_force
        else:
            kind = layer.filing_kind or bill.kind
            filings = [
                filing
                for filing in member.filings
                if filing.kind == kind and filing.disease_code == (bill.disease_code or "")
            ]
            met = bool(filings)
            if requirement == "chosen_institution":
                met = any(
                    not filing.institution_codes
                    or site.institution_code in filing.institution_codes
                    for filing in filings
                )
        if not met:
            return REQUIREMENTS[requirement]
    return ""


def _run_layer(
    layer: Layer,
    rounding: Rounding,
    parts: Parts,
    ledger: _YearToDate,
    missing: str,
    facts: Facts,
    age: int | None,
    day: date,
    account_left: int | None,
) -> LayerTrace:
    """One layer: what it builds on, what it pays, and what it leaves to the layers after it."""
    sources = tuple(parts) if UNPAID in layer.base else layer.base
    base_ok = base_other = 0
    for name in sources:
        part = parts.get(name)
        if part is not None:
            base_ok += part[0]
            base_other += part[1]
    # The account pays only for lines it may pay for; every other payer looks at all of them.
    base = base_ok if account_left is not None else base_ok + base_other

    rate_rule = -1
    for index, candidate in enumerate(layer.rates):
        if candidate.condition.holds(facts, age, day):
            rate_rule = index
            break
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
        if not cap.condition.holds(facts, age, day):
            continue
        left = cap.amount_fen
        if cap.counts_in is not None:
            left = max(0, left - ledger.read(cap.counts_in))
            caps_in_year.append((cap.counts_in, cap.of_base))
        if cap.of_base:
            if left < eligible:
                eligible, cap_rule = left, index
        elif payment_left is None or left < payment_left:
            payment_left, cap_rule = left, index

    deductible = deductible_left = 0
    deductible_rule = -1
    deductible_counts_in: str | None = None
    for index, rule in enumerate(layer.deductibles):
        if rule.condition.holds(facts, age, day):
            deductible_rule = index
            deductible_left = rule.amount_fen
            deductible_counts_in = rule.counts_in
            if rule.counts_in is not None:
                deductible_left = max(0, deductible_left - ledger.read(rule.counts_in))
            deductible = min(eligible, deductible_left)
            break

    before = ledger.read(rate.counts_in) if rate.counts_in is not None else 0
    tiers = _bands(rate, before, deductible, eligible, rounding)
    uncapped = sum(tier.paid_fen for tier in tiers)
    paid = uncapped if payment_left is None else min(uncapped, payment_left)
    over_cap = (base - eligible) + (uncapped - paid)

    # The halves follow the whole in proportion: cumulative, so each half stays whole and positive.
    marks: tuple[int, ...] = (paid, paid + deductible, base - over_cap, base)
    if account_left is not None or not base_other:
        ok_marks: tuple[int, ...] = marks
    elif not base_ok:
        ok_marks = (0, 0, 0, 0)
    else:
        ok_marks = tuple(rounded_quotient(mark * base_ok, base) for mark in marks)
    for name in sources:
        if name in parts:
            if account_left is None:
                del parts[name]
            else:
                parts[name][0] = 0
    for position, left_name in enumerate(("deductible", "co_payment", "above_cap"), start=1):
        amount = marks[position] - marks[position - 1]
        if amount:
            amount_ok = ok_marks[position] - ok_marks[position - 1]
            parts[f"{layer.name}.{left_name}"] = [amount_ok, amount - amount_ok]

    # Each accumulator moves once a bill, however many figures of the layer count in it.
    moves: dict[str, int] = {}
    if deductible_counts_in is not None:
        moves[deductible_counts_in] = deductible
    for name, of_base in caps_in_year:
        moves[name] = eligible if of_base else paid
    if rate.counts_in is not None:
        moves[rate.counts_in] = eligible if rate.from_zero else eligible - deductible
    for measure, name in layer.counts:
        moves[name] = {
            "deductible": deductible,
            "payment": paid,
            "base": eligible,
            "above_deductible": eligible - deductible,
            "personal": base - paid,
        }[measure]
    for name, amount in moves.items():
        ledger.add(name, amount)

    reason = ""
    if not paid:
        reason = _why_nothing(account_left, payment_left, eligible, deductible, uncapped)
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
    )


def _bands(
    rate: RateRule, before: int, deductible: int, eligible: int, rounding: Rounding
) -> tuple[TierTrace, ...]:
    """The bands the bill falls in and what each pays.

    The exact sum over the bands is rounded once; a band's own figure is the step between two
    rounded running sums, so the bands add up to the payment to the fen.
    """
    start = before + deductible if rate.from_zero else before
    end = start + eligible - deductible
    found: list[TierTrace] = []
    exact = rounded = 0
    for lower, upper, rate_bp in rate.tiers:
        low = lower if lower > start else start
        high = end if upper is None or end < upper else upper
        if high <= low:
            continue
        exact += (high - low) * rate_bp
        running = rounded_quotient(exact, BASIS_POINTS, rounding=rounding)
        found.append(TierTrace(lower, upper, rate_bp, high - low, running - rounded))
        rounded = running
    return tuple(found)


def _why_nothing(
    account_left: int | None,
    payment_left: int | None,
    eligible: int,
    deductible: int,
    uncapped: int,
) -> str:
    if account_left == 0:
        return "account_empty"
    if payment_left == 0 or not eligible:
        return "cap_reached"
    if deductible == eligible:
        return "within_deductible"
    return "rounds_to_nothing" if not uncapped else "cap_reached"


def _nothing(layer: Layer, base: int, reason: str, rate_rule: int) -> LayerTrace:
    return LayerTrace(
        layer.name, layer.payer, base, 0, 0, (), None, 0, 0, reason, rate_rule=rate_rule
    )
