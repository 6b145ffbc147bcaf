"""A voucher's life: activated once, suspended and resumed at will, closed for good.

Each change is judged under the member's lock, so that two changes at once end as if one came after
the other. A change to the state a voucher already has is refused by that state's own refusal, or is
nothing to do where the wish is already fulfilled.
"""

import os
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging.refusals import Refusal
from voucher.models import Voucher
from voucher.selectors import VoucherClosed, VoucherMissing, lock_member


class VoucherExists(Refusal):
    """The member has one, whatever its state."""

    code = "voucher_exists"
    text = _("This person already has an electronic voucher.")


def new_voucher_number() -> int:
    """63 bits from the system's secure source: positive in a signed column, and never guessed."""
    return int.from_bytes(os.urandom(8), "big") >> 1


def activate_voucher(*, member_id: int, now: datetime) -> Voucher:
    """Give the member a voucher, active from `now`.

    Raises VoucherExists, also for a closed one; Member.DoesNotExist.
    """
    with transaction.atomic():
        lock_member(member_id=member_id)
        if Voucher.objects.filter(member_id=member_id).exists():
            raise VoucherExists
        return Voucher.objects.create(
            member_id=member_id, number=new_voucher_number(), activated_at=now
        )


def suspend_voucher(*, member_id: int, now: datetime) -> Voucher:
    """Put the voucher on hold: every code of it, live ones too, is refused from the commit on.

    A suspended one keeps its earlier moment. Raises VoucherMissing, VoucherClosed.
    """
    with transaction.atomic():
        voucher = _held(member_id)
        if voucher.state == Voucher.State.ACTIVE:
            voucher.state = Voucher.State.SUSPENDED
            voucher.suspended_at = now
            voucher.save(update_fields=["state", "suspended_at"])
        return voucher


def resume_voucher(*, member_id: int, now: datetime) -> Voucher:
    """Take the voucher off hold. Raises VoucherMissing, VoucherClosed."""
    with transaction.atomic():
        voucher = _held(member_id)
        if voucher.state == Voucher.State.SUSPENDED:
            voucher.state = Voucher.State.ACTIVE
            voucher.suspended_at = None
            voucher.save(update_fields=["state", "suspended_at"])
        return voucher


def close_voucher(*, member_id: int, now: datetime) -> Voucher:
    """Give the voucher up for good. Raises VoucherMissing, VoucherClosed."""
    with transaction.atomic():
        voucher = _held(member_id)
        voucher.state = Voucher.State.CLOSED
        voucher.save(update_fields=["state"])
        return voucher


def _held(member_id: int) -> Voucher:
    """The member's voucher, under the member's lock, unless it is closed."""
    lock_member(member_id=member_id)
    try:
        voucher = Voucher.objects.get(member_id=member_id)
    except Voucher.DoesNotExist:
        raise VoucherMissing from None
    if voucher.state == Voucher.State.CLOSED:
        raise VoucherClosed
    return voucher
