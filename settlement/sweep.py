"""The posting sweep: a timer inside the worker that needs neither broker nor beat.

A message about new work is only a wake-up. Every few seconds the sweep looks at the database
anyway, so a lost message, a dead broker or a missing beat cost seconds and never a posting.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from django.db import Error, close_old_connections, connection

from messaging.heartbeats import beat
from settlement.services.posting import post_due
from settlement.services.reversals import reverse_overdue

log = logging.getLogger(__name__)


def post_all(*, clock: Callable[[], datetime], batch: int) -> int:
    """Post batch after batch until nothing is due. Answers how many rows were done."""
    done = 0
    while True:
        worked = post_due(now=clock(), limit=batch)
        done += worked
        if worked == 0:
            return done


class Sweep(threading.Thread):
    """Posts what is due every `every_s` seconds until stopped; survives whatever goes wrong."""

    def __init__(self, *, clock: Callable[[], datetime], every_s: float, batch: int) -> None:
        super().__init__(name="posting-sweep", daemon=True)
        self._clock = clock
        self._every_s = every_s
        self._batch = batch
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look, post, note the heartbeat, wait."""
        while not self._stopped.is_set():
            try:
                close_old_connections()
                limit_frozen_sessions()
                reverse_overdue(now=self._clock(), limit=self._batch)
                post_all(clock=self._clock, batch=self._batch)
                beat("posting sweep", now=self._clock())
            except Error:
                log.warning("the sweep could not reach the database", exc_info=True)
                self._close()
            except Exception:
                # Nobody would notice that the one thread that needs no broker is gone.
                log.exception("a look of the sweep failed")
                self._close()
            self._stopped.wait(self._every_s)
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            connection.close()

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopped.set()


def limit_frozen_sessions() -> None:
    """A worker frozen inside a transaction loses its locks after 30 seconds (PostgreSQL)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
