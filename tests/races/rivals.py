"""Making rivals meet: all at one moment, or one exactly in the gap of another.

A race that is hoped for proves little. `forced` stops the first act inside its transaction, before
a statement that the test names, starts the second, and lets the first go on only when PostgreSQL
says that the second waits for a lock, or when the second has ended without waiting.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")
# Longer than any wait that is meant, shorter than a person's patience.
TOO_LONG_S = 10.0


def at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """Do all acts at the same moment, each on a thread and a connection of its own."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            connection.ensure_connection()
            barrier.wait(TOO_LONG_S)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(run, act) for act in acts]]


@contextmanager
def between_statements(interfere: Callable[[str], None]) -> Iterator[None]:
    """Call `interfere` with each statement of this thread's connection just before it runs."""

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        interfere(sql)
        return execute(sql, params, many, context)

    # While queries are recorded, the hot path's own cursor gives way to Django's, which can be
    # wrapped.
    connection.force_debug_cursor = True
    try:
        with connection.execute_wrapper(wrapper):
            yield
    finally:
        connection.force_debug_cursor = False


def lose_connection() -> None:
    """Have PostgreSQL end this thread's session, as a network or a restart would."""
    backend = connection.connection.info.backend_pid

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
            assert cursor.fetchone()[0]

    at_once([terminate])


@dataclass(frozen=True)
class Forced:
    """What both acts answered, and whether the second had to wait for the first."""

    first: Any
    second: Any
    second_waited: bool


def forced(first: Callable[[], Any], second: Callable[[], Any], *, before: str) -> Forced:
    """Run `second` while `first` stands before its first statement that contains `before`.

    Raises AssertionError when the first act never comes to such a statement: a race that did not
    happen proves nothing.
    """
    standing, go_on = threading.Event(), threading.Event()
    backend: list[int] = []
    ended = threading.Event()

    def run_first() -> Any:
        def stop(sql: str) -> None:
            if before in sql and not standing.is_set():
                standing.set()
                assert go_on.wait(TOO_LONG_S)

        try:
            with between_statements(stop):
                return first()
        finally:
            connection.close()

    def run_second() -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend.append(cursor.fetchone()[0])
            return second()
        finally:
            ended.set()
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(run_first)
        try:
            assert standing.wait(TOO_LONG_S), f"nobody came to {before!r}"
            two = pool.submit(run_second)
            waited = _waits_for_a_lock(backend, ended)
        finally:
            go_on.set()
        return Forced(one.result(), two.result(), waited)


def _waits_for_a_lock(backend: list[int], ended: threading.Event) -> bool:
    deadline = time.monotonic() + TOO_LONG_S
    while time.monotonic() < deadline:
        if ended.wait(0.01):
            return False
        if not backend:
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                [backend[0]],
            )
            if cursor.fetchone():
                return True
    raise AssertionError("the second neither waited nor ended")


def until_somebody_waits(ended: threading.Event) -> None:
    """Come back when any session of this database waits for a lock, or everything has ended."""
    deadline = time.monotonic() + TOO_LONG_S
    while time.monotonic() < deadline and not ended.wait(0.01):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone():
                return


@contextmanager
def member_locked(member_id: int) -> Iterator[None]:
    """Somebody else holds the member's lock as long as this lasts."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        from voucher.selectors import lock_member

        try:
            with transaction.atomic():
                lock_member(member_id=member_id)
                held.set()
                assert done.wait(TOO_LONG_S)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(TOO_LONG_S)
        yield
    finally:
        done.set()
        thread.join()
