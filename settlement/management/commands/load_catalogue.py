"""`manage.py load_catalogue`: what an area pays for, from a file; all rows or none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from settlement.services.catalogue import CatalogueUnreadable, load_catalogue, read_catalogue

# More problems than anybody reads at once.
_SHOWN = 50


class Command(BaseCommand):
    """Adds rows, or replaces those of the same code and first day."""

    help = "Load an area's catalogue (CSV in UTF-8). One bad row, and nothing is written."

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
            if options["dry_run"]:
                count = len(read_catalogue(content))
                self.stdout.write(f"{count} rows could be loaded; nothing was written")
                return
            count = load_catalogue(area_code=area_code, content=content)
        except CatalogueUnreadable as unreadable:
            for problem in unreadable.problems[:_SHOWN]:
                self.stderr.write(problem)
            raise CommandError(
                f"{len(unreadable.problems)} problems; nothing was written"
            ) from None
        except OSError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{count} catalogue rows of {area_code}")
