"""Settlements: what an accepted bill leaves, and that its figures are right from every side."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import OutboxEntry
from settlement.models import Account, Settlement, YearToDate
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.world import Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def bill(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": list(lines) or [line()],
        **more,
    }


def test_a_purchase_leaves_exactly_its_rows_in_one_commit(world: World, till: Till) -> None:
    sale = bill(world, till, line(), line("A6", "2", "9.9"))
    before = counts()
    settled = till.post("settlements", sale)
    assert settled.status == 201
    assert added(before) == {
        "InboxEntry": 1,
        "Visit": 1,
        "FeeBatch": 1,
        "Line": 2,
        "Settlement": 1,
        "Share": len(settled["shares"]),
        "YearToDate": 1,
        "OutboxEntry": 1,
    }
    assert OutboxEntry.objects.get().topic == "post_settlement"
    row = Settlement.objects.get()
    assert (row.state, row.posted_at, row.member_seq) == ("accepted", None, 1)
    assert row.visit.closed_at is not None


def test_the_deductible_is_met_once_over_all_settlements_of_a_year(
    world: World, till: Till
) -> None:
    opening = balances()
    # 1,000 yuan a year before the pool pays anything, then 80 % for a retired employee.
    first = till.post("settlements", bill(world, till, line("A4", "50", "18.6")))
    assert first["pool_fen"] == 0
    second = till.post("settlements", bill(world, till, line("A4", "50", "18.6")))
    over_fen = 2 * 93_000 - 100_000
    assert second["pool_fen"] == over_fen * 80 // 100
    assert YearToDate.objects.get().amounts["chronic.deductible"] == 100_000
    world.post_everything()
    assert_sound(opening=opening)


def test_the_account_pays_until_it_is_empty_and_cash_pays_the_rest(
    world: World, till: Till
) -> None:
    settled = till.post("settlements", bill(world, till, line("A4", "60", "18.6")))
    pool_fen = (111_600 - 100_000) * 80 // 100
    assert (settled["pool_fen"], settled["account_fen"]) == (pool_fen, 100_000)
    assert settled["cash_fen"] == 111_600 - 100_000 - pool_fen
    assert Account.objects.get(member=world.retiree).balance_fen == 0
    again = till.post("settlements", bill(world, till, account_limit_fen=5))
    assert again["account_fen"] == 0


def test_one_scan_serves_several_settlements_of_its_half_hour(world: World, till: Till) -> None:
    sale = bill(world, till)
    sequence = [till.post("settlements", sale)["member_seq"] for _ in range(3)]
    assert sequence == [1, 2, 3]


def test_another_till_of_the_same_merchant_may_settle_the_scan(world: World, till: Till) -> None:
    sale = bill(world, till)
    assert world.till(name="till 2").post("settlements", sale).status == 201


def test_a_settlement_reads_back_as_it_was_answered(world: World, till: Till) -> None:
    settled = till.post("settlements", bill(world, till, line(), line("A6", "2", "9.9")))
    record = till.get(f"settlements/{settled['settlement_id']}")
    for part in ("total_fen", "pool_fen", "account_fen", "cash_fen", "shares", "explanation"):
        assert record[part] == settled[part]
    slip = till.get(f"settlements/{settled['settlement_id']}/slip")
    shares = [(share["payer"], share["amount_fen"]) for share in slip["slip"]["shares"]]
    assert shares == [(share["payer"], share["amount_fen"]) for share in settled["shares"]]
    assert slip["slip"]["member"]["name"] == "王**"


def test_a_bill_of_nothing_is_accepted_and_posted_without_a_leg(world: World, till: Till) -> None:
    opening = balances()
    free = line("A4", "1", "0", amount_fen=0)
    settled = till.post("settlements", bill(world, till, free))
    assert (settled.status, settled["total_fen"], settled["shares"]) == (201, 0, [])
    world.post_everything()
    assert Settlement.objects.get().state == "posted"
    assert_sound(opening=opening)


def test_five_hundred_lines_are_one_settlement(world: World, till: Till) -> None:
    opening = balances()
    settled = till.post(
        "settlements", bill(world, till, *[line("A6", "1", "0.01", amount_fen=1)] * 500)
    )
    assert (settled.status, settled["total_fen"]) == (201, 500)
    world.post_everything()
    assert_sound(opening=opening)


_LINES = st.lists(
    st.tuples(
        st.sampled_from(["A1", "A2", "A3", "A4", "A5", "A6"]),
        st.integers(1, 40),
        st.integers(0, 30_000),
    ),
    min_size=1,
    max_size=5,
)
BILLS = st.lists(
    st.tuples(
        st.sampled_from(["chronic", "pharmacy_account"]), _LINES, st.none() | st.integers(0, 50_000)
    ),
    min_size=1,
    max_size=4,
)


def as_lines(rows: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Codes, quantities and unit prices in fen as lines of a request."""
    return [
        line(code, str(quantity), f"{price // 100}.{price % 100:02d}", amount_fen=quantity * price)
        for code, quantity, price in rows
    ]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sales=BILLS)
def test_any_run_of_bills_leaves_sound_books(world: World, sales: Any) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    if not hasattr(world, "_opening"):
        world._opening = balances()  # type: ignore[attr-defined]
    scan_id = world.scan(till)
    for kind, rows, limit_fen in sales:
        settled = till.post(
            "settlements",
            {
                "scan_id": scan_id,
                "benefit_kind": kind,
                "disease_code": "M03900" if kind == "chronic" else None,
                "lines": as_lines(rows),
                "account_limit_fen": limit_fen,
            },
        )
        assert settled.status == 201, settled.text
        total_fen = sum(quantity * price for _, quantity, price in rows)
        assert settled["total_fen"] == total_fen
        assert settled["pool_fen"] + settled["account_fen"] + settled["cash_fen"] == total_fen
        assert limit_fen is None or settled["account_fen"] <= limit_fen
    assert_sound(opening=world._opening, drained=False)  # type: ignore[attr-defined]
    world.post_everything()
    assert_sound(opening=world._opening)  # type: ignore[attr-defined]
