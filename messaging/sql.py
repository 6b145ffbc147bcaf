"""Hand-written statements for the hot path, on PostgreSQL and SQLite alike.

A scan or a settlement repeats a dozen statements; building each anew through the ORM would cost
more than the database takes to run it. Statements here use `%s` marks and name columns as the
models do. The two databases differ in how they hand over identifiers and moments, which this module
evens out. It knows no table.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, models

# What a column holds where SQLite cannot tell: name it in `kinds`, None for anything else.
Kind = str | None


def _connection() -> Any:
    """This thread's connection itself: Django's proxy looks it up anew at each attribute."""
    return connections[DEFAULT_DB_ALIAS]


def _is_sqlite() -> bool:
    return bool(_connection().vendor == "sqlite")


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


def _execute(connection: Any, statement: str, params: Sequence[Any]) -> Any:
    """Run on PostgreSQL with the one cursor that statements of a connection share; that cursor.

    Making Django's cursor for each statement costs more than running it. Transactions, connection
    handling and errors stay Django's; so do the statements while somebody records queries.
    """
    connection.validate_no_broken_transaction()
    connection.ensure_connection()
    if connection.queries_logged:
        cursor = connection.cursor()
        cursor.execute(statement, params)
        return cursor
    raw = connection.connection
    cursor = getattr(raw, "_hot_path_cursor", None)
    with connection.wrap_database_errors:
        # A connection that was lost meanwhile gives no cursor either.
        if cursor is None or cursor.closed:
            cursor = raw._hot_path_cursor = raw.cursor()
        cursor.execute(statement, params)
    return cursor


def fetch(
    statement: str, params: Sequence[Any] = (), *, kinds: Sequence[Kind] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a statement. `kinds` says uuid, datetime, date or bool per column."""
    connection = _connection()
    if connection.vendor != "sqlite":
        cursor = _execute(connection, statement, params)
        with connection.wrap_database_errors:
            return cast(list[tuple[Any, ...]], cursor.fetchall())
    with connection.cursor() as cursor:
        cursor.execute(statement, [_to_sqlite(value) for value in params])
        rows = cast(list[tuple[Any, ...]], cursor.fetchall())
    return evened_out(rows, kinds)


def evened_out(rows: list[tuple[Any, ...]], kinds: Sequence[Kind]) -> list[tuple[Any, ...]]:
    """Rows that SQLite handed over, with identifiers, moments and days as PostgreSQL has them."""
    if not kinds or not _is_sqlite():
        return rows
    return [tuple(map(_from_sqlite, row, kinds)) for row in rows]


def fetch_one(
    statement: str, params: Sequence[Any] = (), *, kinds: Sequence[Kind] = ()
) -> tuple[Any, ...] | None:
    """The first row, or None."""
    rows = fetch(statement, params, kinds=kinds)
    return rows[0] if rows else None


def run(statement: str, params: Sequence[Any] = ()) -> None:
    """Execute without reading anything back."""
    connection = _connection()
    if connection.vendor != "sqlite":
        _execute(connection, statement, params)
        return
    with connection.cursor() as cursor:
        cursor.execute(statement, [_to_sqlite(value) for value in params])


def among(column: str) -> str:
    """The clause that a column's value is one of `values(…)`: one mark however many there are, so
    that PostgreSQL plans the statement once."""
    if _is_sqlite():
        return f"{column} IN (SELECT value FROM json_each(%s))"
    return f"{column} = ANY(%s)"


def listed() -> str:
    """A table `listed` of the texts of `values(…)` in its column `value`, in their order."""
    if _is_sqlite():
        return "json_each(%s) AS listed"
    return "unnest(%s::text[]) AS listed(value)"


def values(listed: Iterable[Any]) -> Any:
    """The parameter for `among` and `listed`."""
    if _is_sqlite():
        return json.dumps([_to_sqlite(value) for value in listed])
    return list(listed)


def begins(column: str) -> str:
    """The clause that a text begins with that of `start(…)`, answered by an index on the column:
    one of bytes (`varchar_pattern_ops`) on PostgreSQL, any on SQLite."""
    if _is_sqlite():
        return f"{column} >= %s AND {column} < %s"
    return f"{column} ~>=~ %s AND {column} ~<~ %s"


def start(text: str) -> tuple[str, str]:
    """The two parameters for `begins`: no text beginning with this one is outside them."""
    return text, text + "\U0010ffff"


