"""The order of quote, payment, settlement and capture, line by line, by services that lie at every
step: what is captured when, what goes back by itself, what becomes a debt or a return."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging.models import OutboxEntry
from settlement.models import Account, Quote, Refund, Settlement, SimulatedPayment, TenderRule
from settlement.services.tender import connections, simulator
from settlement.services.tender.simulator import Lie
from tests.ledger_checks import assert_sound, balances
from tests.settlement.tender_world import (
    cash_of_standing_settlements,
    connect,
    lying,
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
from tests.world import Reply, Till, World

LIES = [
    [Lie.LOST_ANSWER],
    [Lie.LOST_REQUEST] * 2,
    [Lie.FALSE_YES, Lie.FALSE_NO],
    [Lie.FALSE_NO],
    [Lie.LATE, Lie.TWICE],
]


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    connections.connected.cache_clear()
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller
    connections.connected.cache_clear()


@pytest.fixture
def world(db: None, clock: Any) -> World:
    return World.made()


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_captured_before_the_settlement_is_accepted(
    world: World,
    till: Till,
    now: datetime,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    accepted_when_captured = []
    real = simulator._capture

    def capture(reference: str) -> None:
        accepted_when_captured.append(Settlement.objects.exists())
        real(reference)

    monkeypatch.setattr(simulator, "_capture", capture)
    opening = balances()
    service = connect(simulator.seeded(seed))
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 10_000), part("alipay", 8_000), part("cash", 600))
    for seconds in (5, 15, 25, 40, 60, 80):
        clock.move_to(now + timedelta(seconds=seconds), tick=False)
        work(now + timedelta(seconds=seconds))
    service.deliver_late()
    assert not SimulatedPayment.objects.filter(standing="captured").exists()
    is_settled = settle(till, quote).status == 201
    run_out(now + timedelta(seconds=80))
    service.deliver_late()
    assert all(accepted_when_captured)
    assert bool(accepted_when_captured) is is_settled
    assert taken_from_citizens() + named_debts() == cash_of_standing_settlements()
    assert_sound(opening=opening)


def refused(world: World, till: Till) -> Reply:
    """A quote that was paid and whose settlement is refused for good."""
    quote = quoted(world, till, account_limit_fen=600)
    pay(till, quote, part("wechat", 17_000), part("cash", 1_000))
    # The account was corrected from outside: the quote is nobody's any more.
    Account.objects.filter(member=world.retiree).update(balance_fen=0)
    reply = settle(till, quote)
    assert reply.body["code"] == "quote_not_live"
    return quote


@pytest.mark.parametrize("lies", LIES, ids=str)
def test_what_was_authorised_goes_back_through_the_outbox_when_the_settlement_is_refused(
    world: World, till: Till, now: datetime, lies: list[Lie]
) -> None:
    connect(lying(cancel=list(lies), query=[Lie.HONEST, Lie.LATE, Lie.LOST_ANSWER]))
    quote = refused(world, till)
    # In the commit of the refusal, so that no worker need be alive just then.
    assert OutboxEntry.objects.get(topic="return_tender").subject == Quote.objects.get().pk
    run_out(now)
    assert states(quote) == ["returned", "returned"]
    assert taken_from_citizens() == 0


@pytest.mark.parametrize("lies", LIES, ids=str)
def test_what_a_service_captured_by_itself_is_refunded_when_the_settlement_is_refused(
    world: World, till: Till, now: datetime, lies: list[Lie]
) -> None:
    """A payment code is often charged at once, whatever was asked for."""
    service = connect(lying(refund=list(lies), query=[Lie.HONEST, Lie.LATE, Lie.LOST_ANSWER]))
    quote = quoted(world, till, account_limit_fen=600)
    pay(till, quote, part("wechat", 18_000))
    SimulatedPayment.objects.update(standing="captured")
    Account.objects.filter(member=world.retiree).update(balance_fen=0)
    assert settle(till, quote).body["code"] == "quote_not_live"
    run_out(now)
    service.deliver_late()
    assert states(quote) == ["returned"]
    assert sum(SimulatedPayment.objects.get().refunds.values()) == 18_000
    assert taken_from_citizens() == 0


@pytest.mark.parametrize("rule", ["debt", "reverse"])
@pytest.mark.parametrize("lies", LIES, ids=str)
def test_a_capture_that_fails_is_a_debt_or_a_return_by_the_merchant_s_rule_whatever_is_claimed(
    world: World, till: Till, now: datetime, lies: list[Lie], rule: str
) -> None:
    TenderRule.objects.create(merchant=world.pharmacy, capture_failed=rule)
    opening = balances()
    service = connect(lying(capture=list(lies), query=[Lie.HONEST, Lie.LATE, Lie.LOST_ANSWER]))
    quote = quoted(world, till)
    bad = part("wechat", 18_000, payment_code="130000000000000054")
    pay(till, quote, bad, part("cash", 600))
    work(now + timedelta(seconds=20))
    assert settle(till, quote).status == 201
    run_out(now + timedelta(seconds=20))
    service.deliver_late()
    if rule == "debt":
        assert states(quote) == ["debt", "captured"]
        assert (named_debts(), taken_from_citizens(), Refund.objects.count()) == (18_000, 600, 0)
        assert_sound(opening=opening)
    else:
        assert states(quote) == ["returned", "captured"]
        assert (named_debts(), taken_from_citizens()) == (0, 0)
        # Two steps: the settlement is returned, and the part is given back by its own cancellation.
        assert Refund.objects.get().kind == "reversal"
        assert cash_of_standing_settlements() == 0
