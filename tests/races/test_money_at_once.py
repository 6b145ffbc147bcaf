"""Settlements, quotes and refunds of one person at one moment, from more than one till."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from settlement.models import (
    Account,
    FeeBatch,
    Pickup,
    PrescriptionLine,
    Refund,
    Restatement,
    Settlement,
    TraceCode,
)
from settlement.services.reversals import reverse_overdue
from tests.city import RESTATES, City, item, share_account, today
from tests.ledger_checks import assert_sound, balances
from tests.races.rivals import at_once, between_statements, forced, lose_connection, member_locked
from tests.rows import added, counts
from tests.world import Reply, Till, World, line
from voucher.models import Member

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

# More than half of what is in the account.
DEAR = ("A4", "40", "18.6")


def bill(world: World, till: Till, *lines: dict[str, Any], **who: Any) -> dict[str, Any]:
    return {
        "scan_id": world.scan(till, **who),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [line()],
    }


def chronic(world: World, till: Till, *lines: dict[str, Any]) -> dict[str, Any]:
    return {
        **bill(world, till, *lines),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
    }


def tills(world: World, number: int) -> list[Till]:
    return [world.till(name=f"till {n}") for n in range(number)]


def finish(world: World, opening: dict[int, int]) -> None:
    assert_sound(opening=opening, drained=False)
    world.post_everything()
    assert_sound(opening=opening)


# ---------------------------------------------------------------- one key


def test_the_same_key_eight_times_at_once_is_one_effect_and_eight_equal_answers(
    world: World, opening: dict[int, int]
) -> None:
    till = world.till()
    for round_ in range(5):
        body = bill(world, till)
        settle = partial(till.post, "settlements", body, key=f"sale-{round_}")
        replies = at_once([settle] * 8)
        assert {(reply.status, reply.text) for reply in replies} == {(201, replies[0].text)}
        fresh = [reply for reply in replies if "idempotent-replay" not in reply.headers]
        assert len(fresh) == 1
        assert Settlement.objects.count() == round_ + 1
    finish(world, opening)


def test_a_rival_with_the_same_key_waits_and_gets_the_stored_answer(
    world: World, opening: dict[int, int]
) -> None:
    till = world.till()
    body = bill(world, till)
    race = forced(
        lambda: till.post("settlements", body, key="sale"),
        lambda: till.post("settlements", body, key="sale"),
        before="UPDATE messaging_inboxentry",
    )
    assert race.second_waited
    assert race.first.text == race.second.text
    assert race.second.headers["idempotent-replay"] == "true"
    finish(world, opening)


def test_a_rival_with_the_same_key_and_other_content_waits_and_is_refused(world: World) -> None:
    till = world.till()
    body = bill(world, till)
    race = forced(
        lambda: till.post("settlements", body, key="sale"),
        lambda: till.post("settlements", {**body, "account_limit_fen": 1}, key="sale"),
        before="UPDATE messaging_inboxentry",
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "idempotency_key_reused")
    assert Settlement.objects.count() == 1


# ---------------------------------------------------------------- settle × settle


def test_two_tills_settle_for_one_person_and_the_account_is_spent_once(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    bills = [bill(world, till, line(*DEAR)) for till in (one, two)]
    race = forced(
        lambda: one.post("settlements", bills[0]),
        lambda: two.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first["account_fen"], race.second["account_fen"]) == (74_400, 25_600)
    assert (race.first["member_seq"], race.second["member_seq"]) == (1, 2)
    assert Account.objects.get(member=world.retiree).balance_fen == 0
    finish(world, opening)


def test_eight_tills_settle_on_and_on_for_one_person(world: World, opening: dict[int, int]) -> None:
    rivals = tills(world, 8)
    bills = [chronic(world, till, line("A4", "9", "18.6")) for till in rivals]

    def sell(till: Till, body: dict[str, Any]) -> list[int]:
        return [till.post("settlements", body).status for _ in range(6)]

    statuses = at_once([lambda t=t, b=b: sell(t, b) for t, b in zip(rivals, bills, strict=True)])  # type: ignore[misc]
    assert statuses == [[201] * 6] * 8
    assert sorted(Settlement.objects.values_list("member_seq", flat=True)) == list(range(1, 49))
    finish(world, opening)


def test_the_deductible_is_met_once_by_two_tills_at_once(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    bills = [chronic(world, till, line("A4", "50", "18.6")) for till in (one, two)]
    race = forced(
        lambda: one.post("settlements", bills[0]),
        lambda: two.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert race.first["pool_fen"] == 0
    assert race.second["pool_fen"] == (2 * 93_000 - 100_000) * 80 // 100
    finish(world, opening)


def test_the_lines_of_a_visit_are_settled_by_one_of_two_tills(
    world: World, opening: dict[int, int]
) -> None:
    one, two = world.till(world.clinic), world.till(world.clinic, name="till 2")
    visit_id = one.post("visits", {"scan_id": world.scan(one, use="registration")})["visit_id"]
    one.post(f"visits/{visit_id}/fee-batches", {"lines": [line("S2", "1", "20")]})
    body = {"benefit_kind": "outpatient", "visit_id": visit_id}
    race = forced(
        lambda: one.post("settlements", body),
        lambda: two.post("settlements", body),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "bill_empty")
    finish(world, opening)


def test_a_ceiling_holds_against_two_tills_at_once(world: World, opening: dict[int, int]) -> None:
    from voucher.tokens import Scope

    one, two = tills(world, 2)
    body = {
        "scan_id": world.scan(one, scope=Scope(ceiling_fen=2_000)),
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    race = forced(
        lambda: one.post("settlements", body),
        lambda: two.post("settlements", body),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "ceiling_exceeded")
    finish(world, opening)


# ---------------------------------------------------------------- quotes


def test_two_tills_quote_at_once_and_one_of_them_holds_it(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    bills = [chronic(world, till) for till in (one, two)]
    race = forced(
        lambda: one.post("quotes", bills[0]),
        lambda: two.post("quotes", bills[1]),
        before='INSERT INTO "settlement_quote"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "open_quote_elsewhere")
    assert race.second["seconds_left"] > 0
    finish(world, opening)


def test_a_quote_confirmed_by_eight_at_once_is_one_settlement(
    world: World, opening: dict[int, int]
) -> None:
    rivals = tills(world, 8)
    quote = rivals[0].post("quotes", chronic(world, rivals[0]))
    body = {"quote_id": quote["quote_id"]}
    replies = at_once([lambda t=t: t.post("settlements", body) for t in rivals])  # type: ignore[misc]
    assert sorted(reply.status for reply in replies) == [201] + [409] * 7
    assert Settlement.objects.count() == 1
    finish(world, opening)


def test_a_quote_released_while_it_is_confirmed_is_one_or_the_other(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    quote = one.post("quotes", chronic(world, one))
    race = forced(
        lambda: two.post(f"quotes/{quote['quote_id']}/release", {}),
        lambda: one.post("settlements", {"quote_id": quote["quote_id"]}),
        before="UPDATE settlement_quote SET state = 'released'",
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (200, "quote_not_live")
    assert not Settlement.objects.exists()
    finish(world, opening)


def test_holds_of_two_tills_at_once_never_exceed_the_account(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    bills = [bill(world, till, line(*DEAR)) for till in (one, two)]
    race = forced(
        lambda: one.post("quotes", bills[0]),
        lambda: two.post("quotes", bills[1]),
        before='INSERT INTO "settlement_hold"',
    )
    assert race.second_waited
    assert (race.first["account_fen"], race.second["account_fen"]) == (74_400, 25_600)
    for reply in (race.second, race.first):
        assert one.post("settlements", {"quote_id": reply["quote_id"]}).status == 201
    finish(world, opening)


# ---------------------------------------------------------------- refunds


def test_a_settlement_refunded_by_eight_at_once_is_refunded_once(
    world: World, opening: dict[int, int]
) -> None:
    rivals = tills(world, 8)
    settled = rivals[0].post("settlements", bill(world, rivals[0]))
    body = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    replies = at_once([lambda t=t: t.post("refunds", body) for t in rivals])  # type: ignore[misc]
    assert sorted(reply.status for reply in replies) == [201] + [409] * 7
    assert Refund.objects.count() == 1
    finish(world, opening)


def test_a_second_refund_waits_for_the_first_and_is_refused(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    settled = one.post("settlements", bill(world, one))
    body = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    race = forced(
        lambda: one.post("refunds", body),
        lambda: two.post("refunds", body),
        before='INSERT INTO "settlement_refund"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "already_refunded")
    finish(world, opening)


@pytest.mark.parametrize("refund_first", [True, False])
def test_a_settlement_and_a_refund_of_one_person_go_one_after_the_other(
    world: World, opening: dict[int, int], refund_first: bool
) -> None:
    one, two = tills(world, 2)
    settled = one.post("settlements", chronic(world, one, line(*DEAR)))
    body = chronic(world, two, line(*DEAR))

    def give_back() -> Any:
        return one.post(
            "refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"}
        )

    def sell() -> Any:
        return two.post("settlements", body)

    if refund_first:
        race = forced(give_back, sell, before='INSERT INTO "settlement_refund"')
        assert race.second["account_fen"] == 74_400
    else:
        race = forced(sell, give_back, before='INSERT INTO "settlement_settlement"')
        assert race.first["account_fen"] == 25_600
    assert race.second_waited
    assert (race.first.status, race.second.status) == (201, 201)
    finish(world, opening)


# ---------------------------------------------------------------- packs, prescriptions, drugs


def test_one_pack_at_two_tills_for_two_people_is_sold_once(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    pack = line(trace_codes=["81000000000000000001"])
    bills = [bill(world, one, pack), bill(world, two, pack, member=world.worker)]
    # Two members, two locks: only the pack's own row stands between them.
    race = forced(
        lambda: one.post("settlements", bills[0]),
        lambda: two.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "trace_code_used")
    assert TraceCode.objects.count() == 1
    finish(world, opening)


def test_packs_in_opposite_orders_do_not_lock_each_other_out(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    packs = [f"8100{n}" for n in range(20)]
    for round_ in range(5):
        codes = [f"{pack}-{round_}" for pack in packs]
        bills = [
            bill(world, one, line(trace_codes=codes)),
            bill(world, two, line(trace_codes=codes[::-1]), member=world.worker),
        ]
        replies = at_once(
            [
                partial(one.post, "settlements", bills[0]),
                partial(two.post, "settlements", bills[1]),
            ]
        )
        assert sorted(reply.status for reply in replies) == [201, 409]
    finish(world, opening)


def test_a_prescription_at_two_tills_is_filled_to_its_quantity(
    world: World, opening: dict[int, int]
) -> None:
    one, two = tills(world, 2)
    tablets = line("A1", "3", "25", prescription=world.prescription(quantity="4"))
    bills = [bill(world, till, tablets) for till in (one, two)]
    race = forced(
        lambda: one.post("settlements", bills[0]),
        lambda: two.post("settlements", bills[1]),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "prescription_exhausted")
    assert PrescriptionLine.objects.get().filled_e4 == 30_000
    finish(world, opening)


def test_drugs_at_two_windows_are_handed_out_once(world: World) -> None:
    one, two = world.till(world.clinic), world.till(world.clinic, name="window 2")
    visit_id = one.post("visits", {"scan_id": world.scan(one, use="registration")})["visit_id"]
    one.post(f"visits/{visit_id}/fee-batches", {"lines": [line()]})
    settled = one.post("settlements", {"benefit_kind": "outpatient", "visit_id": visit_id})
    bodies = [
        {
            "scan_id": world.scan(till, use="drug_pickup"),
            "settlement_id": settled["settlement_id"],
        }
        for till in (one, two)
    ]
    race = forced(
        lambda: one.post(f"visits/{visit_id}/pickups", bodies[0]),
        lambda: two.post(f"visits/{visit_id}/pickups", bodies[1]),
        before='INSERT INTO "settlement_pickup"',
    )
    assert race.second_waited
    assert (race.first.status, race.second["code"]) == (201, "already_picked_up")
    assert Pickup.objects.count() == 1


def test_batches_uploaded_at_once_are_numbered_without_a_gap(world: World) -> None:
    rivals = [world.till(world.clinic, name=f"till {n}") for n in range(8)]
    visit_id = rivals[0].post("visits", {"scan_id": world.scan(rivals[0], use="registration")})[
        "visit_id"
    ]
    body = {"lines": [line("S2", "1", "20")]}
    path = f"visits/{visit_id}/fee-batches"
    replies = at_once([lambda t=t: t.post(path, body) for t in rivals])  # type: ignore[misc]
    assert [reply.status for reply in replies] == [201] * 8
    assert sorted(FeeBatch.objects.values_list("number", flat=True)) == list(range(1, 9))


# ---------------------------------------------------------------- passing trouble


def test_a_lock_held_too_long_is_try_again_and_leaves_nothing(
    world: World, opening: dict[int, int]
) -> None:
    till = world.till()
    body = bill(world, till)
    before = counts()
    with member_locked(world.retiree.pk):
        busy = till.post("settlements", body, key="sale")
    assert (busy.status, busy["code"]) == (503, "try_again")
    assert busy.headers["retry-after"]
    assert added(before) == {}
    assert till.post("settlements", body, key="sale").status == 201
    finish(world, opening)


def test_a_connection_lost_at_any_statement_of_a_settlement_is_try_again(
    world: World, opening: dict[int, int]
) -> None:
    """The same key afterwards is one settlement, whichever statement it was."""
    till = world.till()
    prescription = world.prescription(quantity="100")
    lost_at = 0
    for position in range(1, 60):
        body = bill(world, till, line("A1", "1", "25", prescription=prescription))
        seen, over = 0, False

        def cut(sql: str, position: int = position) -> None:
            nonlocal seen, over
            if not over and (seen or "INSERT INTO messaging_inboxentry" in sql):
                seen += 1
                over = "UPDATE messaging_inboxentry" in sql
                if seen == position:
                    lose_connection()

        key = f"sale-{position}"
        with between_statements(cut):
            first = till.post("settlements", body, key=key)
        connection.close()
        again = till.post("settlements", body, key=key)
        assert again.status == 201, again.text
        if seen < position:
            # Every statement of the settlement has had its turn.
            assert first.status == 201
            break
        assert (first.status, first["code"]) == (503, "try_again"), position
        assert "idempotent-replay" not in again.headers
        lost_at += 1
    assert lost_at >= 10
    assert Settlement.objects.count() == lost_at + 1
    finish(world, opening)


@pytest.mark.parametrize("committed", [False, True])
def test_a_connection_lost_at_the_commit_is_one_settlement_with_the_same_key(
    world: World, opening: dict[int, int], committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one moment at which nobody can know: the key finds out."""
    till = world.till()
    body = bill(world, till)
    real, waiting = BaseDatabaseWrapper._commit, [True]

    def commit(self: BaseDatabaseWrapper) -> None:
        if not waiting:
            return real(self)
        waiting.clear()
        if committed:
            real(self)
            self.close()
            raise OperationalError("the answer to the commit was lost")
        lose_connection()
        return real(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit)
    lost = till.post("settlements", body, key="sale")
    connection.close()
    assert (lost.status, lost["code"]) == (503, "try_again")
    assert Settlement.objects.count() == int(committed)
    again = till.post("settlements", body, key="sale")
    assert again.status == 201
    assert ("idempotent-replay" in again.headers) == committed
    assert Settlement.objects.count() == 1
    finish(world, opening)


