"""Each line of the certainty clock's table is spoilt in turn, and so is what reads it, and a named
test must notice."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError

from settlement import certainty
from settlement.certainty import Kind
from settlement.selectors import certainty as selector
from settlement.services.tender import moves
from tests.settlement import test_certainty as tests
from tests.settlement.test_tender_mutants import _fresh_services, called, clock, world
from tests.world import World

__all__ = ["_fresh_services", "clock", "world"]

Patch = pytest.MonkeyPatch
Mutate = Callable[[Patch], None]
Check = Callable[..., None]


def moved(kind: Kind, place: int, seconds: float) -> Mutate:
    """One stage of a line rings so much later; earlier for less than nothing."""

    def mutate(patch: Patch) -> None:
        def spoilt(line: certainty.Promise) -> certainty.Promise:
            if line.kind != kind:
                return line
            stages = list(line.stages)
            within_s = stages[place].within_s
            stages[place] = replace(
                stages[place], within_s=lambda figures: within_s(figures) + seconds
            )
            return replace(line, stages=tuple(stages))

        patch.setattr(certainty, "TABLE", tuple(spoilt(line) for line in certainty.TABLE))

    return mutate


def instead(kind: Kind, table: str, statement: str, *params: str) -> Mutate:
    """Another statement for what is open, or finished, of a kind; `params` are names of moments."""
    return lambda patch: patch.setitem(
        getattr(selector, table),
        kind,
        lambda moments: (statement, tuple(getattr(moments, name) for name in params)),
    )


def only_the_outbox_is_asked(patch: Patch) -> None:
    instead(
        "settlement",
        "_OPEN",
        "SELECT s.state, s.accepted_at FROM messaging_outboxentry e"
        " JOIN settlement_settlement s ON s.id = e.subject",
    )(patch)


def only_the_latest_are_asked(patch: Patch) -> None:
    instead(
        "settlement",
        "_OPEN",
        "SELECT state, accepted_at FROM settlement_settlement"
        " WHERE state = 'accepted' AND id >= %s",
        "floor",
    )(patch)


def only_what_is_due_is_asked(patch: Patch) -> None:
    instead(
        "tender",
        "_OPEN",
        "SELECT state, created_at, certain_by, changed_at FROM settlement_tender"
        " WHERE due_at IS NOT NULL",
    )(patch)


def live_is_open(patch: Patch) -> None:
    instead("quote", "_OPEN", "SELECT state, quoted_at FROM settlement_quote WHERE state = 'live'")(
        patch
    )


def accepted_scans_are_open(patch: Patch) -> None:
    instead("scan", "_OPEN", "SELECT 'accepted' AS state, scanned_at FROM settlement_scan")(patch)


def a_debt_is_open(patch: Patch) -> None:
    instead(
        "tender",
        "_OPEN",
        "SELECT state, created_at, certain_by, changed_at FROM settlement_tender"
        " WHERE state <> 'captured'",
    )(patch)


def held_refunds_are_due(patch: Patch) -> None:
    instead(
        "tender_refund",
        "_OPEN",
        "SELECT 'due' AS state, created_at, created_at AS since FROM settlement_tenderrefund"
        " WHERE returned_at IS NULL",
    )(patch)


def everything_is_measured(patch: Patch) -> None:
    patch.setattr(selector, "MEASURED_OVER_S", 10**7)


def nobody_notes_since_when_a_payment_is_known(patch: Patch) -> None:
    patch.setattr(moves, "UNCERTAIN", ())


def held_as_long_as_a_payment(patch: Patch) -> None:
    patch.setattr(certainty.Clocks, "held_s", property(lambda figures: figures.payment_s))


def held_as_long_as_a_short_quote(patch: Patch) -> None:
    patch.setattr(certainty.Clocks, "held_s", property(lambda figures: figures.quote_s))


def a_reversal_by_time_is_not_measured(patch: Patch) -> None:
    patch.setattr(selector, "NOT_CONFIRMED", "")


LATE = [(moved(*place, 7_200), check) for place, check in tests.OVERDUE.items()]
EARLY = [(moved(*place, -30), check) for place, check in tests.OVERDUE.items()]
OTHERS: list[tuple[Mutate, Check]] = [
    (
        only_the_outbox_is_asked,
        tests.test_a_settlement_that_lost_its_outbox_row_is_overdue_all_the_same,
    ),
    (
        only_the_latest_are_asked,
        tests.test_a_settlement_that_was_parked_is_overdue_however_old_it_is,
    ),
    (
        only_what_is_due_is_asked,
        tests.test_a_payment_that_no_worker_will_look_at_any_more_is_overdue,
    ),
    (
        live_is_open,
        tests.test_a_scan_never_billed_and_a_quote_never_confirmed_are_final_by_time_alone,
    ),
    (
        accepted_scans_are_open,
        tests.test_a_scan_never_billed_and_a_quote_never_confirmed_are_final_by_time_alone,
    ),
    (accepted_scans_are_open, tests.test_a_refused_scan_is_final_when_it_is_answered),
    (a_debt_is_open, tests.test_a_debt_by_name_is_final),
    (
        held_refunds_are_due,
        tests.test_a_refund_before_the_capture_waits_and_is_not_overdue_by_itself,
    ),
    (everything_is_measured, tests.test_times_are_of_the_last_day_and_in_their_order),
    (
        nobody_notes_since_when_a_payment_is_known,
        tests.test_a_payment_that_no_worker_asks_after_is_overdue,
    ),
    (
        held_as_long_as_a_payment,
        tests.test_a_payment_received_for_a_long_quote_waits_as_long_as_the_quote,
    ),
    (held_as_long_as_a_short_quote, tests.test_a_quote_that_a_payment_keeps_alive_is_not_overdue),
    (
        a_reversal_by_time_is_not_measured,
        tests.test_a_two_step_settlement_that_no_sweep_reverses_is_overdue,
    ),
]


@pytest.mark.parametrize(("mutate", "check"), [*LATE, *EARLY, *OTHERS])
def test_a_mutant_is_caught(
    world: World,
    now: datetime,
    clock: Any,
    settings: Any,
    monkeypatch: Patch,
    mutate: Mutate,
    check: Check,
) -> None:
    till = world.till()
    mutate(monkeypatch)
    with pytest.raises((AssertionError, DatabaseError)):
        called(check, world=world, till=till, now=now, clock=clock, settings=settings)


def test_every_stage_of_the_table_has_its_mutants() -> None:
    places = {(line.kind, place) for line in certainty.TABLE for place in range(len(line.stages))}
    assert set(tests.OVERDUE) == places
