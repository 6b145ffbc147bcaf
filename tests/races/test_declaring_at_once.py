"""Declaring a month beside returns into it, and tills that return on one approval."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from messaging.days import accounting_month, business_date
from settlement.models import ClosedDay, DeclaredMonth, Refund, RefundApproval, Settlement
from settlement.services.approvals import decide
from settlement.services.declaring import MonthCannotBeDeclared, declare_month
from tests.races.rivals import at_once, between_statements, forced
from tests.world import Till, World, line

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

DECLARING = 'INSERT INTO "settlement_declaredmonth"'
RETURNING = 'INSERT INTO "settlement_refund"'
APPROVING = "FROM settlement_declaredmonth"


def now() -> datetime:
    return datetime.now(UTC)


def last_month() -> date:
    return accounting_month(accounting_month(business_date(now())) - timedelta(days=1))


@pytest.fixture
def till(world: World) -> Till:
    """Something of the last month, which is closed, is to come back at it."""
    return world.till()


def sold_last_month(world: World, till: Till, quantity: str = "10") -> str:
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line("A4", quantity, "18.6")],
    }
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    world.post_everything()
    Settlement.objects.update(accounting_month=last_month())
    first_of_this = accounting_month(business_date(now()))
    ClosedDay.objects.get_or_create(
        day=first_of_this - timedelta(days=1), defaults={"last_seq": 0, "closed_at": now()}
    )
    return str(reply["settlement_id"])


def give_back(till: Till, settlement_id: str, quantity: str = "") -> Any:
    parts = {"lines": [{"no": 1, "quantity": quantity}]} if quantity else {}
    return till.post("refunds", {"settlement_id": settlement_id, "reason": "returned", **parts})


def declare(world: World) -> str:
    try:
        declare_month(merchant_id=world.pharmacy.pk, month=last_month(), by="test", now=now())
    except MonthCannotBeDeclared as error:
        return str(error)
    return "declared"


def test_declaring_waits_for_a_return_under_way_and_then_refuses(world: World, till: Till) -> None:
    settlement_id = sold_last_month(world, till)
    race = forced(
        lambda: give_back(till, settlement_id).status, lambda: declare(world), before=RETURNING
    )
    assert (race.first, race.second_waited) == (201, True)
    assert "not posted" in race.second or "登账" in race.second or "1" in race.second
    assert not DeclaredMonth.objects.exists()
    world.post_everything()
    assert declare(world) == "declared"


def test_a_return_that_comes_while_its_month_is_declared_waits_and_needs_approval(
    world: World, till: Till
) -> None:
    settlement_id = sold_last_month(world, till)
    race = forced(lambda: declare(world), lambda: give_back(till, settlement_id), before=DECLARING)
    assert (race.first, race.second_waited) == ("declared", True)
    assert (race.second.status, race.second["code"]) == (409, "refund_needs_approval")
    assert not Refund.objects.exists()
    assert RefundApproval.objects.count() == 1


def test_a_reversal_that_comes_while_its_month_is_declared_is_a_refund(
    world: World, till: Till
) -> None:
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    till.post("settlements", bill, key="sale")
    sold_last_month(world, till)
    race = forced(
        lambda: declare(world),
        lambda: till.post("reversals", {"original_key": "sale"}),
        before=DECLARING,
    )
    assert (race.first, race.second_waited) == ("declared", True)
    assert race.second["code"] == "use_refund"


def test_returns_of_one_merchant_do_not_wait_for_each_other(world: World, till: Till) -> None:
    """Two people's, into the same month: the lock is shared."""
    one = sold_last_month(world, till)
    other_till = world.till(name="till 2")
    bill = {
        "scan_id": world.scan(other_till, member=world.worker),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    other = other_till.post("settlements", bill)["settlement_id"]
    Settlement.objects.update(accounting_month=last_month())
    race = forced(
        lambda: give_back(till, one).status,
        lambda: give_back(other_till, other).status,
        before=RETURNING,
    )
    assert (race.first, race.second, race.second_waited) == (201, 201, False)


def test_declaring_keeps_no_return_into_the_open_month_waiting(world: World, till: Till) -> None:
    sold_last_month(world, till)
    bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
    today = till.post("settlements", bill)["settlement_id"]
    race = forced(lambda: declare(world), lambda: give_back(till, today).status, before=DECLARING)
    assert (race.first, race.second, race.second_waited) == ("declared", 201, False)


def test_a_return_into_the_open_month_asks_nothing_about_months(world: World, till: Till) -> None:
    bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
    today = till.post("settlements", bill)["settlement_id"]
    asked: list[str] = []
    with between_statements(asked.append):
        assert give_back(till, today).status == 201
    assert not [sql for sql in asked if "months" in sql or "declaredmonth" in sql]


def test_two_tills_that_ask_at_once_leave_one_ask(world: World, till: Till) -> None:
    settlement_id = sold_last_month(world, till)
    assert declare(world) == "declared"
    tills = [till, *(world.till(name=f"till {n}") for n in range(2, 5))]
    replies = at_once([lambda t=t: give_back(t, settlement_id) for t in tills])  # type: ignore[misc]
    assert {reply["code"] for reply in replies} == {"refund_needs_approval"}
    assert {reply["approval_id"] for reply in replies} == {str(RefundApproval.objects.get().pk)}


def test_two_tills_that_return_on_one_approval_at_once_return_once(
    world: World, till: Till
) -> None:
    settlement_id = sold_last_month(world, till)
    assert declare(world) == "declared"
    give_back(till, settlement_id, "3")
    decide(
        approval_id=RefundApproval.objects.get().pk,
        decision="approve",
        note="",
        by="fund",
        now=now(),
    )
    other = world.till(name="till 2")
    race = forced(
        lambda: give_back(till, settlement_id, "3"),
        lambda: give_back(other, settlement_id, "3"),
        before=RETURNING,
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "refund_needs_approval")
    assert sorted(RefundApproval.objects.values_list("state", flat=True)) == ["used", "waiting"]
    assert Refund.objects.count() == 1


def test_an_ask_is_decided_by_one_of_two_at_once(world: World, till: Till) -> None:
    settlement_id = sold_last_month(world, till)
    declare(world)
    give_back(till, settlement_id)
    row = RefundApproval.objects.get()

    def say(decision: Any, by: str) -> bool:
        return decide(approval_id=row.pk, decision=decision, note=by, by=by, now=now())

    race = forced(
        lambda: say("approve", "one"),
        lambda: say("decline", "two"),
        before='UPDATE "settlement_refundapproval"',
    )
    assert (race.first, race.second, race.second_waited) == (True, False, True)
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("approved", "one")


def test_without_the_lock_a_return_would_slip_into_a_declared_month(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the lock is what closes the race: taken out, the month is declared over the return."""
    monkeypatch.setattr("settlement.services.declaring._lock_months", lambda *_, **__: None)
    settlement_id = sold_last_month(world, till)
    race = forced(
        lambda: give_back(till, settlement_id).status, lambda: declare(world), before=RETURNING
    )
    assert (race.first, race.second, race.second_waited) == (201, "declared", False)
    assert not RefundApproval.objects.exists()
