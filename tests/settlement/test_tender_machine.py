"""Whatever tills do and services lie about, and in whatever order: when the worker has drained and
the clock has run out, citizens have paid the cash share of the settlements that stand, to the fen,
but for what a payment service owes by name."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from settlement.models import CreditLine, Tender, TenderRule
from settlement.selectors.tenders import COUNTS
from settlement.services.tender import connections, credit, driving, returning
from settlement.services.tender.driving import hear
from settlement.services.tender.simulator import Lie, SimulatedService
from tests.ledger_checks import Balances, balances, violations
from tests.settlement import test_tender_mutants as mutants
from tests.settlement.tender_world import (
    bill,
    cash_of_standing_settlements,
    connect,
    look,
    named_debts,
    part,
    pay,
    quoted,
    run_out,
    settle,
    taken_from_citizens,
    work,
)
from tests.world import Reply, Till, World

EXAMPLES = int(os.environ.get("TENDER_EXAMPLES", "25"))
# Ends of payment codes, see the simulator.
ENDS = ["9999", "9999", "9999", "0051", "0054", "0091", "0092"]
KINDS = st.lists(
    st.sampled_from(["cash", "bank_card", "wechat", "alipay", "credit"]), min_size=1, max_size=3
)
WAITS = st.sampled_from([0, 5, 30, 90])


class Counter(RuleBasedStateMachine):
    """One pharmacy with two tills."""

    world: World
    tills: list[Till]
    clock: Any
    start: datetime
    opening: Balances
    service: SimulatedService

    quotes = Bundle("quotes")
    settlements = Bundle("settlements")

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        # As the transaction around a test: what is durable outside of tests must be so here.
        self.savepoint._from_testcase = True  # type: ignore[attr-defined]
        self.savepoint.__enter__()
        self.now = self.start
        self.clock.move_to(self.now, tick=False)

    @initialize(
        # Every second is no lie, so that some bills come to an end as well.
        lies=st.lists(st.sampled_from([*list(Lie), *[Lie.HONEST] * 6]), max_size=60),
        reverse=st.booleans(),
        limit_fen=st.sampled_from([0, 5_000, 1_000_000]),
    )
    def open_the_day(self, lies: list[Lie], reverse: bool, limit_fen: int) -> None:
        def lie(call: str, reference: str, nth: int) -> Lie:
            return lies.pop(0) if lies else Lie.HONEST

        self.service = connect(lie)
        if reverse:
            TenderRule.objects.create(merchant=self.world.pharmacy, capture_failed="reverse")
        credit.grant(member_id=self.world.retiree.pk, limit_fen=limit_fen)

    @rule(target=quotes, till=st.integers(0, 1), year=st.booleans())
    def quote(self, till: int, year: bool) -> Any:
        more = {"benefit_kind": "chronic", "disease_code": "M03900"} if year else {}
        reply = self.tills[till].post("quotes", bill(self.world, self.tills[till], **more))
        # The other till may hold one that reads the year to date.
        assert reply.status == 201 or reply["code"] == "open_quote_elsewhere", reply.text
        return reply if reply.status == 201 else multiple()

    @rule(quote=quotes, kinds=KINDS, whole=st.booleans(), end=st.sampled_from(ENDS))
    def pay_parts(self, quote: Reply, kinds: list[str], whole: bool, end: str) -> None:
        left_fen = look(self.tills[0], quote)["left_fen"]
        if left_fen < len(kinds):
            return
        share_fen = left_fen // len(kinds) if whole else max(1, left_fen // (2 * len(kinds)))
        parts = []
        for index, kind in enumerate(kinds):
            more: dict[str, Any] = {}
            if kind in ("wechat", "alipay"):
                more["payment_code"] = f"13000000000000{end}"
            if kind == "bank_card":
                more["reference"] = f"{Tender.objects.count():06}{index:06}"
            parts.append(part(kind, share_fen, **more))
        if whole:
            parts[-1]["amount_fen"] += left_fen - share_fen * len(kinds)
        pay(self.tills[0], quote, *parts)

    @rule(target=settlements, quote=quotes)
    def settle(self, quote: Reply) -> Any:
        # A quote without a tender is settled in cash, which is no matter of this machine.
        if not Tender.objects.filter(quote_id=quote["quote_id"]).exists():
            return multiple()
        reply = settle(self.tills[1], quote)
        event(f"settled: {reply.body.get('code', 'accepted')}")
        return reply["settlement_id"] if reply.status == 201 else multiple()

    @rule(target=settlements, kinds=KINDS, end=st.sampled_from(ENDS), wait_s=WAITS)
    def buy(self, kinds: list[str], end: str, wait_s: int) -> Any:
        """What most customers do: quote, pay all of it, settle."""
        quote = quoted(self.world, self.tills[0])
        self.pay_parts(quote, kinds, True, end)
        self.time_passes(wait_s, awake=True)
        if left_fen := look(self.tills[0], quote)["left_fen"]:
            pay(self.tills[0], quote, part("cash", left_fen))
        return self.settle(quote)

    @rule(quote=quotes)
    def release(self, quote: Reply) -> None:
        self.tills[0].post(f"quotes/{quote['quote_id']}/release", {})

    @rule(settlement_id=consumes(settlements))
    def refund(self, settlement_id: str) -> None:
        self.tills[0].post("refunds", {"settlement_id": settlement_id, "reason": "returned"})

    @rule(seconds=st.sampled_from([1, 5, 30, 90, 150, 400]), awake=st.booleans())
    def time_passes(self, seconds: int, awake: bool) -> None:
        self.now += timedelta(seconds=seconds)
        self.clock.move_to(self.now, tick=False)
        if awake:
            work(self.now)

    @rule()
    def late_requests_arrive(self) -> None:
        self.service.deliver_late()

    @rule(seed=st.integers(0, 99))
    def notices_arrive_in_any_order_and_twice(self, seed: int) -> None:
        notices = self.service.notices * 2
        random.Random(seed).shuffle(notices)
        for reference, _claim in notices:
            hear(reference=reference, now=self.now)
        work(self.now)

    @invariant()
    def nobody_pays_more_than_the_quote_or_borrows_beyond_the_limit(self) -> None:
        paid: dict[Any, int] = {}
        for tender in Tender.objects.filter(state__in=COUNTS).select_related("quote"):
            paid[tender.quote_id] = paid.get(tender.quote_id, 0) + tender.amount_fen
            assert paid[tender.quote_id] <= tender.quote.total_fen
        for line in CreditLine.objects.all():
            assert 0 <= line.used_fen <= line.limit_fen

    def teardown(self) -> None:
        try:
            if hasattr(self, "service"):
                self.now = run_out(self.now)
                self.service.deliver_late()
                self.now = run_out(self.now)
                taken, due = taken_from_citizens(), cash_of_standing_settlements()
                assert taken + named_debts() == due, list(
                    Tender.objects.values_list("kind", "state", "amount_fen", "refunded_fen")
                )
                wrong = violations(opening=self.opening)
                # The worker's own refunds answer no till.
                assert not [each for each in wrong if "nobody was told" not in each], wrong
        finally:
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)


def run(
    world: World,
    now: datetime,
    clock: Any,
    *,
    examples: int = EXAMPLES,
    phases: Sequence[Phase] = tuple(Phase),
    always_alike: bool = False,
) -> None:
    """Try the machine from this world; `always_alike` draws the same sequences in each run."""
    tills = [world.till(), world.till(name="till 2")]
    # The server's answer key comes into being with its first answer, and must outlive an example.
    tills[0].get("items?query=x")
    opening = balances()
    day = type(
        "Day",
        (Counter,),
        {"world": world, "tills": tills, "clock": clock, "start": now, "opening": opening},
    )
    run_state_machine_as_test(
        day,
        settings=settings(
            max_examples=examples,
            phases=phases,
            derandomize=always_alike,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def clock(db: None, now: datetime) -> Iterator[Any]:
    connections.connected.cache_clear()
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller
    connections.connected.cache_clear()


def test_citizens_pay_what_stands_whatever_the_services_lie_about(
    clock: Any, now: datetime
) -> None:
    run(World.made(), now, clock)


@pytest.mark.parametrize(
    "mutate",
    [
        mutants.claims_are_believed,
        mutants.no_op(returning, "give_back"),
        mutants.no_op(driving, "_capture_failed"),
    ],
)
def test_the_machine_can_fail(
    clock: Any,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
) -> None:
    world = World.made()
    mutate(monkeypatch)
    with pytest.raises((AssertionError, DatabaseError, ExceptionGroup)):
        run(world, now, clock, examples=400, phases=[Phase.generate], always_alike=True)
