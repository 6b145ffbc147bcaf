"""When each moving part was last seen: posting sweep, queue, beat."""

from datetime import datetime

from . import sql


def beat(name: str, *, now: datetime) -> None:
    """Note that the part is alive."""
    sql.run(
        "INSERT INTO messaging_heartbeat (name, seen_at) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        (name, now),
    )
