"""`manage.py close_day YYYY-MM-DD`: close a past day, and every open one before it."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from settlement.selectors.days import month_is_open
from settlement.services.closing import DayCannotClose, close_day
from settlement.services.sealer import SealFileDisagrees, seal_all


class Command(BaseCommand):
    """See "Closing days and months" in docs/operations.md."""

    help = "Close a past business day: nothing more is booked on it or before it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", type=_day, metavar="YYYY-MM-DD")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seal what is posted, then close."""
        try:
            seal_all(clock=timezone.now, path=settings.SEAL_FILE)
            closed = close_day(day=options["day"], now=timezone.now())
        except (DayCannotClose, SealFileDisagrees, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            _("%(day)s and every day before it are closed, up to seal %(seq)s.")
            % {"day": closed.day, "seq": closed.last_seq}
        )
        month = closed.day.replace(day=1)
        if not month_is_open(month):
            self.stdout.write(
                _("With it the month %(month)s is closed.") % {"month": f"{month:%Y-%m}"}
            )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a day such as 2026-01-31, found {text!r}") from None
