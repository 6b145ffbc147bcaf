"""How a member starts in mid-year: balance, amounts used this year, an admission in progress.

These three differ from plain rows: settlements change what they began with. A balance is posted
once and never again; a year's amounts may be corrected until a settlement has counted on; what the
files say is therefore compared with the opening, not with what stands there today.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import F, OuterRef, Subquery
from django.db.models.fields.json import KT
from django.utils.translation import gettext as _

from merchants.models import Merchant
from settlement import money
from settlement.models import Account, Posting, Settlement, Visit, YearToDate

from .kinds import BadRow, Record
from .tables import slices

# Kind, person number, column, old, new.
Changed = tuple[str, str, str, str, str]


@dataclass(slots=True)
class BalancePlan:
    """Openings to post: (person number, area code, fen), and accounts by person number."""

    new: list[tuple[str, str, int]] = field(default_factory=list)
    accounts: dict[str, int] = field(default_factory=dict)
    unchanged: int = 0


@dataclass(slots=True)
class YearPlan:
    """Year-to-date rows to write, whole: by (person number, year) the amounts in fen by name."""

    new: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    # Row id, amounts as read, amounts to write.
    changed: dict[tuple[str, int], tuple[int, dict[str, int], dict[str, int]]] = field(
        default_factory=dict
    )
    unchanged: int = 0

    def differences(self) -> Iterable[Changed]:
        """What the changed rows replace."""
        for (number, year), (_row_id, old, new) in self.changed.items():
            for name in sorted({*old, *new}):
                before, after = old.get(name, 0), new.get(name, 0)
                if before != after:
                    column = f"{year} {name}"
                    yield "years_to_date", number, column, money.yuan(before), money.yuan(after)


@dataclass(slots=True)
class AdmissionPlan:
    """Visits to open or correct; values are department, doctor, diagnosis code and name."""

    new: list[tuple[str, int, datetime, tuple[str, str, str, str]]] = field(default_factory=list)
    changed: list[tuple[UUID, str, tuple[str, ...], tuple[str, str, str, str]]] = field(
        default_factory=list
    )
    unchanged: int = 0

    def differences(self) -> Iterable[Changed]:
        """What the changed rows replace."""
        columns = ("department", "doctor", "diagnosis_code", "diagnosis_name")
        for _visit, number, old, new in self.changed:
            for column, before, after in zip(columns, old, new, strict=True):
                if before != after:
                    yield "admissions", number, column, before or "-", after or "-"


def opening_key(*, area_code: str, person_number: str) -> str:
    """The ledger's unique key of a member's opening balance in an area."""
    return f"opening:{area_code}:{person_number}"


def plan_balances(
    rows: Sequence[Record],
    members: set[str],
    areas: set[tuple[str, str]],
    bad_rows: list[BadRow],
) -> BalancePlan:
    """Openings that are not posted yet; one posted with another amount is a bad row."""
    plan = BalancePlan()
    for part in slices(sorted({record.key[0] for record in rows})):
        accounts = Account.objects.filter(member__number__in=part, kind="personal")
        plan.accounts.update(accounts.values_list("member__number", "id"))
    posted = _posted_openings(rows)
    for record in rows:
        number, area_code = record.key
        amount_fen: int = record.values[0]
        if number not in members:
            bad_rows.append(_no_such_member(record))
            continue
        if (number, area_code) not in areas:
            expected = _("an area in which the member is enrolled, in the files or the register")
            bad_rows.append(record.bad("area_code", expected, area_code))
            continue
        key = opening_key(area_code=area_code, person_number=number)
        if key in posted:
            if posted[key] == amount_fen:
                plan.unchanged += 1
            else:
                expected = _("%(yuan)s, the opening balance that is posted already")
                bad_rows.append(
                    record.bad(
                        "balance_yuan",
                        expected % {"yuan": money.yuan(posted[key])},
                        money.yuan(amount_fen),
                    )
                )
        elif amount_fen == 0 and number in plan.accounts:
            plan.unchanged += 1
        else:
            plan.new.append((number, area_code, amount_fen))
    return plan


def _posted_openings(rows: Sequence[Record]) -> dict[str, int]:
    found: dict[str, int] = {}
    keys = (opening_key(area_code=row.key[1], person_number=row.key[0]) for row in rows)
    for part in slices(keys):
        legs = Posting.objects.filter(transaction__key__in=part, amount_fen__gt=0)
        found.update(legs.values_list("transaction__key", "amount_fen"))
    return found


def plan_years(rows: Sequence[Record], members: set[str], bad_rows: list[BadRow]) -> YearPlan:
    """Amounts to store; a year on which a settlement has counted can no longer be corrected."""
    plan = YearPlan()
    groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in rows:
        if record.key[0] in members:
            groups[record.key[0], record.key[1]].append(record)
        else:
            bad_rows.append(_no_such_member(record))
    numbers = sorted({number for number, _year in groups})
    stored = _stored_years(numbers)
    counted_on = _openings_counted_on(numbers)
    for group, records in groups.items():
        given = {record.key[2]: record.values[0] for record in records}
        row_id, current = stored.get(group, (0, {}))
        opening = counted_on.get(group, current)
        differing = [
            record for record in records if record.values[0] != opening.get(record.key[2], 0)
        ]
        if not differing:
            plan.unchanged += 1
        elif group in counted_on:
            expected = _("%(yuan)s, which settlements of that year have counted on")
            bad_rows.extend(
                record.bad(
                    "amount_yuan",
                    expected % {"yuan": money.yuan(opening.get(record.key[2], 0))},
                    money.yuan(record.values[0]),
                )
                for record in differing
            )
        else:
            amounts = {name: fen for name, fen in {**current, **given}.items() if fen}
            if row_id:
                plan.changed[group] = (row_id, current, amounts)
            else:
                plan.new[group] = amounts
    return plan


def _stored_years(numbers: Sequence[str]) -> dict[tuple[str, int], tuple[int, dict[str, int]]]:
    found: dict[tuple[str, int], tuple[int, dict[str, int]]] = {}
    for part in slices(numbers):
        rows = YearToDate.objects.filter(member__number__in=part)
        for number, year, row_id, amounts in rows.values_list(
            "member__number", "benefit_year", "id", "amounts"
        ):
            found[number, year] = (row_id, amounts)
    return found


def _openings_counted_on(numbers: Sequence[str]) -> dict[tuple[str, int], dict[str, int]]:
    """What a member's first settlement of each year was computed from, as it was stored with it."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for part in slices(numbers):
        same_year = Settlement.objects.filter(
            member=OuterRef("member"), benefit_year=OuterRef("benefit_year")
        ).order_by("member_seq")
        rows = (
            Settlement.objects.filter(member__number__in=part)
            .alias(first_seq=Subquery(same_year.values("member_seq")[:1]))
            .filter(member_seq=F("first_seq"))
            .annotate(before=KT("inputs__year_to_date"))
            .values_list("member__number", "benefit_year", "before")
        )
        for number, year, before in rows:
            found[number, year] = msgspec.json.decode(before or "{}", type=dict[str, int])
    return found