def seconds_between(earlier: str, later: str) -> str:
    """The expression of the seconds, with fractions, from one moment's expression to another's; on
    SQLite to the millisecond."""
    if _is_sqlite():
        return f"(julianday({later}) - julianday({earlier})) * 86400.0"
    return f"EXTRACT(EPOCH FROM {later} - {earlier})::double precision"


def bytewise(column: str) -> str:
    """What to ORDER BY to have texts by their bytes, in the order of the index of `begins`."""
    return column if _is_sqlite() else f"{column} USING ~<~"


@lru_cache(maxsize=512)
def _values_statement(
    model: type[models.Model], columns: tuple[str, ...], count: int, unique: tuple[str, ...]
) -> str:
    marks = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * count)
    return f"{_insert_into(model, columns)} VALUES {marks}{_or_replace(model, columns, unique)}"


@lru_cache(maxsize=512)
def _arrays_statement(
    model: type[models.Model], columns: tuple[str, ...], unique: tuple[str, ...]
) -> str:
    casts = ", ".join(f"%s::{_plain_type(model, name)}[]" for name in columns)
    return (
        f"{_insert_into(model, columns)} SELECT * FROM unnest({casts})"
        f"{_or_replace(model, columns, unique)}"
    )


def _or_replace(
    model: type[models.Model], columns: tuple[str, ...], unique: tuple[str, ...]
) -> str:
    if not unique:
        return ""
    named = {name: f'"{_field(model, name).column}"' for name in columns}
    keys = ", ".join(named[name] for name in unique)
    news = ", ".join(
        f"{column} = excluded.{column}" for name, column in named.items() if name not in unique
    )
    # Columns that are all key have nothing to overwrite.
    return f" ON CONFLICT ({keys}) DO " + (f"UPDATE SET {news}" if news else "NOTHING")


def _insert_into(model: type[models.Model], columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{_field(model, name).column}"' for name in columns)
    return f'INSERT INTO "{model._meta.db_table}" ({names})'


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _plain_type(model: type[models.Model], name: str) -> str:
    """The column's type without its length: `varchar(40)` would cut where it should refuse."""
    return str(_field(model, name).db_type(_connection())).partition("(")[0]


def insert_rows(
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    *,
    replacing: tuple[str, ...] = (),
) -> None:
    """Insert rows in one statement. Columns are field names of the model; JSON is handed over as
    text. Columns that are left out must have a database default or be the automatic key. With
    `replacing`, the columns of a unique constraint, a row that has these already is overwritten.

    On PostgreSQL several rows go as one array a column, so that the statement is the same however
    many there are and stays prepared; SQLite caps the parameters of a statement, so there long
    lists go in slices.
    """
    if len(rows) > 1 and not _is_sqlite():
        run(
            _arrays_statement(model, columns, replacing),
            [list(column) for column in zip(*rows, strict=True)],
        )
        return
    slice_size = max(1, 30_000 // len(columns))
    for start in range(0, len(rows), slice_size):
        part = rows[start : start + slice_size]
        run(
            _values_statement(model, columns, len(part), replacing),
            [value for row in part for value in row],
        )


def for_update() -> str:
    """The clause that locks a row for the rest of the transaction.

    NO KEY, because rows that refer to a member are inserted while others hold its lock. SQLite has
    no row locks: there BEGIN IMMEDIATE already admits one writer.
    """
    return "" if _is_sqlite() else " FOR NO KEY UPDATE"


def shared_lock(numbers: tuple[int, int] | None) -> tuple[str, tuple[int, ...]]:
    """What begins a statement that selects `FROM held`, and its parameters: it takes an advisory
    lock shared until the commit, before it does anything else. Empty without a lock, and on SQLite,
    where BEGIN IMMEDIATE already admits one writer."""
    if numbers is None or _is_sqlite():
        return "", ()
    return (
        "WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)) ",
        numbers,
    )


@contextlib.contextmanager
def batch() -> Iterator[None]:
    """Statements inside are sent without waiting for each answer; errors surface at the end.

    Only for the writes at the end of a service, when everything is decided: PostgreSQL then needs
    one round trip for all of them.
    """
    connection = _connection()
    if connection.vendor == "sqlite" or not connection.in_atomic_block:
        yield
        return
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
