"""Identity numbers and names: what makes a number well formed, and what may be shown of either.

Pure text: nothing here knows a member, a key or whether a number was ever issued. Region prefixes
are not judged, because districts are founded and dissolved faster than any list of them.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_SHAPE: Final = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_CHARACTERS: Final = "10X98765432"


def normal_identity_number(text: str) -> str:
    """The one spelling of an identity number: no spaces around, a capital X."""
    return text.strip().upper()


def check_character(digits: str) -> str:
    """The eighteenth character that belongs to seventeen digits (GB 11643-1999, MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return _CHECK_CHARACTERS[total % 11]


def is_identity_number(text: str) -> bool:
    """Say whether a text in its normal spelling has 18 characters, a real date and its check."""
    if not _SHAPE.fullmatch(text) or check_character(text[:17]) != text[17]:
        return False
    try:
        birth_date_of(text)
    except ValueError:
        return False
    return True


def birth_date_of(identity_number: str) -> date:
    """The date written in characters 7 to 14. Raises ValueError when there is no such day."""
    return date(
        int(identity_number[6:10]), int(identity_number[10:12]), int(identity_number[12:14])
    )


def masked_name(name: str) -> str:
    """A name of which only the first character is readable: 王秀兰 becomes 王**, 张伟 becomes 张*.

    Compound surnames keep one character too (欧阳修 becomes 欧**): which surnames are compound is
    nothing a till should have to know, and one character less shows nobody more.
    """
    return name[:1] + "*" * (len(name) - 1)


def masked_identity_number(identity_number: str) -> str:
    """The first three and last four characters, stars between."""
    if len(identity_number) < 8:
        return "*" * len(identity_number)
    return identity_number[:3] + "*" * (len(identity_number) - 7) + identity_number[-4:]
