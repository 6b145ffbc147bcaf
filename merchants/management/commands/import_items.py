"""`manage.py import_items`: a merchant's item list from a file, all rows or none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants import services
from merchants.item_files import FileUnreadable, read_items
from merchants.models import Merchant

# More bad rows than anybody reads at once.
_SHOWN = 50


class Command(BaseCommand):
    """Reads the file, lists bad rows and unmapped items, saves unless it is a dry run."""

    help = "Load a merchant's item list (CSV or XLSX). One bad row, and nothing is written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The merchant's code and the file."""
        parser.add_argument("merchant", help="national code of the institution")
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="read and report, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report what is in the way, or save."""
        try:
            merchant = Merchant.objects.get(code=options["merchant"])
        except Merchant.DoesNotExist:
            raise CommandError(f"no institution has the code {options['merchant']}") from None
        try:
            found = read_items(options["file"])
        except (FileUnreadable, OSError) as error:
            raise CommandError(str(error)) from None
        for row in found.bad_rows[:_SHOWN]:
            self.stderr.write(f"row {row.number}, {row.column}: {row.problem}")
        if found.bad_rows:
            raise CommandError(f"{len(found.bad_rows)} bad rows; nothing was written")
        unmapped = [item.code for item in found.items if not item.national_code]
        if unmapped:
            shown = ", ".join(unmapped[:_SHOWN])
            self.stdout.write(f"{len(unmapped)} items have no national code: {shown}")
        if options["dry_run"]:
            self.stdout.write(f"{len(found.items)} items could be saved; nothing was written")
            return
        saved = services.save_items(merchant_id=merchant.pk, items=found.items)
        self.stdout.write(f"{saved.saved} items saved for {merchant.code} {merchant.name}")
