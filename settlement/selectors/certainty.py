"""The certainty board: the rows of the database held against `settlement/certainty.py`.

Of each kind: how many are open, since when, how many beyond their time, and how long those took
that became final in the last day. Everything is of one moment.

It is read on a system that is at work, so its cost is bounded whatever the size of the tables. What
a worker still has to do stands in the outbox and in partial indexes, which are short. The rest are
the latest rows by their ids, which are in the order of time: those since a day and the kind's time
ago, a hundred thousand at most. So a settlement that nobody posted is found by its outbox row
however old it is, and by its state if it lost that row within the day; what lost it before is the
audit's to find.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from messaging import ids, outbox, sql
from messaging.snapshots import snapshot
from settlement import certainty
from settlement.certainty import NOT_CONFIRMED, Clocks, Kind, Promise
from settlement.models.tenders import OPEN_TENDERS

# What is measured: what became final so many seconds ago at most.
MEASURED_OVER_S = 86_400
# Rows of one kind that are looked at, the latest first.
LOOKED_AT_MOST = 100_000
# Clocks of the machines that make ids may be so far apart.
CLOCKS_APART_S = 3_600


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind. `oldest_s` is the age of the oldest open one; `finished` and the three times, None
    without any, are of those that became final within MEASURED_OVER_S; `in_part` says that there
    were more rows than are looked at. All times are seconds."""

    kind: Kind
    limit_s: float
    open: int
    oldest_s: float
    overdue: int
    finished: int
    p50_s: float | None
    p99_s: float | None
    worst_s: float | None
    in_part: bool


@dataclass(frozen=True, slots=True)
class _Moments:
    """What the statements are made with: the moment, when measuring begins, and the least id."""

    now: datetime
    since: datetime
    floor: UUID


# A statement's text and its parameters.
Query = tuple[str, Sequence[Any]]


def clocks() -> Clocks:
    """The figures of this deployment."""
    return Clocks(
        scan_s=settings.SCAN_LIFETIME_S,
        quote_s=settings.QUOTE_LIFETIME_S,
        payment_s=settings.TENDER_CERTAINTY_S,
        capture_s=settings.TENDER_CAPTURE_S,
        worker_s=outbox.until_parked_s(
            attempts=settings.POSTING_ATTEMPTS, every_s=settings.POSTING_SWEEP_S
        ),
    )


def board(*, now: datetime, unhurried: bool = False) -> list[Reading]:
    """All kinds in the order of the table; `unhurried` for a reader with more time than a page."""
    figures = clocks()
    with snapshot(unhurried=unhurried):
        return [_reading(line, figures, now=now) for line in certainty.TABLE]


def _reading(line: Promise, figures: Clocks, *, now: datetime) -> Reading:
    limit_s = line.limit_s(figures)
    reach_s = MEASURED_OVER_S + limit_s + CLOCKS_APART_S
    moments = _Moments(
        now=now,
        since=now - timedelta(seconds=MEASURED_OVER_S),
        floor=ids.floor_of(now - timedelta(seconds=reach_s)),
    )
    many, oldest, overdue = _open(line, figures, moments)
    finished, p50_s, p99_s, worst_s = _finished(line, moments)
    return Reading(
        kind=line.kind,
        limit_s=limit_s,
        open=many,
        oldest_s=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        overdue=overdue,
        finished=finished,
        p50_s=p50_s,
        p99_s=p99_s,
        worst_s=worst_s,
        in_part=_is_in_part(line, moments),
    )


def _open(line: Promise, figures: Clocks, moments: _Moments) -> tuple[int, datetime | None, int]:
    """How many are open, the beginning of the oldest, how many are late."""
    rows, params = _OPEN[line.kind](moments)
    late, late_params = [], []
    for stage in line.stages:
        states = ", ".join(f"'{state}'" for state in sorted(stage.states))
        late.append(f"(o.state IN ({states}) AND o.{stage.since} < %s)")
        late_params.append(moments.now - timedelta(seconds=stage.within_s(figures)))
    found = sql.fetch(
        f"SELECT count(*), min(o.{line.born}),"
        f" count(CASE WHEN {' OR '.join(late)} THEN 1 END) FROM ({rows}) AS o",
        (*late_params, *params),
        kinds=(None, "datetime", None),
    )
    many, oldest, overdue = found[0]
    return many, oldest, overdue


