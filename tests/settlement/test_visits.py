"""Visits: opened by a scan, filled with fees and prescriptions, billed and handed out."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from merchants.models import Capability
from messaging.days import business_date
from settlement.models import FeeBatch, Line, Pickup, Scan, Settlement, Visit
from tests.ledger_checks import assert_sound, balances
from tests.races.rivals import forced
from tests.rows import added, counts
from tests.world import Reply, Till, World, line
from voucher.models import Enrolment, Entitlement

TEST = line("S2", "1", "20")


@pytest.fixture
def till(world: World) -> Till:
    return world.till(world.clinic)


@pytest.fixture
def visit_id(world: World, till: Till) -> str:
    reply = till.post("visits", {"scan_id": world.scan(till, use="registration")})
    assert reply.status == 201, reply.text
    return str(reply["visit_id"])


def add_fees(till: Till, visit_id: str, *lines: dict[str, Any], **more: Any) -> Reply:
    return till.post(f"visits/{visit_id}/fee-batches", {"lines": list(lines) or [TEST], **more})


def settle(till: Till, visit_id: str, **more: Any) -> Reply:
    return till.post("settlements", {"benefit_kind": "outpatient", "visit_id": visit_id, **more})


def refused(reply: Reply, code: str, status: int) -> None:
    assert (reply.body.get("code"), reply.status) == (code, status), reply.text


def test_a_hospital_learns_who_it_has_before_it_and_a_log_of_visits_does_not_say(
    world: World, till: Till
) -> None:
    reply = till.post(
        "visits", {"scan_id": world.scan(till, use="registration"), "department": "内科"}
    )
    assert reply["member"]["name"] == "王测试"
    assert len(reply["member"]["identity_number"]) == 18
    record = till.get(f"visits/{reply['visit_id']}")
    assert record["member_name"] == "王**"
    assert reply["member"]["identity_number"] not in record.text


@pytest.mark.parametrize("use", ["settlement", "drug_pickup", "pharmacy_purchase"])
def test_a_visit_is_opened_on_a_scan_for_opening_one(world: World, till: Till, use: str) -> None:
    scan_id = world.scan(till, use=use)
    before = counts()
    refused(till.post("visits", {"scan_id": scan_id}), "scan_not_for_this_use", 409)
    assert added(before) == {"InboxEntry": 1}


def test_a_pharmacy_opens_no_visit_and_learns_no_name(world: World) -> None:
    till = world.till()
    scan_id = world.scan(till, use="registration")
    refused(till.post("visits", {"scan_id": scan_id}), "scan_not_for_this_use", 409)


def test_an_agreement_without_registration_opens_no_visit_and_tells_no_name(
    world: World, till: Till
) -> None:
    scan_id = world.scan(till, use="registration")
    Capability.objects.filter(kind="registration").delete()
    before = counts()
    reply = till.post("visits", {"scan_id": scan_id})
    refused(reply, "capability_missing", 403)
    assert "identity_number" not in reply.text
    assert added(before) == {"InboxEntry": 1}


def test_an_agreement_without_drug_pick_up_hands_nothing_out(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id)
    settled = settle(till, visit_id)
    Capability.objects.filter(kind="drug_pickup").delete()
    refused(pick_up(world, till, visit_id, settled["settlement_id"]), "capability_missing", 403)
    assert not Pickup.objects.exists()


def test_a_batch_that_is_not_this_visits_is_not_left_out_in_silence(
    world: World, till: Till, visit_id: str
) -> None:
    own = add_fees(till, visit_id)["fee_batch_id"]
    other = till.post("visits", {"scan_id": world.scan(till, use="registration")})["visit_id"]
    strange = add_fees(till, other)["fee_batch_id"]
    for foreign in (strange, str(uuid4())):
        reply = settle(till, visit_id, fee_batch_ids=[own, foreign])
        refused(reply, "not_found", 404)
        assert reply["param"] == "fee_batch_ids"
    assert settle(till, visit_id, fee_batch_ids=[own]).status == 201


def test_a_scan_that_ran_out_opens_no_visit(world: World, till: Till) -> None:
    scan_id = world.scan(till, use="registration")
    scan = Scan.objects.get(pk=scan_id)
    Scan.objects.filter(pk=scan_id).update(expires_at=scan.scanned_at)
    refused(till.post("visits", {"scan_id": scan_id}), "scan_expired", 410)


def test_a_bad_registration_line_opens_nothing(world: World, till: Till) -> None:
    scan_id = world.scan(till, use="registration")
    before = counts()
    reply = till.post(
        "visits", {"scan_id": scan_id, "registration_line": line("S1", "1", "15", amount_fen=1)}
    )
    refused(reply, "amount_mismatch", 422)
    assert added(before) == {"InboxEntry": 1}


def test_batches_are_numbered_and_settled_together_or_by_name(
    world: World, till: Till, visit_id: str
) -> None:
    opening = balances()
    batches = [add_fees(till, visit_id) for _ in range(3)]
    assert [batch["number"] for batch in batches] == [1, 2, 3]
    second = settle(till, visit_id, fee_batch_ids=[batches[1]["fee_batch_id"]])
    assert second["total_fen"] == 2_000
    rest = settle(till, visit_id)
    assert rest["total_fen"] == 4_000
    refused(settle(till, visit_id), "bill_empty", 422)
    refused(settle(till, visit_id, fee_batch_ids=[]), "bill_empty", 422)
    refused(settle(till, visit_id, fee_batch_ids=[str(uuid4())]), "bill_empty", 422)
    assert not Line.objects.filter(settlement=None).exists()
    world.post_everything()
    assert_sound(opening=opening)


def test_a_line_settled_meanwhile_is_named_when_the_quote_is_confirmed(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id)
    quote = till.post("quotes", {"benefit_kind": "registration", "visit_id": visit_id})
    assert quote.status == 201, quote.text
    other = world.till(world.clinic, name="till 2")
    assert settle(other, visit_id, benefit_kind="registration").status == 201
    reply = till.post("settlements", {"quote_id": quote["quote_id"]})
    refused(reply, "line_changed", 409)
    assert reply["param"] == "lines[0]"


def test_the_days_of_a_visit_are_settled_apart(world: World, till: Till, visit_id: str) -> None:
    today = business_date(timezone.now())
    Visit.objects.update(business_date=today - timedelta(days=1))
    add_fees(till, visit_id, service_date=(today - timedelta(days=1)).isoformat())
    add_fees(till, visit_id, service_date=today.isoformat())
    scan_id = world.scan(till, use="settlement")
    days = [settle(till, visit_id, scan_id=scan_id)["service_date"] for _ in range(2)]
    assert days == [(today - timedelta(days=1)).isoformat(), today.isoformat()]


@pytest.mark.parametrize("days", [1, -1, -400])
def test_a_service_date_lies_within_the_visit(
    world: World, till: Till, visit_id: str, days: int
) -> None:
    day = business_date(timezone.now()) + timedelta(days=days)
    before = counts()
    reply = add_fees(till, visit_id, service_date=day.isoformat())
    refused(reply, "field_invalid", 422)
    assert reply["param"] == "service_date"
    assert added(before) == {"InboxEntry": 1}


@pytest.mark.parametrize(("then", "today"), [("in_force", "arrears"), ("arrears", "in_force")])
def test_cover_is_that_of_the_service_date_and_not_of_the_day_of_the_bill(
    world: World, till: Till, visit_id: str, then: str, today: str
) -> None:
    day = business_date(timezone.now())
    yesterday = day - timedelta(days=1)
    Visit.objects.update(business_date=yesterday)
    entitlement = Entitlement.objects.get(enrolment__member=world.retiree)
    Entitlement.objects.filter(pk=entitlement.pk).update(state=then, until_date=day)
    Entitlement.objects.create(enrolment=entitlement.enrolment, state=today, from_date=day)
    assert add_fees(till, visit_id, service_date=yesterday.isoformat()).status == 201
    quote = till.post(
        "quotes",
        {
            "benefit_kind": "outpatient",
            "visit_id": visit_id,
            "scan_id": world.scan(till, use="settlement"),
        },
    )
    assert quote.status == 201, quote.text
    settled = till.post("settlements", {"quote_id": quote["quote_id"]})
    assert settled.status == 201, settled.text
    assert settled["service_date"] == yesterday.isoformat()
    assert Settlement.objects.get().inputs["member"]["pool_in_force"] is (then == "in_force")


def test_a_service_on_a_day_without_cover_is_refused_as_such(
    world: World, till: Till, visit_id: str
) -> None:
    day = business_date(timezone.now())
    yesterday = day - timedelta(days=1)
    Visit.objects.update(business_date=yesterday)
    add_fees(till, visit_id, service_date=yesterday.isoformat())
    Enrolment.objects.filter(member=world.retiree).update(from_date=day)
    scan_id = world.scan(till, use="settlement")
    refused(settle(till, visit_id, scan_id=scan_id), "not_enrolled", 403)


def test_on_another_day_a_visit_is_billed_under_a_new_scan_only(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id)
    Visit.objects.update(business_date=business_date(timezone.now()) - timedelta(days=1))
    refused(settle(till, visit_id), "scan_not_for_this_use", 409)
    scan_id = world.scan(till, use="settlement")
    assert settle(till, visit_id, scan_id=scan_id).status == 201


def test_somebody_elses_scan_does_not_bill_this_visit(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id)
    scan_id = world.scan(till, use="settlement", member=world.worker)
    refused(settle(till, visit_id, scan_id=scan_id), "not_found", 404)
    refused(add_fees(till, visit_id, scan_id=scan_id), "not_found", 404)


def test_a_closed_visit_takes_nothing_more(world: World, till: Till, visit_id: str) -> None:
    add_fees(till, visit_id)
    Visit.objects.update(closed_at=timezone.now())
    before = counts()
    refused(add_fees(till, visit_id), "visit_closed", 409)
    refused(settle(till, visit_id), "visit_closed", 409)
    assert added(before) == {"InboxEntry": 2}


def test_a_visits_lines_come_by_batch_and_not_with_the_bill(
    world: World, till: Till, visit_id: str
) -> None:
    refused(settle(till, visit_id, lines=[TEST]), "field_invalid", 422)


def test_a_bad_batch_leaves_nothing(world: World, till: Till, visit_id: str) -> None:
    before = counts()
    refused(add_fees(till, visit_id, TEST, line("S2", "0", "20")), "quantity_not_positive", 422)
    refused(till.post(f"visits/{visit_id}/fee-batches", {"lines": []}), "bill_empty", 422)
    assert added(before) == {"InboxEntry": 2}
    assert not FeeBatch.objects.exists()


def pick_up(world: World, till: Till, visit_id: str, settlement_id: str, **who: Any) -> Reply:
    return till.post(
        f"visits/{visit_id}/pickups",
        {
            "scan_id": world.scan(till, use="drug_pickup", **who),
            "settlement_id": settlement_id,
        },
    )


def test_drugs_are_handed_out_once_to_their_own_person(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id, line("A4", "2", "18.6"))
    settled = settle(till, visit_id)
    stranger = pick_up(world, till, visit_id, settled["settlement_id"], member=world.worker)
    refused(stranger, "not_found", 404)
    handed = pick_up(world, till, visit_id, settled["settlement_id"])
    assert handed.status == 201
    assert handed["lines"] == [{"name": "阿莫西林胶囊", "quantity": "2"}]
    again = pick_up(world, till, visit_id, settled["settlement_id"])
    refused(again, "already_picked_up", 409)
    assert Pickup.objects.count() == 1


def test_a_scan_for_something_else_hands_nothing_out(
    world: World, till: Till, visit_id: str
) -> None:
    add_fees(till, visit_id)
    settled = settle(till, visit_id)
    reply = till.post(
        f"visits/{visit_id}/pickups",
        {
            "scan_id": world.scan(till, use="settlement"),
            "settlement_id": settled["settlement_id"],
        },
    )
    refused(reply, "scan_not_for_this_use", 409)


def test_refunded_drugs_are_not_handed_out(world: World, till: Till, visit_id: str) -> None:
    add_fees(till, visit_id)
    settled = settle(till, visit_id)
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "returned"})
    refused(pick_up(world, till, visit_id, settled["settlement_id"]), "not_found", 404)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_one_scan_at_two_windows_hands_out_the_drugs_of_one_visit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visits differ, so no lock of theirs keeps the windows apart: the scan's own row does."""
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)
    till = world.till(world.clinic)
    visits = [
        till.post("visits", {"scan_id": world.scan(till, use="registration")})["visit_id"]
        for _ in range(2)
    ]
    settled = []
    for visit in visits:
        add_fees(till, visit)
        settled.append(settle(till, visit)["settlement_id"])
    scan_id = world.scan(till, use="drug_pickup")

    def hand_out(number: int) -> Reply:
        body = {"scan_id": scan_id, "settlement_id": settled[number]}
        return till.post(f"visits/{visits[number]}/pickups", body)

    race = forced(
        lambda: hand_out(0),
        lambda: hand_out(1),
        before="UPDATE messaging_inboxentry",
    )
    assert race.second_waited
    assert race.first.status == 201
    refused(race.second, "already_picked_up", 409)
    assert Pickup.objects.count() == 1
