"""`manage.py texts`: bring the catalogues in `locale/` up to the sources, and compile them."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal import texts


class Command(BaseCommand):
    """Extract, merge, compile; name what is still without a translation."""

    help = "Extract the texts of the whole system, merge into locale/ and compile. Needs Babel."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit 1 if something is missing"
        )

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        missing = 0
        for language in texts.LANGUAGES:
            for domain in texts.DOMAINS:
                catalogue = texts.updated(settings.BASE_DIR, language, domain)
                empty = [one for one in catalogue if one.id and not one.string]
                for one in empty:
                    self.stdout.write(f"{language} {domain}: no translation of {one.id!r}")
                missing += len(empty)
                if not check:
                    path = texts.catalogue_path(settings.BASE_DIR, language, domain)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(texts.as_po(catalogue))
                    path.with_suffix(".mo").write_bytes(texts.as_mo(catalogue))
        if missing:
            raise SystemExit(1)
        self.stdout.write("Every text is translated.")
