"""`manage.py import_register FILE [FILE...] [--dry-run]`: bring in an area's register.

Reads the clock, shows progress, prints the report; everything else is
`settlement/services/register`. Ends with exit code 1 when a row is bad or a rival write met it.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from settlement.management.progress import Shown
from settlement.services.register import BadRow, RegisterMoved, Report, import_register

SHOWN_DIFFERENCES = 100


class Command(BaseCommand):
    """See docs/register.md for the tables and their columns."""

    help = "Import members, entitlements, openings and admissions from CSV and XLSX files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="list every bad row and what would change, and write nothing",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run: bool = options["dry_run"]
        try:
            with Shown() as shown:
                report = import_register(
                    paths=options["files"], now=timezone.now(), dry_run=dry_run, progress=shown
                )
        except RegisterMoved as moved:
            raise CommandError(
                _("Nothing was written: %(reason)s. Run it again.") % {"reason": moved}
            ) from None
        for bad in report.bad_rows:
            self.stderr.write(_sentence(bad))
        self._print_changes(report)
        if report.bad_rows:
            raise CommandError(
                _("Nothing was written: %(count)s problems.") % {"count": len(report.bad_rows)}
            )
        if report.changes == 0:
            self.stdout.write(_("The register has all of this already; nothing changes."))
        elif dry_run:
            self.stdout.write(_("This was a dry run; nothing was written."))
        else:
            self.stdout.write(_("All of it was written."))

    def _print_changes(self, report: Report) -> None:
        for kind in report.kinds:
            self.stdout.write(
                _("%(title)s: %(new)s new, %(changed)s changed, %(unchanged)s unchanged")
                % {
                    "title": kind.title,
                    "new": kind.new,
                    "changed": kind.changed,
                    "unchanged": kind.unchanged,
                }
            )
        for difference in report.differences[:SHOWN_DIFFERENCES]:
            change = f": {difference.old} -> {difference.new}" if difference.new else ""
            self.stdout.write(
                f"  {difference.kind} {difference.person_number} {difference.column}{change}"
            )
        if (left := len(report.differences) - SHOWN_DIFFERENCES) > 0:
            self.stdout.write(_("  … and %(count)s more changed values") % {"count": left})


def _sentence(bad: BadRow) -> str:
    place = bad.file + (f" [{bad.sheet}]" if bad.sheet else "")
    if bad.row:
        place += _(", row %(row)s") % {"row": bad.row}
    if bad.column:
        place += f", {bad.column}"
    sentence = _("%(place)s: expected %(expected)s") % {"place": place, "expected": bad.expected}
    if bad.found:
        sentence += _(", found %(found)s") % {"found": bad.found}
    return sentence
