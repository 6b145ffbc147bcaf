"""Totals are the rows, however they are cut; a comparison finds what was planted and no more."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, product
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merchants.models import Merchant
from messaging.days import business_date
from settlement.requests import ListedRefund, ListedSettlement, TotalsComparison
from settlement.selectors import comparison
from settlement.selectors.comparison import compare
from settlement.selectors.takings import Scope, totals
from tests.settlement.trades import (
    DAYS,
    MIDNIGHT,
    OPERATORS,
    PAYERS,
    TILLS,
    Expected,
    Trade,
    days_of_trade,
    put_on_record,
)
from tests.world import Till, World, line

MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Terminals = list[tuple[Merchant, int]]


@pytest.fixture
def terminals(world: World) -> Terminals:
    tills = [world.till(), world.till(name="till 2"), world.till(world.clinic)]
    assert len(tills) == TILLS
    return [(till.merchant, till.terminal_id) for till in tills]


def of_merchant(terminals: Terminals, trades: Sequence[Trade], merchant: Merchant) -> list[Trade]:
    return [trade for trade in trades if terminals[trade.till][0] == merchant]


# ---------------------------------------------------------------- sums


@MANY
@given(trades=days_of_trade())
def test_a_day_s_totals_are_the_sums_of_its_trades_for_every_merchant_terminal_and_operator(
    world: World, terminals: Terminals, trades: list[Trade]
) -> None:
    with transaction.atomic():
        put_on_record(world, terminals, trades)
        for merchant, day in product((world.pharmacy, world.clinic), DAYS):
            own = [
                trade
                for trade in of_merchant(terminals, trades, merchant)
                if business_date(trade.at) == day
            ]
            for till, operator in product([None, *range(TILLS)], [None, *OPERATORS]):
                answer = totals(
                    Scope(
                        merchant_id=merchant.pk,
                        day=day,
                        terminal_id=None if till is None else terminals[till][1],
                        operator=operator,
                    )
                )
                wanted = [
                    trade
                    for trade in own
                    if till in (None, trade.till) and operator in (None, trade.operator)
                ]
                assert Expected.of(wanted).same_as(answer)
                for part in answer["parts"]:
                    place = (part["terminal_id"], part["operator"])
                    assert Expected.of(
                        trade
                        for trade in wanted
                        if (terminals[trade.till][1], trade.operator) == place
                    ).same_as(part)
                assert sum(part["net_fen"] for part in answer["parts"]) == answer["net_fen"]
        transaction.set_rollback(True)


@MANY
@given(
    trades=days_of_trade(),
    cuts=st.lists(st.sampled_from([-1, 0, 1]) | st.integers(-40 * 3600, 30 * 3600), max_size=4),
)
def test_half_open_intervals_that_meet_share_no_trade_and_miss_none(
    world: World, terminals: Terminals, trades: list[Trade], cuts: list[int]
) -> None:
    with transaction.atomic():
        put_on_record(world, terminals, trades)
        # Also exactly at trades: there the two intervals could quarrel about one.
        at = sorted({*cuts, *(trade.seconds for trade in trades[:3])})
        moments = [MIDNIGHT + timedelta(seconds=cut) for cut in at]
        edges = [MIDNIGHT - timedelta(days=9), *moments, MIDNIGHT + timedelta(days=9)]
        for merchant, terminal_id in terminals[:2]:
            own = [t for t in trades if terminals[t.till][1] == terminal_id]
            found = 0
            for since, until in pairwise(edges):
                scope = Scope(
                    merchant_id=merchant.pk, since=since, until=until, terminal_id=terminal_id
                )
                answer = totals(scope)
                assert Expected.of(t for t in own if since <= t.at < until).same_as(answer)
                found += answer["settlements"] + answer["refunds"]
            assert found == len(own)
        transaction.set_rollback(True)


# ---------------------------------------------------------------- comparison


def own_books(trades: Sequence[Trade], ids: Sequence[UUID], **scope: Any) -> TotalsComparison:
    """What a merchant that recorded exactly these trades would send."""
    expected = Expected.of(trades)
    return TotalsComparison(
        payers=expected.payers,
        tenders={"cash": expected.payers.get("cash", 0)},
        settlements=expected.settlements,
        refunds=expected.refunds,
        show_rows=True,
        settlement_list=[
            ListedSettlement(settlement_id=pk, total_fen=trade.total_fen)
            for pk, trade in zip(ids, trades, strict=True)
            if trade.of is None
        ],
        refund_list=[
            ListedRefund(refund_id=pk, total_fen=trade.total_fen)
            for pk, trade in zip(ids, trades, strict=True)
            if trade.of is not None
        ],
        **scope,
    )


@MANY
@given(trades=days_of_trade(), data=st.data())
def test_a_comparison_finds_exactly_what_the_merchant_forgot(
    world: World, terminals: Terminals, trades: list[Trade], data: st.DataObject
) -> None:
    with transaction.atomic():
        every = put_on_record(world, terminals, trades)
        merchant, day = world.pharmacy, data.draw(st.sampled_from(DAYS))
        own = [
            (pk, trade)
            for pk, trade in zip(every, trades, strict=True)
            if terminals[trade.till][0] == merchant and business_date(trade.at) == day
        ]
        whole = own_books([t for _, t in own], [pk for pk, _ in own], day=day)
        answer = compare(whole, merchant_id=merchant.pk)
        assert answer["equal"], answer
        assert answer["differences"] == []
        if own:
            index = data.draw(st.integers(0, len(own) - 1))
            forgotten_id, forgotten = own[index]
            rest = own[:index] + own[index + 1 :]
            books = own_books([t for _, t in rest], [pk for pk, _ in rest], day=day)
            answer = compare(books, merchant_id=merchant.pk)
            assert not answer["equal"]
            payers = {d["name"]: d for d in answer["differences"] if d["what"] == "payer"}
            assert {name: one["difference"] for name, one in payers.items()} == {
                payer: -forgotten.sign * fen for payer, fen in forgotten.shares
            }
            for payer, one in payers.items():
                behind = {
                    (row.get("settlement_id") or row.get("refund_id"), row["amount_fen"])
                    for row in one["rows"]
                }
                assert behind == {
                    (str(pk), trade.sign * dict(trade.shares)[payer])
                    for pk, trade in own
                    if payer in dict(trade.shares)
                }
                assert sum(row["amount_fen"] for row in one["rows"]) == one["ours"]
            kind = "settlement" if forgotten.of is None else "refund"
            counts = [d for d in answer["differences"] if d["what"] == "count"]
            assert [(d["name"], d["difference"]) for d in counts] == [(f"{kind}s", -1)]
            found = answer[f"{kind}_list"]
            assert [row[f"{kind}_id"] for row in found["only_ours"]] == [str(forgotten_id)]
            assert (found["only_yours"], found["differ"]) == ([], [])
            other = answer["refund_list" if kind == "settlement" else "settlement_list"]
            assert other["different"] == 0
        transaction.set_rollback(True)


SALE = Trade(till=0, operator="01", seconds=-1, shares=(("cash", 300), ("pool", 700)))


def three_sales(world: World, terminals: Terminals) -> list[UUID]:
    """One a second before midnight, one at midnight, one of the clinic's."""
    return put_on_record(world, terminals, [SALE, replace(SALE, seconds=0), replace(SALE, till=2)])


