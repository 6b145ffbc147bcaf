"""Declaring a merchant's accounting month for clearing: from then on it is what it is.

Whatever returns something of an earlier month shares its merchant's lock of months until it
commits, and declaring takes the lock alone. So a return is either committed, and what it left
unfinished is seen, or begins afterwards, and finds the month declared. Returns share the lock: they
do not wait for each other.
"""

from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from messaging import sql
from messaging.days import accounting_month, business_date
from settlement.models import DeclaredMonth
from settlement.selectors.clearing import Unfinished, is_declared, unfinished
from settlement.selectors.days import month_is_open
from settlement.selectors.standing import Standing


class MonthCannotBeDeclared(Exception):
    """The month stays undeclared; the message says why."""


def month_is_declared(found: Standing, *, day: date) -> bool:
    """Whether this settlement's month is declared for its merchant; it stays so until the commit.
    `day` is the one that is booked on, whose lock is held.

    Takes the merchant's lock of months, shared, unless the month can have none: as long as a day is
    open, neither its own month nor a later one is closed, let alone declared.
    """
    if found.accounting_month >= accounting_month(day):
        return False
    _lock_months(found.merchant_id, shared=True)
    return is_declared(merchant_id=found.merchant_id, month=found.accounting_month)


def declare_month(*, merchant_id: int, month: date, by: str, now: datetime) -> DeclaredMonth:
    """Declare the merchant's month that begins on this day; one commit, never taken back.

    Waits for returns of this merchant that are under way. Raises MonthCannotBeDeclared for a month
    that is not over or not closed, is declared already, or has something unfinished in it.
    """
    named = {"month": f"{month:%Y-%m}"}
    if accounting_month(business_date(now)) <= month:
        raise MonthCannotBeDeclared(_("%(month)s is not over yet.") % named)
    with transaction.atomic(durable=True):
        _take_time()
        _lock_months(merchant_id, shared=False)
        if is_declared(merchant_id=merchant_id, month=month):
            raise MonthCannotBeDeclared(
                _("%(month)s of this institution is declared already.") % named
            )
        if month_is_open(month):
            last = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            raise MonthCannotBeDeclared(
                _("%(month)s is not closed yet: close %(day)s first.") % {**named, "day": last}
            )
        _check_finished(unfinished(merchant_id=merchant_id, month=month))
        return DeclaredMonth.objects.create(
            merchant_id=merchant_id, month=month, declared_at=now, declared_by=by
        )


def _check_finished(left: Unfinished) -> None:
    if left.unposted:
        raise MonthCannotBeDeclared(
            _("%(count)s of its accepted settlements or refunds are not posted yet.")
            % {"count": left.unposted}
        )
    if left.unconfirmed:
        raise MonthCannotBeDeclared(
            _("%(count)s of its settlements in two steps are neither confirmed nor reversed yet.")
            % {"count": left.unconfirmed}
        )
    if left.tenders:
        states = ", ".join(f"{state} {count}" for state, count in sorted(left.tenders.items()))
        raise MonthCannotBeDeclared(
            _("%(count)s parts of its cash are not final yet (%(states)s).")
            % {"count": left.tenders.total(), "states": states}
        )


def _lock_months(merchant_id: int, *, shared: bool) -> None:
    # Advisory, because a row lock would have a merchant's refunds wait for each other. SQLite
    # admits one writer anyway.
    if sql.for_update():
        kind = "_shared" if shared else ""
        sql.run(
            f"SELECT pg_advisory_xact_lock{kind}(hashtext('months'), hashint8(%s))",
            (merchant_id,),
        )


def _take_time() -> None:
    """A month of a hospital is looked through, which may take longer than a till's request."""
    if sql.for_update():
        sql.run("SET LOCAL statement_timeout = '10min'")
        sql.run("SET LOCAL lock_timeout = '1min'")
