"""When each moving part was last seen: the posting sweep, and the queue from end to end.

A heartbeat is written by whoever works, so whatever stops on the way to it, a process, a broker or
a timer, shows as its age.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from . import sql


@dataclass(frozen=True, slots=True)
class Pulse:
    """One part: how many seconds ago it was seen, None for never, and whether that is too long."""

    name: str
    age_s: float | None
    late: bool


def beat(name: str, *, now: datetime) -> None:
    """Note that the part is alive."""
    sql.run(
        "INSERT INTO messaging_heartbeat (name, seen_at) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        (name, now),
    )


def pulses(late_after_s: Mapping[str, float], *, now: datetime) -> list[Pulse]:
    """The parts that are expected, by name, each late after its seconds or when it was never seen;
    then whatever else has beaten."""
    ages = {
        name: max(0.0, (now - seen_at).total_seconds())
        for name, seen_at in sql.fetch(
            "SELECT name, seen_at FROM messaging_heartbeat ORDER BY name",
            kinds=(None, "datetime"),
        )
    }
    found = []
    for name in [*late_after_s, *(ages.keys() - late_after_s.keys())]:
        age_s = ages.get(name)
        limit_s = late_after_s.get(name)
        found.append(Pulse(name, age_s, limit_s is not None and (age_s is None or age_s > limit_s)))
    return found
