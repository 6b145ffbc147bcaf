"""A bill's line and its item's restriction as JSON-able values and back.

The part of `canonical` that a catalogue feeds: how a line is stored with a settlement, and a
restriction with a line or a catalogue row. Reading never guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from settlement.benefits.values import Line, UseRestriction

# A line is a list in this order: fifty lines with fifty copies of the keys would be mostly keys.
LINE_COLUMNS: Final = (
    "no",
    "code",
    "name",
    "amount_fen",
    "item_class",
    "first_pay_bp",
    "over_limit_fen",
    "covered",
    "account_ok",
    "prescription",
    "prescription_only",
    "disease_codes",
    "group",
)

_WIDTH: Final = len(LINE_COLUMNS)
_STATED: Final = tuple(field.name for field in fields(UseRestriction))


def line_to_columns(line: Line) -> list[Any]:
    """The line in the order of LINE_COLUMNS, and after them its item's restriction if it has one.

    Few have: a line without one is written as it was before there were any.
    """
    columns = [_plain(getattr(line, column)) for column in LINE_COLUMNS]
    if line.restriction is not None:
        columns.append(restriction_to_dict(line.restriction))
    return columns


def line_from_columns(columns: list[Any]) -> Line:
    """The line that ``line_to_columns`` wrote.  Raises ValueError or TypeError for another list."""
    values = dict(zip(LINE_COLUMNS, columns[:_WIDTH], strict=True))
    values["disease_codes"] = tuple(values["disease_codes"])
    if len(columns) > _WIDTH:
        (restriction,) = columns[_WIDTH:]
        values["restriction"] = restriction_from_dict(restriction)
    return Line(**values)


def restriction_to_dict(restriction: UseRestriction) -> dict[str, Any]:
    """What a restriction states; ``restriction_from_dict`` reads it back equal."""
    found = {name: getattr(restriction, name) for name in _STATED}
    # An age of zero states something, so it is not enough to ask whether a value is true.
    return {
        name: _plain(each)
        for name, each in found.items()
        if each not in (None, "", ()) and each is not False
    }


def restriction_from_dict(data: Mapping[str, Any]) -> UseRestriction:
    """The restriction that ``restriction_to_dict`` wrote.  Raises TypeError for anything else."""
    values: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in data.items()
    }
    return UseRestriction(**values)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, tuple) else value
