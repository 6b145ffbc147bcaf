"""Institutions, what their agreements cover, and the people at their terminals.

Registering is idempotent by the institution's code and the agreement's number, so that a file of
institutions can be loaded again.
"""

import re
from collections.abc import Iterable
from datetime import date

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from merchants.models import Agreement, Capability, Merchant, Operator
from messaging.bodies import FieldInvalid

_CODE = re.compile(r"[PH][0-9]{11}")
_AREA = re.compile(r"[0-9]{6}")
_CAPABILITY = re.compile(r"[a-z_]{1,30}")


def _invalid(field: str, problem: object) -> FieldInvalid:
    return FieldInvalid(param=field, field=field, problem=problem)


def register_merchant(
    *,
    code: str,
    name: str,
    kind: str,
    area_code: str,
    agreement_number: str,
    agreement_from: date,
    capabilities: Iterable[str],
    agreement_until: date | None = None,
    level: int = 0,
    marks: Iterable[str] = (),
) -> Merchant:
    """The institution with this national code, and its agreement with exactly these capabilities.

    `agreement_until` is the first day without agreement; `marks` are words that policies ask for
    (`site_marks`), such as tcm. Given again it brings name, level, marks, dates and capabilities up
    to date; kind and area of an institution never change. Raises FieldInvalid.
    """
    kinds = sorted(set(capabilities))
    marks = sorted(set(marks))
    if not _CODE.fullmatch(code):
        raise _invalid("code", _("must be P or H and eleven digits"))
    if not _AREA.fullmatch(area_code):
        raise _invalid("area_code", _("must be six digits"))
    if kind not in Merchant.Kind.values:
        raise _invalid("kind", _("must be pharmacy, hospital or clinic"))
    if not 0 <= level <= 3:
        raise _invalid("level", _("must be from 0 to 3"))
    if not name or len(name) > 100:
        raise _invalid("name", _("must have 1 to 100 characters"))
    if not agreement_number or len(agreement_number) > 40:
        raise _invalid("agreement_number", _("must have 1 to 40 characters"))
    if agreement_until is not None and agreement_until <= agreement_from:
        raise _invalid("agreement_until", _("must be after the first day"))
    if wrong := [word for word in kinds if not _CAPABILITY.fullmatch(word)]:
        raise _invalid("capabilities", _("must be words like chronic: %s") % wrong[0])
    if wrong := [word for word in marks if not _CAPABILITY.fullmatch(word)]:
        raise _invalid("marks", _("must be words like tcm: %s") % wrong[0])
    with transaction.atomic():
        merchant, _new = Merchant.objects.get_or_create(
            code=code,
            defaults={"name": name, "kind": kind, "level": level, "area_code": area_code},
        )
        if (merchant.kind, merchant.area_code) != (kind, area_code):
            raise _invalid("code", _("belongs to an institution of another kind or area"))
        merchant.name, merchant.level, merchant.marks = name, level, marks
        merchant.save(update_fields=["name", "level", "marks"])
        agreement, _new = Agreement.objects.get_or_create(
            number=agreement_number,
            defaults={"merchant": merchant, "from_date": agreement_from},
        )
        if agreement.merchant_id != merchant.pk:
            raise _invalid("agreement_number", _("belongs to another institution"))
        agreement.from_date, agreement.until_date = agreement_from, agreement_until
        agreement.save(update_fields=["from_date", "until_date"])
        agreement.capabilities.exclude(kind__in=kinds).delete()
        Capability.objects.bulk_create(
            [Capability(agreement=agreement, kind=word) for word in kinds], ignore_conflicts=True
        )
    return merchant


def set_merchant_state(*, merchant_id: int, state: str) -> None:
    """Suspend an institution or let it act again, with effect at its terminals' next request.

    Raises FieldInvalid, Merchant.DoesNotExist.
    """
    if state not in Merchant.State.values:
        raise _invalid("state", _("must be active or suspended"))
    merchant = Merchant.objects.get(pk=merchant_id)
    merchant.state = state
    merchant.save(update_fields=["state"])


def add_operator(*, merchant_id: int, user: AbstractBaseUser, code: str, name: str) -> Operator:
    """The login as a person at the merchant's terminals; given again, code and name are brought up
    to date. Raises FieldInvalid when the login is another merchant's or the code another person's.
    """
    with transaction.atomic():
        if (
            Operator.objects.filter(merchant_id=merchant_id, code=code)
            .exclude(user_id=user.pk)
            .exists()
        ):
            raise _invalid("code", _("belongs to another operator"))
        operator, _new = Operator.objects.get_or_create(
            user_id=user.pk, defaults={"merchant_id": merchant_id, "code": code, "name": name}
        )
        if operator.merchant_id != merchant_id:
            raise _invalid("user", _("is an operator of another institution"))
        operator.code, operator.name = code, name
        operator.save(update_fields=["code", "name"])
    return operator
