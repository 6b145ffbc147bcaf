"""Amounts as people read them."""

import pytest

from portal.templatetags.money import yuan


@pytest.mark.parametrize(
    ("fen", "text"),
    [
        (0, "¥0.00"),
        (5, "¥0.05"),
        (99, "¥0.99"),
        (100, "¥1.00"),
        (123456, "¥1,234.56"),
        (100_000_000, "¥1,000,000.00"),
        (-5, "-¥0.05"),
        (-123456, "-¥1,234.56"),
    ],
)
def test_an_amount_is_shown_to_the_fen(fen: int, text: str) -> None:
    assert yuan(fen) == text
