"""A shift is closed while its till settles: what is in it was counted, what was not comes after.

Every request's moment is read when it arrives; a rival stands inside its transaction meanwhile, so
that the close meets a settlement that has its moment already and is not committed yet.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError

from settlement.models import Refund, Settlement, Shift
from settlement.selectors.takings import figures, scope_of
from settlement.services import shifts
from settlement.services.desk import Desk
from tests.races.rivals import at_once, forced
from tests.world import Reply, Till, World, line

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

TEA = line("A6", "1", "9.9")


def bill(world: World, till: Till) -> dict[str, Any]:
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [TEA],
        "account_limit_fen": 0,
    }


def opened(till: Till) -> str:
    reply = till.post("shifts", {"opening_float_fen": 0})
    assert reply.status == 201, reply.text
    return str(reply["shift_id"])


def close(till: Till, shift_id: str) -> Reply:
    return till.post(f"shifts/{shift_id}/close", {"counted_fen": 0})


def until_definite(send: Callable[[], Reply]) -> Reply:
    """As a terminal does: the same key again until it is not 503."""
    while (reply := send()).status == 503:
        time.sleep(0.01)
    return reply


def assert_each_row_is_in_one_shift_or_in_none() -> None:
    """And every closed shift was counted with all its rows."""
    belonging: dict[Any, int] = {}
    for shift in Shift.objects.all():
        sums = figures(scope_of(shift))
        if shift.closed_at is not None:
            assert shift.expected_fen == shift.opening_float_fen + sums.drawer.net_fen
        for model in (Settlement, Refund):
            for pk in model.objects.filter(scope_of(shift).condition()).values_list(
                "pk", flat=True
            ):
                belonging[pk] = belonging.get(pk, 0) + 1
    assert set(belonging.values()) <= {1}


def a_close_waits_for_the_settlement_that_is_under_way(world: World) -> None:
    till = world.till()
    shift_id = opened(till)
    body = bill(world, till)
    race = forced(
        lambda: till.post("settlements", body),
        lambda: close(till, shift_id),
        before='INSERT INTO "settlement_settlement"',
    )
    assert (race.first.status, race.second.status) == (201, 200)
    assert race.second["settlements"] == 1
    assert race.second["expected_fen"] == 990
    assert race.second_waited
    assert_each_row_is_in_one_shift_or_in_none()


def a_close_waits_for_the_refund_that_is_under_way(world: World) -> None:
    till = world.till()
    settled = till.post("settlements", bill(world, till))
    shift_id = opened(till)
    body = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    race = forced(
        lambda: till.post("refunds", body),
        lambda: close(till, shift_id),
        before='INSERT INTO "settlement_refund"',
    )
    assert (race.first.status, race.second.status) == (201, 200)
    assert (race.second["refunds"], race.second["expected_fen"]) == (1, -990)
    assert_each_row_is_in_one_shift_or_in_none()


def a_settlement_that_finds_its_shift_counted_comes_again_after_it(world: World) -> None:
    till = world.till()
    shift_id = opened(till)
    body = bill(world, till)
    race = forced(
        lambda: till.post("settlements", body, key="sale"),
        lambda: close(till, shift_id),
        before="pg_advisory_xact_lock_shared",
    )
    assert (race.second.status, race.second["settlements"]) == (200, 0)
    assert (race.first.status, race.first.body.get("code")) == (503, "try_again")
    assert not Settlement.objects.exists()
    assert till.post("settlements", body, key="sale").status == 201
    assert_each_row_is_in_one_shift_or_in_none()


def an_opening_waits_for_the_settlement_that_saw_no_shift(world: World) -> None:
    till = world.till()
    body = bill(world, till)
    race = forced(
        lambda: till.post("settlements", body),
        lambda: opened(till),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert close(till, race.second)["settlements"] == 0
    assert_each_row_is_in_one_shift_or_in_none()


@pytest.mark.parametrize(
    "check",
    [
        a_close_waits_for_the_settlement_that_is_under_way,
        a_close_waits_for_the_refund_that_is_under_way,
        a_settlement_that_finds_its_shift_counted_comes_again_after_it,
        an_opening_waits_for_the_settlement_that_saw_no_shift,
    ],
    ids=lambda check: check.__name__,
)
def test_what_a_close_meets(world: World, check: Callable[[World], None]) -> None:
    check(world)


def test_settlements_of_one_till_do_not_wait_for_each_other(world: World) -> None:
    till = world.till()
    opened(till)
    bills = [
        {**bill(world, till), "scan_id": world.scan(till, member=member)}
        for member in (world.retiree, world.worker)
    ]
    race = forced(
        lambda: till.post("settlements", bills[0]),
        lambda: till.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert (race.first.status, race.second.status) == (201, 201)
    assert not race.second_waited


def test_a_shift_that_two_close_at_one_moment_is_closed_once(world: World) -> None:
    till = world.till()
    for _ in range(5):
        shift_id = opened(till)
        replies = at_once([partial(close, till, shift_id)] * 4)
        assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]
        assert {reply.body.get("code") for reply in replies} == {None, "shift_closed"}


def test_a_till_on_which_four_open_a_shift_at_one_moment_has_one(world: World) -> None:
    till = world.till()
    replies = at_once(
        [lambda: until_definite(lambda: till.post("shifts", {"opening_float_fen": 0}))] * 4
    )
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert Shift.objects.count() == 1


def test_a_till_sells_on_and_on_while_its_shifts_change(world: World) -> None:
    till = world.till()
    bills = [bill(world, till) for _ in range(4)]

    def sell(body: dict[str, Any]) -> int:
        for _ in range(12):
            key = str(uuid4())
            reply = until_definite(lambda key=key: till.post("settlements", body, key=key))  # type: ignore[misc]
            assert reply.status == 201, reply.text
        return 12

    def change() -> int:
        for _ in range(8):
            key = str(uuid4())
            begun = until_definite(
                lambda key=key: till.post("shifts", {"opening_float_fen": 0}, key=key)  # type: ignore[misc]
            )
            time.sleep(0.05)
            ended = until_definite(lambda begun=begun: close(till, begun["shift_id"]))  # type: ignore[misc]
            assert ended.status == 200
        return 0

    done = at_once([*[lambda body=body: sell(body) for body in bills], change])  # type: ignore[misc]
    assert sum(done) == Settlement.objects.count() == 48
    assert_each_row_is_in_one_shift_or_in_none()


# ---------------------------------------------------------------- mutants


def _without_the_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shifts, "_lock_till", lambda *_, **__: None)


def _without_the_second_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("settlement.services.settlements.stand_at_till", lambda desk: desk)
    patch.setattr("settlement.services.refunds.stand_at_till", lambda desk: desk)


def _without_looking_under_the_lock(patch: pytest.MonkeyPatch) -> None:
    def only_lock(desk: Desk) -> Desk:
        shifts._lock_till(desk.terminal.terminal_id, shared=True)
        return desk

    patch.setattr("settlement.services.settlements.stand_at_till", only_lock)


def _alone_at_the_till(patch: pytest.MonkeyPatch) -> None:
    real = shifts._lock_till
    patch.setattr(shifts, "_lock_till", lambda terminal_id, **_: real(terminal_id, shared=True))


@pytest.mark.parametrize(
    ("mutate", "check"),
    [
        (_without_the_lock, a_close_waits_for_the_settlement_that_is_under_way),
        (_without_the_lock, a_close_waits_for_the_refund_that_is_under_way),
        (_without_the_lock, an_opening_waits_for_the_settlement_that_saw_no_shift),
        (_without_the_second_look, a_close_waits_for_the_settlement_that_is_under_way),
        (_without_the_second_look, a_close_waits_for_the_refund_that_is_under_way),
        (
            _without_looking_under_the_lock,
            a_settlement_that_finds_its_shift_counted_comes_again_after_it,
        ),
        (_alone_at_the_till, a_close_waits_for_the_settlement_that_is_under_way),
    ],
    ids=lambda part: part.__name__.strip("_"),
)
def test_a_mutant_is_caught(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
    check: Callable[[World], None],
) -> None:
    mutate(monkeypatch)
    try:
        check(world)
    except (AssertionError, DatabaseError):
        return
    pytest.fail(f"{check.__name__} did not notice {mutate.__name__}")
