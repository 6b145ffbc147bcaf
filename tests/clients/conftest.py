"""The answering server, running for one test."""

import threading
from collections.abc import Iterator

import pytest

from tests.clients.answering_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
