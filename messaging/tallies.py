"""Refusals that nothing else remembers, counted by the minute, code, actor and path."""

from datetime import datetime

from . import sql


def count_refusal(
    *, code: str, actor: str, path: str, param: str, request_id: str, now: datetime
) -> None:
    """Add one to the minute's tally. One statement, safe against rivals."""
    sql.run(
        "INSERT INTO messaging_refusaltally"
        " (minute_at, code, actor, path, count, last_param, last_request_id)"
        " VALUES (%s, %s, %s, %s, 1, %s, %s)"
        " ON CONFLICT (minute_at, code, actor, path) DO UPDATE SET"
        " count = messaging_refusaltally.count + 1,"
        " last_param = excluded.last_param, last_request_id = excluded.last_request_id",
        (
            now.replace(second=0, microsecond=0),
            code,
            actor[:64],
            path[:200],
            param[:200],
            request_id,
        ),
    )
