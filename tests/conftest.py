"""What every test may use: a small world, tills that sign, citizens that show codes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from tests.world import World

pytest_plugins = ["tests.needs", "tests.documented"]


@pytest.fixture
def now() -> datetime:
    """A moment in the middle of a Beijing working day."""
    return datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


@pytest.fixture
def world(db: None) -> World:
    """A pharmacy, a clinic and insured people of one area, with its policy and catalogue."""
    return World.made()


@pytest.fixture(autouse=True)
def seal_file(settings: Any, tmp_path: Path) -> Path:
    """Roots go to a file of the test's own, never to that of an installation."""
    settings.SEAL_FILE = tmp_path / "seals.log"
    return settings.SEAL_FILE  # type: ignore[no-any-return]


@pytest.fixture(autouse=True, scope="session")
def _emptying_a_database_takes_its_guards_down() -> Iterator[None]:
    """Between tests that commit, Django empties the tables: with TRUNCATE on PostgreSQL, at which
    no guard of a row stands in the way, with DELETE on SQLite, where the guards of the books refuse
    it, as they should. There the emptying takes all triggers down and puts the same ones back, in
    one transaction; the guards themselves know no exception."""
    if connection.vendor != "sqlite":
        yield
        return
    patch = pytest.MonkeyPatch()
    empty = connection.ops.execute_sql_flush

    def without_guards(statements: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            guards = cursor.fetchall()
            for name, _ in guards:
                cursor.execute(f'DROP TRIGGER "{name}"')
            empty(statements)
            for _, statement in guards:
                cursor.execute(statement)

    patch.setattr(connection.ops, "execute_sql_flush", without_guards)
    yield
    patch.undo()
