"""The sweeps: timers inside the worker that need neither broker nor beat, one that posts and one
that looks after tenders.

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
from settlement.services.tender.driving import drive_due

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


def look_after_money(*, clock: Callable[[], datetime], batch: int) -> int:
    """Reverse what nobody confirmed, post what is due, and keep the books of it. Answers how many
    rows were posted."""
    reverse_overdue(now=clock(), limit=batch)
    done = post_all(clock=clock, batch=batch)
    keep_books(clock=clock, path=settings.SEAL_FILE)
    return done


def drive_all(*, clock: Callable[[], datetime], batch: int) -> int:
    """Look at tenders until none is due. Answers how many looks were taken.

    Apart from posting, which must not wait for a payment service that does not answer.
    """
    done = 0
    while looked := drive_due(now=clock(), limit=batch):
        done += looked
    return done


class Sweep(threading.Thread):
    """Does what is due every `every_s` seconds until stopped; survives whatever goes wrong."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        every_s: float,
        batch: int,
        name: str = "posting sweep",
        work: Callable[..., int] | None = None,
    ) -> None:
        super().__init__(name=name.replace(" ", "-"), daemon=True)
        self._work = work or look_after_money
        self._heart = name
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
                self._work(clock=self._clock, batch=self._batch)
                beat(self._heart, now=self._clock())
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
