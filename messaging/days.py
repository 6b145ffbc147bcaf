"""Days as the insurance counts them: Asia/Shanghai, whatever the machine's own zone is."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")


def business_date(now: datetime) -> date:
    """The Beijing day of an aware moment."""
    return now.astimezone(BEIJING).date()


def accounting_month(day: date) -> date:
    """The first day of the month whose books a day belongs to."""
    return day.replace(day=1)
