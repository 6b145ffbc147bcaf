"""Hand-written statements for the hot path, on PostgreSQL and SQLite alike.

A scan or a settlement repeats a dozen statements; building each anew through the ORM would cost
more than the database takes to run it. Statements here use `%s` marks and name columns as the
models do. The two databases differ in how they hand over identifiers and moments, which this module
evens out. It knows no table.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

# What a column holds where SQLite cannot tell: name it in `kinds`, None for anything else.
Kind = str | None


def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def _to_sqlite(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    if isinstance(value, date):
        return value.isoformat()
    return value


def _from_sqlite(value: Any, kind: Kind) -> Any:
    if value is None or kind is None:
        return value
    if kind == "uuid":
        return UUID(value)
    if kind == "datetime":
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC)
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if kind == "date":
        return value if isinstance(value, date) else date.fromisoformat(value)
    if kind == "bool":
        return bool(value)
    raise LookupError(kind)


def fetch(
    statement: str, params: Sequence[Any] = (), *, kinds: Sequence[Kind] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a statement. `kinds` says uuid, datetime, date or bool per column."""
    with connection.cursor() as cursor:
        if not _is_sqlite():
            cursor.execute(statement, params)
            return cursor.fetchall()
        cursor.execute(statement, [_to_sqlite(value) for value in params])
        rows = cursor.fetchall()
    if not kinds:
        return rows
    return [tuple(map(_from_sqlite, row, kinds)) for row in rows]


def fetch_one(
    statement: str, params: Sequence[Any] = (), *, kinds: Sequence[Kind] = ()
) -> tuple[Any, ...] | None:
    """The first row, or None."""
    rows = fetch(statement, params, kinds=kinds)
    return rows[0] if rows else None


def run(statement: str, params: Sequence[Any] = ()) -> int:
    """Execute without reading anything back. Answers how many rows were touched; inside `batch`
    that figure is not known yet and -1 is answered."""
    with connection.cursor() as cursor:
        if _is_sqlite():
            cursor.execute(statement, [_to_sqlite(value) for value in params])
        else:
            cursor.execute(statement, params)
        return int(cursor.rowcount)


@lru_cache(maxsize=512)
def _insert_statement(model: type[models.Model], columns: tuple[str, ...], count: int) -> str:
    names = [model._meta.get_field(name).column for name in columns]  # type: ignore[union-attr]
    quoted = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(["(" + ", ".join(["%s"] * len(names)) + ")"] * count)
    return f'INSERT INTO "{model._meta.db_table}" ({quoted}) VALUES {marks}'


def insert_rows(
    model: type[models.Model], columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows in one statement (SQLite and PostgreSQL both cap its parameters, so long lists go
    in slices). Columns are field names of the model; JSON is handed over as text. Columns that are
    left out must have a database default or be the automatic key."""
    slice_size = max(1, 30_000 // len(columns))
    for start in range(0, len(rows), slice_size):
        part = rows[start : start + slice_size]
        run(_insert_statement(model, columns, len(part)), [value for row in part for value in row])


def for_update() -> str:
    """The clause that locks a row for the rest of the transaction.

    NO KEY, because rows that refer to a member are inserted while others hold its lock. SQLite has
    no row locks: there BEGIN IMMEDIATE already admits one writer.
    """
    return "" if _is_sqlite() else " FOR NO KEY UPDATE"


def marks(values: Sequence[Any]) -> str:
    """`%s, %s, …` for an IN list."""
    return ", ".join(["%s"] * len(values))


@contextlib.contextmanager
def batch() -> Iterator[None]:
    """Statements inside are sent without waiting for each answer; errors surface at the end.

    Only for the writes at the end of a service, when everything is decided: PostgreSQL then needs
    one round trip for all of them.
    """
    if _is_sqlite() or not transaction.get_connection().in_atomic_block:
        yield
        return
    with connection.connection.pipeline():
        yield
