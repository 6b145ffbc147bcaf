"""An audit that is kept: what it found is a row, for the dashboard and for whoever asks later."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from messaging import sql
from messaging.bodies import to_json
from settlement.models import AuditRun
from settlement.selectors.audit import Progress, Report, audit, unwatched


def audit_and_keep(
    *, clock: Callable[[], datetime], path: Path, progress: Progress = unwatched
) -> Report:
    """Audit the ledger and write down what came of it, after the audit's snapshot has ended.

    Raises OSError when the file of roots is there and cannot be read.
    """
    begun_at = clock()
    report = audit(path=path, now=begun_at, progress=progress)
    sql.insert_rows(
        AuditRun,
        ("begun_at", "ended_at", "sound", "report"),
        [(begun_at, clock(), report.sound, to_json(report.described()))],
    )
    return report
