"""What must follow a commit: rows written in that very commit, worked in batches, deleted when
done.

Work is found by its presence, never by "id greater than last seen": a lower id can commit later.
Two workers never take the same row (SKIP LOCKED); on SQLite the claiming transaction is IMMEDIATE
and so alone. What a row means is its topic's business, not this module's.

A batch is two commits. The first marks its rows as begun, the second works and deletes them. So a
worker that dies in the middle, of a row that kills it too, leaves rows that are marked and that
nobody holds: whoever finds them a little later counts an attempt for each, and works each of them
alone from then on. A row that always kills its worker is parked like any other after its attempts,
and an innocent one that stood beside it has lost one attempt and a few seconds.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, connection, transaction

from . import sql
from .models import OutboxEntry

log = logging.getLogger(__name__)

# Before any clock's now: new work is due whatever the clocks of this and the worker's machine say,
# and whichever of them is set back meanwhile.
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
# Between marking rows and holding them a living worker needs milliseconds. A frozen one that wakes
# later finds that its mark is gone, and takes nothing.
ABANDONED_S = 5
# Locks, deadlocks, a full disk: trouble of the database that passes.
PASSING_S = 2
# After so many rows in turn that met such trouble the rest of a batch waits too: a lock timeout
# for each of two hundred would outlast the time that a task has.
PASSING_IN_TURN = 3
DIED = "the worker ended in the middle of it"
_ROOT = str(Path(__file__).resolve().parent.parent)

# A topic's handler gets subjects that exist exactly once, inside the batch's transaction.
Handler = Callable[[Sequence[UUID], datetime], None]


class Unworkable(Exception):
    """A handler's reason why its rows cannot be worked, in words that are kept and shown to
    operators: they name rows by id, and never a person."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    topic: str
    subject: UUID


@dataclass(frozen=True, slots=True)
class _Work:
    """What the steps of one call share: `now` marks the rows of this call as its own."""

    handlers: Mapping[str, Handler]
    now: datetime
    attempts: int


def put(*, topic: str, subject: UUID, now: datetime) -> None:
    """Leave a row for the worker, inside the caller's transaction."""
    sql.insert_rows(
        OutboxEntry,
        ("topic", "subject", "created_at", "attempts", "due_at", "last_error"),
        [(topic, subject, now, 0, AT_ONCE, "")],
    )


def put_chosen(*, topic: str, chosen: str, params: Sequence[Any], now: datetime) -> None:
    """Leave a row for each `subject` of a SELECT, inside the caller's transaction. A subject that
    has one keeps it: it is worked once for all."""
    sql.run(
        "INSERT INTO messaging_outboxentry"
        " (topic, subject, created_at, attempts, due_at, last_error)"
        f" SELECT %s, subject, %s, 0, %s, '' FROM ({chosen}) AS chosen WHERE true"
        " ON CONFLICT (topic, subject) DO NOTHING",
        (topic, now, now, *params),
    )


def work_batch(handlers: Mapping[str, Handler], *, now: datetime, limit: int, attempts: int) -> int:
    """Take up to `limit` due rows, hand them to their topics, delete them. Answers how many rows
    were done.

    When a batch fails, each of its rows is tried in a transaction of its own (a savepoint would
    not do: a deferred constraint speaks at the commit), so that one poisoned row keeps nobody
    waiting. Its attempts are counted, it waits longer each time, it never stands in a batch again,
    and after `attempts` it is parked, where it stays visible and can be re-run. Passing trouble of
    the database, such as a lock that somebody holds, is no attempt and is never parked.
    """
    work = _Work(handlers, now, attempts)
    rows, alone = _take(work, limit=limit)
    done = _work_together(rows, work)
    for row in alone:
        if _mark(row, now=now):
            done += _work_together([row], work)
    return done


def _take(work: _Work, *, limit: int) -> tuple[list[_Row], list[_Row]]:
    """Rows marked as begun, to work together, and rows to mark and work one by one."""
    lock = " FOR UPDATE SKIP LOCKED" if sql.for_update() else ""
    together, alone = [], []
    with transaction.atomic(durable=True):
        _spare_the_disk()
        found = sql.fetch(
            "SELECT id, topic, subject, attempts, last_error, begun_at FROM messaging_outboxentry"
            " WHERE parked_at IS NULL AND due_at <= %s AND (begun_at IS NULL OR begun_at <= %s)"
            " ORDER BY id LIMIT %s" + lock,
            (work.now, work.now - timedelta(seconds=ABANDONED_S), limit),
            kinds=(None, None, "uuid", None, None, "datetime"),
        )
        for identifier, topic, subject, attempts, last_error, begun_at in found:
            row = _Row(identifier, topic, subject)
            if begun_at is not None:
                if _count_death(row, attempts=attempts + 1, work=work):
                    alone.append(row)
            elif attempts or last_error:
                alone.append(row)
            else:
                together.append(row)
        if together:
            sql.run(
                "UPDATE messaging_outboxentry SET begun_at = %s WHERE " + sql.among("id"),
                (work.now, sql.values(row.id for row in together)),
            )
    return together, alone