def plan_admissions(
    rows: Sequence[Record], members: set[str], bad_rows: list[BadRow]
) -> AdmissionPlan:
    """Admissions to open as visits without a scan, and open ones to correct."""
    plan = AdmissionPlan()
    codes = sorted({record.key[1] for record in rows})
    merchants = dict(Merchant.objects.filter(code__in=codes).values_list("code", "id"))
    stored = _stored_admissions(sorted({record.key[0] for record in rows}))
    for record in rows:
        number, code, admitted_at = record.key
        if number not in members:
            bad_rows.append(_no_such_member(record))
        elif code not in merchants:
            expected = _("the code of an institution that is registered here")
            bad_rows.append(record.bad("institution_code", expected, code))
        elif (found := stored.get((number, merchants[code], admitted_at))) is None:
            plan.new.append((number, merchants[code], admitted_at, _four(record.values)))
        elif found[2] == record.values:
            plan.unchanged += 1
        elif found[1] is not None:
            bad_rows.append(record.bad("", _("an admission that is not closed yet")))
        else:
            plan.changed.append((found[0], number, found[2], _four(record.values)))
    return plan


def _four(values: tuple[Any, ...]) -> tuple[str, str, str, str]:
    department, doctor, code, name = values
    return department, doctor, code, name


def _stored_admissions(
    numbers: Sequence[str],
) -> dict[tuple[str, int, datetime], tuple[UUID, datetime | None, tuple[str, ...]]]:
    found: dict[tuple[str, int, datetime], tuple[UUID, datetime | None, tuple[str, ...]]] = {}
    for part in slices(numbers):
        visits = Visit.objects.filter(
            member__number__in=part, kind=Visit.Kind.INPATIENT, scan__isnull=True
        ).select_related("member")
        for visit in visits:
            main: dict[str, Any] = visit.diagnoses[0] if visit.diagnoses else {}
            values = (
                visit.department,
                visit.doctor,
                str(main.get("code", "")),
                str(main.get("name", "")),
            )
            place = (visit.member.number, visit.merchant_id, visit.opened_at)
            found[place] = (visit.id, visit.closed_at, values)
    return found


def _no_such_member(record: Record) -> BadRow:
    expected = _("a person number in the files or the register")
    return record.bad("person_number", expected, record.key[0])
