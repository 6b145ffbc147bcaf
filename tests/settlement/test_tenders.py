"""Tenders: each row of the order quote → authorised or received → accepted → captured, with a
payment service that times out, repeats, reorders and lies."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from messaging.models import InboxEntry, OutboxEntry
from settlement.models import (
    Account,
    CreditLine,
    CreditUse,
    Posting,
    Quote,
    Refund,
    Settlement,
    SimulatedPayment,
    Tender,
    TenderRefund,
    TenderRule,
)
from settlement.services.tender import connections, credit, debts
from settlement.services.tender.driving import drive_due, hear
from settlement.services.tender.provider import learn
from settlement.services.tender.simulator import Lie, seeded
from tests.ledger_checks import assert_sound, balances
from tests.settlement.tender_world import (
    GOOD_CODE,
    bill,
    cash_of_standing_settlements,
    connect,
    look,
    lying,
    named_debts,
    part,
    pay,
    quoted,
    run_out,
    settle,
    states,
    taken_from_citizens,
    work,
)
from tests.world import Reply, Till, World


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def world(db: None, clock: Any) -> World:
    return World.made()


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def refused(reply: Reply, code: str) -> Reply:
    assert reply.body.get("code") == code, reply.text
    return reply


# -- taking


def test_a_quote_without_a_tender_is_settled_in_cash_as_ever(world: World, till: Till) -> None:
    quote = quoted(world, till)
    assert settle(till, quote).status == 201
    assert not Tender.objects.exists()
    assert not OutboxEntry.objects.exclude(topic="post_settlement").exists()


def test_cash_is_received_at_once_and_captured_by_the_settlement(
    world: World, till: Till, now: datetime
) -> None:
    quote = quoted(world, till)
    assert pay(till, quote, part("cash"))["parts"][0]["state"] == "received"
    assert settle(till, quote).status == 201
    work(now)
    assert states(quote) == ["captured"]


def test_a_split_tender_is_paid_part_by_part_and_settled_when_whole(
    world: World, till: Till, now: datetime
) -> None:
    opening = balances()
    credit.grant(member_id=world.retiree.pk, limit_fen=5_000)
    quote = quoted(world, till)
    first = pay(till, quote, part("wechat", 3_000), part("alipay", 4_000))
    assert [each["state"] for each in first["parts"]] == ["authorised", "authorised"]
    assert first["left_fen"] == 11_600
    assert refused(settle(till, quote), "tender_incomplete")["missing_fen"] == 11_600
    rest = pay(till, quote, part("bank_card", 2_000), part("credit", 5_000), part("cash", 4_600))
    assert rest["left_fen"] == 0
    assert settle(till, quote).status == 201
    work(now)
    assert states(quote) == ["captured"] * 5
    assert taken_from_citizens() == 18_600
    assert_sound(opening=opening)


def test_more_than_is_left_is_refused_with_what_is_left(world: World, till: Till) -> None:
    quote = quoted(world, till)
    pay(till, quote, part("cash", 10_000))
    assert refused(pay(till, quote, part("cash", 8_601)), "tender_exceeds")["left_fen"] == 8_600
    assert states(quote) == ["received"]


def test_a_declined_part_leaves_its_amount_to_be_paid_in_another_way(
    world: World, till: Till
) -> None:
    quote = quoted(world, till)
    answer = pay(till, quote, part(payment_code="130000000000000051"))
    assert (answer["parts"][0]["state"], answer["left_fen"]) == ("declined", 18_600)
    pay(till, quote, part("cash"))
    assert settle(till, quote).status == 201


def test_an_unknown_part_that_turns_out_declined_is_left_to_pay(
    world: World, till: Till, now: datetime
) -> None:
    connect(lying(authorise=[Lie.LOST_ANSWER], query=[Lie.LATE]))
    quote = quoted(world, till)
    answer = pay(till, quote, part(payment_code="130000000000000051"))
    assert (answer["uncertain_fen"], answer["left_fen"]) == (18_600, 0)
    work(now + timedelta(seconds=3))
    assert (states(quote), look(till, quote)["left_fen"]) == (["declined"], 18_600)


def test_a_plain_settlement_runs_no_statement_more_for_tenders(world: World, till: Till) -> None:
    with CaptureQueriesContext(connection) as statements:
        assert till.post("settlements", bill(world, till)).status == 201
    assert not [each for each in statements if "tender" in each["sql"]]
    quote = quoted(world, till)
    with CaptureQueriesContext(connection) as statements:
        assert settle(till, quote).status == 201
    (asked,) = [each["sql"] for each in statements if "tender" in each["sql"]]
    # A column of a statement that runs anyway.
    assert "FROM settlement_quote WHERE id" in asked


def test_one_card_slip_pays_once(world: World, till: Till) -> None:
    quote = quoted(world, till)
    pay(till, quote, part("bank_card", 1_000))
    refused(pay(till, quote, part("bank_card", 1_000)), "tender_reference_used")
    twice = [part("bank_card", 1, reference="777777"), part("bank_card", 2, reference="777777")]
    refused(pay(till, quote, *twice), "tender_reference_used")


def test_a_kind_that_nobody_moves_is_refused(world: World, till: Till) -> None:
    quote = quoted(world, till)
    del connections.connected()["alipay"]
    refused(pay(till, quote, part("alipay")), "tender_not_connected")
    assert not Tender.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"kind": "wechat", "amount_fen": 1}, "parts[0].payment_code"),
        ({"kind": "cash", "amount_fen": 1, "payment_code": GOOD_CODE}, "parts[0].payment_code"),
        ({"kind": "bank_card", "amount_fen": 1}, "parts[0].reference"),
        ({"kind": "credit", "amount_fen": 1, "reference": "123456"}, "parts[0].reference"),
        ({"kind": "cash", "amount_fen": 0}, "parts[0].amount_fen"),
        ({"kind": "shells", "amount_fen": 1}, "parts[0].kind"),
    ],
)
def test_a_part_comes_with_what_its_kind_needs(
    world: World, till: Till, wrong: dict[str, Any], param: str
) -> None:
    reply = pay(till, quoted(world, till), wrong)
    assert refused(reply, "field_invalid")["param"] == param


def test_another_institutions_quote_is_not_found(world: World, till: Till) -> None:
    quote = quoted(world, till)
    stranger = world.till(world.clinic)
    refused(pay(stranger, quote, part("cash")), "not_found")
    refused(look(stranger, quote), "not_found")


def test_the_same_key_asks_once_and_is_answered_alike(world: World, till: Till) -> None:
    quote = quoted(world, till)
    answers = {pay(till, quote, part(), key="pay").text for _ in range(3)}
    assert len(answers) == 1
    assert '"authorised"' in answers.pop()
    assert SimulatedPayment.objects.count() == Tender.objects.count() == 1


def test_a_payment_code_is_kept_nowhere(
    world: World, till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quote = quoted(world, till)
    pay(till, quote, part())
    settle(till, quote)
    assert GOOD_CODE not in caplog.text
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert GOOD_CODE not in str(cursor.fetchall()), table
    from settlement.requests import TenderPart

    assert GOOD_CODE not in repr(TenderPart("wechat", 1, payment_code=GOOD_CODE))


def test_no_service_is_called_inside_a_transaction(world: World, till: Till, now: datetime) -> None:
    quote = quoted(world, till)
    pay(till, quote, part())
    settle(till, quote)
    work(now)
    with transaction.atomic(), pytest.raises(RuntimeError):
        learn(connections.connected()["wechat"], "x")


# -- authorised, or said to be


LIES_ABOUT_AUTHORISING = [
    # What happens to the request, what a till is told, whether money is held in truth.
    (Lie.HONEST, "authorised", True),
    (Lie.LOST_ANSWER, "authorised", True),
    (Lie.FALSE_NO, "authorised", True),
    (Lie.TWICE, "authorised", True),
    (Lie.FALSE_YES, "unknown", False),
    (Lie.LOST_REQUEST, "unknown", False),
    (Lie.LATE, "unknown", False),
]


@pytest.mark.parametrize(("lie", "state", "held"), LIES_ABOUT_AUTHORISING)
def test_a_part_is_authorised_only_where_the_service_still_says_so_when_asked(
    world: World, till: Till, lie: Lie, state: str, held: bool
) -> None:
    connect(lying(authorise=[lie]))
    quote = quoted(world, till)
    assert pay(till, quote, part())["parts"][0]["state"] == state
    assert bool(taken_from_citizens()) is held
    reply = settle(till, quote)
    assert reply.body.get("code") == (None if held else "tender_unknown")


def test_an_unknown_part_keeps_the_quote_alive_and_is_settled_when_it_is_known(
    world: World, till: Till, now: datetime, clock: Any
) -> None:
    service = connect(lying(authorise=[Lie.LATE]))
    quote = quoted(world, till)
    pay(till, quote, part())
    for seconds in range(10, 200, 10):
        clock.move_to(now + timedelta(seconds=seconds), tick=False)
        work(now + timedelta(seconds=seconds))
    answer = look(till, quote)
    assert (answer["quote_state"], answer["uncertain_fen"]) == ("live", 18_600)
    assert answer["expires_at"] > quote["expires_at"]
    service.deliver_late()
    later = now + timedelta(seconds=220)
    clock.move_to(later, tick=False)
    work(later)
    assert states(quote) == ["authorised"]
    assert settle(till, quote).status == 201
    work(later)
    assert states(quote) == ["captured"]


def test_a_part_that_stays_unknown_is_returned_when_the_certainty_clock_has_run_out(
    world: World, till: Till, now: datetime, clock: Any, settings: Any
) -> None:
    connect(lying(authorise=[Lie.LOST_ANSWER], query=[Lie.LATE] * 30))
    quote = quoted(world, till)
    pay(till, quote, part())
    assert taken_from_citizens() == 18_600
    end = now + timedelta(seconds=settings.TENDER_CERTAINTY_S)
    moment = now
    while moment < end - timedelta(seconds=5):
        moment += timedelta(seconds=5)
        work(moment)
    assert Quote.objects.get().state == "live"
    assert Quote.objects.get().expires_at <= end
    run_out(moment)
    assert (Quote.objects.get().state, states(quote)) == ("expired", ["returned"])
    assert taken_from_citizens() == 0
    clock.move_to(end, tick=False)
    refused(settle(till, quote), "quote_expired")


def test_asking_again_and_again_does_not_keep_a_quote_past_the_certainty_clock(
    world: World, till: Till, now: datetime, clock: Any, settings: Any
) -> None:
    connect(lying(authorise=Lie.LOST_REQUEST))
    quote = quoted(world, till)
    asked = 0
    for seconds in range(0, settings.TENDER_CERTAINTY_S * 2, 5):
        clock.move_to(now + timedelta(seconds=seconds), tick=False)
        asked += pay(till, quote, part(amount_fen=100)).status == 201
        work(now + timedelta(seconds=seconds))
    assert asked > 10
    assert Quote.objects.get().expires_at <= now + timedelta(seconds=settings.TENDER_CERTAINTY_S)
    run_out(now + timedelta(seconds=settings.TENDER_CERTAINTY_S * 2))
    assert set(states(quote)) == {"returned"}


def test_a_request_that_arrives_after_its_cancellation_takes_nothing(
    world: World, till: Till, now: datetime
) -> None:
    service = connect(lying(authorise=[Lie.LATE]))
    quote = quoted(world, till)
    pay(till, quote, part())
    till.post(f"quotes/{quote['quote_id']}/release", {})
    run_out(now)
    service.deliver_late()
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


def test_a_quote_that_is_released_while_the_service_is_asked_takes_nothing(
    world: World, till: Till, now: datetime
) -> None:
    quote = quoted(world, till)

    def release_meanwhile(call: str, reference: str, nth: int) -> Lie:
        if call == "authorise":
            till.post(f"quotes/{quote['quote_id']}/release", {})
            work(now)
        return Lie.HONEST

    connect(release_meanwhile)
    answer = pay(till, quote, part())
    assert answer["parts"][0]["state"] in ("returning", "returned")
    run_out(now)
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


def test_a_web_process_that_dies_before_it_asks_leaves_nothing_taken(
    world: World, till: Till, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    quote = quoted(world, till)
    with monkeypatch.context() as patch:
        patch.setattr("settlement.services.tender.taking.learn", die)
        with pytest.raises(KeyboardInterrupt):
            pay(till, quote, part(), key="pay")
    assert '"asked"' in pay(till, quote, part(), key="pay").text
    run_out(now)
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


def test_notices_twice_and_out_of_order_only_make_the_worker_ask(
    world: World, till: Till, now: datetime
) -> None:
    service = connect(lying(authorise=[Lie.LATE], query=[Lie.HONEST]))
    quote = quoted(world, till)
    pay(till, quote, part())
    reference = Tender.objects.get().reference
    # It claims a capture before anything was authorised, and claims it twice.
    for _ in range(2):
        hear(reference=reference, now=now)
        work(now)
    assert states(quote) == ["unknown"]
    service.deliver_late()
    hear(reference=reference, now=now)
    work(now)
    assert states(quote) == ["authorised"]
    hear(reference=reference, now=now)
    assert work(now) == 0


# -- taken, and the settlement refused or never asked for


def test_a_released_quote_returns_what_was_taken(world: World, till: Till, now: datetime) -> None:
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 10_000), part("cash", 600), part("bank_card", 100))
    till.post(f"quotes/{quote['quote_id']}/release", {})
    assert OutboxEntry.objects.get(topic="return_tender")
    run_out(now)
    assert states(quote) == ["returned"] * 3
    assert taken_from_citizens() == 0


def test_a_replaced_quote_returns_what_was_taken(world: World, till: Till, now: datetime) -> None:
    bill = {"benefit_kind": "chronic", "disease_code": "M03900"}
    quote = quoted(world, till, **bill)
    pay(till, quote, part("wechat", quote["cash_fen"]))
    quoted(world, till, **bill)
    assert Quote.objects.get(pk=quote["quote_id"]).state == "replaced"
    work(now)
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


def test_a_quote_that_runs_out_returns_what_was_taken_by_itself(
    world: World, till: Till, now: datetime
) -> None:
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 18_000), part("cash", 600))
    work(now + timedelta(seconds=100))
    assert states(quote) == ["authorised", "received"]
    work(now + timedelta(seconds=121))
    assert Quote.objects.get().state == "expired"
    assert states(quote) == ["returned", "returned"]
    assert taken_from_citizens() == 0


def test_a_refused_settlement_returns_what_was_taken_by_itself(
    world: World, till: Till, now: datetime
) -> None:
    quote = quoted(world, till, account_limit_fen=600)
    pay(till, quote, part("wechat", 18_000))
    # The account was corrected from outside: the quote is nobody's any more.
    Account.objects.filter(member=world.retiree).update(balance_fen=0)
    refused(settle(till, quote), "quote_not_live")
    assert Quote.objects.get().state == "released"
    work(now)
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


def test_a_refusal_that_the_till_can_mend_returns_nothing(world: World, till: Till) -> None:
    quote = quoted(world, till)
    pay(till, quote, part())
    wrong = {"quote_id": quote["quote_id"], "cash_fen": 1}
    refused(till.post("settlements", wrong), "cash_differs")
    assert states(quote) == ["authorised"]
    assert settle(till, quote).status == 201


LIES_ABOUT_CANCELLING = [
    [Lie.LOST_ANSWER],
    [Lie.LOST_REQUEST, Lie.LOST_REQUEST],
    [Lie.FALSE_YES, Lie.FALSE_NO],
    [Lie.LATE, Lie.TWICE],
]


@pytest.mark.parametrize("lies", LIES_ABOUT_CANCELLING, ids=str)
def test_a_part_is_returned_only_when_the_service_says_so_when_asked(
    world: World, till: Till, now: datetime, lies: list[Lie]
) -> None:
    connect(lying(cancel=lies, query=[Lie.HONEST, Lie.LATE, Lie.LOST_ANSWER]))
    quote = quoted(world, till)
    pay(till, quote, part())
    till.post(f"quotes/{quote['quote_id']}/release", {})
    run_out(now)
    assert states(quote) == ["returned"]
    assert taken_from_citizens() == 0


# -- settled, and the capture


LIES_ABOUT_CAPTURING = [
    [Lie.LOST_ANSWER],
    [Lie.LOST_REQUEST] * 3,
    [Lie.FALSE_YES, Lie.FALSE_YES],
    [Lie.FALSE_NO],
    [Lie.LATE, Lie.LATE, Lie.TWICE],
]


@pytest.mark.parametrize("lies", LIES_ABOUT_CAPTURING, ids=str)
def test_a_capture_is_tried_until_the_service_says_so_when_asked(
    world: World, till: Till, now: datetime, lies: list[Lie]
) -> None:
    opening = balances()
    service = connect(lying(capture=lies, query=[Lie.HONEST, Lie.LATE, Lie.LOST_ANSWER]))
    quote = quoted(world, till)
    pay(till, quote, part())
    assert settle(till, quote).status == 201
    run_out(now)
    service.deliver_late()
    assert states(quote) == ["captured"]
    assert SimulatedPayment.objects.get().standing == "captured"
    assert_sound(opening=opening)


def refuses_capture(world: World, till: Till, *others: dict[str, Any]) -> Reply:
    """A settlement of 186 yuan, 180 of them by a service that will refuse the capture."""
    quote = quoted(world, till)
    bad = part("wechat", 18_000, payment_code="130000000000000054")
    pay(till, quote, *(others or (part("cash", 600),)), bad)
    assert settle(till, quote).status == 201
    return quote


def debt_on_the_books() -> dict[str, int]:
    found: dict[str, int] = {}
    for account, amount_fen in Posting.objects.filter(transaction__kind="debt").values_list(
        "account", "amount_fen"
    ):
        found[account] = found.get(account, 0) + amount_fen
    return {account: amount_fen for account, amount_fen in found.items() if amount_fen}


def test_a_capture_that_fails_becomes_a_named_debt(world: World, till: Till, now: datetime) -> None:
    opening = balances()
    quote = refuses_capture(world, till)
    run_out(now)
    assert states(quote) == ["captured", "debt"]
    merchant = world.pharmacy.pk
    assert debt_on_the_books() == {
        f"debt:{merchant}:wechat": 18_000,
        f"merchant:{merchant}:till": -18_000,
    }
    assert taken_from_citizens() + named_debts() == 18_600
    assert_sound(opening=opening)


def test_a_debt_that_is_repaid_is_off_the_books(world: World, till: Till, now: datetime) -> None:
    refuses_capture(world, till)
    run_out(now)
    tender = Tender.objects.get(state="debt")
    assert debts.repay(tender_id=tender.pk, who="staff", now=now) == 18_000
    run_out(now)
    assert debt_on_the_books() == {}
    with pytest.raises(debts.NotOwed):
        debts.repay(tender_id=tender.pk, who="staff", now=now)


def test_a_refund_of_what_is_owed_relieves_the_debt_and_gives_back_the_rest(
    world: World, till: Till, now: datetime
) -> None:
    opening = balances()
    quote = refuses_capture(world, till)
    run_out(now)
    settlement_id = str(Settlement.objects.get().pk)
    assert till.post("refunds", {"settlement_id": settlement_id, "reason": "x"}).status == 201
    run_out(now)
    assert debt_on_the_books() == {}
    assert taken_from_citizens() == named_debts() == 0
    assert states(quote) == ["captured", "debt"]
    assert_sound(opening=opening)


def test_a_refund_before_the_capture_fails_relieves_the_debt_likewise(
    world: World, till: Till, now: datetime
) -> None:
    refuses_capture(world, till)
    settlement_id = str(Settlement.objects.get().pk)
    assert till.post("refunds", {"settlement_id": settlement_id, "reason": "x"}).status == 201
    run_out(now)
    assert debt_on_the_books() == {}
    assert taken_from_citizens() == named_debts() == 0


def test_a_refund_after_a_debt_was_repaid_is_handed_out(
    world: World, till: Till, now: datetime
) -> None:
    quote = refuses_capture(world, till)
    run_out(now)
    debts.repay(tender_id=Tender.objects.get(state="debt").pk, who="staff", now=now)
    settlement_id = str(Settlement.objects.get().pk)
    till.post("refunds", {"settlement_id": settlement_id, "reason": "x"})
    run_out(now)
    assert debt_on_the_books() == {}
    (refund,) = look(till, quote)["parts"][1]["refunds"]
    assert (refund["state"], refund["by_hand"], refund["amount_fen"]) == ("returned", True, 18_000)


def test_what_goes_back_after_a_repayment_leaves_nothing_of_the_debt_on_the_books(
    world: World, till: Till, now: datetime
) -> None:
    refuses_capture(world, till)
    run_out(now)
    debts.repay(tender_id=Tender.objects.get(state="debt").pk, who="staff", now=now)
    settlement_id = str(Settlement.objects.get().pk)
    till.post("refunds", {"settlement_id": settlement_id, "reason": "x"})
    # A service that never took it says that it went back, before the repayment is posted.
    TenderRefund.objects.filter(tender__kind="wechat").update(
        returned_at=now + timedelta(seconds=1), by_hand=False, due_at=None
    )
    run_out(now)
    assert debt_on_the_books() == {}


@pytest.fixture
def reversing(world: World) -> None:
    TenderRule.objects.create(merchant=world.pharmacy, capture_failed="reverse")


@pytest.mark.usefixtures("reversing")
def test_a_capture_that_fails_reverses_the_settlement_where_the_merchant_wants_it(
    world: World, till: Till, now: datetime
) -> None:
    quote = refuses_capture(world, till, part("alipay", 400), part("cash", 200))
    run_out(now)
    assert Refund.objects.get().cash_fen == 18_600
    assert Settlement.objects.get().refunded_fen == 18_600
    assert states(quote) == ["captured", "captured", "returned"]
    assert taken_from_citizens() == 0
    assert debt_on_the_books() == {}
    assert not TenderRefund.objects.filter(returned_at=None).exists()


@pytest.mark.usefixtures("reversing")
def test_two_captures_that_fail_reverse_the_settlement_once(
    world: World, till: Till, now: datetime
) -> None:
    other = part("alipay", 600, payment_code="280000000000000054")
    quote = refuses_capture(world, till, other)
    run_out(now)
    assert Refund.objects.count() == 1
    assert states(quote) == ["returned", "returned"]
    assert taken_from_citizens() == 0


def test_a_capture_that_stays_unknown_is_made_certain_when_its_clock_has_run_out(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    settings.TENDER_CAPTURE_S = 3_600
    connect(lying(capture=Lie.LOST_REQUEST))
    quote = quoted(world, till)
    pay(till, quote, part())
    settle(till, quote)
    work(now + timedelta(seconds=1_000))
    assert states(quote) == ["capturing"]
    end = run_out(now)
    assert end >= now + timedelta(seconds=3_600)
    assert states(quote) == ["debt"]
    assert taken_from_citizens() == 0


# -- refunds


def test_a_refund_goes_back_the_way_the_money_came(world: World, till: Till, now: datetime) -> None:
    opening = balances()
    connect(lying(refund=[Lie.LOST_ANSWER, Lie.TWICE, Lie.FALSE_YES, Lie.LATE, Lie.FALSE_NO]))
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 10_000), part("alipay", 8_000), part("cash", 600))
    settled = settle(till, quote)
    run_out(now)
    refund = {"settlement_id": settled["settlement_id"], "reason": "wrong pack"}
    assert till.post("refunds", refund).status == 201
    run_out(now)
    assert taken_from_citizens() == 0
    answer = look(till, quote)
    assert [each["refunds"][0]["amount_fen"] for each in answer["parts"]] == [10_000, 8_000, 600]
    assert {each["refunds"][0]["state"] for each in answer["parts"]} == {"returned"}
    assert_sound(opening=opening)


def test_a_refund_before_the_capture_waits_for_it(world: World, till: Till, now: datetime) -> None:
    quote = quoted(world, till)
    pay(till, quote, part())
    settled = settle(till, quote)
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    run_out(now)
    assert states(quote) == ["captured"]
    assert taken_from_citizens() == 0


def test_a_refund_of_every_state_before_the_capture_waits_for_it(
    world: World, till: Till, now: datetime
) -> None:
    connect(lying(capture=[Lie.LOST_REQUEST]))
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 18_000), part("cash", 600))
    settled = settle(till, quote)
    work(now)
    assert states(quote) == ["capturing", "captured"]
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    assert look(till, quote)["parts"][0]["refunds"][0]["state"] == "returning"
    second = quoted(world, till)
    pay(till, second, part("cash", 600), part("wechat", 18_000))
    settled = settle(till, second)
    # Before the worker has looked at all.
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    assert states(second) == ["received", "authorised"]
    run_out(now)
    assert states(quote) == states(second)[::-1] == ["captured", "captured"]
    assert taken_from_citizens() == 0


# -- credit


def test_credit_is_used_up_to_its_limit_and_the_till_is_told_what_is_left_to_take(
    world: World, till: Till, now: datetime
) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=5_000)
    quote = quoted(world, till)
    answer = pay(till, quote, part("credit", 18_600))
    assert (answer["parts"][0]["amount_fen"], answer["parts"][0]["state"]) == (5_000, "authorised")
    assert answer["left_fen"] == 13_600
    pay(till, quote, part("cash", 13_600))
    assert settle(till, quote).status == 201
    run_out(now)
    assert CreditLine.objects.get().used_fen == 5_000


def test_without_a_line_everything_is_left_to_take_in_cash(world: World, till: Till) -> None:
    answer = pay(till, quoted(world, till), part("credit", 18_600))
    assert (answer["parts"][0]["state"], answer["left_fen"]) == ("declined", 18_600)


def test_credit_comes_back_with_the_quote_and_with_the_refund(
    world: World, till: Till, now: datetime
) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=20_000)
    quote = quoted(world, till)
    pay(till, quote, part("credit", 18_600))
    till.post(f"quotes/{quote['quote_id']}/release", {})
    run_out(now)
    assert CreditLine.objects.get().used_fen == 0
    quote = quoted(world, till)
    pay(till, quote, part("credit", 18_600))
    settled = settle(till, quote)
    run_out(now)
    credit.repay(member_id=world.retiree.pk, amount_fen=10_000, now=now)
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    run_out(now)
    line = CreditLine.objects.get()
    # What was repaid before the refund is now owed the other way round.
    assert (line.used_fen, line.owed_fen) == (0, 10_000)


def test_a_repayment_makes_room_and_is_never_more_than_is_due(
    world: World, till: Till, now: datetime
) -> None:
    member_id = world.retiree.pk
    credit.grant(member_id=member_id, limit_fen=18_600)
    quote = quoted(world, till)
    pay(till, quote, part("credit", 18_600))
    with pytest.raises(credit.RepaysTooMuch):
        credit.repay(member_id=member_id, amount_fen=1, now=now)
    settle(till, quote)
    run_out(now)
    with pytest.raises(credit.RepaysTooMuch):
        credit.repay(member_id=member_id, amount_fen=18_601, now=now)
    assert credit.repay(member_id=member_id, amount_fen=600, now=now).used_fen == 18_000
    answer = pay(till, quoted(world, till), part("credit", 18_600))
    assert answer["parts"][0]["amount_fen"] == 600
    with pytest.raises(credit.LimitBelowUse):
        credit.grant(member_id=member_id, limit_fen=18_599)


def test_the_database_itself_refuses_credit_beyond_its_limit(world: World) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=100)
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditLine.objects.update(used_fen=101)


def test_a_lender_that_is_asked_twice_lends_once(world: World, till: Till) -> None:
    credit.grant(member_id=world.retiree.pk, limit_fen=20_000)
    pay(till, quoted(world, till), part("credit", 5_000))
    reference = Tender.objects.get().reference
    provider = connections.connected()["credit"]
    assert provider.authorise(reference, 5_000, "").standing == "authorised"
    assert provider.cancel(reference).standing == "closed"
    assert provider.cancel(reference).standing == "closed"
    assert provider.authorise(reference, 5_000, "").standing == "closed"
    assert provider.capture(reference).standing == "closed"
    assert CreditLine.objects.get().used_fen == 0
    assert CreditUse.objects.count() == 1


# -- the simulator


def test_the_same_seed_tells_the_same_lies() -> None:
    calls = [("capture", f"r{n}", nth) for n in range(20) for nth in range(3)]
    first, second, other = ([seeded(seed)(*call) for call in calls] for seed in (1, 1, 2))
    assert first == second != other
    assert set(first) == set(Lie)


def test_with_a_seed_a_whole_day_still_comes_out_right(
    world: World, till: Till, now: datetime
) -> None:
    service = connect(seeded(7))
    for amount_fen in (18_600, 18_000, 10_000, 600):
        quote = quoted(world, till)
        pay(till, quote, part("wechat", amount_fen), part("cash", 18_600 - amount_fen or 1))
        work(now)
        settle(till, quote)
    run_out(now)
    service.deliver_late()
    run_out(now)
    assert taken_from_citizens() + named_debts() == cash_of_standing_settlements()


@pytest.mark.parametrize(
    ("end", "state"),
    [("0051", "declined"), ("0054", "authorised"), ("0091", "unknown"), ("0092", "unknown")],
)
def test_the_end_of_a_payment_code_brings_things_about(
    world: World, till: Till, now: datetime, end: str, state: str
) -> None:
    quote = quoted(world, till)
    code = f"13000000000000{end}"
    assert pay(till, quote, part(payment_code=code))["parts"][0]["state"] == state
    for seconds in range(0, 60, 5):
        work(now + timedelta(seconds=seconds))
    assert states(quote) == ["authorised" if end == "0091" else state]


def test_without_the_simulator_nobody_moves_wechat_and_alipay(settings: Any) -> None:
    settings.TENDER_SIMULATOR = False
    assert set(connections.connected()) == {"cash", "bank_card", "credit"}


# -- the worker


def test_what_is_wrong_with_one_tender_keeps_no_other_waiting(
    world: World, till: Till, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    quote = quoted(world, till)
    pay(till, quote, part("wechat", 600), part("alipay", 18_000))
    settle(till, quote)
    first = Tender.objects.order_by("number").first()
    assert first is not None
    from settlement.services.tender import driving

    real = driving._capture

    def poisoned(tender: Tender, *rest: Any) -> None:
        if tender.pk == first.pk:
            raise ZeroDivisionError
        real(tender, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(driving, "_capture", poisoned)
        with pytest.raises(ExceptionGroup):
            work(now)
    assert states(quote) == ["capturing", "captured"]
    run_out(now)
    assert states(quote) == ["captured", "captured"]


def test_a_tender_in_hand_is_left_alone_by_other_workers_for_a_minute(
    world: World, till: Till, now: datetime
) -> None:
    quote = quoted(world, till)
    pay(till, quote, part())
    settle(till, quote)
    seen: list[int] = []

    def look_meanwhile(call: str, reference: str, nth: int) -> Lie:
        if call == "capture":
            seen.append(drive_due(now=now, limit=10))
        return Lie.HONEST

    connect(look_meanwhile)
    work(now)
    assert seen == [0]
    assert states(quote) == ["captured"]


def test_the_answer_of_a_tender_is_in_the_inbox_as_it_was_given(world: World, till: Till) -> None:
    quote = quoted(world, till)
    answer = pay(till, quote, part(), key="pay")
    assert InboxEntry.objects.get(key="pay").body == answer.text
    assert till.get("outcomes/pay")["answer"] == answer.body