def _finished(
    line: Promise, moments: _Moments
) -> tuple[int, float | None, float | None, float | None]:
    """How many became final, and p50, p99 and worst of the seconds that they took."""
    rows, params = _FINISHED[line.kind](moments)
    took = sql.seconds_between("f.began", "f.ended")
    found = sql.fetch(
        "SELECT count(*), min(CASE WHEN place * 2 >= n THEN took END),"
        " min(CASE WHEN place * 100 >= n * 99 THEN took END), max(took) FROM ("
        "SELECT took, row_number() OVER (ORDER BY took) AS place, count(*) OVER () AS n FROM ("
        f"SELECT {took} AS took FROM ({rows}) AS f WHERE f.ended >= %s) AS timed) AS ranked",
        (*params, moments.since),
    )
    finished, p50_s, p99_s, worst_s = found[0]
    return finished, p50_s, p99_s, worst_s


# -- where the rows are


_TABLES: dict[Kind, str] = {
    "scan": "scan",
    "quote": "quote",
    "settlement": "settlement",
    "two_step": "settlement",
    "refund": "refund",
    "payment": "tender",
    "tender": "tender",
    "tender_refund": "tenderrefund",
}


def _latest(kind: Kind, columns: str) -> str:
    """The latest rows of its table; takes the least id."""
    return (
        f"SELECT {columns} FROM settlement_{_TABLES[kind]} WHERE id >= %s"
        f" ORDER BY id DESC LIMIT {LOOKED_AT_MOST}"
    )


def _is_in_part(line: Promise, moments: _Moments) -> bool:
    found = sql.fetch(
        f"SELECT count(*) FROM ({_latest(line.kind, 'id')}) AS latest", (moments.floor,)
    )
    return bool(found[0][0] == LOOKED_AT_MOST)


def _open_scans(moments: _Moments) -> Query:
    rows = _latest("scan", "code, scanned_at, expires_at")
    return (
        f"SELECT 'accepted' AS state, scanned_at FROM ({rows}) AS latest"
        " WHERE code = '' AND expires_at > %s",
        (moments.floor, moments.now),
    )


def _finished_scans(moments: _Moments) -> Query:
    """A refused one was final when it was answered, and is not counted."""
    rows = _latest("scan", "code, scanned_at, expires_at")
    return (
        f"SELECT scanned_at AS began, expires_at AS ended FROM ({rows}) AS latest"
        " WHERE code = '' AND expires_at <= %s",
        (moments.floor, moments.now),
    )


def _open_quotes(moments: _Moments) -> Query:
    rows = _latest("quote", "state, quoted_at, expires_at")
    return (
        f"SELECT state, quoted_at FROM ({rows}) AS latest WHERE state = 'live' AND expires_at > %s",
        (moments.floor, moments.now),
    )


def _finished_quotes(moments: _Moments) -> Query:
    """Of one that was released or replaced the moment is not kept: it counts as if it had lived on
    until it ran out."""
    rows = _latest("quote", "id, state, quoted_at, expires_at")
    bills = _latest("settlement", "quote_id, accepted_at")
    return (
        "SELECT q.quoted_at AS began, coalesce(s.accepted_at, q.expires_at) AS ended"
        f" FROM ({rows}) AS q LEFT JOIN ({bills}) AS s"
        " ON s.quote_id = q.id AND q.state = 'confirmed'"
        " WHERE q.state <> 'live' OR q.expires_at <= %s",
        (moments.floor, moments.floor, moments.now),
    )


def _unposted(kind: Kind) -> Callable[[_Moments], Query]:
    table = f"settlement_{_TABLES[kind]}"

    def rows(moments: _Moments) -> Query:
        latest = _latest(kind, "id, state, accepted_at")
        return (
            "SELECT r.id, r.state, r.accepted_at FROM messaging_outboxentry e"
            f" JOIN {table} r ON r.id = e.subject WHERE e.topic = 'post_{kind}'"
            f" UNION SELECT id, state, accepted_at FROM ({latest}) AS latest"
            " WHERE state = 'accepted'",
            (moments.floor,),
        )

    return rows


