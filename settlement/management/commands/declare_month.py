"""`manage.py declare_month MERCHANT_CODE YYYY-MM`: give a merchant's closed month over to clearing.

`--list` shows what is declared, of one merchant or of all.
"""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import Merchant
from settlement.selectors.clearing import declared_months
from settlement.services.declaring import MonthCannotBeDeclared, declare_month


class Command(BaseCommand):
    """See "Declaring months for clearing" in docs/operations.md."""

    help = "Declare a merchant's closed month for clearing; a return into it then needs approval."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("merchant_code", nargs="?", default="")
        parser.add_argument("month", nargs="?", type=_month, metavar="YYYY-MM")
        parser.add_argument("--by", default="command line", help="who declares it, for the record")
        parser.add_argument("--list", action="store_true", help="show what is declared")

    def handle(self, *args: Any, **options: Any) -> None:
        """Declare one, or list them."""
        code, month = options["merchant_code"], options["month"]
        if options["list"]:
            self._list(code)
            return
        if month is None:
            raise CommandError(_("Name an institution's code and a month, or --list."))
        merchant = Merchant.objects.filter(code=code).first()
        if merchant is None:
            raise CommandError(_("There is no institution %(code)s.") % {"code": code})
        by = options["by"].strip()[:60] or "command line"
        try:
            declare_month(merchant_id=merchant.pk, month=month, by=by, now=timezone.now())
        except MonthCannotBeDeclared as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            _("%(month)s of %(code)s is declared for clearing.")
            % {"month": f"{month:%Y-%m}", "code": code}
        )

    def _list(self, code: str) -> None:
        for row in declared_months(merchant_code=code):
            self.stdout.write(
                f"{row.month:%Y-%m} {row.merchant.code} {row.merchant.name}"
                f" {timezone.localtime(row.declared_at):%Y-%m-%d %H:%M} {row.declared_by}"
            )


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ArgumentTypeError(f"expected a month such as 2026-01, found {text!r}") from None
