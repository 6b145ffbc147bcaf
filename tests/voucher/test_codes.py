"""Codes minted for a member, and spent once by whoever presents them first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from config.http import STATUS
from messaging.ids import new_id
from messaging.refusals import Refusal
from tests.voucher import people
from voucher import selectors, services, tokens
from voucher.models import Member, SigningKey, SpentCode, Voucher

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 2, 30, 7, 654321, tzinfo=UTC)


@pytest.fixture
def citizen() -> Member:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    services.ensure_signing_key(now=NOW)
    return made


def mint(member: Member, *, now: datetime = NOW, lifetime_s: int = 60, **scope: object) -> str:
    return services.mint_code(
        member_id=member.pk,
        scope=tokens.Scope(**scope),  # type: ignore[arg-type]
        now=now,
        lifetime_s=lifetime_s,
    ).text


def present(text: str, *, now: datetime = NOW) -> services.Presented:
    return services.present_code(text=text, scan_id=new_id(), now=now)


def test_a_minted_code_is_presented_with_what_was_put_into_it(citizen: Member) -> None:
    scope = tokens.Scope(use=tokens.Use.PHARMACY_PURCHASE, ceiling_fen=5_000, merchant_id=7)
    minted = services.mint_code(member_id=citizen.pk, scope=scope, now=NOW, lifetime_s=30)
    assert minted.issued_at == NOW.replace(microsecond=0)
    assert minted.expires_at == minted.issued_at + timedelta(seconds=30)
    scan_id = new_id()
    presented = services.present_code(text=minted.text, scan_id=scan_id, now=NOW)
    assert presented.voucher_number == Voucher.objects.get(member=citizen).number
    assert presented.scope == scope
    assert presented.issued_at == minted.issued_at
    spent = SpentCode.objects.get()
    assert (spent.handle, spent.scan_id, spent.spent_at) == (presented.handle, scan_id, NOW)


def test_minting_takes_one_statement_and_writes_no_row(citizen: Member) -> None:
    mint(citizen)
    with CaptureQueriesContext(connection) as statements:
        mint(citizen)
    assert len(statements) == 1
    assert statements[0]["sql"].startswith("SELECT")


def test_presenting_takes_two_statements(citizen: Member) -> None:
    text = mint(citizen)
    with CaptureQueriesContext(connection) as statements:
        present(text)
    assert len(statements) == 2


def test_two_codes_of_one_voucher_have_nothing_in_common_to_an_onlooker(citizen: Member) -> None:
    first, second = (present(mint(citizen)).handle for _ in range(2))
    assert first != second


def test_the_second_presentation_is_refused_as_used(citizen: Member) -> None:
    text = mint(citizen)
    present(text)
    with pytest.raises(services.CodeUsed):
        present(text)
    assert SpentCode.objects.count() == 1


def test_a_code_refused_for_its_person_is_spent_all_the_same(citizen: Member) -> None:
    text = mint(citizen)
    services.suspend_voucher(member_id=citizen.pk, now=NOW)
    presented = present(text)
    facts = selectors.member_by_voucher(voucher_number=presented.voucher_number, day=NOW.date())
    with pytest.raises(selectors.VoucherSuspended):
        selectors.check_may_use(facts, day=NOW.date())
    with pytest.raises(services.CodeUsed):
        present(text)


def flipped(text: str) -> str:
    """A digit of the signature is changed."""
    return text[:-1] + str((int(text[-1]) + 1) % 10)


# What is done to a good code, when it is presented, and the refusal.
REFUSED: list[tuple[str, Callable[[str], str], float, type[Refusal]]] = [
    ("a digit flipped", flipped, 0, services.CodeSignatureInvalid),
    ("nothing", lambda text: "", 0, services.CodeMalformed),
    ("ten kilobytes", lambda text: "1" * 10_240, 0, services.CodeMalformed),
    ("other scripts", lambda text: "一" + text[1:], 0, services.CodeMalformed),
    ("fullwidth digits", lambda text: text[:-1] + "３", 0, services.CodeMalformed),
    ("random bytes", lambda text: "\x00\xff\ud800", 0, services.CodeMalformed),
    ("another version", lambda text: "7" + text[1:], 0, services.CodeVersionUnknown),
    ("a payment code", lambda text: "134567890123456789", 0, services.PaymentCodePresented),
    ("of an unknown key", lambda text: "1" + "0" * 253, 0, services.CodeKeyUnknown),
    ("its last second over", lambda text: text, 60, services.CodeExpired),
    ("a day later", lambda text: text, 86_400, services.CodeExpired),
    ("ten seconds early", lambda text: text, -10, services.CodeFromTheFuture),
]


@pytest.mark.parametrize(
    ("change", "seconds", "refusal"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_what_is_not_a_good_code_now_is_refused_by_name_and_spends_nothing(
    citizen: Member, change: Callable[[str], str], seconds: float, refusal: type[Refusal]
) -> None:
    # A whole second, so that the row's seconds are the code's; a key older than the code.
    later = NOW.replace(microsecond=0) + timedelta(minutes=1)
    text = change(mint(citizen, now=later))
    with pytest.raises(refusal) as caught:
        present(text, now=later + timedelta(seconds=seconds))
    assert caught.value.param == "evidence.value"
    assert not SpentCode.objects.exists()


def test_a_refusal_carries_nothing_of_what_was_presented(citizen: Member) -> None:
    with pytest.raises(services.PaymentCodePresented) as caught:
        present("134567890123456789")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "1345" not in repr(caught.value) + caught.value.sentence()


def test_in_its_last_second_a_code_is_still_good(citizen: Member) -> None:
    present(mint(citizen, now=NOW.replace(microsecond=0)), now=NOW + timedelta(seconds=59))


def test_every_way_a_code_is_refused_has_its_refusal_and_its_status() -> None:
    ours = {cls.code for cls in Refusal.__subclasses__() if cls.__module__.startswith("voucher.")}
    assert {cls.code for cls in tokens.CodeRefused.__subclasses__()} < ours
    assert ours <= set(STATUS)


@pytest.mark.parametrize("lifetime_s", [0, 61, -1])
def test_a_code_never_lives_longer_than_a_minute(citizen: Member, lifetime_s: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        mint(citizen, lifetime_s=lifetime_s)


def test_without_an_active_voucher_nothing_is_minted(citizen: Member) -> None:
    with pytest.raises(selectors.VoucherMissing):
        mint(people.member())
    services.suspend_voucher(member_id=citizen.pk, now=NOW)
    with pytest.raises(selectors.VoucherSuspended):
        mint(citizen)
    services.close_voucher(member_id=citizen.pk, now=NOW)
    with pytest.raises(selectors.VoucherClosed):
        mint(citizen)


def test_the_first_code_of_a_deployment_makes_its_key() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    assert not SigningKey.objects.exists()
    present(mint(made))
    assert SigningKey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_code_presented_outside_a_transaction_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        present("1" * 254)


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_presentation_leaves_the_code_good() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    text = mint(made)
    with transaction.atomic():
        present(text)
        transaction.set_rollback(True)
    assert not SpentCode.objects.exists()
    with transaction.atomic():
        present(text)
