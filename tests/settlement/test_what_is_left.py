"""A settlement's record says what may still come back of each line: quantity, amount, packs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import time_machine

from settlement.models import Settlement
from settlement.selectors import records
from tests.settlement.test_partial_refunds import return_lines
from tests.settlement.test_refunds import give_back, sale
from tests.world import Till, World, line

PACKS = [f"82000000000{n}" for n in range(3)]


@pytest.fixture
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def world(db: None, clock: None) -> World:
    return World.made()


def left_of(till: Till, settlement_id: str) -> list[tuple[str, int, list[str]]]:
    """Quantity, amount and packs that are left, line by line, as a till reads them."""
    record = till.get(f"settlements/{settlement_id}")
    assert record.status == 200, record.text
    return [
        (each["remaining_quantity"], each["remaining_fen"], each["trace_codes"])
        for each in record["lines"]
    ]


def nothing_has_come_back(world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "3", "33.33", amount_fen=9_999), line("A5", "2", "50"))
    assert left_of(till, settled["settlement_id"]) == [("3", 9_999, []), ("2", 10_000, [])]


def quantities_and_amounts_add_up(world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "3", "33.33", amount_fen=9_999), line("A5", "2", "50"))
    assert return_lines(till, settled, {"no": 1, "quantity": "1.5"}).status == 201
    assert return_lines(till, settled, {"no": 2, "amount_fen": 4_000}).status == 201
    left = left_of(till, settled["settlement_id"])
    assert left == [("1.5", 5_000, []), ("2", 6_000, [])]
    # What is told is what may be asked for, and not a fen more.
    more = return_lines(till, settled, {"no": 2, "amount_fen": 6_001})
    assert more["code"] == "refund_too_much"
    assert return_lines(till, settled, {"no": 2, "amount_fen": 6_000}).status == 201
    assert return_lines(till, settled, {"no": 1, "quantity": "1.5001"})["code"] == "refund_too_much"
    assert give_back(till, settled).status == 201
    assert left_of(till, settled["settlement_id"]) == [("0", 0, []), ("0", 0, [])]


def packs_are_those_that_are_out(world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "3", "18.6", trace_codes=PACKS), line("A6", "1", "9.9"))
    assert left_of(till, settled["settlement_id"])[0] == ("3", 5_580, PACKS)
    back = return_lines(till, settled, {"no": 1, "quantity": "1", "trace_codes": PACKS[1:2]})
    assert back.status == 201
    out = [PACKS[0], PACKS[2]]
    assert left_of(till, settled["settlement_id"])[0] == ("2", 3_720, out)
    # Sold again it is another settlement's.
    again = sale(world, till, line("A4", "1", "18.6", trace_codes=PACKS[1:2]))
    assert left_of(till, settled["settlement_id"])[0] == ("2", 3_720, out)
    assert left_of(till, again["settlement_id"]) == [("1", 1_860, PACKS[1:2])]


def a_split_pack_is_no_pack_that_comes_back(world: World) -> None:
    till = world.till()
    part = line("A4", "0.5", "18.6", trace_codes=PACKS[:1], split_pack=True)
    settled = sale(world, till, part)
    assert left_of(till, settled["settlement_id"]) == [("0.5", 930, [])]


CHECKS = [
    nothing_has_come_back,
    quantities_and_amounts_add_up,
    packs_are_those_that_are_out,
    a_split_pack_is_no_pack_that_comes_back,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_record_says_what_is_left_of_each_line(world: World, check: Any) -> None:
    check(world)


def test_another_merchant_reads_nothing_of_it(world: World) -> None:
    settled = sale(world, world.till(), line("A4", "3", "18.6", trace_codes=PACKS))
    other = world.till(world.clinic).get(f"settlements/{settled['settlement_id']}")
    assert (other.status, other["code"]) == (404, "not_found")
    assert PACKS[0] not in other.text


def test_a_record_of_many_lines_is_read_in_as_many_statements_as_one_of_one(
    world: World, django_assert_max_num_queries: Any
) -> None:
    till = world.till()
    counts = []
    for lines in (1, 40):
        settled = sale(world, till, *(line("A4", "2", "10") for _ in range(lines)))
        assert return_lines(till, settled, {"no": 1, "quantity": "1"}).status == 201
        row = Settlement.objects.get(pk=UUID(settled["settlement_id"]))
        with django_assert_max_num_queries(50) as met:
            records.settlement_record(row, audience="cashier")
        counts.append(len(met))
    assert counts[0] == counts[1]
