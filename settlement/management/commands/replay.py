"""`manage.py replay`: every stored settlement priced again, and every refund judged by its own.

Nothing is written. The answer is 0 differences, or the first rows that differ with the figures that
do, and then the exit code is 1.
"""

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from settlement.management.progress import Shown
from settlement.services.replaying import Replay, ReplayBroken, Wanted, replay


class Command(BaseCommand):
    """See "Replaying everything" in docs/operations.md."""

    help = "Price every stored settlement again from its stored inputs and compare every figure."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which settlements, in how many processes, and for whom to report."""
        parser.add_argument("--from", dest="from_date", type=_day, metavar="DAY")
        parser.add_argument(
            "--to", dest="until_date", type=_day, metavar="DAY", help="not included"
        )
        parser.add_argument("--area", help="pooling area; all unless given")
        parser.add_argument(
            "--processes", type=_count, metavar="N",
            help="as many as the machine has processors unless given or hardly worth it",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="for a program")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay, print, and exit with 1 when anything differs."""
        wanted = Wanted(options["from_date"], options["until_date"], options["area"] or None)
        begun = time.monotonic()
        try:
            with Shown() as shown:
                found = replay(wanted=wanted, processes=options["processes"], progress=shown)
        except ValueError as error:
            raise CommandError(f"--to: {error}") from None
        except ReplayBroken as error:
            raise CommandError(str(error)) from None
        seconds = time.monotonic() - begun
        if options["json"]:
            data = {**asdict(found), "seconds": round(seconds, 3)}
            self.stdout.write(json.dumps(data, ensure_ascii=False, indent=2))
        else:
            self._print(found, seconds)
        if found.differing:
            raise SystemExit(1)

    def _print(self, found: Replay, seconds: float) -> None:
        for finding in found.named:
            self.stdout.write(f"{finding.kind} {finding.row}")
            for figure in finding.figures:
                self.stdout.write(
                    _("  %(name)s: %(stored)s is stored, %(replayed)s comes out")
                    % {
                        "name": figure.name,
                        "stored": figure.stored,
                        "replayed": figure.replayed,
                    }
                )
        if found.differing > len(found.named):
            self.stdout.write(
                _("… and %(more)s more") % {"more": found.differing - len(found.named)}
            )
        self.stdout.write(
            _(
                "%(settlements)s settlements and %(refunds)s refunds replayed in %(seconds)s s"
                " by %(processes)s processes: %(differing)s differences"
            )
            % {
                "settlements": found.settlements,
                "refunds": found.refunds,
                "seconds": f"{seconds:.1f}",
                "processes": found.processes,
                "differing": found.differing,
            }
        )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a day such as 2026-01-31, found {text!r}") from None


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ArgumentTypeError(f"expected 1 to 64, found {text!r}")
    return int(text)
