"""How a moment of an answer is shown to people: `{{ accepted_at|beijing }}`."""

from datetime import datetime

from django import template

from messaging.days import BEIJING

register = template.Library()


@register.filter
def beijing(text: str) -> str:
    """An RFC 3339 moment as Beijing's wall clock, e.g. 2026-11-20T02:30:00Z as
    2026-11-20 10:30:00."""
    return f"{datetime.fromisoformat(text).astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
