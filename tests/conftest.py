"""What every test may use: a small world, tills that sign, citizens that show codes."""

from datetime import UTC, datetime

import pytest

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
