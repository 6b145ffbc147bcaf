"""A return into a declared month: asked for by trying, decided by the fund, gone through once."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command

from messaging.days import moment
from settlement.models import Account, Refund, RefundApproval, Settlement
from settlement.selectors.audit import audit
from settlement.selectors.presence import NotFound
from settlement.services.approvals import decide
from settlement.services.sealer import seal_all
from settlement.services.summariser import fold_all
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.settlement.declared_world import (
    A_DAY,
    NOVEMBER,
    Counter,
    at,
    decided,
    now,
    open_counter,
    sold,
)
from tests.settlement.test_ledger_audit import openings
from tests.world import line

pytestmark = pytest.mark.django_db

FIRST = {"no": 1}
TEN_OF_FIRST = {"no": 1, "quantity": "10"}
SECOND = {"no": 2}


@pytest.fixture
def counter(seal_file: Path) -> Any:
    """On December 1st, with November declared."""
    made = open_counter(seal_file)
    with at(1):
        yield made


def refused(reply: Any) -> tuple[int, str]:
    return reply.status, reply.body.get("code", "")


def test_the_first_ask_is_refused_and_stays_for_the_fund(counter: Counter) -> None:
    before = counts()
    reply = counter.give_back()
    assert refused(reply) == (409, "refund_needs_approval")
    assert added(before) == {"InboxEntry": 1, "RefundApproval": 1}
    row = RefundApproval.objects.get()
    assert (reply["approval_id"], reply["state"]) == (str(row.pk), "waiting")
    assert reply["since"] == moment(now())
    settlement = Settlement.objects.get()
    assert row.shares == {share.payer: share.amount_fen for share in settlement.shares.all()}
    assert sum(row.shares.values()) == settlement.total_fen
    assert [(part["no"], part["amount_fen"]) for part in row.parts] == [(1, 74_400), (2, 111_600)]
    assert (row.merchant, row.terminal_id) == (counter.world.pharmacy, counter.till.terminal_id)
    assert (row.reason, row.decided_by, row.refund) == ("returned", "", None)
    assert settlement.refunded_fen == 0


def test_the_same_ask_finds_the_same_row_however_it_is_spelt(counter: Counter) -> None:
    first = counter.asked()
    other = counter.world.till(name="till 3")
    before = counts()
    again = [
        counter.asked(till=other, reason="still wants it back"),
        counter.asked(SECOND, FIRST),
        counter.asked({"no": 2, "quantity": "60"}, {"no": 1, "quantity": "40.0"}),
    ]
    assert {row.pk for row in again} == {first.pk}
    assert added(before) == {"InboxEntry": 3}
    assert RefundApproval.objects.get().reason == "returned"


def test_the_same_key_is_answered_alike_and_another_part_is_another_ask(counter: Counter) -> None:
    body = {"settlement_id": counter.settlement["settlement_id"], "reason": "returned"}
    first = counter.till.post("refunds", body, key="ask")
    decided(RefundApproval.objects.get(), "approve")
    again = counter.till.post("refunds", body, key="ask")
    assert (again.body, again.headers.get("idempotent-replay")) == (first.body, "true")
    assert counter.asked(FIRST).pk != counter.asked(SECOND).pk
    assert RefundApproval.objects.count() == 3


def test_an_approved_return_goes_through_once_and_is_used(counter: Counter) -> None:
    opening = balances()
    row = counter.approved()
    reply = counter.give_back()
    assert reply.status == 201, reply.text
    row.refresh_from_db()
    assert (row.state, str(row.refund_id)) == ("used", reply["refund_id"])
    assert {share["payer"]: share["amount_fen"] for share in reply["shares"]} == row.shares
    refund = Refund.objects.get()
    assert (refund.kind, f"{refund.accounting_month:%Y-%m}") == ("refund", "2026-12")
    assert refused(counter.give_back()) == (409, "already_refunded")
    counter.world.post_everything()
    assert sum(balances().values()) > sum(opening.values())


def test_an_approved_part_goes_through_and_the_rest_is_asked_for_by_itself(
    counter: Counter,
) -> None:
    part = counter.approved(FIRST)
    assert counter.give_back(FIRST).status == 201
    rest = counter.asked()
    assert [one["no"] for one in rest.parts] == [2]
    assert decided(rest, "approve")
    # By another till of the same institution, and spelt out.
    reply = counter.give_back(SECOND, till=counter.world.till(name="till 3"))
    assert reply.status == 201, reply.text
    settlement = Settlement.objects.get()
    assert settlement.refunded_fen == settlement.total_fen
    states = dict(RefundApproval.objects.values_list("pk", "state"))
    assert states == {part.pk: "used", rest.pk: "used"}


def test_an_approval_is_good_for_one_return_of_several_alike(counter: Counter) -> None:
    """Ten of forty packs can come back four times, and each time is asked for."""
    used = counter.approved(TEN_OF_FIRST)
    assert counter.give_back(TEN_OF_FIRST).status == 201
    again = counter.asked(TEN_OF_FIRST)
    assert again.pk != used.pk
    assert Refund.objects.count() == 1


def test_a_declined_return_is_refused_with_what_the_fund_says(counter: Counter) -> None:
    row = counter.asked()
    assert decided(row, "decline", "bring the invoice")
    before = counts()
    for _ in range(2):
        reply = counter.give_back()
        assert refused(reply) == (409, "refund_declined")
        assert (reply["note"], reply["state"]) == ("bring the invoice", "declined")
        assert (reply["approval_id"], reply["since"]) == (str(row.pk), moment(now()))
        assert "bring the invoice" in reply["detail"]
    assert added(before) == {"InboxEntry": 2}
    # Of other goods nothing was said.
    assert counter.asked(FIRST).pk != row.pk


def test_a_declined_return_is_asked_for_anew_with_another_reason(counter: Counter) -> None:
    row = counter.asked()
    decided(row, "decline", "why?")
    anew = counter.asked(reason="the doctor changed the medicine")
    assert anew.pk != row.pk
    decided(anew, "decline", "no")
    # Neither of the reasons that were declined today is heard again today.
    for reason in ("returned", "the doctor changed the medicine"):
        assert counter.give_back(reason=reason)["code"] == "refund_declined"


def test_a_declined_return_is_asked_for_anew_after_a_day(counter: Counter) -> None:
    row = counter.asked()
    decided(row, "decline", "not now")
    with at(2) as clock:
        clock.shift(-timedelta(seconds=1))
        assert counter.give_back()["code"] == "refund_declined"
        clock.shift(timedelta(seconds=1))
        assert now() == row.asked_at + A_DAY
        assert counter.asked().pk != row.pk


def test_what_comes_to_other_shares_by_now_is_a_new_ask(counter: Counter) -> None:
    """The second line after the first is back costs the pool less than it did before."""
    stale = counter.approved(SECOND)
    counter.approved(FIRST)
    assert counter.give_back(FIRST).status == 201
    anew = counter.asked(SECOND)
    stale.refresh_from_db()
    assert (stale.state, stale.refund) == ("overtaken", None)
    assert anew.shares != stale.shares
    assert sum(anew.shares.values()) == sum(stale.shares.values())
    decided(anew, "approve")
    reply = counter.give_back(SECOND)
    assert reply.status == 201
    assert {share["payer"]: share["amount_fen"] for share in reply["shares"]} == anew.shares


def test_what_waits_is_overtaken_likewise(counter: Counter) -> None:
    stale = counter.asked(SECOND)
    counter.approved(FIRST)
    assert counter.give_back(FIRST).status == 201
    anew = counter.asked(SECOND)
    assert RefundApproval.objects.get(pk=stale.pk).state == "overtaken"
    assert not decided(stale, "approve")
    assert RefundApproval.objects.get(pk=anew.pk).state == "waiting"


def test_another_merchant_has_nothing_of_an_approval(counter: Counter) -> None:
    counter.approved()
    stranger = counter.world.till(counter.world.clinic)
    assert refused(counter.give_back(till=stranger)) == (404, "not_found")
    assert RefundApproval.objects.get().state == "approved"
    assert not Refund.objects.exists()


def of_november(counter: Counter, *lines: Any) -> Counter:
    """Another bill of the same person, all of it on the account, put into the declared month."""
    bill = sold(counter.world, counter.till, *lines, benefit_kind="pharmacy_account")
    Settlement.objects.filter(pk=bill["settlement_id"]).update(accounting_month=NOVEMBER)
    return Counter(counter.world, counter.till, bill)


def test_an_approval_of_one_settlement_is_none_of_another(counter: Counter) -> None:
    """Alike to the fen, of the same person."""
    Account.objects.update(balance_fen=100_000)
    one, other = (of_november(counter, line("A4", "1", "18.6")) for _ in range(2))
    approved = one.approved()
    asked = other.asked()
    assert (asked.parts_hash, asked.shares) == (approved.parts_hash, approved.shares)
    assert asked.state == "waiting"


def test_an_approval_of_one_line_is_none_of_another_alike(counter: Counter) -> None:
    Account.objects.update(balance_fen=100_000)
    bill = of_november(counter, line("A4", "1", "18.6"), line("A4", "1", "18.6"))
    approved = bill.approved(FIRST)
    asked = bill.asked(SECOND)
    assert asked.shares == approved.shares
    assert asked.state == "waiting"


def test_an_ask_is_decided_once(counter: Counter) -> None:
    row = counter.asked()
    assert decided(row, "approve", "fine")
    # Pressed twice.
    assert decided(row, "approve", "something else")
    assert not decided(row, "decline", "something else")
    for decision in ("approve", "decline"):
        assert not decided(row, decision, "something else", by="another")
    row.refresh_from_db()
    assert (row.state, row.note, row.decided_by) == ("approved", "fine", "fund")
    assert counter.give_back().status == 201
    assert decided(row, "approve")
    assert not decided(row, "decline")
    assert RefundApproval.objects.get().state == "used"
    with pytest.raises(NotFound):
        decide(approval_id=uuid4(), decision="approve", note="", by="fund", now=now())


def test_nothing_else_is_asked_of_the_fund(counter: Counter) -> None:
    """A bad return is refused as ever, and a return into an open month goes through."""
    for parts, code in (
        ([{"no": 3}], "field_invalid"),
        ([{"no": 1, "quantity": "41"}], "refund_too_much"),
    ):
        assert counter.give_back(*parts)["code"] == code
    today = sold(counter.world, counter.till, line("A4", "1", "18.6"))
    assert Counter(counter.world, counter.till, today).give_back().status == 201
    assert not RefundApproval.objects.exists()


def test_a_closed_month_that_is_not_declared_needs_no_approval(seal_file: Path) -> None:
    one = open_counter(seal_file)
    with at(1):
        Settlement.objects.update(accounting_month="2026-10-01")
        # October was never declared.
        assert one.give_back().status == 201


def test_the_books_are_sound_after_all_of_it(counter: Counter, seal_file: Path) -> None:
    counter.approved(TEN_OF_FIRST)
    assert counter.give_back(TEN_OF_FIRST).status == 201
    decided(counter.asked(SECOND), "decline", "no")
    counter.approved()
    assert counter.give_back().status == 201
    counter.world.post_everything()
    assert_sound(opening=dict.fromkeys(balances(), 100_000))
    seal_all(clock=now, path=seal_file)
    fold_all()
    began = dict.fromkeys(openings(), 100000)
    report = audit(path=seal_file, now=now(), opening=began)
    assert report.sound, report.described()
    call_command("replay")
