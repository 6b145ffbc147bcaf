"""What an import would change, and every reason why it cannot: reading only.

Rows are compared with what is stored and with each other by natural keys, so that members who are
new and members who are known are judged alike and a dry run needs no writing. What is stored and
not in the files is left alone: an import never deletes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from messaging import vault
from voucher.models import Member

from .kinds import ENROLMENTS, KINDS, MEMBERS, SHARINGS, BadRow, Kind, Record
from .openings import (
    AdmissionPlan,
    BalancePlan,
    YearPlan,
    plan_admissions,
    plan_balances,
    plan_years,
)
from .tables import TABLES, Key, Table, slices, stored_rows

# What is being done, how much of it is done, how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """One stored value that the files would replace; both are empty where it must not be shown."""

    kind: str
    person_number: str
    column: str
    old: str
    new: str


@dataclass(slots=True)
class TablePlan:
    """What to write of one table. `ids` finds the stored rows that new ones may refer to."""

    table: Table
    ids: dict[Key, int] = field(default_factory=dict)
    new: list[tuple[Key, Key]] = field(default_factory=list)
    changed: list[tuple[int, Key, Key]] = field(default_factory=list)
    unchanged: int = 0


@dataclass(slots=True)
class Plan:
    """Everything an import would do; with any bad row none of it may be done."""

    bad_rows: list[BadRow] = field(default_factory=list)
    tables: list[TablePlan] = field(default_factory=list)
    balances: BalancePlan = field(default_factory=BalancePlan)
    years: YearPlan = field(default_factory=YearPlan)
    admissions: AdmissionPlan = field(default_factory=AdmissionPlan)
    differences: list[Difference] = field(default_factory=list)
    # Identity numbers by their keyed hash: rows are compared by hash, and written encrypted.
    identities: dict[str, str] = field(default_factory=dict)


def make_plan(records: dict[str, list[Record]], *, progress: Progress) -> Plan:
    """Compare the files' rows, by kind, with what is stored."""
    plan = Plan()
    for kind in KINDS:
        plan.bad_rows.extend(_repeated(records[kind.name]))
    records = {**records, MEMBERS.name: _with_hashes(records[MEMBERS.name], plan)}
    # Of every person in any table: rows of one may refer to another that the files do not have.
    numbers = sorted({record.key[0] for rows in records.values() for record in rows})
    known: dict[str, dict[Key, Key]] = {}
    for table in TABLES:
        rows = records[table.kind.name]
        progress(_("comparing %(kind)s") % {"kind": table.kind.title}, 0, 1)
        stored = stored_rows(table, numbers)
        plan.tables.append(_plan_table(plan, table, rows, stored, known))
        known[table.kind.name] = {
            **{key: values for key, (_id, values) in stored.items()},
            **{record.key: record.values for record in rows},
        }
    members = {key[0] for key in known[MEMBERS.name]}
    areas = {(key[0], values[0]) for key, values in known[ENROLMENTS.name].items()}
    plan.bad_rows.extend(_holders_missing(records[SHARINGS.name], members))
    progress(_("comparing balances, years and admissions"), 0, 1)
    plan.balances = plan_balances(records["opening_balances"], members, areas, plan.bad_rows)
    plan.years = plan_years(records["years_to_date"], members, plan.bad_rows)
    plan.admissions = plan_admissions(records["admissions"], members, plan.bad_rows)
    plan.differences.extend(
        Difference(kind, number, column, old, new)
        for kind, number, column, old, new in (
            *plan.years.differences(),
            *plan.admissions.differences(),
        )
    )
    return plan


def _holders_missing(rows: Sequence[Record], members: set[Any]) -> Iterable[BadRow]:
    """Sharings whose holder is nobody's number, or the very person they are for."""
    known = set(members)
    for part in slices({record.key[1] for record in rows} - known):
        known.update(Member.objects.filter(number__in=part).values_list("number", flat=True))
    for record in rows:
        person, holder, _from_date = record.key
        if holder not in known:
            expected = _("a person number in the files or the register")
            yield record.bad("holder_person_number", expected, holder)
        elif holder == person:
            yield record.bad("holder_person_number", _("another person's number"), holder)


