"""What somebody types, found in an area's catalogue as it stood on a day.

The likeliest first: the very code or bar code, what begins with what was typed (code, pinyin
initials, name), then names that hold it anywhere. Each step reads its own index and the next one is
asked only while there is room, so that most keystrokes touch a few dozen rows however long the
catalogue is. What an entry is worth on a bill is `settlement.selectors.rules`' business.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from messaging import sql

MOST_FOUND = 100
# What is longer is no name and no code.
_LONGEST_TEXT = 120
_MARKS = ("negotiated", "centrally_purchased", "dual_channel", "prescription_only")
_COLUMNS = (
    "national_code, name, kind, item_class, first_pay_bp, price_limit, covered, generic_name,"
    " specification, manufacturer, barcode, restricted_use, " + ", ".join(_MARKS)
)
_KINDS = (*(None,) * 6, "bool", *(None,) * 5, *("bool",) * len(_MARKS))
_OF_THE_DAY = "area_code = %s AND from_date <= %s AND (until_date IS NULL OR until_date > %s)"


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of the catalogue, as a list to choose from shows it.

    `first_pay_bp` in basis points, `price_limit` in yuan a unit or empty; `marks` are those it
    bears of negotiated, centrally_purchased, dual_channel and prescription_only.
    """

    national_code: str
    name: str
    kind: str
    item_class: str
    first_pay_bp: int
    price_limit: str
    covered: bool
    generic_name: str
    specification: str
    manufacturer: str
    barcode: str
    restricted_use: str
    marks: tuple[str, ...]


def search(*, area_code: str, text: str, day: date, limit: int = 20) -> list[Found]:
    """At most `limit` entries, at most MOST_FOUND, that a typed text may mean, likeliest first.

    By the whole bar code, by the beginning of the national code, of the pinyin initials or of the
    name, or by a part of the name in either case. An empty text finds nothing, and so does one too
    long.
    """
    wanted = text.strip().replace("\x00", "")
    limit = min(limit, MOST_FOUND)
    if not wanted or len(wanted) > _LONGEST_TEXT or limit < 1:
        return []
    found: dict[str, Found] = {}
    for condition, params, order in _steps(wanted):
        # Rows that an earlier step found come again, so the room for them is asked for too.
        rows = sql.fetch(
            f"SELECT {_COLUMNS} FROM settlement_catalogueitem"
            f" WHERE {_OF_THE_DAY} AND {condition} ORDER BY {order} LIMIT %s",
            (area_code, day, day, *params, limit),
            kinds=_KINDS,
        )
        for row in rows:
            found.setdefault(row[0], _found(row))
        if len(found) >= limit:
            return list(found.values())
    rows = sql.fetch(
        f"SELECT {_COLUMNS} FROM settlement_catalogueitem WHERE {_OF_THE_DAY} AND name IN"
        f" (SELECT name FROM settlement_nameending WHERE {sql.begins('ending')})"
        f" ORDER BY {sql.bytewise('name')}, national_code LIMIT %s",
        (area_code, day, day, *sql.start(wanted.lower()), limit),
        kinds=_KINDS,
    )
    for row in rows:
        found.setdefault(row[0], _found(row))
    return list(found.values())[:limit]


def equivalents(*, area_code: str, generic_name: str, day: date, limit: int = 20) -> list[Found]:
    """Centrally purchased entries (集采) of the same generic name, by national code.

    The generic name decides alone: strength and pack size are for the reader to compare. An empty
    one has no equivalents.
    """
    if not generic_name:
        return []
    rows = sql.fetch(
        f"SELECT {_COLUMNS} FROM settlement_catalogueitem"
        f" WHERE {_OF_THE_DAY} AND centrally_purchased AND generic_name = %s"
        " ORDER BY national_code LIMIT %s",
        (area_code, day, day, generic_name, min(limit, MOST_FOUND)),
        kinds=_KINDS,
    )
    return [_found(row) for row in rows]


def _found(row: tuple[Any, ...]) -> Found:
    values: list[Any] = [*row[: -len(_MARKS)]]
    borne = zip(_MARKS, row[-len(_MARKS) :], strict=True)
    values.append(tuple(mark for mark, is_set in borne if is_set))
    return Found(*values)


def _steps(wanted: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Conditions with their parameters and order, the likeliest first."""
    if wanted.isascii():
        yield "barcode = %s", (wanted,), "national_code"
        yield _begins("national_code", wanted.upper(), then="national_code")
        yield _begins("initials", wanted.lower(), then="national_code")
    yield _begins("name", wanted, then="national_code")


def _begins(column: str, start: str, *, then: str) -> tuple[str, tuple[str, ...], str]:
    order = sql.bytewise(column)
    return (
        sql.begins(column),
        sql.start(start),
        order if column == then else f"{order}, {then}",
    )
