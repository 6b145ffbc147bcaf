"""Scans: every way a presented code can be wrong, and the row that each leaves."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.days import business_date
from messaging.models import InboxEntry
from settlement.models import Scan
from tests.rows import added, counts
from tests.world import AREA, Reply, Till, World
from voucher import services as vouchers
from voucher import tokens
from voucher.models import Enrolment, Entitlement, Member, SigningKey, SpentCode, Voucher
from voucher.tokens import MerchantKind, Scope, Use


def present(
    till: Till,
    value: str,
    *,
    use: str = "pharmacy_purchase",
    type_: str = "voucher_code",
    **kw: str,
) -> Reply:
    return till.post("scans", {"evidence": {"type": type_, "value": value}, "use": use}, **kw)


def refused(world: World, value: str, code: str, status: int, **how: str) -> None:
    """Present it and hold everything the design says of a refused scan."""
    till = world.till()
    before = counts()
    reply = present(till, value, **how)
    assert (reply.body.get("code"), reply.status) == (code, status), reply.text
    assert reply["request_id"]
    left = added(before)
    # A genuine code is burnt whatever the scan came to; nothing else may be left.
    assert left.pop("SpentCode", 0) in (0, 1)
    assert left == {"Scan": 1, "InboxEntry": 1}
    scan = Scan.objects.latest("scanned_at")
    assert (scan.code, scan.terminal_id) == (code, till.terminal_id)
    assert InboxEntry.objects.latest("pk").code == code
    if len(value) > 20:
        assert value not in reply.text


def _flipped(text: str, position: int) -> str:
    other = str((int(text[position]) + 1) % 10)
    return text[:position] + other + text[position + 1 :]


def _by_another_key(world: World) -> str:
    """A code as ours, signed with a key that this deployment never had."""
    world.code()
    ours = SigningKey.objects.get()
    stranger = tokens.SigningKey(
        key_id=ours.key_id + 40_000,
        algorithm="Ed25519",
        private_key=Ed25519PrivateKey.generate(),
        handle_key=b"h" * 32,
        not_before=0,
        not_after=2**32 - 1,
    )
    return _minted(stranger)


def _forged(world: World) -> str:
    """The same with the id of our key."""
    world.code()
    ours = SigningKey.objects.get()
    return _minted(
        tokens.SigningKey(
            key_id=ours.key_id,
            algorithm="Ed25519",
            private_key=Ed25519PrivateKey.generate(),
            handle_key=b"h" * 32,
            not_before=0,
            not_after=2**32 - 1,
        )
    )


def _minted(key: tokens.SigningKey) -> str:
    return tokens.mint(
        voucher_number=1,
        scope=Scope(),
        key=key,
        issued_at=int(timezone.now().timestamp()),
        lifetime_s=60,
        randomness=b"12345678",
    )


def _killed(world: World) -> str:
    text = world.code()
    vouchers.kill_signing_key(key_id=SigningKey.objects.get().key_id, now=timezone.now())
    return text


WRONG_CODES: list[tuple[str, Callable[[World], str], str, int]] = [
    ("empty", lambda w: "", "code_malformed", 422),
    ("one digit short", lambda w: w.code()[:-1], "code_malformed", 422),
    ("one digit more", lambda w: w.code() + "0", "code_malformed", 422),
    ("another version", lambda w: "2" + w.code()[1:], "code_version_unknown", 422),
    ("the last digit flipped", lambda w: _flipped(w.code(), 253), "code_signature_invalid", 422),
    (
        "a digit in the middle flipped",
        lambda w: _flipped(w.code(), 120),
        "code_signature_invalid",
        422,
    ),
    ("letters", lambda w: "code" * 60, "code_malformed", 422),
    ("full-width digits", lambda w: "１" + w.code()[1:], "code_malformed", 422),
    ("arabic-indic digits", lambda w: "١" * 254, "code_malformed", 422),
    ("emoji", lambda w: "💊" * 254, "code_malformed", 422),
    ("a blank before it", lambda w: " " + w.code(), "code_malformed", 422),
    ("a line end after it", lambda w: w.code() + "\n", "code_malformed", 422),
    ("a sign before it", lambda w: "+" + w.code()[1:], "code_malformed", 422),
    ("ten thousand digits", lambda w: "1" * 10_000, "code_malformed", 422),
    ("all nines", lambda w: "1" + "9" * 253, "code_malformed", 422),
    ("all zeros", lambda w: "1" + "0" * 253, "code_key_unknown", 422),
    ("expired", lambda w: w.code(age_s=61), "code_expired", 410),
    ("expired a second ago", lambda w: w.code(age_s=60), "code_expired", 410),
    ("from the future", lambda w: w.code(age_s=-600), "code_from_the_future", 422),
    ("of a key we never had", _by_another_key, "code_key_unknown", 422),
    ("forged with our key's id", _forged, "code_signature_invalid", 422),
    ("of a killed key", _killed, "code_key_unknown", 422),
    ("a WeChat payment code", lambda w: "134567890123456789", "payment_code", 422),
    ("an Alipay payment code", lambda w: "281234567890123456", "payment_code", 422),
    ("a UnionPay payment code", lambda w: "6212345678901234567", "payment_code", 422),
]


@pytest.mark.parametrize(
    ("make", "code", "status"),
    [row[1:] for row in WRONG_CODES],
    ids=[row[0] for row in WRONG_CODES],
)
def test_a_wrong_code_is_refused_by_its_own_word_and_leaves_its_scan(
    world: World, make: Callable[[World], str], code: str, status: int
) -> None:
    refused(world, make(world), code, status)


def test_random_bytes_of_any_length_are_refused_and_never_an_error(world: World) -> None:
    till = world.till()
    dice = random.Random(20261120)
    for length in (1, 27, 28, 150, 253, 254, 255, 600, 10_240):
        value = bytes(dice.randrange(256) for _ in range(length)).decode("latin-1")
        reply = present(till, value.replace("\x00", "\x01"))
        assert reply.status == 422, reply.text
    assert set(Scan.objects.values_list("code", flat=True)) == {"code_malformed"}


def test_every_position_of_a_good_code_changed_to_any_other_digit_is_refused(world: World) -> None:
    till = world.till()
    good = world.code()
    dice = random.Random(7)
    for position in range(0, 254, 11):
        wrong = (
            good[:position]
            + dice.choice([d for d in "0123456789" if d != good[position]])
            + good[position + 1 :]
        )
        assert present(till, wrong).status in (422, 410), position
    # The code itself is unspent after all that.
    assert not SpentCode.objects.exists()
    assert present(till, good).status == 201


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=st.text(max_size=300), use=st.sampled_from(["pharmacy_purchase", "settlement"]))
def test_no_text_whatever_is_accepted_or_breaks_a_scan(world: World, value: str, use: str) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]  # one terminal for all examples
    reply = present(till, value.encode("utf-8", "replace").decode(), use=use)
    assert 400 <= reply.status < 500, reply.text


def test_a_used_code_is_refused_as_used(world: World) -> None:
    code = world.code()
    assert present(world.till(), code).status == 201
    refused(world, code, "code_used", 409)
    assert SpentCode.objects.count() == 1


def test_a_refused_scan_burns_the_code(world: World) -> None:
    code = world.code(scope=Scope(use=Use.REGISTRATION))
    refused(world, code, "code_not_for_this_use", 403)
    refused(world, code, "code_used", 409)


def test_a_code_that_was_not_genuine_burns_nothing(world: World) -> None:
    refused(world, world.code(age_s=61), "code_expired", 410)
    assert not SpentCode.objects.exists()


SCOPES: list[tuple[str, Callable[[World], Scope], str, int]] = [
    ("another use", lambda w: Scope(use=Use.DRUG_PICKUP), "code_not_for_this_use", 403),
    (
        "another kind of merchant",
        lambda w: Scope(merchant_kind=MerchantKind.HOSPITAL),
        "code_not_for_this_merchant",
        403,
    ),
    (
        "another merchant",
        lambda w: Scope(merchant_id=w.clinic.pk),
        "code_not_for_this_merchant",
        403,
    ),
]


@pytest.mark.parametrize(
    ("scope", "code", "status"), [row[1:] for row in SCOPES], ids=[row[0] for row in SCOPES]
)
def test_a_narrowed_code_is_refused_where_it_does_not_fit(
    world: World, scope: Callable[[World], Scope], code: str, status: int
) -> None:
    refused(world, world.code(scope=scope(world)), code, status)


@pytest.mark.parametrize(
    "scope",
    [
        lambda w: Scope(use=Use.PHARMACY_PURCHASE),
        lambda w: Scope(merchant_kind=MerchantKind.PHARMACY),
        lambda w: Scope(merchant_id=w.pharmacy.pk),
        lambda w: Scope(ceiling_fen=5_000),
    ],
    ids=["this use", "this kind", "this merchant", "with a ceiling"],
)
def test_a_narrowed_code_is_accepted_where_it_fits(
    world: World, scope: Callable[[World], Scope]
) -> None:
    narrowed = scope(world)
    reply = present(world.till(), world.code(scope=narrowed))
    assert reply.status == 201
    assert reply["limits"] == {"ceiling_fen": narrowed.ceiling_fen}


def _suspended(world: World) -> None:
    vouchers.suspend_voucher(member_id=world.retiree.pk, now=timezone.now())


def _closed(world: World) -> None:
    vouchers.close_voucher(member_id=world.retiree.pk, now=timezone.now())


def _dead(world: World) -> None:
    yesterday = business_date(timezone.now()) - timedelta(days=1)
    Member.objects.filter(pk=world.retiree.pk).update(death_date=yesterday)


def _not_enrolled(world: World) -> None:
    Enrolment.objects.filter(member=world.retiree).update(until_date=business_date(timezone.now()))


def _entitlement(state: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        Entitlement.objects.filter(enrolment__member=world.retiree).update(state=state)

    return change


def _elsewhere(world: World) -> None:
    Enrolment.objects.filter(member=world.retiree).update(area_code="370100")


PERSONS: list[tuple[str, Callable[[World], None], str, int]] = [
    ("a suspended voucher", _suspended, "voucher_suspended", 403),
    ("a closed voucher", _closed, "voucher_closed", 403),
    ("somebody dead", _dead, "member_deceased", 403),
    ("somebody recorded as deceased", _entitlement("deceased"), "member_deceased", 403),
    ("somebody not enrolled", _not_enrolled, "not_enrolled", 403),
    ("a suspended entitlement", _entitlement("suspended"), "entitlement_suspended", 403),
    ("somebody of another area", _elsewhere, "out_of_area_not_connected", 501),
]


@pytest.mark.parametrize(
    ("change", "code", "status"), [row[1:] for row in PERSONS], ids=[row[0] for row in PERSONS]
)
def test_a_good_code_does_not_help_somebody_who_may_not_use_it(
    world: World, change: Callable[[World], None], code: str, status: int
) -> None:
    text = world.code()
    change(world)
    refused(world, text, code, status)


def test_arrears_freeze_the_pool_and_leave_the_account(world: World) -> None:
    _entitlement("arrears")(world)
    reply = present(world.till(), world.code())
    assert reply.status == 201
    assert reply["entitlement"] == {"state": "arrears", "pool": False, "account": True}


@pytest.mark.parametrize(
    ("type_", "code", "status"),
    [
        ("national_code", "evidence_not_connected", 501),
        ("identity_card", "evidence_not_connected", 501),
        ("social_security_card", "evidence_not_connected", 501),
        ("face", "evidence_not_connected", 501),
        ("horoscope", "evidence_unknown", 422),
    ],
)
def test_other_evidence_has_its_place_and_says_that_it_is_not_connected(
    world: World, type_: str, code: str, status: int
) -> None:
    refused(world, "whatever it holds", code, status, type_=type_)


@pytest.mark.parametrize("use", ["any", "shopping"])
def test_a_terminal_declares_one_use_that_exists(world: World, use: str) -> None:
    refused(world, world.code(), "use_unknown", 422, use=use)


def test_a_scan_says_who_is_covered_and_for_what_and_no_more(world: World) -> None:
    reply = present(world.till(), world.code())
    assert reply["member"]["name"] == "王**"
    assert reply["enrolment"] == {
        "area_code": AREA,
        "scheme": "employee",
        "category": "retired",
    }
    assert [benefit["kind"] for benefit in reply["benefits"]] == [
        "chronic",
        "outpatient",
        "pharmacy_account",
    ]
    secret = Member.objects.get(pk=world.retiree.pk)
    for hidden in (secret.name, secret.number, secret.identity_hash, str(secret.birth_date)):
        assert hidden not in reply.text
    assert str(Voucher.objects.get(member=secret).number) not in reply.text


def test_a_member_is_called_differently_at_every_merchant(world: World) -> None:
    at_pharmacy = present(world.till(), world.code())["member"]["reference"]
    again = present(world.till(), world.code())["member"]["reference"]
    at_clinic = present(world.till(world.clinic), world.code(), use="registration")
    assert at_pharmacy == again
    assert at_clinic["member"]["reference"] != at_pharmacy


def test_a_refused_scan_cannot_be_read_back_as_a_scan(world: World) -> None:
    till = world.till()
    present(till, "nonsense")
    scan = Scan.objects.get()
    assert till.get(f"scans/{scan.pk}").status == 404


def test_an_accepted_scan_can_be_read_back_by_its_own_merchant_only(world: World) -> None:
    till = world.till()
    scan_id = world.scan(till)
    assert till.get(f"scans/{scan_id}")["scan_id"] == scan_id
    assert world.till(world.clinic).get(f"scans/{scan_id}").status == 404


def test_a_scan_that_ran_out_no_longer_says_how_the_person_is_covered(world: World) -> None:
    """Somebody who was here once is not looked up for ever after."""
    till = world.till()
    scan_id = world.scan(till)
    Scan.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    reply = till.get(f"scans/{scan_id}")
    assert (reply.status, reply["code"]) == (410, "scan_expired")
    assert "entitlement" not in reply.text
