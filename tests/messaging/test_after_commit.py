"""What is committed is answered so, whatever happens to the wake-up that follows."""

import pytest

from messaging import wakeup
from settlement.models import Settlement
from tests.world import World, line


@pytest.mark.django_db(transaction=True)
def test_an_accepted_settlement_is_answered_so_when_no_thread_can_be_started(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a process that is shutting down, or that has no memory left for a thread."""
    till = world.till()
    body = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }

    def wake(send: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wakeup._messenger, "wake", wake)
    settled = till.post("settlements", body)
    assert settled.status == 201, settled.text
    assert Settlement.objects.count() == 1
