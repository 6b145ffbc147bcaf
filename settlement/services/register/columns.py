"""What a cell of the register may hold: one column, one parser, one sentence of what is expected.

A parser takes the stripped text of a cell that is not empty and returns its value or raises
ValueError. Words are accepted in English and in Chinese; money is yuan in the file and fen
afterwards; moments are Beijing time unless they say otherwise.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from messaging.days import BEIJING
from settlement import money
from voucher.identity import is_identity_number, normal_identity_number

Parser = Callable[[str], Any]

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?", re.ASCII)
_AREA = re.compile(r"\d{6}", re.ASCII)
_INSTITUTION = re.compile(r"[A-Z]\d{11}", re.ASCII)
_RANK = re.compile(r"[1-9]\d?", re.ASCII)
_YEAR = re.compile(r"(19|20)\d{2}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9_.]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """`alias` is the header in Chinese. A secret column's cells are never repeated in a message."""

    name: str
    alias: str
    parse: Parser
    expected: str | Promise
    required: bool = True
    secret: bool = False
    # What an empty cell means where it is allowed.
    blank: Any = None


def text(name: str, alias: str, *, longest: int, required: bool = True) -> Column:
    """Any text of one line, up to a length."""

    def parse(cell: str) -> str:
        if len(cell) > longest or not cell.isprintable():
            raise ValueError
        return cell

    expected = format_lazy(_("a text of at most {longest} characters"), longest=longest)
    return Column(name, alias, parse, expected, required, blank="")


def pattern(name: str, alias: str, regex: re.Pattern[str], expected: str | Promise) -> Column:
    """A text of a certain shape."""

    def parse(cell: str) -> str:
        if not regex.fullmatch(cell):
            raise ValueError
        return cell

    return Column(name, alias, parse, expected)


def word(name: str, alias: str, chinese: Mapping[str, str]) -> Column:
    """One of our words, or its Chinese spelling."""

    def parse(cell: str) -> str:
        if cell in chinese:
            return cell
        for ours, theirs in chinese.items():
            if cell == theirs:
                return ours
        raise ValueError

    words = ", ".join(f"{ours} ({theirs})" for ours, theirs in chinese.items())
    expected = format_lazy(_("one of: {words}"), words=words)
    return Column(name, alias, parse, expected)


def day(name: str, alias: str, *, required: bool = True) -> Column:
    """A calendar day."""
    return Column(name, alias, _parse_day, _("a day such as 2026-01-31 or 20260131"), required)


def moment(name: str, alias: str) -> Column:
    """A moment, Beijing time unless it carries an offset; UTC afterwards."""
    return Column(name, alias, _parse_moment, _("a moment such as 2026-01-31 08:30, Beijing time"))


def yuan(name: str, alias: str) -> Column:
    """An amount of yuan, fen afterwards."""
    return Column(name, alias, _parse_yuan, _("yuan with at most two decimals, such as 1860.40"))


def year(name: str, alias: str) -> Column:
    """A benefit year."""

    def parse(cell: str) -> int:
        if not _YEAR.fullmatch(cell):
            raise ValueError
        return int(cell)

    return Column(name, alias, parse, _("a year such as 2026"))


def rank(name: str, alias: str) -> Column:
    """A place in an order, the first where nothing is said."""

    def parse(cell: str) -> int:
        if not _RANK.fullmatch(cell):
            raise ValueError
        return int(cell)

    return Column(name, alias, parse, _("a number from 1 to 99"), required=False, blank=1)


def area(name: str, alias: str) -> Column:
    """The code of a pooling area."""
    return pattern(name, alias, _AREA, _("six digits, such as 370300"))


def institution(name: str, alias: str) -> Column:
    """A national institution code."""
    return pattern(name, alias, _INSTITUTION, _("a capital letter and eleven digits"))


def accumulator(name: str, alias: str) -> Column:
    """The name that a policy file gives to a year-to-date amount."""
    return pattern(
        name, alias, _WORD, _("the policy's name of an amount, such as chronic.deductible")
    )


def identity(name: str, alias: str) -> Column:
    """An identity number in its normal spelling."""

    def parse(cell: str) -> str:
        number = normal_identity_number(cell)
        if not is_identity_number(number):
            raise ValueError
        return number

    return Column(
        name, alias, parse, _("18 characters, a real date and a right check character"), secret=True
    )


def _parse_day(cell: str) -> date:
    match = _DAY.fullmatch(cell)
    if match is None:
        raise ValueError
    return date(*map(int, match.groups()))


def _parse_moment(cell: str) -> datetime:
    if not _MOMENT.fullmatch(cell):
        raise ValueError
    value = datetime.fromisoformat(cell)
    return (value if value.tzinfo else value.replace(tzinfo=BEIJING)).astimezone(UTC)


def _parse_yuan(cell: str) -> int:
    amount_fen = money.fen(cell)
    if amount_fen < 0:
        raise ValueError
    return amount_fen
