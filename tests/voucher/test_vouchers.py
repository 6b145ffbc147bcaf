"""A voucher's life: once, on and off hold, over."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.voucher import people
from voucher import selectors, services
from voucher.models import Member, Voucher

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


def test_a_voucher_is_activated_once() -> None:
    made = people.member()
    voucher = services.activate_voucher(member_id=made.pk, now=NOW)
    assert (voucher.state, voucher.activated_at) == ("active", NOW)
    assert 0 <= voucher.number < 1 << 63
    with pytest.raises(services.VoucherExists):
        services.activate_voucher(member_id=made.pk, now=NOW)
    assert Voucher.objects.count() == 1


def test_a_closed_voucher_is_not_activated_again() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    services.close_voucher(member_id=made.pk, now=NOW)
    with pytest.raises(services.VoucherExists):
        services.activate_voucher(member_id=made.pk, now=NOW)


def test_nobody_has_no_voucher() -> None:
    with pytest.raises(Member.DoesNotExist):
        services.activate_voucher(member_id=999_999, now=NOW)


def test_on_hold_and_off_again() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    held = services.suspend_voucher(member_id=made.pk, now=NOW)
    assert (held.state, held.suspended_at) == ("suspended", NOW)
    again = services.suspend_voucher(member_id=made.pk, now=NOW + timedelta(hours=1))
    assert again.suspended_at == NOW
    resumed = services.resume_voucher(member_id=made.pk, now=NOW)
    assert (resumed.state, resumed.suspended_at) == ("active", None)


CHANGES = [services.suspend_voucher, services.resume_voucher, services.close_voucher]


@pytest.mark.parametrize("change", CHANGES)
def test_without_a_voucher_nothing_changes(change: type[services.suspend_voucher]) -> None:
    with pytest.raises(selectors.VoucherMissing):
        change(member_id=people.member().pk, now=NOW)


@pytest.mark.parametrize("change", CHANGES)
def test_a_closed_voucher_stays_closed(change: type[services.suspend_voucher]) -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    services.close_voucher(member_id=made.pk, now=NOW)
    with pytest.raises(selectors.VoucherClosed):
        change(member_id=made.pk, now=NOW)
    assert Voucher.objects.get().state == "closed"


def test_numbers_are_drawn_from_63_bits() -> None:
    numbers = {services.new_voucher_number() for _ in range(1_000)}
    assert len(numbers) == 1_000
    assert max(numbers) > 1 << 60
    assert max(numbers) < 1 << 63
