"""A shift holds what its till took from its opening on and before its close; it is counted once."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merchants.models import Merchant
from settlement.models import Settlement, Shift
from tests.rows import added, counts
from tests.settlement.trades import MIDNIGHT
from tests.world import Reply, Till, World, line

# No fund pays for it and no account does: cash.
TEA = line("A6", "1", "9.9")


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def opened(till: Till, *, float_fen: int = 10_000, **who: str) -> str:
    reply = till.post("shifts", {"opening_float_fen": float_fen, **who})
    assert reply.status == 201, reply.text
    return str(reply["shift_id"])


def close(till: Till, shift_id: str, counted_fen: int = 0, **who: str) -> Reply:
    return till.post(f"shifts/{shift_id}/close", {"counted_fen": counted_fen, **who})


def sell(world: World, till: Till, *lines: dict[str, Any], scan_id: str = "") -> Reply:
    bill = {
        "scan_id": scan_id or world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [TEA],
        "account_limit_fen": 0,
    }
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    return reply


def give_back(till: Till, settled: Reply) -> Reply:
    reply = till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"})
    assert reply.status == 201, reply.text
    return reply


def test_a_shift_from_the_float_to_the_difference(world: World, till: Till) -> None:
    shift_id = opened(till, float_fen=20_000, operator="08")
    kept, returned = sell(world, till), sell(world, till)
    give_back(till, returned)
    running = till.get(f"shifts/{shift_id}")
    assert (running["state"], running["expected_fen"]) == ("open", 20_990)
    assert (running["counted_fen"], running["difference_fen"]) == (None, None)
    rows = counts()
    closed = close(till, shift_id, 20_940, operator="08")
    assert closed.status == 200, closed.text
    assert added(rows) == {"InboxEntry": 1}
    assert closed["state"] == "closed"
    assert (closed["cash_received_fen"], closed["cash_given_back_fen"]) == (1_980, 990)
    assert (closed["expected_fen"], closed["difference_fen"]) == (20_990, -50)
    assert (closed["settlements"], closed["refunds"]) == (2, 1)
    assert closed["tenders"] == [
        {"tender": "cash", "received_fen": 1_980, "given_back_fen": 990, "net_fen": 990}
    ]
    assert till.get(f"shifts/{shift_id}").body == closed.body
    assert till.get(f"totals?shift={shift_id}")["net_fen"] == kept["total_fen"]


def test_software_that_names_nobody_acts_for_whoever_opened_the_shift(
    world: World, till: Till
) -> None:
    sell(world, till)
    shift_id = opened(till, operator="08")
    give_back(till, sell(world, till))
    close(till, shift_id, operator="08")
    sell(world, till)
    found = Settlement.objects.order_by("accepted_at").values_list("operator", flat=True)
    assert list(found) == ["", "08", ""]
    answer = till.get("totals?operator=08")
    assert (answer["settlements"], answer["refunds"], answer["net_fen"]) == (1, 1, 0)
    assert [part["operator"] for part in till.get("totals")["parts"]] == ["", "08"]


def test_money_that_was_never_in_the_drawer_is_not_expected_in_it(world: World, till: Till) -> None:
    shift_id = opened(till)
    till.post(
        "settlements",
        {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [line()],
        },
    )
    closed = close(till, shift_id, 10_000)
    assert {row["payer"]: row["net_fen"] for row in closed["payers"]} == {"account": 1_860}
    assert (closed["tenders"], closed["difference_fen"]) == ([], 0)


def test_a_refund_is_the_drawer_s_that_gave_it_back(world: World, till: Till) -> None:
    other = world.till(name="till 2")
    settled = sell(world, other)
    shift_id = opened(till, float_fen=0)
    give_back(till, settled)
    closed = close(till, shift_id)
    assert (closed["expected_fen"], closed["difference_fen"]) == (-990, 990)


def test_a_closed_shift_is_not_closed_again(till: Till) -> None:
    shift_id = opened(till)
    first = close(till, shift_id, 9_000)
    again = close(till, shift_id, 10_000)
    assert (again.status, again.body.get("code")) == (409, "shift_closed")
    assert till.get(f"shifts/{shift_id}").body == first.body


@pytest.mark.parametrize("named", [{}, {"operator": "09"}])
def test_another_operator_does_not_close_a_shift(till: Till, named: dict[str, str]) -> None:
    shift_id = opened(till, operator="08")
    refused = close(till, shift_id, **named)
    assert (refused.status, refused.body.get("code")) == (403, "shift_of_another")
    assert Shift.objects.get().closed_at is None


def test_another_till_does_not_close_a_shift_and_another_merchant_does_not_find_it(
    world: World, till: Till
) -> None:
    shift_id = opened(till)
    assert close(world.till(name="till 2"), shift_id)["code"] == "shift_of_another"
    stranger = world.till(world.clinic)
    assert close(stranger, shift_id)["code"] == "not_found"
    assert stranger.get(f"shifts/{shift_id}")["code"] == "not_found"
    assert stranger.get(f"totals?shift={shift_id}")["code"] == "not_found"
    assert Shift.objects.get().closed_at is None


def test_a_till_has_one_open_shift_and_the_refusal_says_which(world: World, till: Till) -> None:
    shift_id = opened(till)
    refused = till.post("shifts", {"opening_float_fen": 0})
    assert (refused.status, refused["code"]) == (409, "shift_open")
    assert refused["shift_id"] == shift_id
    opened(world.till(name="till 2"))
    close(till, shift_id)
    assert opened(till) != shift_id


def test_the_close_is_sent_again_and_answered_alike(till: Till) -> None:
    shift_id = opened(till)
    body = {"counted_fen": 10_000}
    first, again = (till.post(f"shifts/{shift_id}/close", body, key="close") for _ in range(2))
    assert (first.status, first.text) == (again.status, again.text)
    assert again.headers["idempotent-replay"] == "true"


def test_a_suspended_institution_counts_its_drawer_and_opens_no_other(till: Till) -> None:
    shift_id = opened(till)
    Merchant.objects.update(state="suspended")
    assert close(till, shift_id, 10_000).status == 200
    assert till.post("shifts", {"opening_float_fen": 0})["code"] == "merchant_suspended"


@pytest.mark.parametrize("fen", [-1, 10**12 + 1, 1.5, "1"])
def test_an_amount_that_no_drawer_holds_is_refused(till: Till, fen: Any) -> None:
    assert till.post("shifts", {"opening_float_fen": fen})["code"] == "field_invalid"


# ---------------------------------------------------------------- the edges of the interval


def test_the_moment_of_the_close_is_after_the_shift_and_that_of_the_opening_in_it(
    world: World, till: Till
) -> None:
    with time_machine.travel(MIDNIGHT, tick=False) as clock:
        scan_id = world.scan(till)
        shift_id = opened(till, float_fen=0)
        sell(world, till, scan_id=scan_id)
        clock.shift(timedelta(minutes=1))
        closed = close(till, shift_id, 990)
        assert (closed["settlements"], closed["difference_fen"]) == (1, 0)
        sell(world, till, scan_id=scan_id)
        assert till.get(f"shifts/{shift_id}")["settlements"] == 1
        following = opened(till, float_fen=0)
        assert till.get(f"shifts/{following}")["settlements"] == 1


def test_a_request_from_before_the_close_that_arrives_after_it_is_sent_again(
    world: World, till: Till
) -> None:
    with time_machine.travel(MIDNIGHT, tick=False) as clock:
        bill = {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [TEA],
        }
        shift_id = opened(till, float_fen=0)
        clock.shift(timedelta(minutes=1))
        close(till, shift_id)
        # Another server's clock read the arrival before this one's read the close.
        clock.shift(timedelta(seconds=-1))
        rows = counts()
        late = till.post("settlements", bill, key="late")
        assert (late.status, late["code"], late.headers["retry-after"]) == (503, "try_again", "1")
        assert added(rows) == {}
        clock.shift(timedelta(seconds=1))
        assert till.post("settlements", bill, key="late").status == 201
        assert till.get(f"shifts/{shift_id}")["settlements"] == 0


def test_a_shift_does_not_open_before_the_last_one_ended(till: Till) -> None:
    with time_machine.travel(MIDNIGHT, tick=False) as clock:
        first = opened(till)
        clock.shift(timedelta(minutes=1))
        close(till, first)
        clock.shift(timedelta(seconds=-1))
        assert till.post("shifts", {"opening_float_fen": 0})["code"] == "try_again"
        clock.shift(timedelta(seconds=1))
        second = opened(till)
        clock.shift(timedelta(seconds=-1))
        assert close(till, second)["code"] == "try_again"


def test_the_database_refuses_a_second_open_shift_and_a_difference_that_is_none(
    till: Till,
) -> None:
    opened(till)
    row = Shift.objects.get()
    for change in (
        {"counted_fen": 1},
        {"closed_at": row.opened_at, "counted_fen": 3, "expected_fen": 1, "difference_fen": 1},
        {"closed_at": row.opened_at, "counted_fen": -1, "expected_fen": 0, "difference_fen": -1},
        {
            "closed_at": row.opened_at - timedelta(seconds=1),
            "counted_fen": 0,
            "expected_fen": 0,
            "difference_fen": 0,
        },
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Shift.objects.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Shift.objects.create(
            merchant=row.merchant,
            terminal=row.terminal,
            opening_float_fen=0,
            opened_at=row.opened_at + timedelta(seconds=1),
        )


ACTS = st.lists(
    st.sampled_from(["sell", "sell", "refund", "open", "close", "elsewhere"]), max_size=14
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=ACTS, pause_s=st.integers(0, 1800), float_fen=st.integers(0, 10**6))
def test_what_a_person_would_have_in_the_drawer_is_what_is_expected_in_it(
    world: World, acts: list[str], pause_s: int, float_fen: int
) -> None:
    with time_machine.travel(MIDNIGHT - timedelta(hours=2), tick=False) as clock:
        # Fresh ones: the tills of the example before have a future of their own.
        till, other = world.till(), world.till(name="till 2")
        drawer_fen, number, shift_id = 0, 0, ""
        sold: list[Reply] = []
        closed: list[Reply] = []
        for act in acts:
            clock.shift(timedelta(seconds=1 + pause_s))
            match act:
                case "sell":
                    sold.append(sell(world, till))
                    drawer_fen += sold[-1]["cash_fen"]
                    number += 1
                case "elsewhere":
                    sold.append(sell(world, other))
                case "refund" if sold:
                    shares = give_back(till, sold.pop())["shares"]
                    drawer_fen -= sum(s["amount_fen"] for s in shares if s["payer"] == "cash")
                case "open" if not shift_id:
                    shift_id, drawer_fen, number = opened(till, float_fen=float_fen), float_fen, 0
                case "close" if shift_id:
                    closed.append(close(till, shift_id, 5))
                    assert closed[-1]["expected_fen"] == drawer_fen
                    assert closed[-1]["difference_fen"] == 5 - drawer_fen
                    assert closed[-1]["settlements"] == number
                    shift_id = ""
        # What came later changed nothing that was counted.
        for reply in closed:
            assert till.get(f"shifts/{reply['shift_id']}").body == reply.body
