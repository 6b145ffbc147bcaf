"""The posting sweep: a timer inside the worker that needs neither broker nor beat.

A message about new work is only a wake-up. Every few seconds the sweep looks at the database
anyway, so a lost message, a dead broker or a missing beat cost seconds and never a posting. What is
posted is sealed and folded into totals by the same timer.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import Error, close_old_connections, connection

from messaging.heartbeats import beat
from settlement.services.posting import post_due
from settlement.services.reversals import reverse_overdue
from settlement.services.sealer import SealFileDisagrees, seal_all
from settlement.services.summariser import fold_all

log = logging.getLogger(__name__)


def post_all(*, clock: Callable[[], datetime], batch: int) -> int:
    """Post batch after batch until nothing is due. Answers how many rows were done."""
    done = 0
    while True:
        worked = post_due(now=clock(), limit=batch)
        done += worked
        if worked == 0:
            return done


def keep_books(*, clock: Callable[[], datetime], path: Path) -> None:
    """Seal what is posted and fold what is sealed; the roots go to the file at `path`.

    A file that cannot be written, or tells another chain than the database, stops the sealing and
    nothing else: totals then keep a longer tail, and the log and the silent heartbeat say so.
    """
    try:
        seal_all(clock=clock, path=path)
        beat("sealer", now=clock())
    except (OSError, SealFileDisagrees) as error:
        log.error("nothing is sealed: %s", error)
    fold_all()


class Sweep(threading.Thread):
    """Posts what is due every `every_s` seconds until stopped; survives whatever goes wrong."""

    def __init__(self, *, clock: Callable[[], datetime], every_s: float, batch: int) -> None:
        super().__init__(name="posting-sweep", daemon=True)
        self._clock = clock
        self._every_s = every_s
        self._batch = batch
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look, post, note the heartbeat, keep the books, wait."""
        while not self._stopped.is_set():
            try:
                close_old_connections()
                limit_frozen_sessions()
                reverse_overdue(now=self._clock(), limit=self._batch)
                post_all(clock=self._clock, batch=self._batch)
                beat("posting sweep", now=self._clock())
                keep_books(clock=self._clock, path=settings.SEAL_FILE)
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
