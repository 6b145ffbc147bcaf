"""`manage.py certainty [--json]`: whether everything becomes final within its stated time.

Ends with exit code 1 when something is overdue. Reads one snapshot and writes nothing.
"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from django.utils.translation import gettext as _

from settlement.selectors.certainty import Reading, board

# The words of the JSON and of the guide, in every language.
HEAD = ("kind", "limit", "open", "oldest", "overdue", "finished", "p50", "p99", "worst")


class Command(BaseCommand):
    """See "The certainty clock" in docs/operations.md."""

    help = "What is open, since when, what is overdue, and how long the last day's took; seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for a program")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, print, judge."""
        kinds = board(now=timezone.now(), unhurried=True)
        overdue = sum(kind.overdue for kind in kinds)
        if options["json"]:
            told = {"overdue": overdue, "kinds": [asdict(kind) for kind in kinds]}
            self.stdout.write(json.dumps(told, indent=2))
        else:
            self.stdout.write(_row(*HEAD))
            for kind in kinds:
                self.stdout.write(_shown(kind))
            self.stdout.write(_("overdue: %(many)s") % {"many": overdue})
        if overdue:
            raise SystemExit(1)


def _shown(kind: Reading) -> str:
    times = (kind.p50_s, kind.p99_s, kind.worst_s)
    return _row(
        kind.kind,
        f"{kind.limit_s:.0f}",
        str(kind.open),
        f"{kind.oldest_s:.0f}" if kind.open else "-",
        str(kind.overdue),
        f"{kind.finished}{'+' if kind.in_part else ''}",
        *("-" if seconds is None else f"{seconds:.1f}" for seconds in times),
    )


def _row(*cells: str) -> str:
    first, *rest = cells
    return f"{first:<14}" + "".join(f"{cell:>10}" for cell in rest)
