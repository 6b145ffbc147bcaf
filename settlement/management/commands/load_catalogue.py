"""`manage.py load_catalogue`: what an area pays for, from a file; all rows or none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from settlement.management.progress import Shown
from settlement.services.catalogue import check_catalogue, load_catalogue
from settlement.services.catalogue_files import CatalogueUnreadable

# More problems than anybody reads at once.
_SHOWN = 50


class Command(BaseCommand):
    """Adds rows, or replaces those of the same code and first day."""

    help = "Load an area's catalogue (CSV or XLSX). One bad row, and nothing is written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The area and the file."""
        parser.add_argument("area", help="six digits of the pooling area")
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="read and report, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report what is in the way, or load."""
        area_code: str = options["area"]
        if not (len(area_code) == 6 and area_code.isascii() and area_code.isdigit()):
            raise CommandError("an area is six digits, such as 370300")
        try:
            content = options["file"].read_bytes()
            with Shown() as shown:
                do = check_catalogue if options["dry_run"] else load_catalogue
                count = do(area_code=area_code, content=content, progress=shown)
        except CatalogueUnreadable as unreadable:
            # A dry run is asked for the whole list.
            shown_first = None if options["dry_run"] else _SHOWN
            for problem in unreadable.problems[:shown_first]:
                self.stderr.write(problem)
            raise CommandError(
                f"{len(unreadable.problems)} problems; nothing was written"
            ) from None
        except OSError as error:
            raise CommandError(str(error)) from None
        if options["dry_run"]:
            self.stdout.write(f"{count} rows could be loaded; nothing was written")
        else:
            self.stdout.write(f"{count} catalogue rows of {area_code}")
