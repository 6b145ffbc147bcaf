"""Tills, the clock and the worker at one tender at one moment."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from messaging import outbox
from settlement.models import CreditLine, Quote, Settlement, SimulatedPayment, Tender, TenderRefund
from settlement.services.posting import post_due
from settlement.services.tender import connections, credit
from settlement.services.tender.driving import drive_due
from tests.races.rivals import at_once, forced
from tests.settlement.tender_world import (
    cash_of_standing_settlements,
    named_debts,
    part,
    pay,
    quoted,
    run_out,
    settle,
    states,
    taken_from_citizens,
    work,
)
from tests.world import World

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


def finish() -> None:
    run_out(timezone.now() + timedelta(minutes=10))
    assert taken_from_citizens() + named_debts() == cash_of_standing_settlements()


def test_parts_from_many_tills_at_once_never_pay_more_than_the_cash_part(world: World) -> None:
    tills = [world.till(name=f"till {n}") for n in range(4)]
    quote = quoted(world, tills[0])
    replies = at_once([partial(pay, till, quote, part("cash", 10_000)) for till in tills])
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert Tender.objects.count() == 1


def test_the_same_key_at_once_asks_once(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    replies = at_once([partial(pay, till, quote, part(), key="pay")] * 6)
    # Whoever comes while the service is being asked is told so.
    told = {reply["parts"][0]["state"] for reply in replies}
    assert told <= {"asked", "authorised"}
    assert Tender.objects.count() == SimulatedPayment.objects.count() == 1
    assert pay(till, quote, part(), key="pay")["parts"][0]["state"] == "authorised"


def test_a_settlement_that_comes_while_the_clock_ends_its_quote_is_too_late(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part())
    race = forced(
        lambda: drive_due(now=timezone.now() + timedelta(seconds=121), limit=5),
        lambda: settle(till, quote),
        before='UPDATE "settlement_quote"',
    )
    assert race.second_waited
    assert race.second["code"] == "quote_expired"
    finish()
    assert states(quote) == ["returned"]


def test_the_clock_that_comes_while_a_settlement_is_accepted_returns_nothing(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part())
    race = forced(
        lambda: settle(till, quote),
        lambda: drive_due(now=timezone.now() + timedelta(seconds=121), limit=5),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert race.first.status == 201
    assert Quote.objects.get().state == "confirmed"
    finish()
    assert states(quote) == ["captured"]


def test_two_quotes_at_once_do_not_borrow_beyond_the_limit(world: World) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=20_000)
    tills = [world.till(name=f"till {n}") for n in range(3)]
    quotes = [quoted(world, till) for till in tills]
    at_once(
        [
            partial(pay, till, quote, part("credit"))
            for till, quote in zip(tills, quotes, strict=True)
        ]
    )
    given = sorted(Tender.objects.filter(state="authorised").values_list("amount_fen", flat=True))
    assert given == [1_400, 18_600]
    assert CreditLine.objects.get().used_fen == 20_000
    finish()
    assert CreditLine.objects.get().used_fen == 0


def test_a_capture_that_comes_while_a_refund_is_written_leaves_it_alone(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part())
    refund = {"settlement_id": settle(till, quote)["settlement_id"], "reason": "returned"}
    # The outbox first, so that only the capture itself is left.
    while post_due(now=timezone.now(), limit=10):
        pass
    race = forced(
        lambda: till.post("refunds", refund),
        lambda: drive_due(now=timezone.now(), limit=5),
        before='INSERT INTO "settlement_tenderrefund"',
    )
    assert (race.first.status, race.second, race.second_waited) == (201, 0, False)
    finish()
    assert states(quote) == ["captured"]


def test_a_refund_that_comes_while_a_capture_is_written_down_is_sent_back(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part())
    refund = {"settlement_id": settle(till, quote)["settlement_id"], "reason": "returned"}
    while post_due(now=timezone.now(), limit=10):
        pass
    race = forced(
        lambda: drive_due(now=timezone.now(), limit=5),
        lambda: till.post("refunds", refund),
        before='UPDATE "settlement_tenderrefund"',
    )
    assert race.second_waited
    assert race.second.status == 201
    finish()
    assert TenderRefund.objects.get().returned_at is not None


def test_two_workers_capture_once_and_wait_for_nobody(world: World) -> None:
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 18_000), part("alipay", 600))
    settle(till, quote)
    now = timezone.now()
    at_once([partial(work, now), partial(work, now)])
    run_out(now)
    assert states(quote) == ["captured", "captured"]
    assert Settlement.objects.get().state == "posted"
    assert taken_from_citizens() == 18_600


def test_a_refund_and_the_worker_lock_a_settlement_before_its_tenders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadlocked(*_: object) -> int:
        raise AssertionError("the batch failed")

    monkeypatch.setattr(outbox, "_work_one_by_one", deadlocked)
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part())
    settled = settle(till, quote)
    returned = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    now = timezone.now()
    met = forced(
        lambda: till.post("refunds", returned),
        # In one batch the settlement is posted and its tender taken in hand for the capture.
        partial(post_due, now=now, limit=50),
        before='FROM "settlement_tender"',
    )
    assert met.second_waited
    assert met.first.status == 201, met.first.text
    # It was given back before it was captured, and whoever came second did all it had to.
    assert met.second == 2
    finish()
