"""What the register says of a member on a day, and whether they may use the insurance."""

import logging
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.voucher import people
from voucher import selectors, services
from voucher.models import Member, Voucher

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


@pytest.fixture
def retiree() -> Member:
    made = people.member()
    people.enrolment(made)
    services.activate_voucher(member_id=made.pk, now=NOW)
    return made


def facts_of(member: Member, day: date = DAY) -> selectors.MemberFacts:
    return selectors.member_facts(member_id=member.pk, day=day)


def test_the_facts_of_a_voucher_are_those_of_its_member(retiree: Member) -> None:
    people.filing(retiree, chosen=("P99999999902", "H99999999901"))
    people.filing(retiree, disease="M01600", name="糖尿病")
    people.aid(retiree, "low_income", begin=date(2026, 1, 1))
    number = Voucher.objects.get(member=retiree).number
    with CaptureQueriesContext(
        connection,
    ) as statements:
        facts = selectors.member_by_voucher(voucher_number=number, day=DAY)
    assert len(statements) == 1
    assert facts == selectors.MemberFacts(
        member_id=retiree.pk,
        number=retiree.number,
        name="例秀兰",
        birth_date=date(1958, 4, 12),
        sex="female",
        death_date=None,
        voucher_state="active",
        area_code="370300",
        scheme="employee",
        category="retired",
        entitlement_state="in_force",
        filings=(
            selectors.FilingFacts("chronic", "M03900", "高血压", ("H99999999901", "P99999999902")),
            selectors.FilingFacts("chronic", "M01600", "糖尿病", ()),
        ),
        aid_category="low_income",
        has_sharings=False,
    )
    assert facts == facts_of(retiree)
    assert facts.masked_name == "例**"


