"""The calculation: take each line apart, then let each layer pay from what is left, in order.

Pure integer arithmetic on the values given.  Rounding happens once per line for a first pay and
once per layer for a payment; the fen a layer does not pay stays with the member.  The lines are
summed into a few parts before any layer runs, so their order cannot matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from settlement.benefits.conditions import Facts, facts_of, filings_in_force
from settlement.benefits.layers import Run, run_layer, unclaimed
from settlement.benefits.ledger import YearToDate
from settlement.benefits.lines import take_lines_apart
from settlement.benefits.packages import with_package
from settlement.benefits.policy import PLAIN, REQUIREMENTS, Layer, Policy
from settlement.benefits.values import (
    PAYERS,
    BenefitsError,
    Bill,
    Filing,
    Member,
    RelativeDraw,
    Result,
    Share,
    Site,
)
from settlement.money import BASIS_POINTS

# Goes up when the same inputs could give another figure; stored with every settlement.
ENGINE_VERSION: Final = "1.1"


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
    day = policy.rules_day(bill)
    ledger = YearToDate(year_to_date, bill)
    ordinal = _number(policy, bill, ledger)
    filings = filings_in_force(member, bill.service_date)
    facts: Facts = facts_of(
        area=policy.area,
        member=member,
        site=site,
        bill=bill,
        filings=filings,
        ordinal=ordinal,
        emergency_counts_as_filed=policy.emergency_counts_as_filed,
    )
    lines, package, hospital_payment = bill.lines, None, None
    if policy.packages:
        lines, package, hospital_payment = with_package(policy, bill, facts, member.age, day)
    lifts = policy.lifted(bill, day)
    taken = take_lines_apart(policy, bill, lines, facts, member.age, day, "catalogue" in lifts)
    splits, total = taken.lines, taken.charged_fen

    run = Run(
        bill,
        facts,
        member.age,
        day,
        policy.rounding,
        taken.parts,
        ledger,
        total,
        dict(bill.stated),
        "caps" in lifts,
        "deductibles" in lifts,
    )
    account_left = account_available_fen
    if bill.account_limit_fen is not None:
        account_left = min(account_left, bill.account_limit_fen)
    relatives_left = sum([each.available_fen for each in bill.relative_accounts])
    paid_by: dict[str, int] = {}
    traces = []
    refusals: list[str] = []
    fund_may_pay = False
    for layer in policy.layers:
        if not layer.condition.holds(facts, member.age, day):
            continue
        missing = _missing(layer, member, filings, site, bill) if layer.requires else ""
        if layer.payer == "account":
            trace = run_layer(layer, run, missing=missing, account_left=account_left)
            if trace.reason == "account_empty" and account_available_fen:
                trace = replace(trace, reason="account_not_wanted")
            account_left -= trace.paid_fen
        elif layer.payer == "relative_account":
            if not bill.relative_accounts:
                # Nobody shares: there is nothing to tell the member about.
                continue
            trace = run_layer(layer, run, missing=missing, account_left=relatives_left)
            relatives_left -= trace.paid_fen
        else:
            trace = run_layer(layer, run, missing=missing, account_left=None)
            if trace.rate_rule >= 0:
                fund_may_pay = True
            else:
                refusals.append(trace.reason)
        traces.append(trace)
        paid_by[layer.payer] = paid_by.get(layer.payer, 0) + trace.paid_fen
    too_much = unclaimed(run.stated)
    if too_much:
        raise BenefitsError(
            "stated_too_much",
            f"stated.{too_much}",
            "more than the layers of this payer can take over",
        )

    paid_by["cash"] = total - sum(paid_by.values())
    if not fund_may_pay:
        reason = refusals[0] if refusals else "no_fund_for_this_kind"
        splits = [replace(split, reason=split.reason or reason) for split in splits]
    return Result(
        total_fen=total,
        shares=tuple([Share(payer, paid_by[payer]) for payer in PAYERS if paid_by.get(payer)]),
        line_splits=tuple(splits),
        first_pays=taken.first_pays,
        layers=tuple(traces),
        year_to_date_after=ledger.after,
        year_to_date_delta=ledger.delta(),
        reads_year_to_date=ledger.was_read,
        benefit_year=policy.year_of(bill),
        policy_name=policy.name,
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        engine_version=ENGINE_VERSION,
        prices=(package, *taken.prices) if package is not None else taken.prices,
        hospital_payment_fen=hospital_payment,
        relative_draws=_draws(bill, paid_by.get("relative_account", 0)),
    )


def _number(policy: Policy, bill: Bill, ledger: YearToDate) -> int:
    """Which bill of its kind this is in the year, counted on; one stay is one, however billed."""
    numbered_in = policy.kind_rules.get(bill.kind, PLAIN).numbered_in
    if numbered_in is None:
        return bill.ordinal or 1
    # The stay keeps the number it got with its first bill.
    of_this_stay = numbered_in.removesuffix(".times") + ".{stay}.times"
    ordinal = ledger.read(of_this_stay)
    if not ordinal:
        ordinal = bill.ordinal or ledger.read(numbered_in) + 1
        ledger.add(numbered_in, 1)
        ledger.add(of_this_stay, ordinal)
    return ordinal


def _draws(bill: Bill, paid_fen: int) -> tuple[RelativeDraw, ...]:
    """What each relative's account pays, in the order in which the bill names them."""
    draws = []
    for account in bill.relative_accounts:
        amount = min(account.available_fen, paid_fen)
        if amount:
            draws.append(RelativeDraw(account.holder, amount))
            paid_fen -= amount
    return tuple(draws)


def _check(
    policy: Policy, bill: Bill, year_to_date: Mapping[str, int], account_available_fen: int
) -> None:
    day = policy.rules_day(bill)
    if not policy.in_force_on(day):
        raise BenefitsError(
            "policy_not_in_force",
            "service_date",
            f"{day} is outside the period of {policy.version}",
        )
    if bill.kind not in policy.kinds:
        known = ", ".join(policy.kinds)
        raise BenefitsError("unknown_kind", "kind", f"expected one of {known}, found {bill.kind!r}")
    if account_available_fen < 0:
        raise BenefitsError("negative_amount", "account_available_fen", "expected zero or more")
    if bill.account_limit_fen is not None and bill.account_limit_fen < 0:
        raise BenefitsError("negative_amount", "account_limit_fen", "expected zero or more")
    for relative in bill.relative_accounts:
        if relative.available_fen < 0:
            raise BenefitsError("negative_amount", "relative_accounts", "expected zero or more")
    for payer, amount in bill.stated:
        if amount < 0:
            raise BenefitsError("negative_amount", f"stated.{payer}", "expected zero or more")
    if bill.days is not None and bill.days < 0:
        raise BenefitsError("negative_amount", "days", "expected zero or more")
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


def _missing(
    layer: Layer, member: Member, in_force: tuple[Filing, ...], site: Site, bill: Bill
) -> str:
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
                for filing in in_force
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