# ---------------------------------------------------------------- time


def test_a_person_who_is_held_keeps_no_other_reversal_waiting(
    world: World, opening: dict[int, int]
) -> None:
    till = world.till()
    held, free = (
        till.post("settlements", {**bill(world, till, member=member), "confirm_within_s": 10})
        for member in (world.retiree, world.worker)
    )
    later = timezone.now() + timedelta(seconds=11)
    with member_locked(world.retiree.pk):
        assert reverse_overdue(now=later, limit=10) == 2
        assert str(Refund.objects.get().settlement_id) == free["settlement_id"]
    assert reverse_overdue(now=later, limit=10) == 1
    assert Refund.objects.filter(settlement=held["settlement_id"]).exists()
    finish(world, opening)


# ---------------------------------------------------------------- relatives


def shared_city() -> tuple[City, Member, list[Member]]:
    """A holder with 1,000 yuan, and two relatives with nothing of their own who may spend it."""
    city = City.made("350500")
    holder = city.person(1)
    relatives = [city.person(number, balance_fen=0) for number in (2, 3)]
    for relative in relatives:
        share_account(holder, relative)
    return city, holder, relatives


def spend(city: City, till: Till, member: Member, yuan: int) -> Reply:
    return till.post(
        "settlements",
        {
            "scan_id": city.scan(till, member, use="pharmacy_purchase"),
            "benefit_kind": "pharmacy_account",
            "lines": [item("XA01", yuan)],
        },
    )


