"""A made-up area to try the system with: institutions, catalogue, people, logins, a prescription.

Everything comes from the files of `demo/` and goes in through the services and imports that a real
area would use. Loading again adds what is missing and changes nothing that was lived since.
"""

import csv
import io
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from merchants import services as merchants
from merchants.models import Item, Merchant
from messaging.days import business_date
from settlement import money
from settlement.models import Prescription, PrescriptionLine, Settlement
from settlement.selectors.rules import rules_in_force
from settlement.services.catalogue import load_catalogue
from settlement.services.register import import_register
from voucher import services as vouchers
from voucher.models import Member, Voucher

FUND_GROUP = "fund staff"
_YEAR_MARK = "{benefit_year}"


class DemoUnloadable(ValueError):
    """The demo files do not fit what is stored; the message says which row."""


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """A login of the demonstration, and what it is for."""

    username: str
    password: str
    note: str


@dataclass(frozen=True, slots=True)
class LoadedDemo:
    """Who can log in, and the prescription that a purchase may carry."""

    logins: tuple[DemoLogin, ...]
    prescription: str


def load_demo(*, folder: Path, now: datetime) -> LoadedDemo:
    """Load the files of a folder like `demo/`; a policy of their area must be loaded before.

    Opens its own transactions, one a file. Raises DemoUnloadable, PolicyMissing, and what the
    services raise for files that somebody broke.
    """
    institutions = tomllib.loads((folder / "institutions.toml").read_text())["institution"]
    people = tomllib.loads((folder / "people.toml").read_text())
    for area_code in sorted({entry["area_code"] for entry in institutions}):
        load_catalogue(area_code=area_code, content=(folder / "catalogue.csv").read_bytes())
    for entry in institutions:
        _load_institution(entry, folder)
    _load_register(folder / "register", area_code=institutions[0]["area_code"], now=now)
    _activate_vouchers(people["voucher"], now=now)
    for login in people["login"]:
        _load_login(login)
    return LoadedDemo(
        logins=tuple(
            DemoLogin(login["username"], login["password"], login["note"])
            for login in people["login"]
        ),
        prescription=usable_prescription(folder=folder, now=now),
    )


def _load_institution(entry: Mapping[str, Any], folder: Path) -> None:
    merchant = merchants.register_merchant(
        code=entry["code"],
        name=entry["name"],
        kind=entry["kind"],
        level=entry["level"],
        area_code=entry["area_code"],
        agreement_number=entry["agreement"],
        agreement_from=entry["agreement_from"],
        capabilities=entry["capabilities"],
    )
    if Item.objects.filter(merchant=merchant).exists():
        # Prices and mappings may have been tried out since.
        return
    table = csv.DictReader(io.StringIO((folder / entry["items"]).read_text(), newline=""))
    merchants.save_items(
        merchant_id=merchant.pk, items=[merchants.ItemInput(**row) for row in table]
    )


def _load_register(folder: Path, *, area_code: str, now: datetime) -> None:
    """Import the register's tables, the year's amounts under the benefit year of today."""
    day = business_date(now)
    _id, policy, _items = rules_in_force(area_code=area_code, national_codes=(), day=day)
    year = policy.benefit_year(day)
    with tempfile.TemporaryDirectory() as made:
        paths: list[Path] = []
        for table in sorted(folder.glob("*.csv")):
            text = table.read_text()
            if _YEAR_MARK in text and Settlement.objects.filter(benefit_year=year).exists():
                # A year in which somebody bought already has begun: it takes no opening amounts.
                continue
            paths.append(Path(made) / table.name)
            paths[-1].write_text(text.replace(_YEAR_MARK, str(year)))
        report = import_register(paths=paths, now=now)
    if report.bad_rows:
        bad = report.bad_rows[0]
        raise DemoUnloadable(
            f"{bad.file}, row {bad.row}, {bad.column}: expected {bad.expected}, found {bad.found}"
        )


def _activate_vouchers(plan: Mapping[str, list[str]], *, now: datetime) -> None:
    for number in plan["activated"]:
        member = Member.objects.get(number=number)
        if Voucher.objects.filter(member=member).exists():
            continue
        vouchers.activate_voucher(member_id=member.pk, now=now)
        if number in plan["suspended"]:
            vouchers.suspend_voucher(member_id=member.pk, now=now)


def _load_login(login: Mapping[str, Any]) -> None:
    users = get_user_model()
    with transaction.atomic():
        user = users.objects.filter(username=login["username"]).first()
        if user is None:
            user = users.objects.create_user(login["username"], password=login["password"])
        if number := login.get("member"):
            Member.objects.filter(number=number, user__isnull=True).update(user=user)
        if operator := login.get("operator"):
            merchants.add_operator(
                merchant_id=Merchant.objects.get(code=operator["institution"]).pk,
                user=user,
                code=operator["code"],
                name=operator["name"],
            )
        if login.get("fund"):
            user.groups.add(_fund_group())
            user.is_staff = True
            user.save(update_fields=["is_staff"])


def _fund_group() -> Group:
    """The group of fund staff; its members may look at everything and change nothing."""
    group, _new = Group.objects.get_or_create(name=FUND_GROUP)
    group.permissions.add(
        *Permission.objects.filter(
            codename__startswith="view_",
            content_type__app_label__in=["voucher", "merchants", "settlement", "messaging"],
        )
    )
    return group


def usable_prescription(*, folder: Path, now: datetime) -> str:
    """The number of a prescription of the demo's member that is good for a while yet, issued now if
    there is none. Raises Member.DoesNotExist when the demo was never loaded."""
    plan: Mapping[str, Any] = tomllib.loads((folder / "people.toml").read_text())["prescription"]
    today = business_date(now)
    member = Member.objects.get(number=plan["member"])
    until = today + timedelta(days=plan["least_valid_days"])
    least_e4 = money.quantity_units(plan["least_quantity"])
    good = (
        held
        for held in Prescription.objects.filter(member=member, until_date__gte=until).order_by("id")
        if all(line.quantity_e4 - line.filled_e4 >= least_e4 for line in held.lines.all())
    )
    if (held := next(good, None)) is not None:
        return held.number
    with transaction.atomic():
        issued = Prescription.objects.create(
            number=_free_number(f"RX{today:%Y%m%d}{n:02}" for n in range(1, 100)),
            member=member,
            institution_code=plan["institution"],
            prescriber=plan["prescriber"],
            diagnosis=plan["diagnosis"],
            issued_date=today,
            until_date=today + timedelta(days=plan["valid_days"]),
        )
        PrescriptionLine.objects.bulk_create(
            PrescriptionLine(
                prescription=issued,
                national_code=line["national_code"],
                quantity_e4=money.quantity_units(line["quantity"]),
            )
            for line in plan["line"]
        )
    return issued.number


def _free_number(numbers: Iterable[str]) -> str:
    return next(
        number for number in numbers if not Prescription.objects.filter(number=number).exists()
    )
