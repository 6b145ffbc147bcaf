"""Signing keys: one at first start, overlapping when rotated, refused at once when killed."""

import base64
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from messaging.ids import new_id
from messaging.vault import VaultError
from tests.voucher import people
from voucher import services, tokens
from voucher.models import Member, SigningKey
from voucher.selectors import published_keys
from voucher.services.keys import KEY_LIFETIME, RENEWED_BEFORE_END

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 2, 30, 7, 654321, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def citizen() -> Member:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    return made


def mint(member: Member, now: datetime) -> str:
    return services.mint_code(
        member_id=member.pk, scope=tokens.ANYWHERE, now=now, lifetime_s=60
    ).text


def key_of(text: str) -> int:
    """The key id that a code bears in its first two bytes."""
    return int.from_bytes(int(text[1:]).to_bytes(105, "big")[:2], "big")


def present(text: str, now: datetime) -> None:
    services.present_code(text=text, scan_id=new_id(), now=now)


def test_the_first_start_makes_one_key_and_the_next_start_none() -> None:
    first = services.ensure_signing_key(now=NOW)
    assert services.ensure_signing_key(now=NOW + HOUR) == first
    assert SigningKey.objects.count() == 1
    assert first.not_before <= NOW < first.not_after


@pytest.mark.parametrize(("seconds_left", "keys"), [(1, 1), (0, 2)])
def test_the_next_key_is_made_a_week_before_the_last_one_ends(seconds_left: int, keys: int) -> None:
    first = services.ensure_signing_key(now=NOW)
    moment = first.not_after - RENEWED_BEFORE_END - timedelta(seconds=seconds_left)
    services.ensure_signing_key(now=moment)
    assert SigningKey.objects.count() == keys


def test_while_two_keys_are_in_force_the_one_that_ends_first_signs(citizen: Member) -> None:
    services.ensure_signing_key(now=NOW)
    services.rotate_signing_key(now=NOW + HOUR, overlap=HOUR)
    assert key_of(mint(citizen, NOW + HOUR)) == 1
    assert key_of(mint(citizen, NOW + 2 * HOUR)) == 2


def test_a_rotation_refuses_no_code_that_is_alive(citizen: Member) -> None:
    services.ensure_signing_key(now=NOW)
    services.rotate_signing_key(now=NOW + HOUR, overlap=timedelta(minutes=30))
    last_moment = NOW + HOUR + timedelta(minutes=30) - timedelta(seconds=1)
    text = mint(citizen, last_moment)
    assert key_of(text) == 1
    present(text, last_moment + timedelta(seconds=59))


def test_a_rotation_without_overlap_signs_with_the_new_key_at_once(citizen: Member) -> None:
    services.ensure_signing_key(now=NOW)
    before = mint(citizen, NOW + HOUR - timedelta(seconds=5))
    services.rotate_signing_key(now=NOW + HOUR, overlap=timedelta(0))
    assert key_of(mint(citizen, NOW + HOUR)) == 2
    present(before, NOW + HOUR)


def test_an_overlap_is_not_negative() -> None:
    with pytest.raises(ValueError, match="overlap"):
        services.rotate_signing_key(now=NOW, overlap=-HOUR)


def test_a_killed_key_refuses_its_live_codes_at_once_and_another_signs(citizen: Member) -> None:
    services.ensure_signing_key(now=NOW)
    text, other = mint(citizen, NOW), mint(citizen, NOW)
    present(other, NOW)
    services.kill_signing_key(key_id=1, now=NOW)
    with pytest.raises(services.CodeKeyUnknown):
        present(text, NOW)
    replacement = mint(citizen, NOW)
    assert key_of(replacement) == 2
    present(replacement, NOW)


def test_a_key_is_killed_once_and_its_number_never_returns() -> None:
    services.ensure_signing_key(now=NOW)
    services.kill_signing_key(key_id=1, now=NOW)
    services.kill_signing_key(key_id=1, now=NOW + HOUR)
    assert SigningKey.objects.get(key_id=1).killed_at == NOW
    services.kill_signing_key(key_id=2, now=NOW + HOUR)
    assert sorted(SigningKey.objects.values_list("key_id", flat=True)) == [1, 2, 3]


