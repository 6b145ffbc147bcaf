"""`manage.py seal_ledger`: seal what is posted and fold what is sealed, now.

The posting worker does the same by itself every few seconds. `--new-key` makes the key that signs
from now on; `--fold-anew` drops the totals and folds them from the first seal.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from settlement.services.sealer import SealFileDisagrees, rotate_seal_key, seal_all
from settlement.services.summariser import fold_all, forget_totals


class Command(BaseCommand):
    """See "The books" in docs/operations.md."""

    help = "Seal posted ledger transactions and fold sealed ones into totals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--new-key", action="store_true", help="sign with a new key from now on"
        )
        parser.add_argument(
            "--fold-anew", action="store_true", help="make the totals anew from the first seal"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and forget where asked to, then seal and fold."""
        try:
            if options["new_key"]:
                number = rotate_seal_key(now=timezone.now())
                self.stdout.write(_("Key %(number)s signs from now on.") % {"number": number})
            if options["fold_anew"]:
                forget_totals()
            sealed = seal_all(clock=timezone.now, path=settings.SEAL_FILE)
            folded = fold_all()
        except (OSError, SealFileDisagrees) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            _("%(sealed)s ledger transactions sealed, %(folded)s folded into totals.")
            % {"sealed": sealed, "folded": folded}
        )
