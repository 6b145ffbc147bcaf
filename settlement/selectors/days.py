"""Which days of the books are closed, and what stands in the way of closing one.

Days close in order: a closed day closes all before it. Then a month is closed by its last day, and
the month of an open day is open.
"""

from datetime import date, timedelta

from messaging import sql

# PostgreSQL's advisory locks of days: this, and the day's ordinal.
_LOCKS = 7_214


def day_lock(day: date) -> tuple[int, int]:
    """The advisory lock of a day: whoever books on it holds it shared until the commit, whoever
    closes it takes it alone."""
    return _LOCKS, day.toordinal()


def last_closed_day() -> date | None:
    """The latest closed day, or None when none is."""
    row = sql.fetch_one("SELECT max(day) FROM settlement_closedday", kinds=("date",))
    return row[0] if row else None


def day_is_open(day: date) -> bool:
    """Whether anything may still be booked on the day."""
    last = last_closed_day()
    return last is None or day > last


def month_is_open(month: date) -> bool:
    """Whether the books of the month that begins on this day are open: its last day is."""
    return day_is_open((month + timedelta(days=31)).replace(day=1) - timedelta(days=1))


def unposted(*, since: date, until: date) -> int:
    """Accepted settlements and refunds of these days, both included, that are not posted."""
    row = sql.fetch_one(
        "SELECT (SELECT count(*) FROM settlement_settlement"
        " WHERE state = 'accepted' AND business_date BETWEEN %s AND %s)"
        " + (SELECT count(*) FROM settlement_refund"
        " WHERE state = 'accepted' AND business_date BETWEEN %s AND %s)",
        (since, until, since, until),
    )
    return int(row[0]) if row else 0


def unsealed_until(day: date) -> int:
    """Ledger transactions of this day and earlier that have no seal."""
    row = sql.fetch_one(
        "SELECT count(*) FROM settlement_toseal w"
        " JOIN settlement_ledgertransaction t ON t.id = w.transaction_id"
        " WHERE t.business_date <= %s",
        (day,),
    )
    return int(row[0]) if row else 0


def first_day() -> date | None:
    """The first business date on which anything was settled, or None."""
    row = sql.fetch_one("SELECT min(business_date) FROM settlement_settlement", kinds=("date",))
    return row[0] if row else None
