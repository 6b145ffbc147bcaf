"""Declaring a month for clearing: only one that is over, closed and finished; once, for good."""

from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from settlement.models import DeclaredMonth, Refund, Settlement, Tender
from settlement.services.closing import close_day
from settlement.services.declaring import MonthCannotBeDeclared, declare_month
from settlement.services.reversals import reverse_overdue
from settlement.services.tender.driving import drive_due
from tests.rows import added, counts
from tests.settlement import tender_world as tenders
from tests.settlement.declared_world import (
    LAST_DAY,
    NOVEMBER,
    at,
    closed,
    declared,
    now,
    open_counter,
    sold,
)
from tests.settlement.test_reversals import reverse
from tests.settlement.trades import Trade, put_on_record
from tests.world import World, line

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """Made on the last day of November."""
    with at(30, month=11):
        return World.made()


def test_a_closed_month_is_declared_once_for_its_merchant_alone(
    world: World, seal_file: Path
) -> None:
    with at(30, month=11):
        sold(world, world.till())
    with at(1):
        closed(world, seal_file)
        declared(world)
        row = DeclaredMonth.objects.get()
        assert (row.merchant, row.month, row.declared_at) == (world.pharmacy, NOVEMBER, now())
        with pytest.raises(MonthCannotBeDeclared, match="already"):
            declared(world)
        declare_month(merchant_id=world.clinic.pk, month=NOVEMBER, by="test", now=now())
    assert DeclaredMonth.objects.count() == 2


def test_a_month_is_not_declared_before_it_is_over_and_closed(
    world: World, seal_file: Path
) -> None:
    with at(30, month=11, hour=15), pytest.raises(MonthCannotBeDeclared, match="not over"):
        declared(world)
    with at(1):
        with pytest.raises(MonthCannotBeDeclared, match="not closed"):
            declared(world)
        close_day(day=LAST_DAY - timedelta(days=1), now=now())
        with pytest.raises(MonthCannotBeDeclared, match="2026-11-30"):
            declared(world)
        close_day(day=LAST_DAY, now=now())
        declared(world)


@pytest.mark.parametrize("kind", ["settlement", "refund", "refund of December"])
def test_a_month_is_not_declared_while_something_of_it_is_unposted(
    world: World, seal_file: Path, kind: str
) -> None:
    till = world.till()
    with at(30, month=11):
        sale = sold(world, till)
    with at(1):
        closed(world, seal_file)
        if kind == "refund of December":
            back = {"settlement_id": sale["settlement_id"], "reason": "returned"}
            assert till.post("refunds", back).status == 201
        else:
            # A closed day has nothing of the kind: somebody wrote to the tables.
            place = (world.pharmacy, till.terminal_id)
            seconds = 10 * 24 * 3600 - 60
            bill = Trade(0, "", seconds, (("pool", 100),))
            put_on_record_after(world, place, [bill, Trade(0, "", seconds, bill.shares, of=0)])
            model: Any = Settlement if kind == "refund" else Refund
            model.objects.filter(state="accepted").update(state="posted", posted_at=now())
        with pytest.raises(MonthCannotBeDeclared, match="1 of its accepted"):
            declared(world)
        if kind == "refund of December":
            world.post_everything()
            declared(world)
    assert DeclaredMonth.objects.exists() == (kind == "refund of December")


def put_on_record_after(world: World, place: tuple[Any, int], trades: list[Trade]) -> None:
    """Rows whose numbers follow those of the retiree's earlier ones."""
    was, world.retiree = world.retiree, world.worker
    put_on_record(world, [place], trades)
    world.retiree = was


def test_a_month_is_not_declared_while_a_settlement_in_two_steps_is_open(
    world: World, seal_file: Path
) -> None:
    till = world.till()
    with at(30, month=11, hour=15) as clock:
        clock.shift(timedelta(minutes=25))
        sale = sold(world, till, confirm_within_s=600)
        clock.shift(timedelta(minutes=6))
        closed(world, seal_file)
        with pytest.raises(MonthCannotBeDeclared, match="two steps"):
            declared(world)
        assert till.post(f"settlements/{sale['settlement_id']}/confirm", {}).status == 200
        declared(world)


