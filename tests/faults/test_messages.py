"""A message really goes through the broker: with the sweep asleep, only it can wake the worker.

Each broker of the machine is used as it is found, with a queue of the test's own that is taken away
again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from kombu import Connection

from tests.faults.deployment import Databases, running
from tests.needs import rabbitmq_url, redis_url

pytestmark = pytest.mark.processes

ASLEEP_S = "600"


@contextmanager
def own_queue(url: str) -> Iterator[dict[str, str]]:
    """A queue of this test alone, as an environment for its processes; gone afterwards."""
    name = f"posting-{uuid4().hex[:8]}"
    try:
        yield {"FAULT_QUEUE": name}
    finally:
        with Connection(url) as broker:
            channel = broker.channel()
            channel.queue_delete(name)
            channel.exchange_delete(name)
            if url.startswith("redis"):
                # Where kombu keeps an exchange's bindings; it takes none away with its queue.
                channel.client.delete(f"_kombu.binding.{name}", f"_kombu.binding_permanent.{name}")


def sold_and_posted_through(url: str, databases: Databases) -> None:
    with own_queue(url) as queue:
        environment = {**databases.copy(), **queue, "POSTING_SWEEP_S": ASLEEP_S}
        with running(environment, broker=url) as system:
            # The sweep looks once when it starts; a sale before that would prove nothing.
            system.sell(2)
            system.assert_posted_soon()
            system.sell(2)
            system.assert_posted_soon()


@pytest.mark.rabbitmq
def test_a_message_through_rabbitmq_posts_what_was_sold(databases: Databases) -> None:
    url = rabbitmq_url()
    assert url is not None
    sold_and_posted_through(url, databases)


@pytest.mark.redis
def test_a_message_through_redis_posts_what_was_sold(databases: Databases) -> None:
    url = redis_url()
    assert url is not None
    sold_and_posted_through(url, databases)
