"""Every line of the written table that is about tenders is met, and no other move is made."""

from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import transaction

from settlement import states
from settlement.models import CreditLine, Tender, TenderRule
from settlement.services.tender import connections, moves, returning, taking
from tests.settlement import test_tenders as tests
from tests.settlement.tender_world import part, pay, quoted, run_out, settle
from tests.settlement.test_tender_mutants import called, reversing
from tests.world import Till, World

# Between them they go everywhere.
WAYS = [
    tests.test_a_split_tender_is_paid_part_by_part_and_settled_when_whole,
    tests.test_a_declined_part_leaves_its_amount_to_be_paid_in_another_way,
    tests.test_an_unknown_part_that_turns_out_declined_is_left_to_pay,
    tests.test_an_unknown_part_keeps_the_quote_alive_and_is_settled_when_it_is_known,
    tests.test_a_part_that_stays_unknown_is_returned_when_the_certainty_clock_has_run_out,
    tests.test_a_quote_that_is_released_while_the_service_is_asked_takes_nothing,
    tests.test_a_released_quote_returns_what_was_taken,
    tests.test_a_debt_that_is_repaid_is_off_the_books,
    tests.test_a_refund_of_what_is_owed_relieves_the_debt_and_gives_back_the_rest,
    tests.test_a_refund_before_the_capture_waits_for_it,
    tests.test_a_refund_of_every_state_before_the_capture_waits_for_it,
    reversing(tests.test_two_captures_that_fail_reverse_the_settlement_once),
]


@pytest.fixture
def clock(db: None, now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller
    connections.connected.cache_clear()


def test_every_line_about_tenders_is_met_and_makes_the_only_moves(
    clock: Any, now: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: set[states.Transition] = set()

    def noted(*line: Any, **who: Any) -> states.Transition:
        found = states.transition(*line, **who)
        met.add(found)
        return found

    for module in (moves, taking, returning):
        monkeypatch.setattr(module, "transition", noted)
    world = World.made()
    till = world.till()
    till.get("items?query=x")
    for way in WAYS:
        connections.connected.cache_clear()
        clock.move_to(now, tick=False)
        savepoint = transaction.atomic()
        savepoint._from_testcase = True  # type: ignore[attr-defined]
        with savepoint:
            called(way, world=world, till=till, now=now, clock=clock, settings=settings)
            transaction.set_rollback(True)
    table = {line for line in states.TABLE if line.entity == "tender"}
    assert {(line.state, line.event) for line in table - met} == set()


def test_a_tender_moves_only_from_the_state_in_which_it_was_read(clock: Any, now: datetime) -> None:
    world = World.made()
    till = world.till()
    quote = quoted(world, till)
    pay(till, quote, part("cash"))
    tender = Tender.objects.get()
    move: dict[str, Any] = {"tender_id": tender.pk, "who": "worker", "now": now, "due_at": None}
    assert moves.move(state="received", event="return", **move)
    assert not moves.move(state="received", event="return", **move)
    with pytest.raises(states.IllegalTransition):
        moves.move(state="returned", event="settle", **move)


# -- the accountants' command


def said(*words: str) -> str:
    out = StringIO()
    call_command("tenders", *words, stdout=out)
    return out.getvalue().strip()


def test_accountants_see_and_settle_debts_and_set_rules(clock: Any, now: datetime) -> None:
    world = World.made()
    till: Till = world.till()
    tests.refuses_capture(world, till)
    run_out(now)
    listed = said("debts")
    tender_id = str(Tender.objects.get(state="debt").pk)
    assert listed == f"{tender_id} wechat owes {world.pharmacy.code} 18000"
    assert said("paid", tender_id) == "18000 fen are owed no more"
    assert said("debts") == ""
    with pytest.raises(CommandError, match="not owed"):
        said("paid", tender_id)
    said("rule", world.pharmacy.code, "reverse")
    assert TenderRule.objects.get().capture_failed == "reverse"
    with pytest.raises(CommandError):
        said("rule", "nobody", "debt")


def test_accountants_open_lines_of_credit_and_take_repayments(clock: Any, now: datetime) -> None:
    world = World.made()
    till = world.till()
    assert said("credit-limit", world.retiree.number, "20000") == "used 0 of 20000, owed back 0"
    quote = quoted(world, till)
    pay(till, quote, part("credit"))
    settle(till, quote)
    run_out(now)
    said("credit-repay", world.retiree.number, "600")
    assert CreditLine.objects.get().used_fen == 18_000
    with pytest.raises(CommandError):
        said("credit-limit", world.retiree.number, "17999")
    with pytest.raises(CommandError):
        said("credit-repay", world.worker.number, "1")
