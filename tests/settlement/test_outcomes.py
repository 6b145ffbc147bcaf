"""Idempotency: one key, one effect, one answer; and what became of a key, asked later."""

import pytest

from messaging.models import InboxEntry, RefusalTally
from settlement.models import Refund, Scan, Settlement
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.world import Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def purchase(world: World, till: Till) -> dict[str, object]:
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }


def test_the_same_key_and_content_get_the_same_bytes_and_one_effect(
    world: World, till: Till
) -> None:
    opening = balances()
    bill = purchase(world, till)
    first = till.post("settlements", bill, key="sale-1")
    assert first.status == 201
    assert "idempotent-replay" not in first.headers
    before = counts()
    for _ in range(3):
        again = till.post("settlements", bill, key="sale-1")
        assert (again.status, again.text) == (201, first.text)
        assert again.headers["idempotent-replay"] == "true"
    assert added(before) == {}
    assert Settlement.objects.count() == 1
    world.post_everything()
    assert_sound(opening=opening)


def test_a_replay_is_the_first_answer_even_after_the_world_has_moved_on(
    world: World, till: Till
) -> None:
    bill = purchase(world, till)
    first = till.post("settlements", bill, key="sale-1")
    world.post_everything()
    till.post("refunds", {"settlement_id": first["settlement_id"], "reason": "returned"})
    again = till.post("settlements", bill, key="sale-1")
    assert again.text == first.text
    assert again["state"] == "accepted"


def test_a_refusal_is_remembered_and_answered_alike(world: World, till: Till) -> None:
    code = world.code(age_s=61)
    body = {"evidence": {"type": "voucher_code", "value": code}, "use": "settlement"}
    first = till.post("scans", body, key="scan-1")
    assert first["code"] == "code_expired"
    again = till.post("scans", body, key="scan-1")
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["idempotent-replay"] == "true"
    assert Scan.objects.count() == 1


def test_a_refusal_stays_a_refusal_when_its_reason_is_gone(world: World, till: Till) -> None:
    body = {"quote_id": None, "benefit_kind": "pharmacy_account", "scan_id": None, "lines": []}
    first = till.post("settlements", body, key="sale-1")
    assert first.status == 422
    assert till.post("settlements", body, key="sale-1").text == first.text


def test_other_content_under_the_same_key_is_refused_and_changes_nothing(
    world: World, till: Till
) -> None:
    bill = purchase(world, till)
    first = till.post("settlements", bill, key="sale-1")
    before = counts()
    for other in (
        {**bill, "lines": [line(quantity="2", amount_fen=3720)]},
        {**bill, "account_limit_fen": 0},
        {},
        b"not even JSON",
    ):
        reply = till.post("settlements", other, key="sale-1")
        assert (reply["code"], reply.status) == ("idempotency_key_reused", 409)
    # The same bytes at another address are other content too.
    reply = till.post("quotes", bill, key="sale-1")
    assert reply["code"] == "idempotency_key_reused"
    assert added(before) in ({"RefusalTally": 2}, {"RefusalTally": 3}, {"RefusalTally": 4})
    assert sum(RefusalTally.objects.values_list("count", flat=True)) == 5
    assert till.post("settlements", bill, key="sale-1").text == first.text


def test_the_id_in_the_address_is_part_of_the_content(world: World) -> None:
    till = world.till(world.clinic)
    visits = [
        till.post("visits", {"scan_id": world.scan(till, use="registration")})["visit_id"]
        for _ in range(2)
    ]
    body = {"lines": [line("S2", "1", "20")]}
    assert till.post(f"visits/{visits[0]}/fee-batches", body, key="fees").status == 201
    reply = till.post(f"visits/{visits[1]}/fee-batches", body, key="fees")
    assert reply["code"] == "idempotency_key_reused"


def test_two_terminals_may_use_the_same_key_for_their_own(world: World, till: Till) -> None:
    other = world.till(name="till 2")
    one = till.post("settlements", purchase(world, till), key="1")
    two = other.post("settlements", purchase(world, other), key="1")
    assert (one.status, two.status) == (201, 201)
    assert one["settlement_id"] != two["settlement_id"]


@pytest.mark.parametrize("key", ["k", "k" * 255, "a/b?c=d&e#f", "~!@$%^*()[]{}", "0"])
def test_any_visible_ascii_is_a_key(world: World, till: Till, key: str) -> None:
    reply = till.post("settlements", purchase(world, till), key=key)
    assert reply.status == 201, reply.text
    assert InboxEntry.objects.filter(key=key).count() == 1


def test_an_outcome_is_told_to_any_terminal_of_the_merchant_and_to_nobody_else(
    world: World, till: Till
) -> None:
    settled = till.post("settlements", purchase(world, till), key="sale-1")
    colleague, stranger = world.till(name="till 2"), world.till(world.clinic)
    for asking in (till, colleague):
        outcome = asking.get("outcomes/sale-1")
        assert outcome.status == 200
        assert outcome["operation"] == "settle"
        assert (outcome["status"], outcome["code"]) == (201, None)
        assert outcome["answer"] == settled.body
    told = stranger.get("outcomes/sale-1")
    assert (told.status, told["code"]) == (404, "outcome_unknown")
    assert settled["settlement_id"] not in told.text


def test_the_outcome_of_a_refusal_is_the_refusal(world: World, till: Till) -> None:
    refused = till.post("refunds", {"settlement_id": "x", "reason": "x"}, key="refund-1")
    outcome = till.get("outcomes/refund-1")
    assert outcome.status == 200
    assert (outcome["status"], outcome["code"]) == (422, "field_invalid")
    assert outcome["answer"] == refused.body
    assert Refund.objects.count() == 0


def test_a_key_that_was_never_worked_is_unknown(world: World, till: Till) -> None:
    till.post("settlements", {}, key="sale-1", spoil={"Signature": None})
    assert till.get("outcomes/sale-1")["code"] == "outcome_unknown"


def test_a_private_answer_is_kept_sealed_and_replayed_in_clear(world: World) -> None:
    till = world.till(world.clinic)
    body = {"scan_id": world.scan(till, use="registration")}
    opened = till.post("visits", body, key="visit-1")
    number = opened["member"]["identity_number"]
    assert opened["member"]["name"] == "王测试"
    entry = InboxEntry.objects.get(key="visit-1")
    assert number not in entry.body
    assert "王测试" not in entry.body
    assert till.post("visits", body, key="visit-1").text == opened.text
