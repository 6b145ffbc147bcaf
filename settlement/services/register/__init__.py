"""How a real area starts in mid-year: its register, read from files and written all or nothing.

One call reads the files, judges every row, compares with what is stored and, unless a row is bad or
it is a dry run, writes in one transaction. The same files again change nothing. What files look
like is described in `docs/register.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import IntegrityError, OperationalError, transaction
from django.utils.translation import gettext as _

from .kinds import KINDS, SHARINGS, BadRow, Record, kind_of, records_of
from .planning import Difference, Plan, Progress, make_plan
from .sheets import Unreadable, read_sheets
from .writing import RegisterMoved, lock_register, write_plan

__all__ = [
    "BadRow",
    "Difference",
    "KindReport",
    "RegisterMoved",
    "Report",
    "import_register",
]


@dataclass(frozen=True, slots=True)
class KindReport:
    """What became, or would become, of one kind's rows."""

    kind: str
    title: str
    new: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome. With bad rows nothing was written, and the figures are of what could be."""

    bad_rows: tuple[BadRow, ...]
    kinds: tuple[KindReport, ...]
    differences: tuple[Difference, ...]
    written: bool

    @property
    def changes(self) -> int:
        """How many rows are new or changed."""
        return sum(kind.new + kind.changed for kind in self.kinds)


def _silent(title: str, done: int, total: int) -> None:
    """Progress for callers that show none."""


def import_register(
    *,
    paths: Sequence[Path],
    now: datetime,
    dry_run: bool = False,
    progress: Progress = _silent,
) -> Report:
    """Import an area's register from CSV and XLSX files.

    All or nothing, repeatable: rows are found by natural keys, and what is stored but not in the
    files stays. Takes the import's own advisory lock, then members in ascending order where a
    year's amounts are written. Raises RegisterMoved when rival writes met it; nothing is written
    then, and it may be run again.
    """
    records, bad_rows = _read(paths, progress)
    if dry_run:
        plan = make_plan(records, progress=progress)
        return _report(plan, bad_rows, written=False)
    try:
        with transaction.atomic(durable=True):
            lock_register()
            plan = make_plan(records, progress=progress)
            ready = not (bad_rows or plan.bad_rows)
            if ready:
                write_plan(plan, now=now, progress=progress)
    except IntegrityError as error:
        # Every key was looked up in this very transaction, so a rival has written one since.
        raise RegisterMoved(_("the same entries were written by someone else")) from error
    except OperationalError as error:
        raise RegisterMoved(str(error).strip()) from error
    return _report(plan, bad_rows, written=ready)


def _read(
    paths: Sequence[Path], progress: Progress
) -> tuple[dict[str, list[Record]], list[BadRow]]:
    records: dict[str, list[Record]] = {kind.name: [] for kind in KINDS}
    bad_rows: list[BadRow] = []
    suspects: set[str] = set()
    for done, path in enumerate(paths):
        progress(_("reading %(file)s") % {"file": path.name}, done, len(paths))
        try:
            sheets = read_sheets(path)
        except Unreadable as unreadable:
            bad_rows.append(BadRow(path.name, "", 0, "", _("a CSV or XLSX file"), str(unreadable)))
            continue
        if not sheets:
            bad_rows.append(BadRow(path.name, "", 0, "", _("at least a header")))
        for sheet in sheets:
            found = kind_of(sheet)
            if isinstance(found, BadRow):
                bad_rows.append(found)
                continue
            kind, places = found
            for outcome in records_of(sheet, kind, places):
                if isinstance(outcome, Record):
                    records[kind.name].append(outcome)
                else:
                    bad_rows.extend(outcome.bad_rows)
                    suspects.add(outcome.person_number)
    # What else is said of a person with a bad row may refer to that very row: to call it an orphan
    # would send the reader after a mistake that is none.
    return {
        name: [
            record
            for record in rows
            # A sharing is said of two people.
            if suspects.isdisjoint(record.key[: 2 if name == SHARINGS.name else 1])
        ]
        for name, rows in records.items()
    }, bad_rows


def _report(plan: Plan, bad_rows: list[BadRow], *, written: bool) -> Report:
    figures = {
        part.table.kind.name: (len(part.new), len(part.changed), part.unchanged)
        for part in plan.tables
    }
    for name, part in (
        ("opening_balances", (len(plan.balances.new), 0, plan.balances.unchanged)),
        ("years_to_date", (len(plan.years.new), len(plan.years.changed), plan.years.unchanged)),
        (
            "admissions",
            (len(plan.admissions.new), len(plan.admissions.changed), plan.admissions.unchanged),
        ),
    ):
        figures[name] = part
    return Report(
        bad_rows=tuple(
            sorted(
                {*bad_rows, *plan.bad_rows},
                key=lambda bad: (bad.file, bad.sheet, bad.row, bad.column),
            )
        ),
        kinds=tuple(
            KindReport(kind.name, str(kind.title), *figures[kind.name])
            for kind in KINDS
            if any(figures[kind.name])
        ),
        differences=tuple(plan.differences),
        written=written,
    )
