"""Races commit for real, so nothing of theirs may wake a worker outside the test."""

import pytest

from tests.ledger_checks import balances
from tests.world import World


@pytest.fixture(autouse=True)
def _nobody_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)


@pytest.fixture
def world(transactional_db: None) -> World:
    """The small world, committed."""
    return World.made()


@pytest.fixture
def opening(world: World) -> dict[int, int]:
    """What every account began with."""
    return balances()
