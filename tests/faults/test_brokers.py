"""A broker that forgets, is gone, or hangs: settlements go on, and every one is posted."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.deployment import NO_BROKER, Databases, running
from tests.faults.servers import PrivateRedis

pytestmark = pytest.mark.processes

# How long "without any broker" lasts here; ten minutes are FAULT_OUTAGE_S=600.
OUTAGE_S = float(os.environ.get("FAULT_OUTAGE_S", "5"))
SWEEP_S = 3.0


@contextmanager
def private_redis(folder: Path) -> Iterator[PrivateRedis]:
    broker = PrivateRedis(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_redis_that_forgets_everything_costs_no_posting(
    databases: Databases, tmp_path: Path
) -> None:
    with (
        private_redis(tmp_path) as broker,
        running(databases.copy(), broker=broker.url) as system,
    ):
        system.sell(5)
        system.assert_posted_soon()
        for _ in range(2):
            system.sell(4)
            broker.kill()
            # Nobody notices at the counter.
            system.sell(4)
            broker.start()
            system.sell(4)
            system.assert_posted_soon()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_worker_killed_while_its_redis_is_gone_posts_everything_once(
    databases: Databases, tmp_path: Path
) -> None:
    with (
        private_redis(tmp_path) as broker,
        running(databases.copy(), broker=broker.url) as system,
    ):
        broker.kill()
        system.kill("worker")
        sold = system.sell(4)
        system.refund(sold[0])
        # The worker comes back by itself; the broker does not.
        system.assert_posted_soon()
        broker.start()
        system.sell(4)
        system.assert_posted_soon()


def test_without_any_broker_the_sweep_posts_within_its_interval(databases: Databases) -> None:
    with running(databases.copy(), broker=NO_BROKER) as system:
        over = time.monotonic() + OUTAGE_S
        system.sell(2)
        while time.monotonic() < over:
            system.sell(2)
            system.watch(lambda: False, at_most_s=min(1.0, max(0.0, over - time.monotonic())))
        # One interval, and what two looks at the database by fresh processes take.
        system.assert_posted_soon(within_s=SWEEP_S + 5)


def test_a_broker_that_accepts_and_never_answers_holds_up_no_settlement(
    databases: Databases,
) -> None:
    """Every request is answered while the broker's silence lasts: none waits for it to end."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        held: list[socket.socket] = []

        def hold() -> None:
            while True:
                try:
                    held.append(silent.accept()[0])
                except OSError:
                    return

        threading.Thread(target=hold, daemon=True).start()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with running(databases.copy(), broker=url) as system:
            system.sell(8)
            assert held, "nobody asked the broker: the fault did not happen"
            system.assert_posted_soon()
        for connection in held:
            connection.close()
