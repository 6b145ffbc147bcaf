"""Several posting workers at one moment: nothing twice, nothing skipped, nobody waiting."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from messaging.models import OutboxEntry
from settlement.models import LedgerTransaction, Settlement
from settlement.services.posting import post_due
from settlement.sweep import post_all
from tests.ledger_checks import assert_sound
from tests.races.rivals import (
    TOO_LONG_S,
    at_once,
    between_statements,
    forced,
    lose_connection,
    until_somebody_waits,
)
from tests.world import Till, World, line

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def now() -> datetime:
    return datetime.now(UTC)


def sell(world: World, till: Till, number: int) -> None:
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line("A6", "1", "9.9")],
    }
    for _ in range(number):
        assert till.post("settlements", bill).status == 201


def test_four_workers_at_once_post_everything_once(world: World, opening: dict[int, int]) -> None:
    sell(world, world.till(), 100)
    done = at_once([lambda: post_all(clock=now, batch=7)] * 4)
    # Who finds nothing free may go home while another still posts; the sweep comes again.
    assert sum(done) + post_all(clock=now, batch=7) == 100
    assert_sound(opening=opening)
    assert LedgerTransaction.objects.count() == 100


def test_a_batch_that_another_worker_only_looked_at_is_worked(
    world: World, opening: dict[int, int]
) -> None:
    sell(world, world.till(), 6)
    locked, ended = threading.Event(), threading.Event()

    def look() -> None:
        # PostgreSQL locks a row before it sees that it was marked meanwhile, and until the commit.
        try:
            with transaction.atomic():
                list(OutboxEntry.objects.select_for_update())
                locked.set()
                until_somebody_waits(ended)
        finally:
            connection.close()

    rival = threading.Thread(target=look)

    def between_mark_and_work(statement: str) -> None:
        if "begun_at = %s ORDER BY id" in statement and not locked.is_set():
            rival.start()
            assert locked.wait(TOO_LONG_S)

    with between_statements(between_mark_and_work):
        done = post_due(now=now(), limit=6)
    ended.set()
    rival.join()
    assert done == 6
    assert_sound(opening=opening)


def test_a_second_worker_takes_other_rows_and_does_not_wait(
    world: World, opening: dict[int, int]
) -> None:
    sell(world, world.till(), 6)
    race = forced(
        lambda: post_due(now=now(), limit=4),
        lambda: post_due(now=now(), limit=4),
        before="DELETE FROM messaging_outboxentry",
    )
    assert not race.second_waited
    assert (race.first, race.second) == (4, 2)
    assert_sound(opening=opening)


def test_settlements_accepted_while_workers_post_are_all_posted(
    world: World, opening: dict[int, int]
) -> None:
    tills = [world.till(name=f"till {n}") for n in range(4)]
    at_once(
        [
            *[lambda t=t: sell(world, t, 15) for t in tills],  # type: ignore[misc]
            *[lambda: [post_all(clock=now, batch=3) for _ in range(20)]] * 2,
        ]
    )
    assert_sound(opening=opening, drained=False)
    post_all(clock=now, batch=50)
    assert_sound(opening=opening)
    assert Settlement.objects.count() == 60


def test_a_refund_while_its_settlement_is_being_posted_is_posted_too(
    world: World, opening: dict[int, int]
) -> None:
    till = world.till()
    sell(world, till, 1)
    settlement_id = str(Settlement.objects.get().pk)
    race = forced(
        lambda: post_due(now=now(), limit=10),
        lambda: till.post("refunds", {"settlement_id": settlement_id, "reason": "returned"}),
        before="DELETE FROM messaging_outboxentry",
    )
    assert (race.first, race.second.status) == (1, 201)
    assert OutboxEntry.objects.count() == 1
    assert_sound(opening=opening, drained=False)
    post_all(clock=now, batch=10)
    assert_sound(opening=opening)


def test_a_worker_that_loses_its_connection_before_the_commit_has_posted_nothing(
    world: World, opening: dict[int, int]
) -> None:
    sell(world, world.till(), 3)

    def cut(sql: str) -> None:
        if "DELETE FROM messaging_outboxentry" in sql:
            lose_connection()

    with pytest.raises(DatabaseError), between_statements(cut):
        post_due(now=now(), limit=10)
    connection.close()
    assert LedgerTransaction.objects.count() == 0
    assert OutboxEntry.objects.filter(attempts=0).count() == 3
    post_all(clock=now, batch=10)
    assert_sound(opening=opening)
