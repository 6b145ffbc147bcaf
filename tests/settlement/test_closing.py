"""Closing days: only what is past, posted and sealed; and nothing is booked on it afterwards."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import transaction

from messaging.models import InboxEntry
from settlement.models import ClosedDay, LedgerTransaction, Settlement
from settlement.selectors.audit import audit
from settlement.selectors.days import day_is_open, last_closed_day, month_is_open
from settlement.services.closing import (
    DayCannotClose,
    DayClosedMeanwhile,
    close_day,
    hold_day,
)
from settlement.services.sealer import seal_all
from tests.world import Till, World, line

MONDAY = date(2026, 11, 30)


def at(day: int, month: int = 11, hour: int = 2) -> Any:
    """Half past ten of a Beijing day, or so many hours from it."""
    return time_machine.travel(datetime(2026, month, day, hour, 30, tzinfo=UTC), tick=False)


def now() -> datetime:
    return datetime.now(UTC)


def sell(world: World, till: Till) -> Any:
    bill = {"scan_id": world.scan(till), "benefit_kind": "pharmacy_account", "lines": [line()]}
    return till.post("settlements", bill)


@pytest.fixture
def traded(db: None, seal_file: Path) -> World:
    """Something sold on the 30th, posted and sealed the same day."""
    with at(30):
        world = World.made()
        assert sell(world, world.till()).status == 201
        world.post_everything()
        seal_all(clock=now, path=seal_file)
    return world


def test_a_past_day_closes_with_its_month(traded: World) -> None:
    with at(1, month=12):
        assert month_is_open(date(2026, 11, 1))
        closed = close_day(day=MONDAY, now=now())
    assert (closed.day, closed.last_seq) == (MONDAY, 1)
    assert last_closed_day() == MONDAY
    assert not day_is_open(date(2020, 1, 1))
    assert day_is_open(date(2026, 12, 1))
    assert not month_is_open(date(2026, 11, 1))
    assert month_is_open(date(2026, 12, 1))


@pytest.mark.parametrize(("day", "hour"), [(30, 2), (30, 15)], ids=["morning", "last hour"])
def test_a_day_does_not_close_before_it_is_over_in_beijing(
    traded: World, day: int, hour: int
) -> None:
    with at(day, hour=hour), pytest.raises(DayCannotClose, match="2026-11-30"):
        close_day(day=MONDAY, now=now())
    with at(30, hour=16):
        close_day(day=MONDAY, now=now())


def test_a_day_does_not_close_twice(traded: World) -> None:
    with at(1, month=12):
        close_day(day=MONDAY, now=now())
        for day in (MONDAY, MONDAY - timedelta(days=1)):
            with pytest.raises(DayCannotClose):
                close_day(day=day, now=now())
    assert ClosedDay.objects.count() == 1


@pytest.mark.parametrize("kind", ["settlement", "refund"])
def test_a_day_does_not_close_over_something_unposted(
    traded: World, seal_file: Path, kind: str
) -> None:
    with at(30, hour=3):
        till = traded.till(name="till 2")
        if kind == "refund":
            body = {"settlement_id": str(Settlement.objects.get().pk), "reason": "returned"}
            assert till.post("refunds", body).status == 201
        else:
            sell(traded, till)
    with at(1, month=12):
        with pytest.raises(DayCannotClose, match="1"):
            close_day(day=MONDAY, now=now())
        traded.post_everything()
        with pytest.raises(DayCannotClose, match="1"):
            close_day(day=MONDAY, now=now())
        seal_all(clock=now, path=seal_file)
        close_day(day=MONDAY, now=now())


def test_a_request_that_comes_from_a_closed_day_is_to_be_sent_again_and_leaves_nothing(
    traded: World,
) -> None:
    """A machine whose clock is a day behind."""
    with at(30, hour=4):
        till = traded.till(name="till 2")
        scan_id = traded.scan(till)
    with at(1, month=12):
        close_day(day=MONDAY, now=now())
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    back = {"settlement_id": str(Settlement.objects.get().pk), "reason": "returned"}
    with at(30, hour=4):
        for path, body in (("settlements", bill), ("refunds", back)):
            reply = till.post(path, body, key=f"{path}-1")
            assert (reply.status, reply["code"]) == (503, "try_again")
    assert not InboxEntry.objects.filter(key__endswith="-1").exists()
    assert Settlement.objects.count() == 1
    with at(1, month=12):
        reply = till.post("refunds", back, key="refunds-1")
        assert (reply.status, reply["business_date"]) == (201, "2026-12-01")
        traded.post_everything()
    # What arrives later is in the books of the day and the month that are open.
    refund = LedgerTransaction.objects.get(kind="refund")
    assert (refund.business_date, refund.accounting_month) == (
        date(2026, 12, 1),
        date(2026, 12, 1),
    )


def test_what_is_smuggled_into_a_closed_day_is_named_by_the_audit(
    traded: World, seal_file: Path
) -> None:
    with at(1, month=12):
        close_day(day=MONDAY, now=now())
    assert audit(path=seal_file, now=now())["closed_days"].wrong == 0
    LedgerTransaction.objects.create(
        key="smuggled",
        kind="correction",
        area_code="370300",
        business_date=MONDAY - timedelta(days=3),
        accounting_month=MONDAY.replace(day=1),
        posted_at=now(),
    )
    assert "smuggled" in audit(path=seal_file, now=now())["closed_days"].first
    seal_all(clock=now, path=seal_file)
    assert "smuggled" in audit(path=seal_file, now=now())["closed_days"].first


def test_nothing_else_is_booked_on_a_closed_day_either(traded: World) -> None:
    with at(1, month=12):
        close_day(day=MONDAY, now=now())
        with transaction.atomic():
            with pytest.raises(DayClosedMeanwhile):
                hold_day(MONDAY)
            hold_day(MONDAY + timedelta(days=1))


def test_the_command_seals_and_closes_or_says_why_not(traded: World) -> None:
    with at(1, month=12):
        out = StringIO()
        call_command("close_day", "2026-11-30", stdout=out)
        assert "2026-11-30" in out.getvalue()
        assert "2026-11" in out.getvalue()
        with pytest.raises(CommandError):
            call_command("close_day", "2026-12-01")
        with pytest.raises(CommandError):
            call_command("close_day", "yesterday")
