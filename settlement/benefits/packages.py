"""Charge packages (按病种收费、按床日收费): one price in place of the lines, before any benefit.

A package that only sets what the hospital is paid leaves the bill as it is and is told beside the
result.  The price is shared out over the lines it replaces in proportion to their amounts, so that
every line still says what it charges; which line gets a fen left over is `money.apportion`'s rule.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from settlement.benefits.conditions import Facts
from settlement.benefits.policy import Package, Policy
from settlement.benefits.values import BenefitsError, Bill, Line, PriceTrace
from settlement.money import apportion


def with_package(
    policy: Policy, bill: Bill, facts: Facts, age: int | None, day: date
) -> tuple[tuple[Line, ...], PriceTrace | None, int | None]:
    """The lines to price, what a package changed, and what it pays the hospital (None for nothing).

    The first package whose conditions hold is taken.  Raises BenefitsError when it goes by the day
    and the bill has no days, or when there is no line to carry the price.
    """
    for position, package in enumerate(policy.packages):
        if not package.condition.holds(facts, age, day):
            continue
        inside = sorted(
            (line for line in bill.lines if line.group not in package.beside),
            key=lambda line: line.no,
        )
        listed = sum(line.amount_fen for line in inside)
        price = _price(package, bill)
        if package.at_most_the_bill:
            price = min(price, listed)
        if package.sets == "hospital_payment":
            return bill.lines, None, price
        if not inside:
            raise BenefitsError("package_without_lines", "lines", f"no line for {package.name}")
        weights = [line.amount_fen for line in inside]
        if not listed:
            weights[0] = 1
        shares = apportion(price, weights)
        charged = {line.no: amount for line, amount in zip(inside, shares, strict=True)}
        lines = tuple(
            replace(
                line,
                amount_fen=charged[line.no],
                item_class="A",
                first_pay_bp=0,
                over_limit_fen=0,
                covered=True,
                prescription_only=False,
                disease_codes=(),
                group="",
                restriction=None,
            )
            if line.no in charged
            else line
            for line in bill.lines
        )
        return lines, PriceTrace("package", position, listed, price), None
    return bill.lines, None, None


def _price(package: Package, bill: Bill) -> int:
    if not package.bands:
        return package.price_fen
    if bill.days is None:
        raise BenefitsError("days_missing", "days", f"{package.name} goes by the day")
    price = before = 0
    for up_to, a_day in package.bands:
        last = bill.days if up_to is None else min(up_to, bill.days)
        if last > before:
            price += (last - before) * a_day
            before = last
    return price
