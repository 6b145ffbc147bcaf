"""Drug trace codes: a whole pack is sold once, whoever sells it to whom."""

from typing import Any

import pytest

from settlement.models import TraceCode
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.world import Reply, Till, World, line

PACK = "81000000000000000001"


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def buy(world: World, till: Till, *lines: dict[str, Any], **who: Any) -> Reply:
    return till.post(
        "settlements",
        {
            "scan_id": world.scan(till, **who),
            "benefit_kind": "pharmacy_account",
            "lines": list(lines),
        },
    )


def test_a_pack_is_sold_once_whoever_sells_it_to_whom(world: World, till: Till) -> None:
    opening = balances()
    assert buy(world, till, line(trace_codes=[PACK])).status == 201
    for seller, buyer in (
        (till, world.retiree),
        (till, world.worker),
        (world.till(name="till 2"), world.worker),
    ):
        scan_id = world.scan(seller, member=buyer)
        before = counts()
        reply = seller.post(
            "settlements",
            {
                "scan_id": scan_id,
                "benefit_kind": "pharmacy_account",
                "lines": [line("A6", "1", "9.9"), line(trace_codes=["81-other", PACK])],
            },
        )
        assert (reply["code"], reply.status) == ("trace_code_used", 409)
        assert reply["param"] == "lines[1].trace_codes"
        # Not even the codes that were free stay claimed.
        assert added(before) == {"InboxEntry": 1}
    world.post_everything()
    assert_sound(opening=opening)


def test_a_pack_sold_meanwhile_is_found_when_the_quote_is_confirmed(
    world: World, till: Till
) -> None:
    quote = till.post(
        "quotes",
        {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [line(trace_codes=[PACK])],
        },
    )
    sold = buy(world, world.till(name="till 2"), line(trace_codes=[PACK]), member=world.worker)
    assert sold.status == 201
    reply = till.post("settlements", {"quote_id": quote["quote_id"]})
    assert (reply["code"], reply["param"]) == ("trace_code_used", "lines[0].trace_codes")


def test_a_split_pack_is_sold_in_parts(world: World, till: Till) -> None:
    part = line("A4", "0.5", "18.6", trace_codes=[PACK], split_pack=True)
    assert buy(world, till, part, part).status == 201
    assert buy(world, till, part).status == 201
    assert not TraceCode.objects.exists()


def test_a_quote_or_an_estimate_claims_no_pack(world: World, till: Till) -> None:
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line(trace_codes=[PACK])],
    }
    assert till.post("estimates", bill).status == 200
    assert till.post("quotes", bill).status == 201
    assert not TraceCode.objects.exists()
    assert till.post("settlements", bill).status == 201
    assert TraceCode.objects.get().code == PACK


def test_a_pack_that_was_sold_whole_is_not_sold_again_in_parts(world: World, till: Till) -> None:
    """A flag that the till sets itself must not undo what the codes are for."""
    part = line("A4", "0.5", "18.6", trace_codes=[PACK], split_pack=True)
    whole = line(trace_codes=[PACK])
    both = buy(world, till, whole, part)
    assert (both["code"], both["param"]) == ("trace_code_repeated", "lines[1].trace_codes")
    sold = buy(world, till, whole)
    assert sold.status == 201
    again = buy(world, till, line("A6", "1", "9.9"), part, member=world.worker)
    assert (again["code"], again["param"]) == ("trace_code_used", "lines[1].trace_codes")
    till.post("refunds", {"settlement_id": sold["settlement_id"], "reason": "returned"})
    assert buy(world, till, part, member=world.worker).status == 201


def test_a_bill_may_name_as_many_packs_as_its_lines_can(world: World, till: Till) -> None:
    """More than a statement may have parameters: it must not be told to try again for ever."""
    lines = [
        line("A6", "100", "0.01", trace_codes=[f"81{number:03}{pack:03}" for pack in range(100)])
        for number in range(500)
    ]
    assert buy(world, till, *lines).status == 201
    assert TraceCode.objects.count() == 50_000
    again = buy(world, till, *lines[:1])
    assert (again["code"], again["param"]) == ("trace_code_used", "lines[0].trace_codes")


def test_a_pack_on_two_batches_of_a_visit_is_not_billed_twice(world: World) -> None:
    till = world.till(world.clinic)
    visit_id = till.post("visits", {"scan_id": world.scan(till, use="registration")})["visit_id"]
    for _ in range(2):
        batch = {"lines": [line(trace_codes=[PACK])]}
        assert till.post(f"visits/{visit_id}/fee-batches", batch).status == 201
    for path in ("quotes", "settlements"):
        reply = till.post(path, {"visit_id": visit_id, "benefit_kind": "outpatient"})
        assert (reply["code"], reply["param"]) == ("trace_code_repeated", "lines[1].trace_codes")
