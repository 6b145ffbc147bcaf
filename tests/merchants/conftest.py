"""Fixtures of the tests of this app."""

import pytest

from merchants import services
from merchants.models import Merchant
from tests.merchants.tills import register


@pytest.fixture(autouse=True)
def _no_answer_key_of_another_test() -> None:
    services.forget_answer_key()


@pytest.fixture
def pharmacy(db: None) -> Merchant:
    """The made-up pharmacy."""
    return register()