def _mark(row: _Row, *, now: datetime) -> bool:
    """Mark one row as begun, in a commit of its own. Whether it was still there and free."""
    with transaction.atomic(durable=True):
        _spare_the_disk()
        return bool(
            sql.fetch(
                "UPDATE messaging_outboxentry SET begun_at = %s WHERE id = %s"
                " AND begun_at IS NULL AND parked_at IS NULL AND due_at <= %s RETURNING id",
                (now, row.id, now),
            )
        )


def _spare_the_disk() -> None:
    """A mark must survive its process, not the machine: it need not wait for the disk.

    When the machine fails and the mark with it, the row is as if nobody had begun it.
    """
    if connection.vendor == "postgresql":
        sql.run("SET LOCAL synchronous_commit = off")


def until_parked_s(*, attempts: int, every_s: float) -> float:
    """Seconds from a row's commit until it is done, or parked for a person: of one that ends its
    worker at each of its attempts, which takes longest, where a worker looks every so often. A
    queue that is longer than a worker is fast, and passing trouble, come on top."""
    # One look takes it up, and one that comes after its mark is old finds it abandoned.
    noticed_s = attempts * (every_s + ABANDONED_S + every_s)
    return noticed_s + sum(_after_death_s(nth) for nth in range(1, attempts))


def _after_death_s(attempts: int) -> int:
    return 0 if attempts == 1 else 15 * 2 ** (attempts - 1)


def _count_death(row: _Row, *, attempts: int, work: _Work) -> bool:
    """Count the attempt of a worker that did not live to count it. Whether to try now, alone.

    Most rows of a dead worker only stood beside its cause, so the first time there is no delay.
    Later ones are long: whoever supervises gives up on a worker that dies again and again.
    """
    parked = attempts >= work.attempts
    wait_s = _after_death_s(attempts)
    OutboxEntry.objects.filter(pk=row.id).update(
        begun_at=None,
        attempts=attempts,
        last_error=DIED,
        due_at=work.now + timedelta(seconds=wait_s),
        parked_at=work.now if parked else None,
    )
    log.warning("outbox row %s (%s): %s, attempt %s", row.id, row.topic, DIED, attempts)
    return wait_s == 0 and not parked


def _work_together(rows: Sequence[_Row], work: _Work) -> int:
    """Work rows that are marked with this call's moment. Answers how many were done."""
    try:
        return _in_one_commit(rows, work)
    except Exception as error:
        if _session_lost(error):
            # That is no fault of the rows and no attempt at them.
            _let_go_elsewhere(rows, now=work.now)
            raise
        if len(rows) == 1:
            _note_failure(rows[0], error, work)
            return 0
    # Anything may be wrong with one row; which one is found here.
    return _work_one_by_one(rows, work)


def _work_one_by_one(rows: Sequence[_Row], work: _Work) -> int:
    done = in_trouble = 0
    for place, row in enumerate(rows, start=1):
        try:
            done += _in_one_commit([row], work)
            in_trouble = 0
        except Exception as error:
            if _session_lost(error):
                _let_go_elsewhere(rows[place - 1 :], now=work.now)
                raise
            _note_failure(row, error, work)
            in_trouble = in_trouble + 1 if _passes(error) else 0
            if in_trouble == PASSING_IN_TURN:
                later = work.now + timedelta(seconds=PASSING_S)
                _let_go(rows[place:], now=work.now, due_at=later)
                break
    return done


def _in_one_commit(rows: Sequence[_Row], work: _Work) -> int:
    with transaction.atomic(durable=True):
        held = _hold(rows, now=work.now)
        if held:
            _hand_over(held, work)
    return len(held)


def _hold(rows: Sequence[_Row], *, now: datetime) -> list[_Row]:
    """Lock those of the rows that are still marked by this call."""
    if not rows:
        return []
    # Not skipped: a worker that looked for work at the moment these were marked may hold them for
    # the rest of its look, though it leaves them alone. Nobody holds them for longer without a mark
    # of its own, which is committed before the work and then is not ours.
    lock = " FOR UPDATE" if sql.for_update() else ""
    held = {
        identifier
        for (identifier,) in sql.fetch(
            "SELECT id FROM messaging_outboxentry"
            f" WHERE {sql.among('id')} AND begun_at = %s ORDER BY id" + lock,
            (sql.values(row.id for row in rows), now),
        )
    }
    return [row for row in rows if row.id in held]


