"""One view of the whole database for a reader that takes many statements.

A figure put together from several statements is true only if all of them see the same moment. It
knows no table.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from . import sql

# Rows fetched at a time: enough to forget the round trips, little enough to forget the room.
PIECE = 5_000


def _connection() -> Any:
    return connections[DEFAULT_DB_ALIAS]


@contextlib.contextmanager
def snapshot(*, unhurried: bool = False, of: str = "") -> Iterator[None]:
    """Every statement inside sees one committed state, and nothing can be written.

    PostgreSQL: a REPEATABLE READ, READ ONLY transaction. SQLite: a deferred transaction, which
    keeps nobody else from writing. `unhurried` lifts the time limits of statements and of idleness,
    for a reader of everything; `of` is the name of another session's view, as `exported` gave it.
    Inside a transaction that has begun already, that one's view is what there is.
    """
    connection = _connection()
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        usual = connection.transaction_mode
        connection.transaction_mode = "DEFERRED"
        try:
            with transaction.atomic(durable=True), _unwritable(connection):
                connection.transaction_mode = usual
                yield
        finally:
            connection.transaction_mode = usual
        return
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if of:
                # PostgreSQL made the name, and this statement takes no parameters.
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{of}'")
            if unhurried:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield


@contextlib.contextmanager
def _unwritable(connection: Any) -> Iterator[None]:
    """SQLite has no read-only transactions, only connections that are."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON")
        try:
            yield
        finally:
            cursor.execute("PRAGMA query_only = OFF")


def exported() -> str:
    """The name by which other sessions may read the view under way; empty on SQLite, which has no
    such thing."""
    connection = _connection()
    if connection.vendor == "sqlite":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        return str(cursor.fetchone()[0])


def stream(
    statement: str, params: Sequence[Any] = (), *, kinds: Sequence[sql.Kind] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, a piece at a time, from a cursor of the server; inside a snapshot.

    `kinds` says uuid, datetime, date or bool per column.
    """
    with _connection().chunked_cursor() as cursor:
        cursor.execute(statement, params or None)
        while rows := cursor.fetchmany(PIECE):
            yield from sql.evened_out(rows, kinds)
