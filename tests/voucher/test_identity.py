"""Identity numbers and masks, on plain text."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher.identity import (
    birth_date_of,
    check_character,
    is_identity_number,
    masked_identity_number,
    masked_name,
    normal_identity_number,
)

GOOD = "999999195804120026"


def test_the_check_character_of_the_standards_own_example_is_x() -> None:
    # GB 11643-1999 shows this number of Dongcheng district, Beijing.
    assert check_character("11010519491231002") == "X"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-1] + "7",
        GOOD[:-1] + "x",
        "99999919580412002６",
        "99999919580412 026",
        "999999195813120026",
    ],
)
def test_another_spelling_or_a_wrong_check_is_no_identity_number(text: str) -> None:
    assert not is_identity_number(text)


def test_a_day_that_does_not_exist_is_no_identity_number_even_with_its_check() -> None:
    digits = "99999920230229001"
    assert not is_identity_number(digits + check_character(digits))


@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.integers(0, 999),
    st.integers(0, 16),
    st.integers(1, 9),
)
def test_any_one_changed_digit_is_noticed(day: date, serial: int, place: int, step: int) -> None:
    digits = f"999999{day:%Y%m%d}{serial:03d}"
    number = digits + check_character(digits)
    assert is_identity_number(number)
    assert birth_date_of(number) == day
    changed = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
    assert not is_identity_number(changed + number[-1])


def test_the_normal_spelling_has_no_spaces_around_and_a_capital_x() -> None:
    assert normal_identity_number(" 11010519491231002x\n") == "11010519491231002X"


@pytest.mark.parametrize(
    ("name", "masked"),
    [("王秀兰", "王**"), ("张伟", "张*"), ("欧阳修文", "欧***"), ("单", "单"), ("", "")],
)
def test_of_a_name_only_the_first_character_is_readable(name: str, masked: str) -> None:
    assert masked_name(name) == masked


@pytest.mark.parametrize(
    ("number", "masked"), [(GOOD, "999***********0026"), ("1234567", "*******"), ("", "")]
)
def test_of_an_identity_number_three_and_four_characters_are_readable(
    number: str, masked: str
) -> None:
    assert masked_identity_number(number) == masked
