"""One prepared database for all faults of a run; every fault gets a copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.deployment import Databases


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Migrated and filled once."""
    folder: Path = tmp_path_factory.mktemp("faults")
    made = Databases(folder)
    yield made
    made.drop()
