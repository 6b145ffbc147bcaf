"""Fen arithmetic: strict text, one rounding, and who gets what is left over."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.money import (
    PRODUCT_UNITS_PER_FEN,
    amount_matches,
    apportion,
    fen,
    over_limit,
    quantity_times_price,
    share_of,
    yuan,
)

AMOUNTS = st.integers(min_value=-(10**12), max_value=10**12)


@given(AMOUNTS)
def test_yuan_text_reads_back_as_the_same_fen(amount):
    assert fen(yuan(amount)) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", 0), ("12", 1200), ("12.3", 1230), ("12.34", 1234), ("-0.05", -5), ("0.01", 1)],
)
def test_yuan_are_read_to_the_fen(text, amount):
    assert fen(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "5.",
        "1.234",
        "+1",
        "01",
        "1e3",
        "1,000",
        " 1",
        "1\n",
        "１",
        "NaN",
        "--1",
        "9" * 14,
    ],
)
def test_any_other_spelling_of_an_amount_is_refused(text):
    with pytest.raises(ValueError, match="expected yuan"):
        fen(text)


@pytest.mark.parametrize(
    ("amount", "rate_bp", "rounding", "share"),
    [
        (5, 1000, "half_up", 1),
        (5, 1000, "half_even", 0),
        (15, 1000, "half_up", 2),
        (15, 1000, "half_even", 2),
        (25, 1000, "half_up", 3),
        (25, 1000, "half_even", 2),
        (-5, 1000, "half_up", -1),
        (4, 1000, "half_up", 0),
        (6, 1000, "half_even", 1),
        (12345, 10000, "half_up", 12345),
        (12345, 0, "half_up", 0),
    ],
)
def test_a_share_is_rounded_once_and_ties_go_as_stated(amount, rate_bp, rounding, share):
    assert share_of(amount, rate_bp, rounding=rounding) == share


@given(
    AMOUNTS, st.integers(min_value=0, max_value=10_000), st.sampled_from(["half_up", "half_even"])
)
def test_a_share_is_within_half_a_fen_and_a_refund_undoes_it(amount, rate_bp, rounding):
    share = share_of(amount, rate_bp, rounding=rounding)
    assert abs(share - Fraction(amount * rate_bp, 10_000)) <= Fraction(1, 2)
    assert share_of(-amount, rate_bp, rounding=rounding) == -share


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match="rate"):
        share_of(100, -1)


def test_quantity_times_price_is_exact():
    assert quantity_times_price("0.0001", "0.000001") == 1
    assert quantity_times_price("3", "12.5") == 3750 * PRODUCT_UNITS_PER_FEN


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount", "matches"),
    [
        ("3", "12.50", 3750, True),
        ("3", "12.50", 3751, False),
        # 7.5 g at 0.035 a gram is 26.25 fen.
        ("7.5", "0.035", 26, True),
        ("7.5", "0.035", 27, False),
        # Exactly half a fen either way is an honest rounding.
        ("1", "0.005", 0, True),
        ("1", "0.005", 1, True),
        ("0.3333", "30", 1000, True),
        ("0.3333", "30", 999, False),
        ("0", "30", 0, True),
    ],
)
def test_an_amount_matches_within_half_a_fen(quantity, unit_price, amount, matches):
    assert amount_matches(quantity, unit_price, amount) is matches


def test_a_wider_tolerance_lets_a_fen_through():
    assert amount_matches("3", "12.50", 3751, tolerance_tenth_fen=10)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "said"),
    [
        ("1.00001", "1", "four decimals"),
        ("-1", "1", "four decimals"),
        ("1", "1.0000001", "six decimals"),
        ("1", "1e1", "six decimals"),
        ("٣", "1", "four decimals"),
        ("9" * 40, "1", "four decimals"),
    ],
)
def test_a_malformed_quantity_or_price_says_what_is_expected(quantity, unit_price, said):
    with pytest.raises(ValueError, match=said):
        quantity_times_price(quantity, unit_price)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "limit", "excess"),
    [("3", "10", "10", 0), ("3", "9", "10", 0), ("3", "10.005", "10", 2), ("0.5", "12", "10", 100)],
)
def test_the_excess_over_a_price_limit_is_rounded_once_a_line(quantity, unit_price, limit, excess):
    assert over_limit(quantity, unit_price, limit) == excess


@given(AMOUNTS, st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20))
def test_apportioned_parts_sum_to_the_total_and_stay_within_a_fen(total, weights):
    if not sum(weights):
        weights = [1, *weights]
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


def test_the_fen_left_over_goes_to_the_largest_remainder_then_to_the_earliest():
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(5, [1, 2, 2]) == [1, 2, 2]
    assert apportion(-100, [1, 1, 1]) == [-34, -33, -33]


def test_nothing_can_be_split_over_no_weight():
    assert apportion(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="weight"):
        apportion(1, [0, 0])
    with pytest.raises(ValueError, match="weight"):
        apportion(1, [2, -1])
