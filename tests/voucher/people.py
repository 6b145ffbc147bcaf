"""Made-up members for the tests of this app, each with only what a test names."""

from datetime import date
from itertools import count
from typing import Any

from voucher.identity import check_character
from voucher.models import (
    AidPeriod,
    ChosenInstitution,
    Enrolment,
    Entitlement,
    Filing,
    Member,
)
from voucher.services import identity_columns

_serial = count(1)


def identity_number_of(birth_date: date, serial: int) -> str:
    """A well-formed number of a region that does not exist."""
    digits = f"999999{birth_date:%Y%m%d}{serial % 1000:03d}"
    return digits + check_character(digits)


def member(**changes: Any) -> Member:
    """A woman of 68 with nothing but her name."""
    serial = next(_serial)
    birth_date = changes.pop("birth_date", date(1958, 4, 12))
    identity = changes.pop("identity_number", identity_number_of(birth_date, serial))
    cipher, digest = identity_columns(identity)
    return Member.objects.create(
        **{
            "number": f"T{serial:09d}",
            "name": "例秀兰",
            "identity_cipher": cipher,
            "identity_hash": digest,
            "birth_date": birth_date,
            "sex": "female",
            **changes,
        }
    )


def enrolment(
    of: Member,
    *,
    scheme: str = "employee",
    category: str = "retired",
    begin: date = date(2020, 1, 1),
    end: date | None = None,
    area: str = "370300",
    state: str | None = "in_force",
) -> Enrolment:
    """An enrolment with one entitlement over its whole length, or with none."""
    made = Enrolment.objects.create(
        member=of,
        scheme=scheme,
        category=category,
        area_code=area,
        from_date=begin,
        until_date=end,
    )
    if state is not None:
        Entitlement.objects.create(enrolment=made, state=state, from_date=begin, until_date=end)
    return made


def filing(
    of: Member,
    *,
    disease: str = "M03900",
    name: str = "高血压",
    begin: date = date(2021, 1, 1),
    end: date | None = None,
    chosen: tuple[str, ...] = (),
) -> Filing:
    """A chronic filing with the institutions chosen for it."""
    made = Filing.objects.create(
        member=of,
        kind="chronic",
        disease_code=disease,
        disease_name=name,
        from_date=begin,
        until_date=end,
    )
    for code in chosen:
        ChosenInstitution.objects.create(filing=made, institution_code=code, from_date=begin)
    return made


def aid(of: Member, category: str, *, begin: date, end: date | None = None) -> AidPeriod:
    """An aid category for a time."""
    return AidPeriod.objects.create(
        member=of, category=category, source="例民政", from_date=begin, until_date=end
    )
