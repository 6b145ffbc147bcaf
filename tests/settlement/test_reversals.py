"""Unknown outcomes: withdrawn by key before, during and after, confirmed, or left to time."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from settlement.models import Quote, Refund, Settlement, TraceCode
from settlement.services import reversals
from settlement.services.refunds import RefundWholeOnly
from settlement.services.reversals import reverse_overdue
from tests.city import City, item, paid, today
from tests.ledger_checks import assert_sound, balances
from tests.races.rivals import forced
from tests.settlement.test_refunds import figures, give_back
from tests.world import Reply, Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def body(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": list(lines) or [line()],
        **more,
    }


def reverse(till: Till, key: str) -> Reply:
    reply = till.post("reversals", {"original_key": key})
    assert reply.status in (200, 409), reply.text
    return reply


def test_before_it_arrives_a_key_is_barred_for_every_till_of_the_merchant(
    world: World, till: Till
) -> None:
    other = world.till(name="till 2")
    assert reverse(other, "sale")["outcome"] == "barred"
    for each in (till, other):
        late = each.post("settlements", body(world, till), key="sale")
        assert (late["code"], late.status) == ("key_reversed", 409)
    assert not Settlement.objects.exists()
    assert till.get("outcomes/sale")["code"] == "key_reversed"
    # Another merchant's key is its own.
    stranger = world.till(world.clinic)
    assert stranger.post("scans", {}, key="sale")["code"] == "field_invalid"


def test_after_it_a_settlement_is_as_if_it_had_never_been(world: World, till: Till) -> None:
    opening = balances()
    before = figures(world)
    number = world.prescription(quantity="1")
    packs = line("A1", "1", "25", prescription=number, trace_codes=["8100000001"])
    sold = till.post("settlements", body(world, till, packs), key="sale")
    assert sold.status == 201
    withdrawn = reverse(world.till(name="till 2"), "sale")
    assert (withdrawn["operation"], withdrawn["outcome"]) == ("settle", "reversed")
    assert withdrawn["refund"]["total_fen"] == sold["total_fen"]
    assert figures(world) == before
    assert not TraceCode.objects.exists()
    # Under another key it is the same reversal, and under the sale's key the same old answer.
    again = reverse(till, "sale")
    assert again["refund"] == withdrawn["refund"]
    assert Refund.objects.get().kind == "reversal"
    assert till.post("settlements", body(world, till, packs), key="sale").status == 409
    world.post_everything()
    assert_sound(opening=opening)
    sold_again = till.post("settlements", body(world, till, packs))
    assert sold_again.status == 201, sold_again.text


def test_what_was_refused_or_leaves_nothing_behind_needs_no_withdrawal(
    world: World, till: Till
) -> None:
    till.post("settlements", body(world, till, line(amount_fen=1)), key="wrong")
    assert reverse(till, "wrong")["outcome"] == "refused"
    till.post("estimates", body(world, till), key="guess")
    assert reverse(till, "guess")["outcome"] == "nothing_to_withdraw"


def test_a_quote_is_released(world: World, till: Till) -> None:
    till.post("quotes", body(world, till), key="quote")
    assert reverse(till, "quote")["outcome"] == "released"
    assert Quote.objects.get().state == "released"


def test_a_confirmed_quote_is_not_released_but_its_settlement_withdrawn(
    world: World, till: Till
) -> None:
    quote = till.post("quotes", body(world, till), key="quote")
    till.post("settlements", {"quote_id": quote["quote_id"]}, key="sale")
    assert reverse(till, "quote")["code"] == "use_refund"
    assert reverse(till, "sale")["outcome"] == "reversed"


def test_a_refund_and_a_prescription_are_not_withdrawn(world: World, till: Till) -> None:
    sold = till.post("settlements", body(world, till))
    till.post("refunds", {"settlement_id": sold["settlement_id"], "reason": "returned"}, key="back")
    assert reverse(till, "back")["code"] == "not_reversible"


@pytest.mark.parametrize("known", ["confirmed", "slip", "part returned"])
def test_once_the_result_is_known_goods_come_back_as_a_refund(
    world: World, till: Till, known: str
) -> None:
    sold = till.post("settlements", body(world, till, line(), line("A5", "2", "10")), key="sale")
    address = f"settlements/{sold['settlement_id']}"
    if known == "confirmed":
        first = till.post(f"{address}/confirm", {})
        assert first.status == 200
        assert till.post(f"{address}/confirm", {})["confirmed_at"] == first["confirmed_at"]
    elif known == "slip":
        assert till.get(f"{address}/slip").status == 200
    else:
        part = {"settlement_id": sold["settlement_id"], "reason": "x", "lines": [{"no": 1}]}
        assert till.post("refunds", part).status == 201
    refused = reverse(till, "sale")
    assert (refused["code"], refused["settlement_id"]) == ("use_refund", sold["settlement_id"])
    assert give_back(till, sold).status == 201


def test_a_reversed_settlement_is_not_confirmed_any_more(world: World, till: Till) -> None:
    sold = till.post("settlements", body(world, till), key="sale")
    reverse(till, "sale")
    late = till.post(f"settlements/{sold['settlement_id']}/confirm", {})
    assert late["code"] == "settlement_reversed"
    assert (
        world.till(world.clinic).post(f"settlements/{sold['settlement_id']}/confirm", {})["code"]
        == "not_found"
    )


def test_two_steps_undo_themselves_when_nobody_confirms(world: World, till: Till) -> None:
    opening = balances()
    before = figures(world)
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        kept = till.post("settlements", body(world, till, confirm_within_s=60))
        lost = till.post("settlements", body(world, till, confirm_within_s=60))
        plain = till.post("settlements", body(world, till))
        assert kept["confirm_by"] is not None
        assert plain["confirm_by"] is None
        till.post(f"settlements/{kept['settlement_id']}/confirm", {})
    assert reverse_overdue(now=start + timedelta(seconds=59), limit=10) == 0
    assert reverse_overdue(now=start + timedelta(seconds=60), limit=10) == 1
    assert reverse_overdue(now=start + timedelta(seconds=61), limit=10) == 0
    assert str(Refund.objects.get().settlement_id) == lost["settlement_id"]
    with time_machine.travel(start + timedelta(seconds=62), tick=False):
        world.post_everything()
    assert_sound(opening=opening)
    for settled in (kept, plain):
        assert give_back(till, settled).status == 201
    assert figures(world) == before


def test_one_that_cannot_be_reversed_keeps_neither_others_nor_posting_waiting(
    world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = (
        till.post("settlements", body(world, till, confirm_within_s=60)) for _ in range(2)
    )
    real = reversals.book

    def book(desk: Any, found: Any, *rest: Any, **more: Any) -> Any:
        if str(found.settlement_id) == stuck["settlement_id"]:
            raise RefundWholeOnly
        return real(desk, found, *rest, **more)

    monkeypatch.setattr(reversals, "book", book)
    assert reverse_overdue(now=timezone.now() + timedelta(seconds=61), limit=10) == 2
    assert str(Refund.objects.get().settlement_id) == other["settlement_id"]


@pytest.mark.parametrize("known", ["slip", "refund", "part"])
def test_time_undoes_nothing_whose_result_is_known(world: World, till: Till, known: str) -> None:
    sold = till.post(
        "settlements", body(world, till, line(), line("A5", "2", "10"), confirm_within_s=10)
    )
    if known == "slip":
        till.get(f"settlements/{sold['settlement_id']}/slip")
    elif known == "refund":
        give_back(till, sold)
    else:
        part = {"settlement_id": sold["settlement_id"], "reason": "x", "lines": [{"no": 1}]}
        till.post("refunds", part)
    later = timezone.now() + timedelta(seconds=11)
    assert reverse_overdue(now=later, limit=10) == 1
    assert reverse_overdue(now=later, limit=10) == 0
    assert not Refund.objects.filter(kind="reversal").exists()


def test_fees_of_a_visit_are_there_to_be_billed_again(db: None) -> None:
    with today(2026, 11, 10):
        city = City.made("350500")
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XA01", 700), item("XB01", 100))
        bill = {"visit_id": visit, "benefit_kind": "outpatient"}
        lost = till.post("settlements", bill, key="sale")
        assert till.post("estimates", bill)["code"] == "bill_empty"
        reverse(till, "sale")
        again = till.post("settlements", bill)
        assert paid(again) == paid(lost)
        record = till.get(f"settlements/{lost['settlement_id']}")
        assert len(record["lines"]) == 2
        assert record["refunds"][0]["kind"] == "reversal"
        city.world.post_everything()
        assert_sound(opening=opening)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_during_it_a_reversal_waits_and_then_withdraws(
    world: World,
) -> None:
    opening = balances()
    one, two = world.till(), world.till(name="till 2")
    sale = body(world, one)
    race = forced(
        partial(one.post, "settlements", sale, key="sale"),
        partial(reverse, two, "sale"),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["outcome"]) == (201, "reversed")
    world.post_everything()
    assert_sound(opening=opening)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_settlement_that_meets_its_own_reversal_waits_and_is_barred(
    world: World,
) -> None:
    opening = balances()
    one, two = world.till(), world.till(name="till 2")
    sale = body(world, one)
    race = forced(
        partial(reverse, two, "sale"),
        partial(one.post, "settlements", sale, key="sale"),
        before="SELECT path, code, body FROM messaging_inboxentry",
    )
    assert race.second_waited
    assert (race.first["outcome"], race.second["code"]) == ("barred", "key_reversed")
    assert not Settlement.objects.exists()
    world.post_everything()
    assert_sound(opening=opening)
