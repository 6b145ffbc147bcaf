"""Checks of totals are checked: each way of summing wrongly is noticed by a known day of trade."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q

from messaging.days import BEIJING
from settlement.selectors import comparison
from settlement.selectors import takings as totals
from settlement.selectors.takings import Scope
from settlement.services import shifts
from tests.settlement.test_shifts import (
    test_a_closed_shift_is_not_closed_again as a_closed_shift_is_not_closed_again,
)
from tests.settlement.test_shifts import (
    test_a_shift_from_the_float_to_the_difference as a_shift_from_the_float_to_the_difference,
)
from tests.settlement.test_shifts import (
    test_another_operator_does_not_close_a_shift as another_operator_does_not_close_a_shift,
)
from tests.settlement.test_totals import own_books
from tests.settlement.trades import DAYS, MIDNIGHT, Expected, Trade, put_on_record
from tests.world import Till, World

Patch = pytest.MonkeyPatch
Mutate = Callable[[Patch], None]
Check = Callable[[World], None]

SALE = Trade(till=0, operator="01", seconds=-3600, shares=(("cash", 300), ("pool", 700)))
TRADES = [
    SALE,
    replace(SALE, till=1, operator="02", shares=(("relative_account", 50),)),
    replace(SALE, till=2, operator="01"),
    replace(SALE, seconds=0),
    # Given back at the other till by somebody else.
    replace(SALE, till=1, operator="02", seconds=-60, of=0),
]


def _recorded(world: World) -> tuple[list[Any], list[int]]:
    tills = [world.till(), world.till(name="till 2"), world.till(world.clinic)]
    ids = put_on_record(world, [(till.merchant, till.terminal_id) for till in tills], TRADES)
    return ids, [till.terminal_id for till in tills]


def the_sums_of_a_known_day(world: World) -> None:
    _ids, terminals = _recorded(world)
    own = [TRADES[index] for index in (0, 1, 4)]
    for till, operator in ((None, None), (0, None), (1, None), (None, "01"), (1, "02"), (0, "02")):
        answer = totals.totals(
            Scope(
                merchant_id=world.pharmacy.pk,
                day=DAYS[1],
                terminal_id=None if till is None else terminals[till],
                operator=operator,
            )
        )
        wanted = [t for t in own if till in (None, t.till) and operator in (None, t.operator)]
        assert Expected.of(wanted).same_as(answer)


def the_edges_of_a_known_interval(world: World) -> None:
    _ids, terminals = _recorded(world)
    scope = Scope(
        merchant_id=world.pharmacy.pk,
        since=SALE.at,
        until=MIDNIGHT,
        terminal_id=terminals[0],
    )
    assert totals.totals(scope)["settlements"] == 1
    assert totals.totals(replace(scope, since=SALE.at + timedelta(seconds=1)))["settlements"] == 0
    following = replace(scope, since=MIDNIGHT, until=MIDNIGHT + timedelta(hours=1))
    assert totals.totals(following)["settlements"] == 1


def a_planted_difference_is_found(world: World) -> None:
    ids, _ = _recorded(world)
    own = [(ids[index], TRADES[index]) for index in (0, 1, 4)]
    right = own_books([t for _, t in own], [pk for pk, _ in own], day=DAYS[1])
    assert comparison.compare(right, merchant_id=world.pharmacy.pk)["equal"]
    rest = own[1:]
    wrong = own_books([t for _, t in rest], [pk for pk, _ in rest], day=DAYS[1])
    answer = comparison.compare(wrong, merchant_id=world.pharmacy.pk)
    payers = {d["name"]: d for d in answer["differences"] if d["what"] == "payer"}
    assert {name: one["difference"] for name, one in payers.items()} == {"cash": -300, "pool": -700}
    assert [row["amount_fen"] for row in payers["cash"]["rows"]] == [300, -300]
    found = answer["settlement_list"]
    assert [row["settlement_id"] for row in found["only_ours"]] == [str(ids[0])]
    assert not found["only_yours"]


def a_shift_is_counted_once_by_its_operator(world: World) -> None:
    till: Till = world.till()
    a_shift_from_the_float_to_the_difference(world, till)
    a_closed_shift_is_not_closed_again(till)


def a_colleague_is_refused(world: World) -> None:
    another_operator_does_not_close_a_shift(world.till(), {"operator": "09"})


_condition = Scope.condition


def _changed_condition(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Mutate:
    def mutate(patch: Patch) -> None:
        def condition(self: Scope, prefix: str = "") -> Q:
            bare = dict(_condition(self).children)  # type: ignore[arg-type]
            return Q(**{prefix + name: value for name, value in change(bare).items()})

        patch.setattr(Scope, "condition", condition)

    return mutate


def _without(name: str) -> Mutate:
    return _changed_condition(lambda wanted: {k: v for k, v in wanted.items() if k != name})


def _renamed(old: str, new: str) -> Mutate:
    return _changed_condition(lambda wanted: {new if k == old else k: v for k, v in wanted.items()})


def _paid_without(prefix: str) -> Mutate:
    real = totals._paid

    def mutate(patch: Patch) -> None:
        patch.setattr(
            totals,
            "_paid",
            lambda shares, scope, given: [] if given == prefix else real(shares, scope, given),
        )

    return mutate


def _payer_left_out(patch: Patch) -> None:
    real = totals._paid
    patch.setattr(
        totals,
        "_paid",
        lambda shares, *rest: real(shares.exclude(payer="relative_account"), *rest),
    )


def _added_back(patch: Patch) -> None:
    patch.setattr(totals.Flow, "net_fen", property(lambda self: self.in_fen + self.back_fen))


def _tenders_received_only(patch: Patch) -> None:
    real = totals.tenders
    patch.setattr(totals, "tenders", lambda *rows: (row for row in real(*rows) if not row[4]))


def _utc_days(patch: Patch) -> None:
    # A day of another zone: the moment is another day's for eight hours.
    patch.setattr(
        Scope,
        "condition",
        lambda self, prefix="": Q(
            **{
                f"{prefix}merchant_id": self.merchant_id,
                f"{prefix}accepted_at__gte": MIDNIGHT.astimezone(BEIJING)
                - timedelta(hours=16 if self.day else 0),
            }
        ),
    )


def _a_close_may_be_repeated(patch: Patch) -> None:
    real = shifts.stored_shift

    def forgetful(**which: Any) -> Any:
        row = real(**which)
        row.closed_at = None
        return row

    patch.setattr(shifts, "stored_shift", forgetful)


MUTANTS: list[tuple[str, Mutate, Check]] = [
    ("any merchant's rows", _without("merchant_id"), the_sums_of_a_known_day),
    ("any day's rows", _without("business_date"), the_sums_of_a_known_day),
    ("days of another zone", _utc_days, the_sums_of_a_known_day),
    ("any terminal's rows", _without("terminal_id"), the_sums_of_a_known_day),
    ("any operator's rows", _without("operator"), the_sums_of_a_known_day),
    ("no end", _without("accepted_at__lt"), the_edges_of_a_known_interval),
    ("no beginning", _without("accepted_at__gte"), the_edges_of_a_known_interval),
    (
        "the end is inside",
        _renamed("accepted_at__lt", "accepted_at__lte"),
        the_edges_of_a_known_interval,
    ),
    (
        "the beginning is outside",
        _renamed("accepted_at__gte", "accepted_at__gt"),
        the_edges_of_a_known_interval,
    ),
    ("refunds by payer are forgotten", _paid_without("refund__"), the_sums_of_a_known_day),
    ("relatives' accounts are forgotten", _payer_left_out, the_sums_of_a_known_day),
    ("what was refunded is added", _added_back, the_sums_of_a_known_day),
    ("cash given back stays in the drawer", _tenders_received_only, the_sums_of_a_known_day),
    (
        "a difference is not looked for",
        lambda patch: patch.setattr(comparison, "_differences", lambda *_: []),
        a_planted_difference_is_found,
    ),
    (
        "a list is cut short",
        lambda patch: patch.setattr(comparison, "MOST_ROWS", 1),
        a_planted_difference_is_found,
    ),
    ("a count is written twice", _a_close_may_be_repeated, a_shift_is_counted_once_by_its_operator),
    (
        "anybody may close",
        lambda patch: patch.setattr(
            shifts, "_who", lambda desk, named: "08" if named in ("08", "09") else named
        ),
        a_colleague_is_refused,
    ),
]
CHECKS = list(dict.fromkeys(check for _, _, check in MUTANTS))


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_a_check_passes_on_the_real_thing(world: World, check: Check) -> None:
    check(world)


@pytest.mark.parametrize(
    ("name", "mutate", "check"), MUTANTS, ids=[name.replace(" ", "-") for name, _, _ in MUTANTS]
)
def test_a_mutant_is_caught(
    world: World, monkeypatch: Patch, name: str, mutate: Mutate, check: Check
) -> None:
    mutate(monkeypatch)
    try:
        check(world)
    except AssertionError:
        return
    pytest.fail(f"{check.__name__} did not notice: {name}")
