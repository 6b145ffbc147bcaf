"""What a member's year would have been with other bills: returns under "restate", and replays.

A settled bill is its policy and its stored inputs; the year is priced again in the order in which
the bills were accepted, each from the year to date that the one before it left.  It books nothing:
which difference is paid, and whether later bills are touched at all, is for whoever returns goods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from settlement.benefits.calculation import calculate
from settlement.benefits.canonical import CalculationInputs
from settlement.benefits.policy import Policy
from settlement.benefits.values import Bill, Result


@dataclass(frozen=True, slots=True)
class Settled:
    """One accepted bill: the policy it was priced by and the inputs stored with it."""

    policy: Policy
    inputs: CalculationInputs


def with_lines(settled: Settled, *, amounts_fen: Mapping[int, int]) -> Settled:
    """The bill with other amounts for some of its lines, by number; zero takes a line out.

    A price-limit excess shrinks in proportion, rounded down: the member never bears more of a limit
    than before.  Raises ValueError for a line the bill has not, or for more than was settled.
    """
    bill = settled.inputs["bill"]
    known = {line.no: line.amount_fen for line in bill.lines}
    for no, amount in amounts_fen.items():
        if no not in known or not 0 <= amount <= known[no]:
            raise ValueError(f"line {no}: expected 0 to {known.get(no, 0)} fen, found {amount}")
    lines = tuple(
        replace(
            line,
            amount_fen=amounts_fen.get(line.no, line.amount_fen),
            over_limit_fen=line.over_limit_fen
            * amounts_fen.get(line.no, line.amount_fen)
            // max(1, line.amount_fen),
        )
        for line in bill.lines
        if amounts_fen.get(line.no, 1)
    )
    return _with_bill(settled, replace(bill, lines=lines))


def restated(bills: Sequence[Settled], *, year_to_date: Mapping[str, int]) -> tuple[Result, ...]:
    """Every bill of one benefit year priced again in order, from the year to date before the first.

    The account's money is each bill's own stored figure: what an account could give on that day is
    not undone by a later return.  Raises BenefitsError when a bill can no longer be priced.
    """
    results: list[Result] = []
    before: Mapping[str, int] = year_to_date
    for settled in bills:
        inputs = settled.inputs
        result = calculate(
            policy=settled.policy,
            member=inputs["member"],
            site=inputs["site"],
            bill=inputs["bill"],
            year_to_date=before,
            account_available_fen=inputs["account_available_fen"],
        )
        results.append(result)
        before = result.year_to_date_after
    return tuple(results)


def _with_bill(settled: Settled, bill: Bill) -> Settled:
    inputs: CalculationInputs = {**settled.inputs, "bill": bill}
    return Settled(settled.policy, inputs)