def _hand_over(rows: Sequence[_Row], work: _Work) -> None:
    # In the order of the handlers, whoever wrote first: what they lock is then always locked in one
    # order too. A topic that nobody handles comes first, and fails.
    order = {topic: place for place, topic in enumerate(work.handlers)}
    for topic in sorted({row.topic for row in rows}, key=lambda topic: order.get(topic, -1)):
        work.handlers[topic]([row.subject for row in rows if row.topic == topic], work.now)
    ids = sql.values(row.id for row in rows)
    sql.run(f"DELETE FROM messaging_outboxentry WHERE {sql.among('id')}", (ids,))


def _note_failure(row: _Row, error: Exception, work: _Work) -> None:
    """Write down what went wrong with a row that was tried alone, and when it is tried again."""
    passing = _passes(error)
    with transaction.atomic(durable=True):
        found = OutboxEntry.objects.select_for_update().filter(pk=row.id, begun_at=work.now)
        entry = found.first()
        if entry is None:
            return
        entry.begun_at = None
        entry.last_error = described(error)
        if passing:
            entry.due_at = work.now + timedelta(seconds=PASSING_S)
        else:
            entry.attempts += 1
            entry.due_at = work.now + timedelta(seconds=2**entry.attempts)
            if entry.attempts >= work.attempts:
                entry.parked_at = work.now
        entry.save(update_fields=["begun_at", "attempts", "last_error", "due_at", "parked_at"])
    log.warning(
        "outbox row %s (%s): %s, attempt %s%s",
        row.id,
        row.topic,
        entry.last_error,
        entry.attempts,
        ", parked" if entry.parked_at else "",
    )


def _let_go(rows: Sequence[_Row], *, now: datetime, due_at: datetime) -> None:
    with transaction.atomic(durable=True):
        OutboxEntry.objects.filter(pk__in=[row.id for row in rows], begun_at=now).update(
            begun_at=None, due_at=due_at
        )


def _let_go_elsewhere(rows: Sequence[_Row], *, now: datetime) -> None:
    """Take the marks away over a new connection, if there is one to be had; else the rows count
    as those of a worker that died."""
    with contextlib.suppress(Error):
        connection.close()
        _let_go(rows, now=now, due_at=now)


def _passes(error: Exception) -> bool:
    return isinstance(error, OperationalError | InterfaceError)


def _session_lost(error: Exception) -> bool:
    """Whether the database went away, rather than answered: no SQLSTATE at all, or one that says
    that the connection failed (08) or was ended by an operator (57P)."""
    if not _passes(error):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P"))


def described(error: Exception) -> str:
    """An error as it may be kept and shown: its class, what the database calls it, and where it
    was raised. Its own text is left out, because that may quote a row; a handler's own is kept."""
    name = type(error).__name__
    if isinstance(error, Unworkable):
        return f"{name}: {error}"[:200]
    parts = [name, *_database_names(error.__cause__)]
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(_ROOT) and "site-packages" not in code.co_filename:
            file = code.co_filename.removeprefix(_ROOT).lstrip("/")
            place = f"at {file}:{trace.tb_lineno} ({code.co_name})"
        trace = trace.tb_next
    return " ".join([*parts, place]).strip()[:200]


def _database_names(cause: Any) -> list[str]:
    """SQLSTATE and constraint of PostgreSQL, or the name that SQLite has for it."""
    names = (
        getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None),
        getattr(getattr(cause, "diag", None), "constraint_name", None),
    )
    return [name for name in names if name]


def parked(*, limit: int) -> list[OutboxEntry]:
    """Rows that gave up, oldest first."""
    return list(OutboxEntry.objects.filter(parked_at__isnull=False).order_by("id")[:limit])


def how_many_parked() -> int:
    """Of rows that gave up."""
    return OutboxEntry.objects.filter(parked_at__isnull=False).count()


def retry(ids: Sequence[int] | None, *, now: datetime) -> list[int]:
    """Make parked rows due again with all their attempts, those of `ids` or all of them; rows that
    wait after a failure too, when they are named. Answers the ids of those that are due now.

    Harmless whenever and however often: what was posted is not posted again. A row that is being
    worked on is left alone. What went wrong last stays written down, so that a row that may still
    be poisoned is tried by itself.
    """
    with transaction.atomic(durable=True):
        rows = OutboxEntry.objects.select_for_update().filter(begun_at__isnull=True)
        chosen = rows.filter(parked_at__isnull=False) if ids is None else rows.filter(pk__in=ids)
        found = list(chosen.order_by("pk").values_list("pk", flat=True))
        OutboxEntry.objects.filter(pk__in=found).update(parked_at=None, attempts=0, due_at=now)
    return found