def test_a_listed_settlement_that_is_on_another_day_says_where_it_is_and_a_stranger_s_does_not(
    world: World, terminals: Terminals
) -> None:
    before, after, clinics = three_sales(world, terminals)
    invented = uuid4()
    books = TotalsComparison(
        day=DAYS[1],
        settlement_list=[
            ListedSettlement(settlement_id=pk, total_fen=fen)
            for pk, fen in ((before, 999), (after, 1000), (clinics, 1000), (invented, 1000))
        ],
    )
    found = compare(books, merchant_id=world.pharmacy.pk)["settlement_list"]
    assert found["differ"] == [{"settlement_id": str(before), "yours_fen": 999, "ours_fen": 1000}]
    places = {row["settlement_id"]: row["business_date"] for row in found["only_yours"]}
    assert places == {str(after): "2026-11-21", str(clinics): None, str(invented): None}
    assert found["only_ours"] == []
    assert (found["different"], found["left_off"]) == (4, 0)


def test_lists_are_bounded_and_say_how_much_they_leave_off(
    world: World, terminals: Terminals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MOST_ROWS", 2)
    trades = [replace(SALE, seconds=-10 + n) for n in range(5)]
    ids = put_on_record(world, terminals, [*trades, replace(SALE, seconds=-1, of=0)])
    books = TotalsComparison(
        day=DAYS[1], payers={}, settlements=0, show_rows=True, settlement_list=[]
    )
    answer = compare(books, merchant_id=world.pharmacy.pk)
    for one in answer["differences"]:
        assert len(one["rows"]) == 2
        # Five sales, and of a payer the refund too.
        assert one["rows_left_off"] == (3 if one["what"] == "count" else 4)
        assert [row["settlement_id"] for row in one["rows"]] == [str(pk) for pk in ids[:2]]
    found = answer["settlement_list"]
    assert (len(found["only_ours"]), found["different"], found["left_off"]) == (2, 5, 3)


# ---------------------------------------------------------------- the API


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def sell(world: World, till: Till, **more: Any) -> dict[str, Any]:
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
        **more,
    }
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    return reply.body


