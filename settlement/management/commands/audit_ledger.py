"""`manage.py audit_ledger [--json]`: prove the ledger over one snapshot, and name what is wrong.

Ends with exit code 1 when anything is wrong. Reads everything and keeps what it found as a row.
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from settlement.management.progress import Shown
from settlement.services.auditing import audit_and_keep


class Command(BaseCommand):
    """See "The books" in docs/operations.md."""

    help = "Prove the ledger: sums, legs, balances, seals, the file of roots, totals, years."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="every check, for a program")
        parser.add_argument(
            "--seal-file",
            type=Path,
            default=settings.SEAL_FILE,
            help="the file of roots, or a copy that was kept elsewhere",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit, print, judge."""
        try:
            with Shown() as shown:
                report = audit_and_keep(
                    clock=timezone.now, path=options["seal_file"], progress=shown
                )
        except OSError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(report.described(), ensure_ascii=False, indent=2))
        else:
            for check in report.checks.values():
                found = (
                    _("wrong: %(count)s") % {"count": check.wrong} if check.wrong else _("sound")
                )
                self.stdout.write(f"{check.name:<14} {check.looked_at:>10}  {found}")
                if check.first:
                    self.stdout.write(f"  {check.first}")
        if not report.sound:
            raise SystemExit(1)
