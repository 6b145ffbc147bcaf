"""`manage.py ledger_grants ROLE`: print the statements that let a PostgreSQL role run the
application and change nothing of the books.

They are printed, not run: the database's owner runs them, and the application's role is not it.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from settlement.services.grants import grants


class Command(BaseCommand):
    """See "The application's role" in docs/operations.md."""

    help = "Print GRANT and REVOKE statements for the application's role on PostgreSQL."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", metavar="ROLE")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print."""
        self.stdout.write("\n".join(f"{statement};" for statement in grants(options["role"])))
