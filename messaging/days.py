"""Days as the insurance counts them: Asia/Shanghai, whatever the machine's own zone is."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")


def business_date(now: datetime) -> date:
    """The Beijing day of an aware moment."""
    return now.astimezone(BEIJING).date()


def accounting_month(day: date) -> date:
    """The first day of the month whose books a day belongs to."""
    return day.replace(day=1)


def moment(at: datetime) -> str:
    """An aware moment in UTC as answers spell it, RFC 3339 with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
