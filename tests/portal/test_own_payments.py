"""What a citizen with a line of credit sees of it, and that nobody else sees anything."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from settlement.services.tender import connections, credit
from tests.settlement.tender_world import part, pay, quoted, run_out, settle
from tests.world import Till, World


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def paid(world: World, till: Till, *parts: dict[str, Any]) -> str:
    """A settlement of 186.00 yuan in cash, paid so; its id."""
    quote = quoted(world, till)
    if parts:
        pay(till, quote, *parts)
    settled = settle(till, quote)
    assert settled.status == 201
    run_out(timezone.now())
    return str(settled["settlement_id"])


def ways(client: Client) -> list[list[tuple[str, int, bool]]]:
    """Of the settlements on the page, latest first."""
    rows = client.get("/me/settlements.json").json()["settlements"]
    return [
        [(way["name"], way["amount_fen"], way["paid"]) for way in row["paid_by"]] for row in rows
    ]


def test_who_has_a_line_sees_limit_used_due_and_owed_back(
    signed_in: Callable[[str], Client], world: World, till: Till
) -> None:
    client = signed_in("citizen")
    credit.grant(member_id=world.retiree.pk, limit_fen=20_000)
    settlement_id = paid(world, till, part("credit", 10_000), part("cash", 8_600))
    credit.repay(member_id=world.retiree.pk, amount_fen=4_000, now=timezone.now())
    expected = {
        "limit_fen": 20_000,
        "used_fen": 6_000,
        "due_fen": 6_000,
        "left_fen": 14_000,
        "owed_fen": 0,
    }
    assert client.get("/me/settlements.json").json()["credit"] == expected
    page = client.get("/me/").text
    assert page.index("Credit for medical care") < page.index("¥140.00") < page.index("¥200.00")
    till.post("refunds", {"settlement_id": settlement_id, "reason": "x"})
    run_out(timezone.now())
    after = client.get("/me/settlements.json").json()["credit"]
    assert (after["used_fen"], after["due_fen"], after["owed_fen"]) == (0, 0, 4_000)


def test_the_cash_part_of_each_settlement_is_told_in_words(
    signed_in: Callable[[str], Client], world: World, till: Till
) -> None:
    client = signed_in("citizen")
    credit.grant(member_id=world.retiree.pk, limit_fen=20_000)
    paid(world, till)
    paid(world, till, part("wechat", 10_000), part("bank_card", 8_600))
    failing = part("alipay", 8_000, payment_code="280000000000000054")
    paid(world, till, part("credit", 10_600), failing)
    assert ways(client) == [
        [("credit for medical care", 10_600, True), ("Alipay", 8_000, False)],
        [("WeChat Pay", 10_000, True), ("bank card", 8_600, True)],
        [("cash", 18_600, True)],
    ]
    assert "Alipay ¥80.00 (not taken from you)" in client.get("/me/").text


def test_who_has_no_line_sees_nothing_of_it(
    signed_in: Callable[[str], Client], world: World, till: Till
) -> None:
    client = signed_in("citizen")
    credit.grant(member_id=world.worker.pk, limit_fen=12_345)
    paid(world, till, part("wechat", 10_000), part("cash", 8_600))
    answer = client.get("/me/settlements.json").json()
    assert answer["credit"] is None
    assert "paid_by" not in answer["settlements"][0]
    page = client.get("/me/").text
    assert "Credit for medical care" not in page
    assert "¥123.45" not in page


def test_another_s_line_and_ways_of_paying_are_not_shown(
    signed_in: Callable[[str], Client], world: World, till: Till
) -> None:
    client = signed_in("citizen")
    credit.grant(member_id=world.retiree.pk, limit_fen=100)
    credit.grant(member_id=world.worker.pk, limit_fen=18_600)
    paid(world, till)
    theirs = quoted(world, till, scan_id=world.scan(till, member=world.worker))
    pay(till, theirs, part("credit", 18_600))
    assert settle(till, theirs).status == 201
    run_out(timezone.now())
    assert ways(client) == [[("cash", 18_600, True)]]
    shown = client.get("/me/settlements.json").json()["credit"]
    assert (shown["limit_fen"], shown["used_fen"], shown["due_fen"]) == (100, 0, 0)