@pytest.mark.parametrize("number", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_number_that_no_voucher_has_is_refused_as_missing(number: int) -> None:
    with pytest.raises(selectors.VoucherMissing):
        selectors.member_by_voucher(voucher_number=number, day=DAY)


def test_a_member_id_that_does_not_exist_is_an_error_not_a_refusal() -> None:
    with pytest.raises(Member.DoesNotExist):
        selectors.member_facts(member_id=999_999, day=DAY)
    with pytest.raises(Member.DoesNotExist):
        selectors.lock_member(member_id=999_999)
    with pytest.raises(Member.DoesNotExist):
        selectors.identity_number(999_999)


@pytest.mark.parametrize(
    ("day", "area_code"),
    [
        (date(2019, 12, 31), ""),
        (date(2020, 1, 1), "370300"),
        (date(2024, 12, 31), "370300"),
        (date(2025, 1, 1), ""),
    ],
)
def test_an_enrolment_counts_from_its_first_day_up_to_but_not_on_its_until_date(
    day: date, area_code: str
) -> None:
    made = people.member()
    people.enrolment(made, end=date(2025, 1, 1))
    assert facts_of(made, day).area_code == area_code


def test_filings_choices_and_aid_outside_their_dates_are_not_among_the_facts(
    retiree: Member,
) -> None:
    people.filing(retiree, end=DAY)
    kept = people.filing(retiree, disease="M01600", name="糖尿病", chosen=("P99999999902",))
    kept.chosen.update(until_date=DAY)
    people.aid(retiree, "low_income", begin=date(2026, 1, 1), end=DAY)
    facts = facts_of(retiree)
    assert facts.filings == (selectors.FilingFacts("chronic", "M01600", "糖尿病", ()),)
    assert facts.aid_category is None


def test_of_two_aid_categories_the_one_begun_last_counts(retiree: Member) -> None:
    people.aid(retiree, "destitute", begin=date(2026, 2, 1))
    people.aid(retiree, "low_income", begin=date(2026, 1, 1))
    assert facts_of(retiree).aid_category == "destitute"


@pytest.mark.parametrize(
    ("employee", "resident", "counts"),
    [
        ("in_force", "in_force", "employee"),
        ("waiting", "in_force", "resident"),
        ("arrears", "waiting", "employee"),
        ("suspended", "waiting", "resident"),
        (None, "suspended", "resident"),
    ],
)
def test_between_two_schemes_the_one_that_gives_more_counts_then_employee(
    employee: str | None, resident: str | None, counts: str
) -> None:
    made = people.member()
    people.enrolment(made, scheme="resident", category="resident", state=resident)
    people.enrolment(made, scheme="employee", category="active", state=employee)
    assert facts_of(made).scheme == counts


@pytest.mark.parametrize(
    ("state", "pool", "account"),
    [
        ("in_force", True, True),
        ("arrears", False, True),
        ("waiting", False, True),
        ("suspended", False, False),
        (None, False, False),
    ],
)
def test_what_an_entitlement_gives(state: str | None, pool: bool, account: bool) -> None:
    made = people.member()
    people.enrolment(made, state=state)
    facts = facts_of(made)
    assert (facts.pool_in_force, facts.account_in_force) == (pool, account)


@pytest.mark.parametrize(
    ("birth_date", "day", "age"),
    [
        (date(1958, 4, 12), date(2026, 4, 11), 67),
        (date(1958, 4, 12), date(2026, 4, 12), 68),
        (date(2004, 2, 29), date(2026, 2, 28), 21),
        (date(2004, 2, 29), date(2026, 3, 1), 22),
    ],
)
def test_age_counts_completed_years(birth_date: date, day: date, age: int) -> None:
    assert facts_of(people.member(birth_date=birth_date)).age_on(day) == age


# Each row differs from an ordinary member by what it names.
MAY_USE: list[tuple[dict[str, Any], type[Exception] | None]] = [
    ({}, None),
    ({"state": "arrears"}, None),
    ({"state": "waiting"}, None),
    ({"voucher": None}, selectors.VoucherMissing),
    ({"voucher": "suspended"}, selectors.VoucherSuspended),
    ({"voucher": "closed"}, selectors.VoucherClosed),
    ({"death_date": date(2026, 11, 19)}, selectors.MemberDeceased),
    ({"death_date": date(2026, 11, 20)}, None),
    ({"state": "deceased"}, selectors.MemberDeceased),
    ({"end": date(2026, 11, 20)}, selectors.NotEnrolled),
    ({"state": "suspended"}, selectors.EntitlementSuspended),
    ({"state": None}, selectors.EntitlementSuspended),
    # Two reasons at once: the one named first in the fixed order is given.
    ({"voucher": "suspended", "death_date": date(2026, 1, 1)}, selectors.VoucherSuspended),
    ({"death_date": date(2026, 1, 1), "end": date(2026, 2, 1)}, selectors.MemberDeceased),
    ({"end": date(2026, 2, 1), "state": "suspended"}, selectors.NotEnrolled),
]


@pytest.mark.parametrize(("changes", "refusal"), MAY_USE)
def test_who_may_use_the_insurance(
    changes: dict[str, Any], refusal: type[Exception] | None
) -> None:
    made = people.member(death_date=changes.get("death_date"))
    people.enrolment(made, end=changes.get("end"), state=changes.get("state", "in_force"))
    if state := changes.get("voucher", "active"):
        services.activate_voucher(member_id=made.pk, now=NOW)
        Voucher.objects.update(state=state)
    facts = facts_of(made)
    if refusal is None:
        selectors.check_may_use(facts, day=DAY)
    else:
        with pytest.raises(refusal):
            selectors.check_may_use(facts, day=DAY)


def test_an_identity_number_is_shown_in_clear_and_the_log_says_to_whom_but_not_what(
    caplog: pytest.LogCaptureFixture,
) -> None:
    number = "999999195804120026"
    made = people.member(identity_number=number)
    with caplog.at_level(logging.INFO):
        shown = selectors.identity_number(made.pk, reader="H99999999901", reason="visit")
    assert shown == number
    assert "H99999999901" in caplog.text
    assert "visit" in caplog.text
    assert number not in caplog.text
    assert number.encode() not in bytes(Member.objects.get(pk=made.pk).identity_cipher)


def test_each_merchant_has_its_own_name_for_a_member() -> None:
    references = {
        selectors.merchant_reference(member_id=member_id, merchant_id=merchant_id)
        for member_id in (1, 2, 12)
        for merchant_id in (1, 2, 21)
    }
    assert len(references) == 9
    assert all(len(reference) == 20 for reference in references)
    again = selectors.merchant_reference(member_id=1, merchant_id=1)
    assert again in references


def test_a_user_is_a_member_or_nobody(retiree: Member) -> None:
    user = User.objects.create_user("citizen")
    assert selectors.member_of_user(user) is None
    Member.objects.filter(pk=retiree.pk).update(user=user)
    assert selectors.member_of_user(user) == retiree
    assert selectors.member_of_user(AnonymousUser()) is None
    assert selectors.member_of_user(None) is None


@pytest.mark.django_db(transaction=True)
def test_a_lock_outside_a_transaction_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        selectors.lock_member(member_id=1)
