"""Posting: everything accepted, once, whatever stands beside it in the queue."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from messaging import outbox, sql
from messaging.models import Heartbeat, OutboxEntry
from settlement.models import LedgerTransaction, Posting, Refund, Settlement
from settlement.services import posting
from settlement.services.posting import HANDLERS, post_due, settlement_legs
from settlement.sweep import Sweep, post_all
from tests.ledger_checks import assert_sound, balances, violations
from tests.world import Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def sell(world: World, till: Till, number: int) -> list[UUID]:
    """That many purchases; the settlements' ids in order."""
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    return [UUID(till.post("settlements", bill)["settlement_id"]) for _ in range(number)]


def moment(seconds: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_legs_say_who_gives_and_who_is_owed_and_sum_to_zero() -> None:
    legs = settlement_legs(
        member_id=7,
        merchant_id=3,
        area_code="370300",
        shares=[("pool", 800), ("account", 150), ("cash", 50)],
    )
    assert legs == [
        ("fund:370300:pool", -800),
        ("member:7:personal", -150),
        ("cash:370300", -50),
        ("merchant:3:due", 950),
        ("merchant:3:till", 50),
    ]
    assert sum(amount_fen for _, amount_fen in legs) == 0


def test_a_batch_is_posted_and_its_outbox_rows_are_gone(world: World, till: Till) -> None:
    opening = balances()
    sell(world, till, 7)
    assert_sound(opening=opening, drained=False)
    assert post_due(now=moment(), limit=5) == 5
    assert OutboxEntry.objects.count() == 2
    assert_sound(opening=opening, drained=False)
    assert post_all(clock=moment, batch=5) == 2
    assert_sound(opening=opening)
    assert {row.kind for row in LedgerTransaction.objects.all()} == {"settlement"}


def test_a_message_delivered_many_times_posts_once(world: World, till: Till) -> None:
    opening = balances()
    (settlement_id,) = sell(world, till, 1)
    for _ in range(3):
        posting.post_settlements([settlement_id], moment())
    # The outbox row is still there, as after a worker that died between two commits would be.
    assert post_due(now=moment(), limit=10) == 1
    assert post_due(now=moment(), limit=10) == 0
    assert_sound(opening=opening)
    assert LedgerTransaction.objects.count() == 1


def test_the_moment_of_posting_is_the_first_one(world: World, till: Till) -> None:
    (settlement_id,) = sell(world, till, 1)
    first = moment()
    posting.post_settlements([settlement_id], first)
    posting.post_settlements([settlement_id], first + timedelta(hours=1))
    assert Settlement.objects.get().posted_at == first


def test_business_date_and_month_are_the_settlements_own(world: World, till: Till) -> None:
    sell(world, till, 1)
    post_all(clock=lambda: moment(40 * 86_400), batch=10)
    row, settlement = LedgerTransaction.objects.get(), Settlement.objects.get()
    assert row.business_date == settlement.business_date
    assert row.accounting_month == settlement.accounting_month
    assert row.posted_at > settlement.accepted_at + timedelta(days=39)


def poison(monkeypatch: pytest.MonkeyPatch, bad: UUID) -> list[int]:
    """Make one settlement unpostable; answers a list that counts the tries."""
    tries: list[int] = []
    real = HANDLERS["post_settlement"]

    def handler(subjects: Any, now: datetime) -> None:
        real(subjects, now)
        if bad in subjects:
            tries.append(len(subjects))
            raise ValueError("the row of 王建国 cannot be posted")

    monkeypatch.setitem(HANDLERS, "post_settlement", handler)
    return tries


def test_a_poisoned_row_is_parked_after_its_attempts_and_keeps_nobody_waiting(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = balances()
    sold = sell(world, till, 9)
    tries = poison(monkeypatch, sold[4])
    assert post_due(now=moment(), limit=50) == 8
    assert set(Settlement.objects.filter(state="accepted").values_list("pk", flat=True)) == {
        sold[4]
    }
    entry = OutboxEntry.objects.get()
    assert (entry.subject, entry.attempts, entry.parked_at) == (sold[4], 1, None)
    # What is kept says where to look, and nothing that was in the row.
    assert re.fullmatch(
        r"ValueError at tests/settlement/test_posting.py:\d+ \(handler\)", entry.last_error
    )
    # It waits longer each time, and others that come meanwhile do not wait for it.
    assert entry.due_at > moment()
    sell(world, till, 1)
    assert post_due(now=moment(), limit=50) == 1
    later = moment()
    for _ in range(10):
        later += timedelta(minutes=5)
        assert post_due(now=later, limit=50) == 0
    parked = OutboxEntry.objects.get()
    assert parked.attempts == settings.POSTING_ATTEMPTS
    assert parked.parked_at is not None
    assert outbox.parked(limit=9) == [parked]
    # Once among others, then alone: in no batch again, and never once the attempts are used up.
    assert tries == [9, *[1] * settings.POSTING_ATTEMPTS]
    assert violations(opening=opening) == [
        f"settlement {sold[4]} is not posted",
        f"outbox {parked.pk} is left over",
    ]

    monkeypatch.undo()
    assert outbox.retry(None, now=moment()) == [parked.pk]
    assert outbox.retry(None, now=moment()) == []
    assert post_due(now=moment(1), limit=50) == 1
    assert_sound(opening=opening)


@pytest.mark.postgres
@pytest.mark.parametrize("sqlstate", ["55P03", "57014", "40P01", "40001", "53100"])
def test_passing_trouble_of_the_database_is_no_attempt_and_parks_nothing(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch, sqlstate: str
) -> None:
    """A lock held for a minute, a deadlock, a full disk: late is allowed, parked is not."""
    opening = balances()
    sell(world, till, 2)

    def in_trouble(subjects: Any, now: datetime) -> None:
        sql.run(f"DO $$ BEGIN RAISE EXCEPTION 'in trouble' USING ERRCODE = '{sqlstate}'; END $$")

    monkeypatch.setitem(HANDLERS, "post_settlement", in_trouble)
    later = moment()
    for _ in range(settings.POSTING_ATTEMPTS + 2):
        assert post_due(now=later, limit=50) == 0
        assert OutboxEntry.objects.filter(due_at__gt=later, attempts=0).count() == 2
        later += timedelta(seconds=10)
    assert all(sqlstate in row.last_error for row in OutboxEntry.objects.all())
    assert outbox.parked(limit=9) == []
    monkeypatch.undo()
    assert post_due(now=later, limit=50) == 2
    assert_sound(opening=opening)


def test_a_poisoned_row_leaves_nothing_half_posted(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bad,) = sell(world, till, 1)
    poison(monkeypatch, bad)
    assert post_due(now=moment(), limit=50) == 0
    assert not LedgerTransaction.objects.exists()
    assert not Posting.objects.exists()


def test_legs_that_do_not_sum_to_zero_are_never_written(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(world, till, 2)
    monkeypatch.setattr(posting, "settlement_legs", lambda **_: [("cash:370300", 1)])
    assert post_due(now=moment(), limit=50) == 0
    assert not Posting.objects.exists()
    assert all("sum to zero" in row.last_error for row in OutboxEntry.objects.all())


def test_a_refund_is_posted_as_its_settlement_with_the_signs_turned(
    world: World, till: Till
) -> None:
    opening = balances()
    (settlement_id,) = sell(world, till, 1)
    till.post("refunds", {"settlement_id": str(settlement_id), "reason": "returned"})
    post_all(clock=moment, batch=1)
    by_kind = {
        kind: sorted(
            Posting.objects.filter(transaction__kind=kind).values_list("account", "amount_fen")
        )
        for kind in ("settlement", "refund")
    }
    assert by_kind["refund"] == sorted((a, -fen) for a, fen in by_kind["settlement"])
    assert Refund.objects.get().state == "posted"
    assert_sound(opening=opening)


@pytest.mark.django_db(transaction=True)
def test_a_lost_wake_up_is_found_by_the_sweep_without_broker_or_beat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = balances()
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)
    till = world.till()
    sell(world, till, 3)
    worked: list[int] = []
    sweep = Sweep(clock=moment, every_s=0.01, batch=2)

    def once_more() -> datetime:
        if not OutboxEntry.objects.exists():
            sweep.stop()
        worked.append(1)
        return moment()

    sweep._clock = once_more
    # In this very thread: the test database of SQLite is one connection's.
    monkeypatch.setattr("settlement.sweep.close_old_connections", lambda: None)
    monkeypatch.setattr("settlement.sweep.connection.close", lambda: None)
    sweep.run()
    assert worked
    assert_sound(opening=opening)
    assert Heartbeat.objects.filter(name="posting sweep").exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_goes_on_after_any_error_whatever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker nothing else posts: a thread that died would be missed by nobody."""
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)
    sell(world, world.till(), 1)
    monkeypatch.setattr("settlement.sweep.close_old_connections", lambda: None)
    closed: list[int] = []

    def close() -> None:
        closed.append(1)
        if len(closed) == 1:
            raise RuntimeError("not even closing works")

    monkeypatch.setattr("settlement.sweep.connection.close", close)
    sweep = Sweep(clock=moment, every_s=0.01, batch=2)
    looks: list[int] = []

    def clock() -> datetime:
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("nobody thought of this")
        if not OutboxEntry.objects.exists():
            sweep.stop()
        return moment()

    sweep._clock = clock
    sweep.run()
    assert Settlement.objects.get().state == "posted"
