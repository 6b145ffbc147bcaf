"""Each guard of tenders is taken out, and a named test must notice."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError

from settlement.models import Quote, SimulatedPayment, TenderRule
from settlement.services import posting, quotes, settlements
from settlement.services.tender import (
    connections,
    credit,
    driving,
    provider,
    returning,
    simulator,
    taking,
)
from settlement.services.tender.simulator import Lie
from tests.settlement import test_tenders as tests
from tests.world import Till, World

Patch = pytest.MonkeyPatch
Check = Callable[..., None]


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


@pytest.fixture
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def world(db: None, clock: Any) -> World:
    return World.made()


def no_op(owner: Any, name: str) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: None)


def claims_are_believed(patch: Patch) -> None:
    def learn(provider_: Any, reference: str, act: Any = None) -> provider.Truth:
        try:
            return (act or partial(provider_.query, reference))()
        except provider.NoAnswer:
            return provider.Truth("under_way")

    for user in (taking, driving):
        patch.setattr(user, "learn", learn)


def unheard_of_is_declined(patch: Patch) -> None:
    for user in (taking, driving):
        patch.setattr(user, "OVER", provider.OVER | {"unheard_of"})


def quotes_are_extended_for_ever(patch: Patch) -> None:
    def extend(tender: Any, *, now: datetime) -> datetime:
        Quote.objects.filter(pk=tender.quote_id, state="live").update(
            expires_at=now + timedelta(seconds=120)
        )
        return now + timedelta(seconds=120)

    patch.setattr(taking, "extend_quote", extend)


def quotes_are_not_extended(patch: Patch) -> None:
    patch.setattr(taking, "extend_quote", lambda tender, *, now: tender.quote.expires_at)


def an_unknown_reference_is_not_closed(patch: Patch) -> None:
    """The service forgets the cancellation of what it has not heard of, and claims to have closed
    it."""

    def cancel(reference: str) -> None:
        SimulatedPayment.objects.filter(pk=reference, standing="authorised").update(
            standing="closed"
        )

    patch.setattr(simulator, "_cancel", cancel)
    real = simulator._told
    patch.setattr(
        simulator,
        "_told",
        lambda reference: (
            real(reference)
            if SimulatedPayment.objects.filter(pk=reference).exists()
            else provider.Truth("closed")
        ),
    )


def credit_has_no_limit(patch: Patch) -> None:
    patch.setattr(credit, "min", lambda asked, left: asked, raising=False)


def looks_are_not_moved_ahead(patch: Patch) -> None:
    patch.setattr(driving, "IN_HAND_S", 0)


def the_rule_is_not_looked_at(patch: Patch) -> None:
    patch.setattr(driving, "_reversed", lambda *_: False)


def a_refused_settlement_ends_a_quote_that_could_be_mended(patch: Patch) -> None:
    patch.setattr(returning, "MAY_STILL_SETTLE", frozenset())


def reversing(test: Check) -> Check:
    def check(world: World, till: Till, now: datetime) -> None:
        TenderRule.objects.create(merchant=world.pharmacy, capture_failed="reverse")
        test(world, till, now)

    return check


def authorising(lie: Lie, state: str, held: bool) -> Check:
    return lambda world, till, now: (
        tests.test_a_part_is_authorised_only_where_the_service_still_says_so_when_asked(
            world, till, lie, state, held
        )
    )


MUTANTS: list[tuple[Callable[[Patch], None], Check]] = [
    (claims_are_believed, authorising(Lie.FALSE_YES, "unknown", False)),
    (unheard_of_is_declined, authorising(Lie.LATE, "unknown", False)),
    (
        quotes_are_extended_for_ever,
        tests.test_asking_again_and_again_does_not_keep_a_quote_past_the_certainty_clock,
    ),
    (
        quotes_are_not_extended,
        tests.test_an_unknown_part_keeps_the_quote_alive_and_is_settled_when_it_is_known,
    ),
    (
        an_unknown_reference_is_not_closed,
        tests.test_a_request_that_arrives_after_its_cancellation_takes_nothing,
    ),
    (
        no_op(settlements, "check_paid"),
        tests.test_a_split_tender_is_paid_part_by_part_and_settled_when_whole,
    ),
    (
        lambda patch: patch.setattr(taking, "tendered_fen", lambda quote_id: 0),
        tests.test_more_than_is_left_is_refused_with_what_is_left,
    ),
    (no_op(taking, "_check_references"), tests.test_one_card_slip_pays_once),
    (
        no_op(quotes, "return_what_was_taken"),
        tests.test_a_replaced_quote_returns_what_was_taken,
    ),
    (
        no_op(driving, "_watch_quote"),
        tests.test_a_quote_that_runs_out_returns_what_was_taken_by_itself,
    ),
    (
        no_op(returning, "give_up"),
        tests.test_a_refused_settlement_returns_what_was_taken_by_itself,
    ),
    (
        a_refused_settlement_ends_a_quote_that_could_be_mended,
        tests.test_a_refusal_that_the_till_can_mend_returns_nothing,
    ),
    (no_op(driving, "_capture_failed"), tests.test_a_capture_that_fails_becomes_a_named_debt),
    (
        lambda patch: patch.setitem(posting.HANDLERS, "owe_debt", lambda *_: None),
        tests.test_a_capture_that_fails_becomes_a_named_debt,
    ),
    (
        lambda patch: patch.setitem(posting.HANDLERS, "repay_debt", lambda *_: None),
        tests.test_a_debt_that_is_repaid_is_off_the_books,
    ),
    (
        lambda patch: patch.setattr(driving, "_nothing_to_send_back", lambda *_: []),
        tests.test_a_refund_before_the_capture_fails_relieves_the_debt_likewise,
    ),
    (no_op(returning, "give_back"), tests.test_a_refund_goes_back_the_way_the_money_came),
    (no_op(driving, "refunds_are_due"), tests.test_a_refund_before_the_capture_waits_for_it),
    (
        the_rule_is_not_looked_at,
        reversing(
            tests.test_a_capture_that_fails_reverses_the_settlement_where_the_merchant_wants_it
        ),
    ),
    (
        credit_has_no_limit,
        tests.test_credit_is_used_up_to_its_limit_and_the_till_is_told_what_is_left_to_take,
    ),
    (
        looks_are_not_moved_ahead,
        tests.test_a_tender_in_hand_is_left_alone_by_other_workers_for_a_minute,
    ),
]


def called(check: Check, **fixtures: Any) -> None:
    """With the fixtures that it names."""
    code = check.__code__
    names = code.co_varnames[: code.co_argcount]
    check(**{name: fixtures[name] for name in names})


@pytest.mark.parametrize(("mutate", "check"), MUTANTS)
def test_a_mutant_is_caught(
    world: World,
    now: datetime,
    clock: Any,
    settings: Any,
    monkeypatch: Patch,
    mutate: Callable[[Patch], None],
    check: Check,
) -> None:
    till = world.till()
    mutate(monkeypatch)
    # What a guard's absence breaks first may be a constraint, or a row that should be there.
    with pytest.raises((AssertionError, DatabaseError, ObjectDoesNotExist)):
        called(check, world=world, till=till, now=now, clock=clock, settings=settings)
