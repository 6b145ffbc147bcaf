"""What staff see of members and keys: to look at, masked, without key material."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.voucher import people
from voucher import services
from voucher.models import SigningKey

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
NUMBER = "999999195804120026"


@pytest.fixture
def staff(client: Client) -> Client:
    try:
        reverse("admin:index")
    except NoReverseMatch:
        pytest.fail("the staff administration has no address: include admin.site.urls")
    client.force_login(User.objects.create_superuser("staff"))
    return client


def test_an_identity_number_is_masked_in_list_and_page(staff: Client) -> None:
    made = people.member(identity_number=NUMBER)
    people.enrolment(made)
    for address in (
        reverse("admin:voucher_member_changelist"),
        reverse("admin:voucher_member_change", args=[made.pk]),
    ):
        page = staff.get(address).content.decode()
        assert "999***********0026" in page
        assert NUMBER not in page


def test_a_member_is_found_by_a_whole_identity_number_and_by_no_part_of_it(staff: Client) -> None:
    people.member(identity_number=NUMBER, number="EX1")
    address = reverse("admin:voucher_member_changelist")
    assert "EX1" in staff.get(address, {"q": NUMBER}).content.decode()
    assert "EX1" not in staff.get(address, {"q": NUMBER[:10]}).content.decode()
    assert "EX1" in staff.get(address, {"q": "EX1"}).content.decode()


@pytest.mark.parametrize("model", ["member", "enrolment", "filing", "signingkey"])
def test_nothing_can_be_added_not_even_by_a_superuser(staff: Client, model: str) -> None:
    assert staff.get(reverse(f"admin:voucher_{model}_changelist")).status_code == 200
    assert staff.get(reverse(f"admin:voucher_{model}_add")).status_code == 403


def test_a_member_is_neither_changed_nor_deleted(staff: Client) -> None:
    made = people.member()
    change = reverse("admin:voucher_member_change", args=[made.pk])
    assert staff.post(change, {"name": "另名"}).status_code == 403
    delete = reverse("admin:voucher_member_delete", args=[made.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 403
    made.refresh_from_db()
    assert made.name == "例秀兰"


def test_a_keys_page_shows_no_key_material(staff: Client) -> None:
    services.ensure_signing_key(now=NOW)
    row = SigningKey.objects.get()
    page = staff.get(reverse("admin:voucher_signingkey_change", args=[row.pk])).content
    for secret in (row.private_key_cipher, row.handle_key_cipher, row.public_key):
        assert bytes(secret).hex().encode() not in page
        assert repr(bytes(secret)).encode() not in page
    assert b"Ed25519" in page
    assert b"cipher" not in page
