"""The audit of the ledger: everything it promises, proved over one snapshot of the database.

It reads ordered statements side by side from the server's cursors, so it takes the same room
whatever the ledger's size, and it names the first wrong row of each check. It uses the format of
the seals and nothing else of the code that it judges.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from messaging.snapshots import snapshot

from .accounts import check_accounts
from .bills import check_bills
from .books import check_books
from .findings import Check, Progress, Report
from .guards import check_guards
from .years import check_years

__all__ = ["Check", "Progress", "Report", "audit", "unwatched"]


def unwatched(title: str, done: int, total: int) -> None:
    """Nobody watches."""


def audit(
    *,
    path: Path,
    now: datetime,
    opening: Mapping[str, int] | None = None,
    progress: Progress = unwatched,
) -> Report:
    """Prove the books. `path` is the file of roots; `opening` what accounts held before there was a
    ledger, in fen by account name (nothing, where opening balances were imported).

    Reads everything and writes nothing. Raises OSError when the file is there and cannot be read.
    """
    # Lines up to here were written before the snapshot, so the snapshot has their batches.
    certain_to = path.stat().st_size if path.exists() else 0
    report = Report()
    with snapshot(unhurried=True):
        check_guards(report)
        check_books(report, path=path, certain_to=certain_to, now=now, progress=progress)
        check_bills(report, progress=progress)
        check_accounts(report, opening=opening or {}, progress=progress)
        check_years(report, progress=progress)
    return report
