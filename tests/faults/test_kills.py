"""kill -9 of a worker in mid-post and of the web process in mid-settle: nothing lost or twice.

Each fault is shown to have fired; a fault that did not happen proves nothing.
"""

import json
import threading
import time
from typing import Any

import pytest

from tests.faults.deployment import Databases, running

pytestmark = pytest.mark.processes

POSTING = "INSERT INTO settlement_ledgertransaction"
INBOX = "INSERT INTO messaging_inboxentry"
# Every so many statements of a settlement the web process dies.
STEP = 4


def test_a_worker_killed_anywhere_in_a_post_posts_everything_once(databases: Databases) -> None:
    with running(databases.copy()) as system:
        # Before the legs, before the outbox row is gone, and on both sides of the commit.
        for place in (2, 4, "before the commit", "after the commit"):
            system.lay(POSTING, place=place)
            sold = system.sell(3)
            assert system.watch(system.fired, at_most_s=30), f"no worker died at {place}"
            system.refund(sold[0])
            system.assert_posted_soon()


def test_a_settlement_that_kills_every_worker_is_parked_the_others_are_posted_and_it_can_be_rerun(
    databases: Databases,
) -> None:
    environment = {**databases.copy(), "POSTING_ATTEMPTS": "2"}
    with running(environment) as system:

        def parked() -> dict[str, Any]:
            told: dict[str, Any] = json.loads(system.manage("outbox", "parked", "--json"))
            return told

        with system.frozen("worker"):
            sold = system.sell(5)
            deadly = sold[2]
            system.lay(POSTING, place=1, param=f"post_settlement:{deadly}", again=True)
        assert system.watch(lambda: bool(parked()["parked"]), at_most_s=60)
        assert system.fired()
        (row,) = parked()["rows"]
        assert (row["subject"], row["attempts"]) == (deadly, 2)
        system.told["settlements"].remove(deadly)
        wrong = system.ground("audit", told=system.told)["wrong"]
        assert {said for said in wrong if deadly not in said} == {
            f"outbox {row['id']} is left over"
        }

        # Once the cause is gone.
        assert system.take_up()
        system.told["settlements"].append(deadly)
        system.manage("outbox", "retry", str(row["id"]))
        system.assert_posted_soon()


def test_a_worker_killed_at_any_moment_loses_no_message_and_posts_nothing_twice(
    databases: Databases,
) -> None:
    with running(databases.copy()) as system:
        stop = threading.Event()

        def sell_on_and_on() -> None:
            while not stop.is_set():
                system.sell(1)

        seller = threading.Thread(target=sell_on_and_on)
        seller.start()
        try:
            for _ in range(4):
                first = system.supervisor.pid_of("worker")
                before = time.monotonic()
                system.kill("worker")
                assert system.watch(
                    lambda first=first: system.supervisor.pid_of("worker") != first,  # type: ignore[misc]
                    at_most_s=10,
                )
                # Let it come up, so that the next one dies at work.
                system.watch(lambda: False, at_most_s=max(0.0, before + 4 - time.monotonic()))
        finally:
            stop.set()
            seller.join()
        assert len(system.told["settlements"]) > 4
        system.assert_posted_soon()


def test_a_web_process_killed_anywhere_in_a_settlement_settles_once_under_the_same_key(
    databases: Databases,
) -> None:
    died_at: list[int | str] = []
    with running(databases.copy()) as system:
        for place in (*range(1, 60, STEP), "before the commit", "after the commit"):
            if died_at and isinstance(place, int) and died_at[-1] != place - STEP:
                continue  # The settlement has no so many statements.
            system.lay(INBOX, place=place, param="settle")
            # The client repeats the request until somebody answers it.
            system.sell_under_watch(1)
            if system.fired():
                died_at.append(place)
            assert system.take_up() != (place in died_at)
        assert len([place for place in died_at if isinstance(place, int)]) >= 3
        assert died_at[-2:] == ["before the commit", "after the commit"]
        system.assert_posted_soon()
