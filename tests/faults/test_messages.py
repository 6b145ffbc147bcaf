"""A message really goes through the broker: with the sweep asleep, only it can wake the worker.

Each broker of the machine is used as it is found; the queue that the worker makes there is taken
away again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kombu import Connection

from tests.faults.deployment import Databases, running
from tests.needs import rabbitmq_url, redis_url

pytestmark = pytest.mark.processes

ASLEEP_S = "600"


@contextmanager
def own_queue(url: str) -> Iterator[None]:
    """The worker's queue is not there before, and not afterwards."""
    with Connection(url) as broker:
        broker.channel().queue_delete("posting")
        try:
            yield
        finally:
            broker.channel().queue_delete("posting")


def sold_and_posted_through(url: str, databases: Databases) -> None:
    environment = {**databases.copy(), "POSTING_SWEEP_S": ASLEEP_S}
    with own_queue(url), running(environment, broker=url) as system:
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
