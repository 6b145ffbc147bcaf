"""Wake-ups: a broker that hangs or fails is never waited for, and a storm becomes one message."""

import threading

import pytest
from django.db import transaction

from messaging import wakeup
from messaging.wakeup import wake_after_commit
from settlement import tasks
from settlement.models import Settlement
from tests.world import World, line

pytestmark = pytest.mark.django_db(transaction=True)
TOO_LONG_S = 10.0


@pytest.fixture(autouse=True)
def _messenger_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_messenger", wakeup._Messenger())
    monkeypatch.setattr(wakeup, "PAUSE_S", 0.0)


def test_a_settlement_is_answered_while_the_broker_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World.made()
    till = world.till()
    asked, let_go = threading.Event(), threading.Event()

    def hang(**_: object) -> None:
        asked.set()
        assert let_go.wait(TOO_LONG_S)

    monkeypatch.setattr(tasks.post_outbox, "apply_async", hang)
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    try:
        # The first wake-up hangs in the broker; all three requests are answered meanwhile.
        for _ in range(3):
            assert till.post("settlements", bill).status == 201
        assert asked.wait(TOO_LONG_S)
        assert not let_go.is_set()
        assert Settlement.objects.count() == 3
    finally:
        let_go.set()


def test_nobody_is_woken_for_what_was_rolled_back_or_is_not_committed_yet() -> None:
    woken = threading.Event()
    with transaction.atomic():
        wake_after_commit(woken.set)
        transaction.set_rollback(True)
    assert not woken.is_set()
    with transaction.atomic():
        wake_after_commit(woken.set)
        assert not woken.is_set()
    assert woken.wait(TOO_LONG_S)


def test_wake_ups_that_come_while_one_is_sent_become_one() -> None:
    sent: list[int] = []
    sending, let_go, again = threading.Event(), threading.Event(), threading.Event()

    def send() -> None:
        sent.append(1)
        if len(sent) == 1:
            sending.set()
            assert let_go.wait(TOO_LONG_S)
        else:
            again.set()

    wake_after_commit(send)
    assert sending.wait(TOO_LONG_S)
    for _ in range(50):
        wake_after_commit(send)
    let_go.set()
    assert again.wait(TOO_LONG_S)
    assert len(sent) == 2


def test_a_broker_that_fails_does_not_end_the_messenger() -> None:
    failed, sent = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("nobody there")

    wake_after_commit(fail)
    assert failed.wait(TOO_LONG_S)
    wake_after_commit(sent.set)
    assert sent.wait(TOO_LONG_S)
