"""Returning an earlier bill under restate equals never having had it, whatever the policy says."""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from settlement.benefits import calculate
from settlement.benefits.restating import Settled, restated, with_lines
from tests.settlement.benefits_worlds import worlds
from tests.settlement.test_benefits_time import BILL, MEMBER, POLICY, SITE

EXAMPLES = int(os.environ.get("BENEFIT_EXAMPLES", "200"))


def settled(world, **changes):
    inputs = {name: value for name, value in world.arguments().items() if name != "policy"}
    return Settled(world.policy, {**inputs, **changes})


def year_of(world):
    """Three bills of one year: the world's, a smaller one, and the world's again."""
    bill = world.bill
    half = replace(
        bill, lines=tuple(replace(line, amount_fen=line.amount_fen // 2) for line in bill.lines)
    )
    return [settled(world), settled(world, bill=half), settled(world)]


@given(world=worlds())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_year_restated_without_a_bill_is_the_year_that_never_had_it(world):
    bills = year_of(world)
    before = world.year_to_date
    assert restated(bills, year_to_date=before)[0] == calculate(**world.arguments())
    # The last one returned: the others stand as they were.
    assert restated(bills[:2], year_to_date=before) == restated(bills, year_to_date=before)[:2]
    # An earlier one returned: the others are priced as if it had never been.
    first, _, third = bills
    without = restated([first, third], year_to_date=before)
    assert without[1] == calculate(
        **{**world.arguments(), "year_to_date": without[0].year_to_date_after}
    )


@given(world=worlds())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_lines_returned_in_any_order_end_alike(world):
    bill = settled(world)
    numbers = [line.no for line in world.bill.lines]
    if world.policy.packages or len(numbers) < 2:
        return
    one, two = numbers[:2]
    there = with_lines(with_lines(bill, amounts_fen={one: 0}), amounts_fen={two: 0})
    back = with_lines(with_lines(bill, amounts_fen={two: 0}), amounts_fen={one: 0})
    both = with_lines(bill, amounts_fen={one: 0, two: 0})
    before = world.year_to_date
    results = [restated([each], year_to_date=before) for each in (there, back, both)]
    assert results[0] == results[1] == results[2]
    whole = restated([bill], year_to_date=before)[0]
    assert results[0][0].fund_fen <= whole.fund_fen


@pytest.mark.parametrize("amounts_fen", [{99: 0}, {1: 10**12}, {1: -1}])
def test_more_than_was_settled_cannot_be_returned(amounts_fen):
    inputs = {"member": MEMBER, "site": SITE, "bill": BILL, "year_to_date": {}}
    bill = Settled(POLICY, {**inputs, "account_available_fen": 0})
    with pytest.raises(ValueError, match="line"):
        with_lines(bill, amounts_fen=amounts_fen)