def test_an_automatic_return_never_meets_a_declared_month(world: World, seal_file: Path) -> None:
    """Time returns what nobody confirmed before the month can be declared; afterwards it finds
    nothing more to return."""
    till = world.till()
    with at(30, month=11, hour=15) as clock:
        sold(world, till, confirm_within_s=600)
        clock.shift(timedelta(minutes=31))
        closed(world, seal_file)
        # Its time has run out; the worker has not come yet.
        with pytest.raises(MonthCannotBeDeclared, match="two steps"):
            declared(world)
        assert reverse_overdue(now=now(), limit=10) == 1
        with pytest.raises(MonthCannotBeDeclared, match="not posted"):
            declared(world)
        world.post_everything()
        declared(world)
        before = counts()
        clock.shift(timedelta(days=3))
        assert reverse_overdue(now=now(), limit=10) == 0
        assert added(before) == {}
    assert Refund.objects.get().kind == "reversal"


@pytest.fixture
def _fresh_services() -> Any:
    tenders.connections.connected.cache_clear()
    yield
    tenders.connections.connected.cache_clear()


@pytest.mark.usefixtures("_fresh_services")
def test_a_month_is_not_declared_while_a_payment_of_it_is_not_final(
    world: World, seal_file: Path
) -> None:
    """Nor does the worker return a captured one later: every tender of the month is final."""
    till = world.till()
    with at(30, month=11, hour=15) as clock:
        quote = tenders.quoted(world, till)
        assert tenders.pay(till, quote, tenders.part()).status == 201
        assert tenders.settle(till, quote).status == 201
        clock.shift(timedelta(minutes=31))
        closed(world, seal_file)
        with pytest.raises(MonthCannotBeDeclared, match=r"1 parts .*capturing 1"):
            declared(world)
        assert drive_due(now=now(), limit=10)
        assert tenders.states(quote) == ["captured"]
        declared(world)
        before = counts()
        clock.shift(timedelta(days=3))
        assert drive_due(now=now(), limit=10) == 0
        assert added(before) == {}


@pytest.mark.parametrize("state", ["debt", "capturing", "returning", "received"])
@pytest.mark.usefixtures("_fresh_services")
def test_only_what_is_final_lets_a_month_be_declared(
    world: World, seal_file: Path, state: str
) -> None:
    till = world.till()
    with at(30, month=11):
        sale = sold(world, till)
        quote = tenders.quoted(world, till)
        tenders.pay(till, quote, tenders.part("cash"))
        Tender.objects.update(state="returned", settlement=UUID(sale["settlement_id"]))
        world.post_everything()
    with at(1):
        closed(world, seal_file)
        row = Tender.objects.get()
        Tender.objects.filter(pk=row.pk).delete()
        row.state = state
        row.save(force_insert=True)
        if state == "debt":
            # Named, and owed by a payment service: nothing of the month is open.
            declared(world)
            return
        with pytest.raises(MonthCannotBeDeclared, match=f"{state} 1"):
            declared(world)


def test_a_declared_month_makes_a_result_known(world: World, seal_file: Path) -> None:
    till = world.till()
    with at(30, month=11):
        bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
        sale = till.post("settlements", bill, key="sale")
        till.post("settlements", {**bill, "scan_id": world.scan(till)}, key="another")
    with at(1):
        closed(world, seal_file)
        # Closed is not declared yet.
        assert reverse(till, "another")["outcome"] == "reversed"
        world.post_everything()
        declared(world)
        refused = reverse(till, "sale")
        assert (refused["code"], refused["settlement_id"]) == ("use_refund", sale["settlement_id"])
        # What was withdrawn before is still answered as withdrawn.
        assert reverse(till, "another")["outcome"] == "reversed"


def test_a_declaration_is_never_changed_or_taken_back(seal_file: Path) -> None:
    open_counter(seal_file)
    for change in (
        lambda: DeclaredMonth.objects.all().delete(),
        lambda: DeclaredMonth.objects.update(month=date(2026, 10, 1)),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_the_command_declares_and_lists_or_says_why_not(world: World, seal_file: Path) -> None:
    code = world.pharmacy.code
    with at(1):
        with pytest.raises(CommandError, match="not closed"):
            call_command("declare_month", code, "2026-11")
        close_day(day=LAST_DAY, now=now())
        out = StringIO()
        call_command("declare_month", code, "2026-11", "--by", "钱清算", stdout=out)
        assert "2026-11" in out.getvalue()
        for wrong in ([code, "2026-13"], [code, "November"], [code], ["P-nobody", "2026-11"]):
            with pytest.raises(CommandError):
                call_command("declare_month", *wrong)
        for listed in ([], [code]):
            out = StringIO()
            call_command("declare_month", *listed, "--list", stdout=out)
            assert f"2026-11 {code}" in out.getvalue()
            assert "钱清算" in out.getvalue()
        out = StringIO()
        call_command("declare_month", world.clinic.code, "--list", stdout=out)
        assert out.getvalue() == ""
