"""Refunds: every payer back, the account and the year to date as if nothing had been sold."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.models import Account, PrescriptionLine, Refund, RefundShare, YearToDate
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.settlement.test_settlements import BILLS, as_lines
from tests.world import Reply, Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def sale(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> Reply:
    reply = till.post(
        "settlements",
        {
            "scan_id": world.scan(till),
            "benefit_kind": "chronic",
            "disease_code": "M03900",
            "lines": list(lines) or [line()],
            **more,
        },
    )
    assert reply.status == 201, reply.text
    return reply


def give_back(till: Till, settlement: Reply) -> Reply:
    return till.post(
        "refunds", {"settlement_id": settlement["settlement_id"], "reason": "returned"}
    )


def figures(world: World) -> tuple[int, dict[str, int]]:
    """The account, and the year to date without its zeros."""
    stored = YearToDate.objects.filter(member=world.retiree).first()
    amounts = stored.amounts if stored else {}
    return (
        Account.objects.get(member=world.retiree).balance_fen,
        {name: amount for name, amount in amounts.items() if amount},
    )


def test_a_refund_gives_every_payer_its_part_in_one_request(world: World, till: Till) -> None:
    opening = balances()
    sale(world, till, line("A4", "50", "18.6"))
    before = figures(world)
    settled = sale(world, till, line("A4", "50", "18.6"), line("A5", "1", "128"))
    assert {share["payer"] for share in settled["shares"]} == {"pool", "account", "cash"}
    rows = counts()
    refund = give_back(till, settled)
    assert refund.status == 201
    assert refund["shares"] == settled["shares"]
    assert added(rows) == {
        "InboxEntry": 1,
        "Refund": 1,
        "RefundShare": 3,
        "RefundLine": 2,
        "OutboxEntry": 1,
    }
    assert figures(world) == before
    assert refund["account_balance_fen"] == before[0]
    world.post_everything()
    assert_sound(opening=opening)


def test_a_settlement_is_refunded_once(world: World, till: Till) -> None:
    settled = sale(world, till)
    assert give_back(till, settled).status == 201
    before = counts()
    for _ in range(2):
        again = give_back(till, settled)
        assert (again["code"], again.status) == ("already_refunded", 409)
    assert added(before) == {"InboxEntry": 2}


def test_a_bill_of_nothing_has_nothing_to_give_back(world: World, till: Till) -> None:
    settled = sale(world, till, line("A4", "1", "0", amount_fen=0))
    assert give_back(till, settled)["code"] == "already_refunded"
    assert not Refund.objects.exists()


def test_a_refund_before_the_posting_posts_both_in_any_order(world: World, till: Till) -> None:
    opening = balances()
    settled = sale(world, till)
    give_back(till, settled)
    assert_sound(opening=opening, drained=False)
    world.post_everything()
    assert_sound(opening=opening)


def test_later_settlements_stand_as_they_were(world: World, till: Till) -> None:
    opening = balances()
    first = sale(world, till, line("A4", "50", "18.6"))
    later = sale(world, till, line("A4", "50", "18.6"))
    assert later["pool_fen"] > 0
    record = till.get(f"settlements/{later['settlement_id']}").body
    assert give_back(till, first).status == 201
    assert till.get(f"settlements/{later['settlement_id']}").body == record
    # What the first one had added is gone, what the later one added is not.
    assert figures(world)[1]["chronic.deductible"] == 100_000 - 93_000
    world.post_everything()
    assert_sound(opening=opening)


def test_a_refund_frees_the_prescription_and_the_packs(world: World, till: Till) -> None:
    opening = balances()
    number = world.prescription(quantity="4")
    packs = [f"81000000000{n}" for n in range(4)]
    whole = line("A1", "4", "25", prescription=number, trace_codes=packs)
    settled = sale(world, till, whole)
    assert PrescriptionLine.objects.get().filled_e4 == 40_000
    give_back(till, settled)
    assert PrescriptionLine.objects.get().filled_e4 == 0
    assert sale(world, till, whole)["total_fen"] == 10_000
    world.post_everything()
    assert_sound(opening=opening)


def test_a_refund_frees_the_ceiling_of_its_scan(world: World, till: Till) -> None:
    from voucher.tokens import Scope

    scan_id = world.scan(till, scope=Scope(ceiling_fen=2_000))
    settled = sale(world, till, scan_id=scan_id)
    give_back(till, settled)
    assert sale(world, till, scan_id=scan_id).status == 201


def test_a_refund_needs_no_presence_and_takes_its_place_in_the_sequence(
    world: World, till: Till
) -> None:
    settled = sale(world, till)
    refund = give_back(till, settled)
    assert (settled["member_seq"], refund["member_seq"]) == (1, 2)
    assert sale(world, till)["member_seq"] == 3


def test_a_refund_reads_back_with_its_shares_and_on_its_settlement(
    world: World, till: Till
) -> None:
    settled = sale(world, till)
    refund = give_back(till, settled)
    record = till.get(f"refunds/{refund['refund_id']}")
    assert record["shares"] == settled["shares"]
    settlement = till.get(f"settlements/{settled['settlement_id']}")
    assert settlement["refunds"] == [record.body]
    assert settlement["refunded_fen"] == settled["total_fen"]
    assert sum(RefundShare.objects.values_list("amount_fen", flat=True)) == settled["total_fen"]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sales=BILLS, data=st.data())
def test_refunding_everything_in_any_order_restores_everything(
    world: World, sales: Any, data: st.DataObject
) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    before = figures(world)
    opening = getattr(world, "_opening", None) or balances()
    world._opening = opening  # type: ignore[attr-defined]
    scan_id = world.scan(till)
    settled = [
        sale(
            world,
            till,
            scan_id=scan_id,
            benefit_kind=kind,
            disease_code="M03900" if kind == "chronic" else None,
            lines=as_lines(rows),
            account_limit_fen=limit_fen,
        )
        for kind, rows, limit_fen in sales
    ]
    for one in data.draw(st.permutations(settled)):
        refund = give_back(till, one)
        if one["total_fen"]:
            assert refund["shares"] == one["shares"]
        else:
            assert refund["code"] == "already_refunded"
    assert figures(world) == before
    world.post_everything()
    assert_sound(opening=opening)
