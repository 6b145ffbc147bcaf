"""Writing a plan: in one transaction, in slices, parents before what refers to them.

Nothing is decided here. Where rows may have moved since they were compared (a settlement at a till
in the same minute), the write finds out and everything is rolled back.
"""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Model
from django.utils.translation import gettext as _

from messaging import sql, vault
from messaging.days import accounting_month, business_date
from messaging.ids import new_id
from settlement.models import Account, LedgerTransaction, Posting, Settlement, Visit, YearToDate
from settlement.services.closing import DayClosedMeanwhile, hold_day
from voucher.models import Member

from .kinds import MEMBERS
from .openings import opening_key
from .planning import Plan, Progress, TablePlan
from .tables import TABLES, Key, slices

COUNTED: tuple[type[Model], ...] = (
    *(table.model for table in TABLES),
    Account,
    YearToDate,
    LedgerTransaction,
    Posting,
    Visit,
)


class RegisterMoved(Exception):
    """Someone else was writing the same rows; nothing was written, and it may be run again."""


def lock_register() -> None:
    """One import at a time, and no limit of time for its statements, in this transaction.

    Raises RegisterMoved when another import is running.
    """
    if connection.vendor != "postgresql":
        return
    sql.run("SET LOCAL statement_timeout = 0")
    sql.run("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = sql.fetch_one("SELECT pg_try_advisory_xact_lock(hashtext('import_register'))")
    if row is None or not row[0]:
        raise RegisterMoved(_("another import is running"))


def write_plan(plan: Plan, *, now: datetime, progress: Progress) -> None:
    """Write everything. Call in the transaction that made the plan, under `lock_register`.

    Raises RegisterMoved.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("write_plan is called inside a transaction")
    ids: dict[str, dict[Key, int]] = {}
    for table_plan in plan.tables:
        ids[table_plan.table.kind.name] = _write_table(table_plan, plan, ids, progress)
    members = {key[0]: row_id for key, row_id in ids[MEMBERS.name].items()}
    _write_balances(plan, members, now, progress)
    _write_years(plan, members, progress)
    _write_admissions(plan, members, progress)
    if connection.vendor == "postgresql":
        # Until the tables are counted, PostgreSQL plans as if they were as small as before: the
        # next import, and the first scans, would take minutes for what takes milliseconds.
        for model in COUNTED:
            sql.run(f'ANALYZE "{model._meta.db_table}"')


def _write_table(
    part: TablePlan, plan: Plan, ids: dict[str, dict[Key, int]], progress: Progress
) -> dict[Key, int]:
    table = part.table
    title = _("writing %(kind)s") % {"kind": table.kind.title}
    found = dict(part.ids)
    done = 0
    for rows in slices(part.new):
        made = []
        for key, values in rows:
            columns = _columns(part, plan, key, values)
            if table.parent is not None:
                columns[table.parent_field] = ids[table.parent.name][key[: table.parent_key]]
            made.append(table.model(**columns))
        for (key, _values), row in zip(
            rows, table.model._default_manager.bulk_create(made), strict=True
        ):
            found[key] = row.pk
        done += len(rows)
        progress(title, done, len(part.new))
    fields = [name for name in table.fields[table.kind.key :] if name]
    if table.kind is MEMBERS:
        fields.append("identity_cipher")
    for changed in slices(part.changed):
        table.model._default_manager.bulk_update(
            [
                table.model(pk=row_id, **_columns(part, plan, key, values))
                for row_id, key, values in changed
            ],
            fields,
        )
    return found


def _columns(part: TablePlan, plan: Plan, key: Key, values: Key) -> dict[str, Any]:
    columns = {
        name: value
        for name, value in zip(part.table.fields, (*key, *values), strict=True)
        if name is not None
    }
    if part.table.kind is MEMBERS:
        number = plan.identities[columns["identity_hash"]]
        columns["identity_cipher"] = vault.seal(
            number.encode(), purpose="identity", data_key=vault.data_key_from_settings()
        )
    return columns


def _write_balances(plan: Plan, members: dict[str, int], now: datetime, progress: Progress) -> None:
    """Post each opening, and put it on the member's account, made where there is none."""
    day = business_date(now)
    if plan.balances.new:
        try:
            hold_day(day)
        except DayClosedMeanwhile:
            raise RegisterMoved(_("the day it would be booked on was closed")) from None
    accounts = plan.balances.accounts
    done = 0
    for rows in slices(plan.balances.new):
        moving = [(number, area, fen) for number, area, fen in rows if fen]
        made = LedgerTransaction.objects.bulk_create(
            LedgerTransaction(
                key=opening_key(area_code=area, person_number=number),
                kind="opening",
                area_code=area,
                business_date=day,
                accounting_month=accounting_month(day),
                posted_at=now,
            )
            for number, area, _fen in moving
        )
        legs: list[Posting] = []
        for entry, (number, area, fen) in zip(made, moving, strict=True):
            legs.append(
                Posting(transaction=entry, leg=1, account=f"opening:{area}", amount_fen=-fen)
            )
            account = f"member:{members[number]}:personal"
            legs.append(Posting(transaction=entry, leg=2, account=account, amount_fen=fen))
        Posting.objects.bulk_create(legs)

        fresh: dict[str, int] = {}
        for number, _area, fen in rows:
            if number in accounts:
                Account.objects.filter(pk=accounts[number]).update(
                    balance_fen=F("balance_fen") + fen
                )
            else:
                # Two areas' openings are one account: the money is the member's, not the area's.
                fresh[number] = fresh.get(number, 0) + fen
        opened = Account.objects.bulk_create(
            Account(member_id=members[number], kind="personal", balance_fen=fen)
            for number, fen in fresh.items()
        )
        accounts.update(zip(fresh, (account.pk for account in opened), strict=True))
        done += len(rows)
        progress(_("posting opening balances"), done, len(plan.balances.new))


def _write_years(plan: Plan, members: dict[str, int], progress: Progress) -> None:
    done = 0
    for rows in slices(plan.years.new.items()):
        _lock_uncounted({(members[number], year) for (number, year), _amounts in rows})
        YearToDate.objects.bulk_create(
            YearToDate(member_id=members[number], benefit_year=year, amounts=amounts)
            for (number, year), amounts in rows
        )
        done += len(rows)
        progress(_("writing year-to-date amounts"), done, len(plan.years.new))
    for changed in slices(plan.years.changed.items()):
        _lock_uncounted({(members[number], year) for (number, year), _row in changed})
        current = YearToDate.objects.in_bulk([row_id for _group, (row_id, _o, _n) in changed])
        for _group, (row_id, old, new) in changed:
            if current[row_id].amounts != old:
                raise RegisterMoved(_("a settlement counted on the same year"))
            current[row_id].amounts = new
        YearToDate.objects.bulk_update(current.values(), ["amounts"])


def _lock_uncounted(years: set[tuple[int, int]]) -> None:
    """Lock the members of these (member, year), on which no settlement may have counted.

    A settlement that is under way has read what it counts on and holds its member's lock; once the
    lock is ours, whatever it wrote is seen by the statements after. Raises RegisterMoved.
    """
    touched = sorted({member_id for member_id, _year in years})
    _lock_members(touched)
    counted_on = Settlement.objects.filter(member_id__in=touched).values_list(
        "member_id", "benefit_year"
    )
    if not years.isdisjoint(counted_on):
        raise RegisterMoved(_("a settlement counted on the same year"))


def _lock_members(ids: list[int]) -> None:
    locked = Member.objects.filter(pk__in=ids).order_by("pk")
    if connection.vendor == "postgresql":
        locked = locked.select_for_update(no_key=True)
    list(locked.values_list("pk", flat=True))


def _write_admissions(plan: Plan, members: dict[str, int], progress: Progress) -> None:
    done = 0
    for rows in slices(plan.admissions.new):
        Visit.objects.bulk_create(
            Visit(
                id=new_id(),
                merchant_id=merchant_id,
                member_id=members[number],
                kind=Visit.Kind.INPATIENT,
                department=values[0],
                doctor=values[1],
                diagnoses=_diagnoses(values),
                opened_at=admitted_at,
                admission_date=business_date(admitted_at),
                business_date=business_date(admitted_at),
            )
            for number, merchant_id, admitted_at, values in rows
        )
        done += len(rows)
        progress(_("writing admissions"), done, len(plan.admissions.new))
    for visit_id, _number, _old, values in plan.admissions.changed:
        updated = Visit.objects.filter(pk=visit_id, closed_at__isnull=True).update(
            department=values[0], doctor=values[1], diagnoses=_diagnoses(values)
        )
        if not updated:
            raise RegisterMoved(_("an admission was closed"))


def _diagnoses(values: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    return [{"code": values[2], "name": values[3], "main": True}]