def test_a_relative_waits_for_the_holder_who_is_at_another_till() -> None:
    city, holder, (relative, _other) = shared_city()
    opening = balances()
    one, two = city.pharmacy_till(), city.hospital_till()
    race = forced(
        lambda: spend(city, one, holder, 700),
        lambda: spend(city, two, relative, 700),
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.second_waited
    assert (race.first["account_fen"], race.second["relative_fen"]) == (70_000, 30_000)
    finish(city.world, opening)


def test_a_family_that_shares_one_account_at_three_tills_spends_it_once() -> None:
    city, holder, relatives = shared_city()
    # And back: everybody may spend everybody's, so that locks could be wanted in any order.
    for relative in relatives:
        share_account(relative, holder)
    opening = balances()
    family = [(city.pharmacy_till(), holder), *((city.pharmacy_till(), one) for one in relatives)]

    def shop(till: Till, member: Member) -> list[int]:
        return [spend(city, till, member, 90).status for _ in range(6)]

    statuses = at_once([partial(shop, till, member) for till, member in family])
    assert statuses == [[201] * 6] * 3
    assert sum(balances().values()) == 0
    assert Settlement.objects.filter(cash_fen__gt=0).exists()
    finish(city.world, opening)


def test_a_relative_who_paid_while_a_return_was_on_its_way_is_waited_for_and_asked_again() -> None:
    with today(2026, 11, 10):
        city = City.made("370300", text=RESTATES)
        holder, member = city.person(1), city.person(2, balance_fen=0)
        share_account(holder, member)
        hospital, pharmacy = city.hospital_till(), city.pharmacy_till()
        opening = balances()
        visit = city.visit(hospital, member, kind="outpatient")
        city.fees(hospital, visit, item("XA01", 1_750))
        bill = {"visit_id": visit, "benefit_kind": "outpatient"}
        first = hospital.post("settlements", {**bill, "relative_limit_fen": 0})
        wish = {"settlement_id": first["settlement_id"], "reason": "returned"}
        give_back = partial(hospital.post, "refunds", wish, key="return")
        race = forced(
            give_back,
            lambda: spend(city, pharmacy, member, 600),
            before="FROM voucher_member",
        )
        assert not race.second_waited
        assert race.second.status == 201, race.second.text
        # It had locked the people it knew of; nothing is done, and the same key may come again.
        assert race.first.status == 503
        assert not Refund.objects.exists()
        assert give_back()["restated"]["settlements"] == 1
        row = Restatement.objects.get()
        assert str(row.settlement_id) == race.second["settlement_id"]
        finish(city.world, opening)