def _posted(kind: Kind) -> Callable[[_Moments], Query]:
    def rows(moments: _Moments) -> Query:
        latest = _latest(kind, "accepted_at, posted_at")
        return (
            f"SELECT accepted_at AS began, posted_at AS ended FROM ({latest}) AS latest"
            " WHERE posted_at IS NOT NULL",
            (moments.floor,),
        )

    return rows


def _open_two_steps(moments: _Moments) -> Query:
    return (
        "SELECT 'unconfirmed' AS state, accepted_at, confirm_by FROM settlement_settlement"
        " WHERE confirm_by IS NOT NULL AND confirmed_at IS NULL",
        (),
    )


def _finished_two_steps(moments: _Moments) -> Query:
    """One that its client withdrew or returned before the time was out is told from others no
    more, and is not counted."""
    confirmed = _latest("two_step", "accepted_at, confirm_by, confirmed_at")
    returned = _latest("refund", "settlement_id, kind, reason, accepted_at")
    return (
        f"SELECT accepted_at AS began, confirmed_at AS ended FROM ({confirmed}) AS latest"
        " WHERE confirm_by IS NOT NULL AND confirmed_at IS NOT NULL"
        f" UNION ALL SELECT s.accepted_at, r.accepted_at FROM ({returned}) AS r"
        " JOIN settlement_settlement s ON s.id = r.settlement_id"
        " WHERE r.kind = 'reversal' AND r.reason = %s",
        (moments.floor, moments.floor, NOT_CONFIRMED),
    )


def _open_payments(moments: _Moments) -> Query:
    return (
        "SELECT state, created_at, certain_by FROM settlement_tender"
        " WHERE state IN ('asked', 'unknown')",
        (),
    )


def _finished_payments(moments: _Moments) -> Query:
    rows = _latest("payment", "created_at, known_at")
    return (
        f"SELECT created_at AS began, known_at AS ended FROM ({rows}) AS latest"
        " WHERE known_at IS NOT NULL",
        (moments.floor,),
    )


def _open_tenders(moments: _Moments) -> Query:
    # Written out, so that the planner sees the condition of the index.
    states = ", ".join(f"'{state}'" for state in OPEN_TENDERS)
    return (
        "SELECT state, created_at, certain_by, changed_at FROM settlement_tender"
        f" WHERE state IN ({states})",
        (),
    )


def _finished_tenders(moments: _Moments) -> Query:
    rows = _latest("tender", "state, created_at, changed_at")
    final = sorted(certainty.promise("tender").final)
    return (
        f"SELECT created_at AS began, changed_at AS ended FROM ({rows}) AS latest"
        f" WHERE {sql.among('state')}",
        (moments.floor, sql.values(final)),
    )


def _open_tender_refunds(moments: _Moments) -> Query:
    return (
        "SELECT CASE WHEN t.state IN ('received', 'authorised', 'capturing') THEN 'held'"
        " ELSE 'due' END AS state, r.created_at,"
        " CASE WHEN t.changed_at > r.created_at THEN t.changed_at ELSE r.created_at END AS since"
        " FROM settlement_tenderrefund r JOIN settlement_tender t ON t.id = r.tender_id"
        " WHERE r.returned_at IS NULL",
        (),
    )


def _finished_tender_refunds(moments: _Moments) -> Query:
    rows = _latest("tender_refund", "created_at, returned_at")
    return (
        f"SELECT created_at AS began, returned_at AS ended FROM ({rows}) AS latest"
        " WHERE returned_at IS NOT NULL",
        (moments.floor,),
    )


_OPEN: dict[Kind, Callable[[_Moments], Query]] = {
    "scan": _open_scans,
    "quote": _open_quotes,
    "settlement": _unposted("settlement"),
    "two_step": _open_two_steps,
    "refund": _unposted("refund"),
    "payment": _open_payments,
    "tender": _open_tenders,
    "tender_refund": _open_tender_refunds,
}
_FINISHED: dict[Kind, Callable[[_Moments], Query]] = {
    "scan": _finished_scans,
    "quote": _finished_quotes,
    "settlement": _posted("settlement"),
    "two_step": _finished_two_steps,
    "refund": _posted("refund"),
    "payment": _finished_payments,
    "tender": _finished_tenders,
    "tender_refund": _finished_tender_refunds,
}
