"""One prepared database for all faults of a run; every fault gets a copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.faults.deployment import Databases


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Migrated and filled once."""
    folder: Path = tmp_path_factory.mktemp("faults")
    made = Databases(folder, _address())
    yield made
    made.drop()


def _address() -> str | None:
    """The address of the PostgreSQL that this run is on, or None on SQLite."""
    if settings.DATABASE_IS_EMBEDDED:
        return None
    at = settings.DATABASES["default"]
    who = at["USER"] + (f":{at['PASSWORD']}" if at["PASSWORD"] else "")
    return f"postgres://{who}@{at['HOST'] or '127.0.0.1'}:{at['PORT'] or 5432}/postgres"
