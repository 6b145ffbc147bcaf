"""Telling a worker that there is something to do, without ever making a request wait for a broker.

A thread of its own sends the message. Wake-ups that arrive while one is being sent become one, so a
busy counter sends two messages a second, not one a settlement. A broker that does not answer
costs nothing here: the sweep finds the work.
"""

import logging
import threading
from collections.abc import Callable

from django.db import transaction

log = logging.getLogger(__name__)

# Seconds between two messages at least: the first wakes the worker at once, and while a counter is
# busy it posts by the half second, in batches that cost a fraction of posting each sale alone.
PAUSE_S = 0.5


class _Messenger:
    """One thread a process, made when it is first needed, so that a forked worker has its own."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._send: Callable[[], object] | None = None

    def wake(self, send: Callable[[], object]) -> None:
        with self._lock:
            self._send = send
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="wake-up", daemon=True)
                self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                if self._send is not None:
                    self._send()
            except Exception:
                # Whatever a broker client raises, the row is committed and the sweep will find it.
                log.info("no broker answered a wake-up; the sweep will do", exc_info=False)
            pause.wait(PAUSE_S)


_messenger = _Messenger()


def wake_after_commit(send: Callable[[], object]) -> None:
    """Have `send` called soon after the transaction under way commits, in another thread.

    A wake-up that fails is only logged: what was committed must be answered as accepted.
    """
    transaction.on_commit(lambda: _messenger.wake(send), robust=True)
