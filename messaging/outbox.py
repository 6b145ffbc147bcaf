"""What must follow a commit: rows written in that very commit, worked in batches, deleted when
done.

Work is found by its presence, never by "id greater than last seen": a lower id can commit later.
Two workers never take the same row (SKIP LOCKED); on SQLite the claiming transaction is IMMEDIATE
and so alone. What a row means is its topic's business, not this module's.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from . import sql
from .models import OutboxEntry

MAX_ATTEMPTS = 5
# Before any clock's now: new work is due whatever the clocks of this and the worker's machine say,
# and whichever of them is set back meanwhile.
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)

# A topic's handler gets subjects that exist exactly once, inside the batch's transaction.
Handler = Callable[[Sequence[UUID], datetime], None]


def put(*, topic: str, subject: UUID, now: datetime) -> None:
    """Leave a row for the worker, inside the caller's transaction."""
    sql.insert_rows(
        OutboxEntry,
        ("topic", "subject", "created_at", "attempts", "due_at", "last_error"),
        [(topic, subject, now, 0, AT_ONCE, "")],
    )


def work_batch(handlers: Mapping[str, Handler], *, now: datetime, limit: int) -> int:
    """Claim up to `limit` due rows, hand them to their topics, delete them; one commit.

    When a batch fails, each of its rows is tried alone, so that one poisoned row keeps nobody
    waiting: its attempts are counted, it waits longer each time, and after MAX_ATTEMPTS it is
    parked, where it stays visible and can be re-run. Passing trouble of the database, such as a
    lock that somebody holds, is no attempt and is never parked. Answers how many rows were done.
    """
    rows: list[tuple[int, str, UUID]] = []
    try:
        with transaction.atomic(durable=True):
            rows = _claim(now=now, limit=limit)
            if not rows:
                return 0
            _hand_over(rows, handlers, now)
        return len(rows)
    except Exception:
        if not rows:
            raise
        # Anything may be wrong with one row; which one is found below. A lost database is found
        # there too, and raises again.
        return sum(_work_alone(row, handlers, now) for row in rows)


def _claim(*, now: datetime, limit: int) -> list[tuple[int, str, UUID]]:
    lock = " FOR UPDATE SKIP LOCKED" if sql.for_update() else ""
    return sql.fetch(  # type: ignore[return-value]
        "SELECT id, topic, subject FROM messaging_outboxentry"
        " WHERE parked_at IS NULL AND due_at <= %s ORDER BY id LIMIT %s" + lock,
        (now, limit),
        kinds=(None, None, "uuid"),
    )


def _hand_over(
    rows: Sequence[tuple[int, str, UUID]], handlers: Mapping[str, Handler], now: datetime
) -> None:
    for topic in dict.fromkeys(topic for _, topic, _ in rows):
        handlers[topic]([subject for _, of, subject in rows if of == topic], now)
    ids = [identifier for identifier, _, _ in rows]
    sql.run(f"DELETE FROM messaging_outboxentry WHERE {sql.among('id')}", (sql.values(ids),))


def _work_alone(row: tuple[int, str, UUID], handlers: Mapping[str, Handler], now: datetime) -> int:
    try:
        with transaction.atomic(durable=True):
            held = OutboxEntry.objects.select_for_update(skip_locked=True).filter(pk=row[0])
            if not held.exists():
                return 0
            _hand_over([row], handlers, now)
            return 1
    except Exception as error:
        if _session_lost(error):
            # That is no fault of the row and no attempt at it.
            raise
        with transaction.atomic(durable=True):
            entry = OutboxEntry.objects.select_for_update().filter(pk=row[0]).first()
            if entry is None:
                return 0
            if not isinstance(error, OperationalError | InterfaceError):
                entry.attempts += 1
            entry.last_error = f"{type(error).__name__}: {error}"[:2000]
            entry.due_at = now + timedelta(seconds=2 ** max(1, entry.attempts))
            if entry.attempts >= MAX_ATTEMPTS:
                entry.parked_at = now
            entry.save(update_fields=["attempts", "last_error", "due_at", "parked_at"])
        return 0


def _session_lost(error: Exception) -> bool:
    """Whether the database went away, rather than answered: no SQLSTATE at all, or one that says
    that the connection failed (08) or was ended by an operator (57P)."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P"))


def parked() -> list[OutboxEntry]:
    """Rows that gave up, oldest first."""
    return list(OutboxEntry.objects.filter(parked_at__isnull=False).order_by("id"))


def rerun_parked(*, now: datetime) -> int:
    """Give every parked row a fresh start. Answers how many."""
    return OutboxEntry.objects.filter(parked_at__isnull=False).update(
        parked_at=None, attempts=0, due_at=now
    )
