"""`manage.py ledger_balance ACCOUNT [--at MOMENT | --seal SEQ]`: what an account has, or had."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from messaging.days import BEIJING
from messaging.snapshots import snapshot
from settlement.money import yuan
from settlement.selectors.ledger import balance


class Command(BaseCommand):
    """See the accounts' names in docs/operations.md."""

    help = "The balance of a ledger account, such as fund:370300:pool or member:7:personal."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        when = parser.add_mutually_exclusive_group()
        when.add_argument(
            "--at",
            type=_moment,
            metavar="MOMENT",
            help="such as 2026-01-31T23:59:59; Beijing time unless it says otherwise",
        )
        when.add_argument("--seal", type=int, metavar="SEQ", help="up to this seal, for ever alike")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sum and print."""
        # An account of a fund has as many postings as the area has bills.
        with snapshot(unhurried=True):
            found = balance(options["account"], at=options["at"], up_to_seq=options["seal"])
        if found.postings == 0:
            raise CommandError(
                _("Nothing was posted to %(account)s by then.") % {"account": options["account"]}
            )
        self.stdout.write(
            _("%(account)s: %(yuan)s yuan in %(count)s postings")
            % {
                "account": options["account"],
                "yuan": yuan(found.amount_fen),
                "count": found.postings,
            }
        )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"expected a moment such as 2026-01-31T23:59:59, found {text!r}"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=BEIJING)