def test_a_key_row_with_another_rows_handle_key_signs_with_what_the_row_says(
    citizen: Member,
) -> None:
    services.ensure_signing_key(now=NOW)
    mint(citizen, NOW)
    # Sealed for one purpose, a cipher text does not open as another, whatever is in the cache.
    row = SigningKey.objects.get(key_id=1)
    SigningKey.objects.update(handle_key_cipher=row.private_key_cipher)
    with pytest.raises(VaultError):
        mint(citizen, NOW)


def test_what_is_published_is_public_and_leaves_out_killed_and_long_ended_keys() -> None:
    services.ensure_signing_key(now=NOW)
    services.rotate_signing_key(now=NOW, overlap=HOUR)
    services.rotate_signing_key(now=NOW + timedelta(seconds=1), overlap=HOUR)
    services.kill_signing_key(key_id=2, now=NOW + timedelta(seconds=2))

    def ids(now: datetime) -> list[int]:
        return [int(key["key_id"]) for key in published_keys(now=now)["keys"]]

    assert ids(NOW + timedelta(seconds=2)) == [1, 3]
    ends = SigningKey.objects.get(key_id=1).not_after
    assert ids(ends + timedelta(seconds=59)) == [1, 3]
    assert ids(ends + timedelta(seconds=60)) == [3]
    shown = published_keys(now=NOW)["keys"][0]
    assert set(shown) == {"key_id", "algorithm", "public_key", "not_before", "not_after"}
    row = SigningKey.objects.get(key_id=1)
    assert base64.urlsafe_b64decode(f"{shown['public_key']}=") == bytes(row.public_key)


def test_the_published_set_is_served_to_anyone_for_half_an_hour(client: Client) -> None:
    services.ensure_signing_key(now=datetime.now(UTC))
    answer = client.get("/.well-known/voucher-keys.json")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "max-age=1800" in answer["Cache-Control"]
    assert [key["key_id"] for key in answer.json()["keys"]] == [1]


def test_a_verifier_without_our_database_reads_a_code_by_the_published_set(
    citizen: Member,
) -> None:
    text = mint(citizen, NOW)
    keys = {
        int(shown["key_id"]): tokens.VerifyingKey(
            key_id=int(shown["key_id"]),
            algorithm=str(shown["algorithm"]),
            public_key=tokens.SUITES[str(shown["algorithm"])].load_public(
                base64.urlsafe_b64decode(f"{shown['public_key']}=")
            ),
            handle_key=None,
            not_before=int(datetime.fromisoformat(str(shown["not_before"])).timestamp()),
            not_after=int(datetime.fromisoformat(str(shown["not_after"])).timestamp()),
        )
        for shown in published_keys(now=NOW)["keys"]
    }
    code = tokens.read(text, keys=keys, now=int(NOW.timestamp()))
    assert code.voucher_number is None


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("voucher_keys", *arguments, stdout=out)
    return out.getvalue()


def test_the_operator_lists_rotates_and_kills_keys() -> None:
    services.ensure_signing_key(now=datetime.now(UTC))
    assert told("list").count("in force") == 1
    assert told("rotate", "--overlap-minutes", "90").count("in force") == 2
    after = told("kill", "1")
    assert "killed" in after
    assert after.count("in force") == 1


def test_the_operator_is_told_of_a_key_that_does_not_exist() -> None:
    with pytest.raises(CommandError, match="no key 9"):
        told("kill", "9")
    with pytest.raises(CommandError, match="not negative"):
        told("rotate", "--overlap-minutes", "-1")


def test_a_key_lives_a_quarter_of_a_year() -> None:
    assert (
        services.ensure_signing_key(now=NOW).not_after - NOW.replace(microsecond=0) == KEY_LIFETIME
    )