def _repeated(rows: Iterable[Record]) -> Iterable[BadRow]:
    first: dict[Key, Record] = {}
    for record in rows:
        earlier = first.setdefault(record.key, record)
        if earlier is not record:
            yield record.bad(
                "",
                _("each entry once; row %(row)s of %(file)s has it already")
                % {"row": earlier.row, "file": earlier.sheet.file},
            )


def _with_hashes(rows: Iterable[Record], plan: Plan) -> list[Record]:
    """Members with the keyed hash in place of the identity number, each hash only one member's."""
    data_key = vault.data_key_from_settings()
    owners: dict[str, Record] = {}
    hashed: list[Record] = []
    for record in rows:
        number, *others = record.values
        digest = vault.search_hash(number, purpose="identity", data_key=data_key)
        plan.identities[digest] = number
        owner = owners.setdefault(digest, record)
        if owner.key != record.key:
            expected = _("an identity number of one member; row %(row)s has it already")
            plan.bad_rows.append(record.bad("identity_number", expected % {"row": owner.row}))
        hashed.append(record._replace(values=(digest, *others)))
    for part in slices(owners):
        stored = Member.objects.filter(identity_hash__in=part).values_list(
            "identity_hash", "number"
        )
        for digest, person_number in stored:
            if owners[digest].key[0] != person_number:
                expected = _("an identity number that no other member in the register has")
                plan.bad_rows.append(owners[digest].bad("identity_number", expected))
    return hashed


def _plan_table(
    plan: Plan,
    table: Table,
    rows: Sequence[Record],
    stored: dict[Key, tuple[int, Key]],
    known: dict[str, dict[Key, Key]],
) -> TablePlan:
    result = TablePlan(table, ids={key: row_id for key, (row_id, _values) in stored.items()})
    for record in rows:
        if table.parent is not None:
            parent_key = record.key[: table.parent_key]
            if parent_key not in known[table.parent.name]:
                plan.bad_rows.append(_orphan(record, table.parent, parent_key))
                continue
        found = stored.get(record.key)
        if found is None:
            result.new.append((record.key, record.values))
        elif found[1] == record.values:
            result.unchanged += 1
        else:
            result.changed.append((found[0], record.key, record.values))
            plan.differences.extend(_differences(table.kind, record, found[1]))
    if table.has_periods:
        plan.bad_rows.extend(_overlaps(rows, stored))
    return result


def _orphan(record: Record, parent: Kind, key: Key) -> BadRow:
    columns = ", ".join(column.name for column in parent.columns[: parent.key])
    return record.bad(
        parent.columns[parent.key - 1].name if parent.key == 1 else columns,
        _("one of the %(kind)s, in the files or the register") % {"kind": parent.title},
        ", ".join(map(str, key)),
    )


def _differences(kind: Kind, record: Record, old: Key) -> Iterable[Difference]:
    for column, before, after in zip(kind.columns[kind.key :], old, record.values, strict=True):
        if before != after:
            yield Difference(
                kind.name,
                record.key[0],
                column.name,
                "" if column.secret else _shown(before),
                "" if column.secret else _shown(after),
            )


def _shown(value: Any) -> str:
    return "-" if value in (None, "") else str(value)


def _overlaps(rows: Sequence[Record], stored: dict[Key, tuple[int, Key]]) -> Iterable[BadRow]:
    """Periods of one thing that share a day: what is in force that day would be left to chance."""
    touched = {record.key: record for record in rows}
    groups: dict[Key, list[tuple[date, date | None, Record | None]]] = defaultdict(list)
    for key, record in touched.items():
        groups[key[:-1]].append((key[-1], record.values[-1], record))
    for key, (_row_id, values) in stored.items():
        if key not in touched and key[:-1] in groups:
            groups[key[:-1]].append((key[-1], values[-1], None))
    for periods in groups.values():
        periods.sort(key=lambda period: period[0])
        for (begin, end, earlier), (next_begin, _end, later) in pairwise(periods):
            if end is not None and end <= next_begin:
                continue
            blamed = earlier or later
            if blamed is not None:
                expected = _("periods that do not overlap; one begins %(first)s, one %(second)s")
                yield blamed.bad("until_date", expected % {"first": begin, "second": next_begin})
