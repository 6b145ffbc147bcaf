"""`manage.py load_demo`: a made-up area to try the system with. Never in production."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from settlement.services import demo


class Command(BaseCommand):
    """Loads what is missing and prints the logins."""

    help = "Load the made-up institutions, catalogue, people and logins of demo/. Repeatable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Another folder of the same shape may be named."""
        parser.add_argument("--folder", type=Path, default=Path(settings.BASE_DIR) / "demo")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, then say who can log in and with what."""
        if settings.PRODUCTION:
            raise CommandError(
                "load_demo makes logins with published passwords: a production deployment does"
                " not load it"
            )
        try:
            loaded = demo.load_demo(folder=options["folder"], now=timezone.now())
        except (demo.DemoUnloadable, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write("Demo logins (made-up people, published passwords, for trying only):")
        for login in loaded.logins:
            self.stdout.write(f"  {login.username:<10} {login.password:<20} {login.note}")
        self.stdout.write(f"Prescription to try at the pharmacy: {loaded.prescription}")
