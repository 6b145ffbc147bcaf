"""`manage.py outbox parked` and `manage.py outbox retry ID… | --all`: what nobody could finish.

A row is parked when every attempt at it failed or ended its worker. Once the cause is gone it is
made due again; doing so needlessly, or twice, does no harm, because nothing is posted twice.
"""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from messaging import outbox

# More than anybody reads; the number of all is always said.
SHOWN = 200


class Command(BaseCommand):
    """See "What waits for a person" in docs/operations.md."""

    help = "List the work that was parked after its attempts, or make it due again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and with which rows."""
        acts = parser.add_subparsers(dest="act", required=True, metavar="parked|retry")
        shown = acts.add_parser("parked", help="the parked rows, oldest first")
        shown.add_argument("--json", action="store_true", help="for a program")
        again = acts.add_parser("retry", help="make rows due again, with all their attempts")
        again.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `parked` shows them")
        again.add_argument("--all", action="store_true", help="every parked row")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or make due."""
        if options["act"] == "parked":
            self._parked(as_json=options["json"])
        else:
            self._retry(options["ids"], everything=options["all"])

    def _parked(self, *, as_json: bool) -> None:
        rows = outbox.parked(limit=SHOWN)
        many = outbox.how_many_parked()
        if as_json:
            self.stdout.write(json.dumps({"parked": many, "rows": [_data(row) for row in rows]}))
            return
        for row in rows:
            self.stdout.write(
                f"{row.pk:>10}  {row.topic}  {row.subject}  {row.attempts}"
                f"  {row.parked_at:%Y-%m-%dT%H:%M:%SZ}  {row.last_error}"
            )
        self.stdout.write(_("parked: %(many)s") % {"many": many})

    def _retry(self, ids: list[int], *, everything: bool) -> None:
        if bool(ids) == everything:
            raise CommandError(_("name the rows by their ids, or give --all, and not both"))
        due = outbox.retry(None if everything else ids, now=timezone.now())
        self.stdout.write(_("due again: %(many)s") % {"many": len(due)})
        missing = sorted(set(ids) - set(due))
        if missing:
            raise CommandError(
                _("done already, being worked on, or never there: %(ids)s")
                % {"ids": ", ".join(map(str, missing))}
            )


def _data(row: Any) -> dict[str, Any]:
    return {
        "id": row.pk,
        "topic": row.topic,
        "subject": str(row.subject),
        "attempts": row.attempts,
        "created_at": row.created_at.isoformat(),
        "parked_at": row.parked_at.isoformat(),
        "last_error": row.last_error,
    }
