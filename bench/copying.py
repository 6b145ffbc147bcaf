"""Rows into PostgreSQL by COPY, with indexes and constraints out of the way and built afterwards.

Knows PostgreSQL's catalogues and the text format of COPY, and no table of the product. Putting the
constraints back checks every row that was loaded, so a seeder cannot leave what the product could
not have written.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql


def escaped(text: str) -> str:
    """A value for COPY's text format."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class Table:
    """Rows of one table on their way: lines of COPY's text format, sent in large pieces."""

    def __init__(self, connection: psycopg.Connection[Any], name: str, columns: str) -> None:
        self._connection = connection
        self._statement = f"COPY {name} ({columns}) FROM STDIN"
        self.name = name
        self.lines: list[str] = []
        self.sent = 0

    def flush(self) -> None:
        """Send what has gathered."""
        if not self.lines:
            return
        with self._connection.cursor() as cursor, cursor.copy(self._statement) as copy:
            copy.write("\n".join(self.lines) + "\n")
        self.sent += len(self.lines)
        self.lines.clear()


@contextlib.contextmanager
def unconstrained(
    connection: psycopg.Connection[Any],
    tables: Sequence[str],
    *,
    progress: Callable[[str], None],
) -> Iterator[None]:
    """Load inside; indexes and keys of these tables are dropped before and built after."""
    foreign = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        " AND (conrelid::regclass::text = ANY(%(tables)s)"
        " OR confrelid::regclass::text = ANY(%(tables)s))",
        {"tables": list(tables)},
    ).fetchall()
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE contype IN ('p', 'u')"
        " AND conrelid::regclass::text = ANY(%s) ORDER BY contype",
        (list(tables),),
    ).fetchall()
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename = ANY(%s) AND indexname <> ALL(%s)",
        (list(tables), [key[1] for key in keys]),
    ).fetchall()
    for table, name, _ in (*foreign, *keys):
        connection.execute(_drop_constraint(table, name))
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    todo = [_add_constraint(*key) for key in keys]
    todo += [sql.SQL(definition) for _, definition in indexes]  # type: ignore[arg-type]
    todo += [_add_constraint(*key) for key in foreign]
    for number, statement in enumerate(todo, start=1):
        progress(f"index or constraint {number} of {len(todo)}")
        connection.execute(statement)


def _drop_constraint(table: str, name: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
        sql.Identifier(table), sql.Identifier(name)
    )


def _add_constraint(table: str, name: str, definition: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(
        sql.Identifier(table), sql.Identifier(name)
    ) + sql.SQL(definition)  # type: ignore[arg-type]
