"""Adjusted figures are exact to the end, and a bill that lacks what a rule needs is refused."""

from dataclasses import replace

import pytest

from settlement.benefits import BenefitsError, calculate, explain, load_policy
from tests.settlement.test_benefits_policies import GOOD
from tests.settlement.test_benefits_time import BILL, MEMBER, SITE

FLAT = GOOD.replace(
    '[[layer.deductible]]\namount = 1000.50\nper = "year"\ncounts_in = "pool.deductible"\n'
    'source = "a"\n',
    "",
).replace('[[layer.cap]]\namount = "2000"\nper = "bill"\nsource = "a"\n', "")
SMALL_BILL = replace(
    BILL,
    kind="outpatient",
    service_date=BILL.service_date.replace(year=2022),
    lines=(replace(BILL.lines[0], amount_fen=1_000_00),),
)


def price(rate, *, bill=SMALL_BILL, member=MEMBER):
    policy = load_policy(FLAT.replace('rate = "70%"\n', rate + "\n"), name="x.toml")
    result = calculate(
        policy=policy,
        member=member,
        site=replace(SITE, area="370300"),
        bill=bill,
        year_to_date={},
        account_available_fen=0,
    )
    return policy, result


@pytest.mark.parametrize(
    ("rate", "pool_fen", "said"),
    [
        ('rate = "72.5%"', 725_00, "72.5%"),
        ('rate = "72.5%"\nadjust = [{ times = "85%", source = "a" }]', 616_25, "61.625%"),
        # A third of a third of a third: rounded once, at the end.
        (
            'rate = "33.33%"\nadjust = [{ times = "33.33%", source = "a" },'
            ' { times = "33.33%", source = "a" }]',
            37_03,
            "3.702593%",
        ),
        ('rate = "85%"\nadjust = [{ personal_times = "60%", source = "a" }]', 910_00, "91%"),
        ('rate = "95%"\nadjust = [{ plus_points = "9%", source = "a" }]', 1_000_00, "100%"),
        ('rate = "95%"\nat_most = "97%"\nadjust = [{ plus_points = "9%", source = "a" }]',
         970_00, "97%"),
        ('rate = "5%"\nadjust = [{ minus_points = "9%", source = "a" }]', 0, ""),
        (
            'rate = "75%"\nadjust = [{ plus_points_per_year_of_age = "0.2%", beyond = 30,'
            ' source = "a" }]',
            770_00,
            "77%",
        ),
        # The order of the file is the order of the steps.
        (
            'rate = "80%"\nadjust = [{ minus_points = "10%", source = "a" },'
            ' { times = "50%", source = "a" }]',
            350_00,
            "35%",
        ),
        ("fixed = 300", 300_00, "a fixed amount"),
        ("fixed = 1300", 1_000_00, "a fixed amount"),
    ],
)  # fmt: skip
def test_a_rate_is_adjusted_step_by_step_and_rounded_once(rate, pool_fen, said):
    policy, result = price(rate)
    assert result.share("pool") == pool_fen
    assert said in " ".join(explain(result, policy=policy, language="en"))


def test_a_fixed_amount_a_day_needs_days():
    with pytest.raises(BenefitsError) as refused:
        price("fixed_per_day = 50")
    assert (refused.value.code, refused.value.param) == ("days_missing", "days")
    assert price("fixed_per_day = 50", bill=replace(SMALL_BILL, days=3))[1].fund_fen == 150_00


@pytest.mark.parametrize(("stated", "fits"), [(1_000_00, True), (1_000_01, False)])
def test_no_more_can_be_stated_than_there_is_to_pay(stated, fits):
    bill = replace(SMALL_BILL, stated=(("pool", stated),))
    if fits:
        assert price("stated = true", bill=bill)[1].share("pool") == stated
        return
    with pytest.raises(BenefitsError) as refused:
        price("stated = true", bill=bill)
    assert (refused.value.code, refused.value.param) == ("stated_too_much", "stated.pool")
