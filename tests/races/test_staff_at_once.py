"""Two of the fund's staff, or two presses, at one debt or one line of credit at one moment."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from messaging.ids import new_id
from portal.roles import FUND_GROUP
from settlement.models import CreditLine, CreditUse, Posting, StaffAct, Tender
from settlement.services.tender import connections, credit
from tests.races.rivals import at_once
from tests.settlement.tender_world import part, pay, quoted, run_out, settle
from tests.world import World

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


@pytest.fixture
def staff(world: World) -> list[Client]:
    """Three of them, signed in."""
    group = Group.objects.create(name=FUND_GROUP)
    clients = []
    for number in range(3):
        user = User.objects.create_user(f"fund {number}", password="x")
        user.groups.add(group)
        client = Client()
        client.force_login(user)
        clients.append(client)
    return clients


def act(client: Client, name: str, **fields: Any) -> Callable[[], Any]:
    """An act to be done later, under a key of its own unless one is given."""
    data = {"act": name, "key": new_id().hex, **fields}
    return partial(client.post, "/fund/payments/", data)


def sold(world: World, kind: str, **more: Any) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part(kind, **more))
    assert settle(till, quote).status == 201
    run_out(timezone.now())


def test_a_debt_is_paid_once_whoever_presses_at_one_moment(
    world: World, staff: list[Client]
) -> None:
    sold(world, "wechat", payment_code="130000000000000054")
    debt = Tender.objects.get(state="debt")
    answers = at_once([act(client, "debt_paid", tender_id=debt.pk) for client in staff])
    assert Counter(answer.status_code for answer in answers) == {302: 1, 409: 2}
    run_out(timezone.now())
    assert StaffAct.objects.count() == 1
    owed = Posting.objects.filter(account__startswith="debt:")
    assert sum(owed.values_list("amount_fen", flat=True)) == 0


def test_repayments_at_one_moment_are_never_more_than_is_due(
    world: World, staff: list[Client]
) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=18_600)
    sold(world, "credit")
    number = world.retiree.number
    answers = at_once(
        [act(client, "repayment", member_number=number, amount_fen="100") for client in staff]
    )
    assert Counter(answer.status_code for answer in answers) == {302: 1, 409: 2}
    assert (CreditLine.objects.get().used_fen, CreditUse.objects.get().repaid_fen) == (
        8_600,
        10_000,
    )


def test_one_press_that_arrives_several_times_at_one_moment_books_once(
    world: World, staff: list[Client]
) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=18_600)
    sold(world, "credit")
    press = act(staff[0], "repayment", member_number=world.retiree.number, amount_fen="1")
    answers = at_once([press] * 5)
    assert {answer.status_code for answer in answers} == {302}
    assert CreditLine.objects.get().used_fen == 18_500
    assert StaffAct.objects.filter(kind="repayment").count() == 1
