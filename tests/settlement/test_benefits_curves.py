"""The corners of what a member pays, worked out by hand."""

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.benefits import load_policy
from settlement.benefits.curves import STEPS, Point
from settlement.benefits.trials import Trial, member_curve, price
from tests.settlement.test_benefits_falling import HEAD, deductible, layer, policy, rate, tiers

DAY = date(2024, 5, 1)
CAP = 'cap]]\nper = "bill"\namount = '


def corners(rules, up_to_fen, **trial):
    found = member_curve(rules, Trial("inpatient", DAY, **trial), up_to_fen=up_to_fen)
    return [(point.total_fen, point.personal_fen) for point in found]


CURVES = {
    # All of it up to 500, then a quarter, until 4,000 are paid: (x - 500) x 75 % = 4,000 at
    # 5,833.333; there the member has paid 1,833.33.
    "deductible, rate and cap": (
        policy(layer("basic", deductible("500"), rate(75), f"{CAP}4000")),
        1_000_000,
        [(0, 0), (50_000, 50_000), (583_333, 183_333), (1_000_000, 600_000)],
    ),
    # 10 % up to 10,000, 90 % up to 20,000, then 50 %.
    "tiers": (
        policy(layer("basic", tiers("from_zero"))),
        3_000_000,
        [(0, 0), (1_000_000, 100_000), (2_000_000, 1_000_000), (3_000_000, 1_500_000)],
    ),
    # Nothing is paid below 1,000; from there on half of everything: a jump between two fen.
    "a threshold": (
        policy(layer("basic", deductible("1000", "nothing_once_reached"), rate(50))),
        400_000,
        [(0, 0), (99_999, 99_999), (100_000, 50_000), (400_000, 200_000)],
    ),
    # A second layer pays 60 % of what is left over 333.33, which the half of 666.67 is, rounded.
    "a layer on what another leaves": (
        policy(
            layer("basic", rate(50)),
            layer("major", deductible('"333.33"'), rate(60), payer="major_illness",
                  base='["in_range.unpaid"]'),
        ),
        200_000,
        [(0, 0), (66_667, 33_333), (200_000, 60_000)],
    ),
    # 40 % of the first fen over the deductible are rounded to nothing; the corner is before it.
    "a rate that begins below half a fen": (
        policy(layer("basic", deductible("1000"), rate(40))),
        300_000,
        [(0, 0), (100_000, 100_000), (300_000, 220_000)],
    ),
    # 300 are paid of whatever is over 100.
    "a fixed amount": (
        policy(layer("basic", deductible("100"), "rate]]\nfixed = 300")),
        100_000,
        [(0, 0), (10_000, 10_000), (40_000, 10_000), (100_000, 70_000)],
    ),
    "nothing is paid at all": (
        policy(layer("basic", rate(50, 'levels = [1]'))), 12_345, [(0, 0), (12_345, 12_345)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_has_its_corners_where_a_person_works_them_out(name):
    rules, up_to_fen, expected = CURVES[name]
    assert corners(rules, up_to_fen) == expected


def test_what_was_met_earlier_in_the_year_moves_the_corners():
    yearly = 'per = "year"\ncounts_in = "x.deductible"'
    text = layer("basic", deductible("500").replace('per = "bill"', yearly), rate(75))
    rules = load_policy(HEAD + text, name="a")
    found = corners(rules, 100_000, year_to_date={"x.deductible": 12_345})
    assert found[1] == (37_655, 37_655)


def test_a_curve_of_the_least_length_has_two_ends():
    rules = CURVES["tiers"][0]
    assert corners(rules, 1) == [(0, 0), (1, 0)]


def test_rules_of_more_bends_than_a_page_waits_for_are_drawn_at_even_distances(monkeypatch):
    monkeypatch.setattr("settlement.benefits.trials._MOST_LAYERS_LOOKED_AT", 10)
    found = corners(CURVES["tiers"][0], 2_000_000)
    assert len(found) == STEPS + 1
    assert (found[0], found[-1]) == ((0, 0), (2_000_000, 1_000_000))


SHIPPED = sorted((Path(__file__).resolve().parents[2] / "policies").glob("*.toml"))


@given(
    path=st.sampled_from(SHIPPED), fen=st.integers(0, 60_000_000), scheme=st.sampled_from(
        ["employee", "resident"]
    ), number=st.integers(0, 20),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_between_two_corners_of_the_shipped_policies_the_line_is_straight(
    path, fen, scheme, number
):
    rules = load_policy(path.read_text(encoding="utf-8"), name=path.name)
    kind = list(rules.kinds)[number % len(rules.kinds)]
    trial = Trial(kind, DAY, scheme=scheme, category="retired")
    points = member_curve(rules, trial, up_to_fen=60_000_000)
    before, after = next(
        pair for pair in pairwise(points) if pair[0].total_fen <= fen <= pair[1].total_fen
    )
    paid = price(rules, Trial(kind, DAY, scheme=scheme, category="retired", class_a_fen=fen))
    run = after.total_fen - before.total_fen
    line = (
        before.personal_fen
        + (after.personal_fen - before.personal_fen) * (fen - before.total_fen) // run
    )
    assert abs(paid.personal_fen - line) <= 12
    assert points[0] == Point(0, 0)
