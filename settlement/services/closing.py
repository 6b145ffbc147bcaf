"""Closing days: after that nothing is booked on them, and what they came to is sealed.

A till holds its day's lock shared, from before its request is remembered until it is committed;
closing takes the lock alone. So when a day is looked at for closing, every bill of it is either
committed, and seen, or begins afterwards, and finds the day closed.
"""

from datetime import date, datetime, timedelta

from django.db import OperationalError, transaction
from django.utils.translation import gettext as _

from messaging import sql
from messaging.days import business_date
from settlement.models import ClosedDay
from settlement.selectors.days import (
    day_is_open,
    day_lock,
    first_day,
    last_closed_day,
    unposted,
    unsealed_until,
)
from settlement.selectors.money import MoneyFacts
from settlement.selectors.seals import sealed_up_to


class DayCannotClose(Exception):
    """The day stays open; the message says why."""


class DayClosedMeanwhile(OperationalError):
    """The request's day was closed while it was on its way: it waited over midnight, or its
    machine's clock is behind. Passing trouble: nothing is stored, and the same key, sent again,
    is worked on the day that is open then."""


def check_day_open(money: MoneyFacts) -> None:
    """Raises DayClosedMeanwhile when nothing may be booked any more on the day of these facts."""
    if money.day_is_closed:
        raise DayClosedMeanwhile("the day was closed while the request was on its way")


def hold_day(day: date) -> None:
    """Keep the day from being closed until the commit, for whoever books on it without a till.

    Raises DayClosedMeanwhile when it is closed already.
    """
    if sql.for_update():
        sql.run("SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)", day_lock(day))
    if not day_is_open(day):
        raise DayClosedMeanwhile("the day was closed while it was being booked on")


def close_day(*, day: date, now: datetime) -> ClosedDay:
    """Close the day, and with it every earlier one that is still open; one commit.

    Waits for requests of these days that are under way. Raises DayCannotClose for a day that is not
    past or closed already, or while something accepted is unposted or something posted unsealed.
    """
    if day >= business_date(now):
        raise DayCannotClose(_("%(day)s is not over yet.") % {"day": day})
    with transaction.atomic(durable=True):
        _take_time()
        since = _first_open_day(day)
        _lock_days(since=since, until=day)
        # Asked again: another closing may have been waited for.
        last = last_closed_day()
        if last is not None and day <= last:
            raise DayCannotClose(
                _("%(day)s is closed already; the last closed day is %(last)s.")
                % {"day": day, "last": last}
            )
        if waiting := unposted(since=since, until=day):
            raise DayCannotClose(
                _("%(count)s accepted settlements or refunds up to %(day)s are not posted yet.")
                % {"count": waiting, "day": day}
            )
        if waiting := unsealed_until(day):
            raise DayCannotClose(
                _("%(count)s ledger transactions up to %(day)s are not sealed yet.")
                % {"count": waiting, "day": day}
            )
        return ClosedDay.objects.create(day=day, last_seq=sealed_up_to(), closed_at=now)


def _take_time() -> None:
    """The first closing looks through every day since the system began, and keeps no till waiting:
    it may take longer than a request."""
    if sql.for_update():
        sql.run("SET LOCAL statement_timeout = '10min'")
        sql.run("SET LOCAL lock_timeout = '1min'")


def _first_open_day(day: date) -> date:
    """Where a closing of this day begins."""
    last = last_closed_day()
    first = last + timedelta(days=1) if last else first_day() or day
    return min(first, day)


def _lock_days(*, since: date, until: date) -> None:
    """All days of the closing, in order. SQLite's IMMEDIATE transaction is alone already."""
    if not sql.for_update():
        return
    group, first = day_lock(since)
    sql.run(
        "SELECT pg_advisory_xact_lock(%s::int, day) FROM generate_series(%s::int, %s::int) AS day",
        (group, first, day_lock(until)[1]),
    )
