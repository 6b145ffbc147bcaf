"""`manage.py load_policies`: every policy file of a folder into the table of policies."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from settlement.benefits import PolicyError
from settlement.services.catalogue import PolicyConflict, load_policy_file


class Command(BaseCommand):
    """Files that are stored already change nothing; a stored version never changes."""

    help = "Load policy files (default: policies/*.toml). A version that is stored never changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Files other than the repository's own may be named."""
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load each file, a line each; the first that cannot be loaded ends it."""
        files: list[Path] = options["files"] or sorted(
            (Path(settings.BASE_DIR) / "policies").glob("*.toml")
        )
        for path in files:
            try:
                loaded = load_policy_file(path=path, now=timezone.now())
            except (PolicyError, PolicyConflict, OSError) as error:
                raise CommandError(str(error)) from None
            what = "loaded" if loaded.is_new else "already there"
            self.stdout.write(f"{loaded.policy.version}: {what}")
