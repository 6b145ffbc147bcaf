"""A heartbeat goes from beat through the real broker to a worker, and its silence shows in time.

The interval is shortened here to two seconds; what is held is that silence shows after three of
them, as it does in life after three times thirty seconds.
"""

import shutil
from pathlib import Path

import pytest

from tests.faults.deployment import Databases, Deployment, running
from tests.faults.test_brokers import private_redis
from tests.faults.test_messages import own_queue
from tests.needs import rabbitmq_url, redis_url

pytestmark = pytest.mark.processes

EVERY_S = 2.0
# From the last heartbeat; with what a busy machine takes to answer /readyz.
VISIBLE_WITHIN_S = EVERY_S * 3 + 4
BACK_WITHIN_S = 60.0
FASTER = {"HEARTBEAT_EVERY_S": str(EVERY_S)}


def late(system: Deployment, name: str) -> bool:
    """Whether `/readyz` says so of that heartbeat."""
    return bool(system.ready()["heartbeats"][name]["late"])


def beats_and_falls_silent_with_its_worker(system: Deployment) -> None:
    assert system.watch(lambda: not late(system, "queue"), at_most_s=BACK_WITHIN_S)
    with system.frozen("worker"):
        assert system.watch(lambda: late(system, "queue"), at_most_s=VISIBLE_WITHIN_S)
        # The web process says so and goes on serving.
        assert system.ready()["status"] == "ready"
        system.sell(1)
    assert system.watch(lambda: not late(system, "queue"), at_most_s=BACK_WITHIN_S)
    system.assert_posted_soon()


def test_a_heartbeat_through_the_embedded_broker_falls_silent_with_its_worker(
    databases: Databases,
) -> None:
    with running({**databases.copy(), **FASTER}, beat=True) as system:
        beats_and_falls_silent_with_its_worker(system)


@pytest.mark.redis
def test_a_heartbeat_through_redis_falls_silent_with_its_worker(databases: Databases) -> None:
    url = redis_url()
    assert url is not None
    with own_queue(url) as queue:
        environment = {**databases.copy(), **FASTER, **queue}
        with running(environment, broker=url, beat=True) as system:
            beats_and_falls_silent_with_its_worker(system)


@pytest.mark.rabbitmq
def test_a_heartbeat_through_rabbitmq_falls_silent_with_its_worker(databases: Databases) -> None:
    url = rabbitmq_url()
    assert url is not None
    with own_queue(url) as queue:
        environment = {**databases.copy(), **FASTER, **queue}
        with running(environment, broker=url, beat=True) as system:
            beats_and_falls_silent_with_its_worker(system)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_dead_broker_shows_while_the_sweep_goes_on_posting(
    databases: Databases, tmp_path: Path
) -> None:
    with (
        private_redis(tmp_path) as broker,
        running({**databases.copy(), **FASTER}, broker=broker.url, beat=True) as system,
    ):
        assert system.watch(lambda: not late(system, "queue"), at_most_s=BACK_WITHIN_S)
        broker.kill()
        assert system.watch(lambda: late(system, "queue"), at_most_s=VISIBLE_WITHIN_S)
        system.sell(2)
        system.assert_posted_soon()
        assert not late(system, "posting sweep")
        broker.start()
        assert system.watch(lambda: not late(system, "queue"), at_most_s=BACK_WITHIN_S)