def test_the_day_changes_at_midnight_in_beijing(world: World, till: Till) -> None:
    for seconds, day in ((-1, "2026-11-20"), (0, "2026-11-21")):
        with time_machine.travel(MIDNIGHT + timedelta(seconds=seconds), tick=False):
            sell(world, till)
            assert till.get("totals")["settlements"] == 1
            answer = till.get(f"totals?day={day}&terminal={till.terminal_id}&operator=")
            assert (answer["day"], answer["settlements"]) == (day, 1)


def test_a_merchant_that_was_suspended_still_reads_and_compares_its_totals(
    world: World, till: Till
) -> None:
    settled = sell(world, till)
    Merchant.objects.update(state="suspended")
    answer = till.get("totals")
    assert answer["settled_fen"] == settled["total_fen"]
    assert {row["payer"]: row["net_fen"] for row in answer["payers"]} == {"account": 1860}
    books = {"day": answer["day"], "payers": {"account": 1860}, "settlements": 1}
    assert till.post("totals/compare", books)["equal"] is True


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("day=tomorrow", "field_invalid", "day"),
        ("terminal=x", "field_invalid", "terminal"),
        ("terminal=999999", "not_found", "terminal_id"),
        ("terminal=9999999999999999999999", "field_invalid", "terminal"),
        ("shift=x", "field_invalid", "shift"),
        ("shift=01a20000-0000-7000-8000-000000000000", "not_found", "shift_id"),
        (
            "shift=01a20000-0000-7000-8000-000000000000&day=2026-11-20",
            "field_invalid",
            "day",
        ),
    ],
)
def test_a_period_that_cannot_be_is_refused(till: Till, query: str, code: str, param: str) -> None:
    reply = till.get(f"totals?{query}")
    assert (reply["code"], reply["param"]) == (code, param)


def test_another_merchant_s_terminal_is_not_found(world: World, till: Till) -> None:
    strange = world.till(world.clinic).terminal_id
    assert till.get(f"totals?terminal={strange}")["code"] == "not_found"
    books = {"day": "2026-11-20", "terminal_id": strange, "payers": {}}
    assert till.post("totals/compare", books)["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "day"),
        ({"day": "2026-11-20", "shift_id": "01a20000-0000-7000-8000-000000000000"}, "day"),
        ({"day": "2026-11-20", "payers": {"Pool": 1}}, "payers"),
        ({"day": "2026-11-20", "payers": {"pool": 0.5}}, "payers"),
        (
            {
                "day": "2026-11-20",
                "settlement_list": [
                    {"settlement_id": "01a20000-0000-7000-8000-000000000000", "total_fen": 1}
                ]
                * 2,
            },
            "settlement_list[1]",
        ),
    ],
)
def test_figures_out_of_form_are_refused(till: Till, body: dict[str, Any], param: str) -> None:
    reply = till.post("totals/compare", body)
    assert reply["code"] == "field_invalid"
    assert param in reply["param"]


def test_a_figure_that_is_not_given_is_not_compared(world: World, till: Till) -> None:
    sell(world, till)
    day = till.get("totals")["day"]
    assert till.post("totals/compare", {"day": day})["equal"] is True
    answer = till.post("totals/compare", {"day": day, "payers": {}})
    assert [(one["name"], one["rows"]) for one in answer["differences"]] == [("account", None)]


def test_every_payer_of_the_trades_comes_after_the_funds_in_the_order_of_a_slip(
    world: World, terminals: Terminals
) -> None:
    shares = tuple((payer, 1) for payer in sorted(PAYERS))
    put_on_record(world, terminals, [replace(SALE, shares=shares)])
    answer = totals(Scope(merchant_id=world.pharmacy.pk, day=DAYS[1]))
    assert [row["payer"] for row in answer["payers"]] == [
        "medical_aid",
        "pool",
        "account",
        "relative_account",
        "cash",
    ]


def test_midnight_is_where_the_trades_say_it_is() -> None:
    before, after = MIDNIGHT - timedelta(seconds=1), MIDNIGHT
    assert [business_date(at) for at in (before, after)] == DAYS[1:]
    assert isinstance(before, datetime)
