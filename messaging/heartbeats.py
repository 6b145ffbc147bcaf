"""When each moving part was last seen: posting sweep, queue, beat."""

from datetime import datetime

from . import sql
from .models import Heartbeat


def beat(name: str, *, now: datetime) -> None:
    """Note that the part is alive."""
    sql.run(
        "INSERT INTO messaging_heartbeat (name, seen_at) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        (name, now),
    )


def seconds_since(name: str, *, now: datetime) -> float | None:
    """Age of the last sign of life in seconds, None when there never was one."""
    row = Heartbeat.objects.filter(name=name).first()
    return (now - row.seen_at).total_seconds() if row else None
