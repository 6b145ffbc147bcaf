"""Fen arithmetic: text to fen and back, shares by basis points, quantity times price, apportioning.

Money is an integer number of fen and every function here is exact; nothing is a float.  The module
knows how to divide and who gets what is left over.  It knows no bill, no payer and no policy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

Rounding = Literal["half_up", "half_even"]

BASIS_POINTS: Final = 10_000
QUANTITY_PLACES: Final = 4
UNIT_PRICE_PLACES: Final = 6

# quantity (1/10^4) times unit price (1/10^6 yuan) counts 1/10^10 yuan, which is 1/10^8 fen.
PRODUCT_UNITS_PER_FEN: Final = 10 ** (QUANTITY_PLACES + UNIT_PRICE_PLACES - 2)

# The widths keep a hostile number from turning into unbounded integer work.
_YUAN = re.compile(r"(-?)(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,2}))?")
_QUANTITY = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,4}))?")
_UNIT_PRICE = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,6}))?")


def fen(text: str) -> int:
    """The fen of a yuan amount written in decimal digits: ``fen("12.34") == 1234``.

    At most two places, no exponent, no grouping, no leading zero; a leading minus is allowed.
    Raises ValueError for anything else.
    """
    match = _YUAN.fullmatch(text)
    if match is None:
        raise ValueError(f"expected yuan with at most two decimals, such as 12.34, found {text!r}")
    sign, whole, decimals = match.groups()
    amount = int(whole) * 100 + int((decimals or "").ljust(2, "0"))
    return -amount if sign else amount


def yuan(amount_fen: int) -> str:
    """The amount as yuan text with exactly two decimals: ``yuan(1234) == "12.34"``."""
    sign = "-" if amount_fen < 0 else ""
    whole, cents = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{cents:02d}"


def rounded_quotient(numerator: int, denominator: int, *, rounding: Rounding = "half_up") -> int:
    """numerator / denominator to the nearest integer, ties by ``rounding``.

    A negative quotient mirrors the positive one, so that a refund is exactly the payment undone.
    Raises ValueError unless the denominator is positive.
    """
    if denominator <= 0:
        raise ValueError("expected a positive denominator")
    if numerator < 0:
        return -rounded_quotient(-numerator, denominator, rounding=rounding)
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and (rounding == "half_up" or whole & 1)):
        return whole + 1
    return whole


def share_of(amount_fen: int, rate_bp: int, *, rounding: Rounding = "half_up") -> int:
    """``rate_bp`` basis points of an amount, rounded once to the fen; the remainder stays behind.

    Raises ValueError for a negative rate.
    """
    if rate_bp < 0:
        raise ValueError("expected a rate of zero or more basis points")
    if rounding == "half_up" and amount_fen >= 0:
        return (amount_fen * rate_bp + BASIS_POINTS // 2) // BASIS_POINTS
    return rounded_quotient(amount_fen * rate_bp, BASIS_POINTS, rounding=rounding)


def quantity_units(text: str) -> int:
    """A quantity in ten-thousandths: ``quantity_units("1.5") == 15000``.

    Raises ValueError unless the text is a plain decimal of zero or more with at most four places.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a quantity with at most four decimals, found {text!r}")
    return _scaled(match, QUANTITY_PLACES)


def quantity_text(quantity_e4: int) -> str:
    """A quantity of ten-thousandths as plain decimal text: ``quantity_text(15000) == "1.5"``."""
    whole, rest = divmod(quantity_e4, 10**QUANTITY_PLACES)
    return f"{whole}.{rest:0{QUANTITY_PLACES}d}".rstrip("0").rstrip(".")


def unit_price_units(text: str) -> int:
    """A unit price in millionths of a yuan: ``unit_price_units("0.035") == 35000``.

    Raises ValueError unless the text is a plain decimal of zero or more with at most six places.
    """
    match = _UNIT_PRICE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a unit price in yuan with at most six decimals, found {text!r}")
    return _scaled(match, UNIT_PRICE_PLACES)


def _scaled(match: re.Match[str], places: int) -> int:
    whole, decimals = match.groups()
    return int(whole + (decimals or "").ljust(places, "0"))


def quantity_times_price(quantity: str, unit_price: str) -> int:
    """The exact product in units of 10^-8 fen (``PRODUCT_UNITS_PER_FEN`` of them make a fen).

    Raises ValueError when either text is malformed.
    """
    return quantity_units(quantity) * unit_price_units(unit_price)


def amount_matches(
    quantity: str, unit_price: str, amount_fen: int, *, tolerance_tenth_fen: int = 5
) -> bool:
    """Whether quantity × unit price is within the tolerance of the amount, bounds included.

    The default tolerance is half a fen, so an honest rounding either way passes.
    Raises ValueError when either text is malformed.
    """
    product = quantity_times_price(quantity, unit_price)
    difference = abs(product - amount_fen * PRODUCT_UNITS_PER_FEN)
    return difference * 10 <= tolerance_tenth_fen * PRODUCT_UNITS_PER_FEN


def over_limit(quantity: str, unit_price: str, limit_unit_price: str) -> int:
    """The fen by which a line exceeds a price limit, rounded once a line, half up; never negative.

    Raises ValueError when a text is malformed.
    """
    excess = unit_price_units(unit_price) - unit_price_units(limit_unit_price)
    if excess <= 0:
        return 0
    return rounded_quotient(quantity_units(quantity) * excess, PRODUCT_UNITS_PER_FEN)


def apportion(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Split an amount in proportion to weights; the parts sum to the total exactly.

    Each part first gets its whole fen; the fen left over go one each to the largest remainders, and
    among equal remainders to the earliest.  A negative total mirrors the positive one.
    Raises ValueError for a negative weight, or when there is an amount but no weight to carry it.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("expected weights of zero or more")
    if total_fen < 0:
        return [-part for part in apportion(-total_fen, weights)]
    whole = sum(weights)
    if whole == 0:
        if total_fen:
            raise ValueError("expected at least one weight above zero to carry the amount")
        return [0] * len(weights)
    pairs = [divmod(total_fen * weight, whole) for weight in weights]
    parts = [part for part, _ in pairs]
    by_remainder = sorted(range(len(parts)), key=lambda index: (-pairs[index][1], index))
    for index in by_remainder[: total_fen - sum(parts)]:
        parts[index] += 1
    return parts
