"""One state of the database for all that a long reading reads, and no way to write to it meanwhile.

PostgreSQL can hand the state on to other sessions; SQLite cannot.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot(exported: str = "") -> Iterator[None]:
    """Read one state until the end of the block; that of another session, if it gave its name.

    Without any limit on the time of a statement. Not inside a transaction.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if exported:
                # PostgreSQL made the name, and this statement takes no parameters.
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{exported}'")
            # Whoever exports waits idly for the others.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL statement_timeout = 0")
            yield
        return
    # Django's own transactions there take the write lock; a plain one stops nobody.
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON")
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
            cursor.execute("PRAGMA query_only = OFF")


def exported() -> str:
    """The name under which other sessions may read the state under way; empty on SQLite."""
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        return str(cursor.fetchone()[0])
