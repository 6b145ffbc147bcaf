"""The citizen's addresses: their own code and settlements, and nobody else's."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from tests.world import World, line
from voucher import services as vouchers
from voucher.tokens import Use


def test_a_code_is_good_for_its_owner_and_for_a_minute(
    signed_in: Callable[[str], Client], world: World
) -> None:
    code = signed_in("citizen").get("/me/code.json").json()
    with transaction.atomic():
        presented = vouchers.present_code(text=code["text"], scan_id=uuid4(), now=timezone.now())
    assert presented.voucher_number == world.retiree.voucher.number
    assert presented.scope.use is Use.ANY
    assert code["issued_at"] < code["expires_at"]


def test_a_code_is_narrowed_as_the_citizen_asks(signed_in: Callable[[str], Client]) -> None:
    answer = signed_in("citizen").get("/me/code.json?use=drug_pickup&ceiling=50.5")
    with transaction.atomic():
        presented = vouchers.present_code(
            text=answer.json()["text"], scan_id=uuid4(), now=timezone.now()
        )
    assert presented.scope.use is Use.DRUG_PICKUP
    assert presented.scope.ceiling_fen == 5050


@pytest.mark.parametrize(
    "narrowing", ["use=party", "ceiling=0", "ceiling=-1", "ceiling=999999", "ceiling=1.005"]
)
def test_a_narrowing_that_cannot_be_read_gives_no_code(
    signed_in: Callable[[str], Client], narrowing: str
) -> None:
    answer = signed_in("citizen").get(f"/me/code.json?{narrowing}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "field_invalid"
    assert "text" not in answer.json()


def test_a_suspended_voucher_shows_no_code_and_says_what_to_do(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("citizen")
    vouchers.suspend_voucher(member_id=world.retiree.pk, now=timezone.now())
    assert client.get("/me/code.json").json()["code"] == "voucher_suspended"
    assert client.get("/me/code.svg").status_code == 403
    page = client.get("/me/").text
    assert "Ask your insurance office" in page
    assert "<canvas" not in page


def test_somebody_who_signed_out_is_told_so_in_json(world: World) -> None:
    for path in ("/me/code.json", "/me/settlements.json", "/fund/overview.json"):
        answer = Client().get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), path


def test_a_login_that_is_no_member_has_no_code(signed_in: Callable[[str], Client]) -> None:
    assert signed_in("fund").get("/me/code.json").json()["code"] == "not_found"


@pytest.mark.django_db(transaction=True)
def test_settlements_are_the_member_s_own_with_shares_that_make_the_total(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("citizen")
    till = world.till()
    for member in (world.retiree, world.worker):
        till.post(
            "settlements",
            {
                "scan_id": world.scan(till, member=member),
                "benefit_kind": "pharmacy_account",
                "lines": [line()],
            },
        )
    told = client.get("/me/settlements.json").json()
    assert len(told["settlements"]) == 1
    row = told["settlements"][0]
    assert row["pool_fen"] + row["account_fen"] + row["cash_fen"] == row["total_fen"] == 1860
    assert told["balance_fen"] == 100_000 - row["account_fen"]
    assert "¥18.60" in client.get("/me/").text


def test_the_full_name_stays_out_of_the_page(
    signed_in: Callable[[str], Client], world: World
) -> None:
    assert world.retiree.name not in signed_in("citizen").get("/me/").text


def test_who_paid_for_whom_is_told_to_these_two_and_nobody_else(db: None, client: Client) -> None:
    from django.contrib.auth import get_user_model

    from tests.city import City, item, share_account, today

    with today(2026, 11, 10):
        city = City.made("350500")
        holder = city.person(1)
        member = city.person(2, balance_fen=0)
        share_account(holder, member)
        till = city.pharmacy_till()
        settled = till.post(
            "settlements",
            {
                "scan_id": city.scan(till, member, use="pharmacy_purchase"),
                "benefit_kind": "pharmacy_account",
                "lines": [item("XA01", 300)],
            },
        )
        assert settled["relative_fen"] == 30_000
        users = []
        for person in (holder, member):
            person.name = {holder.pk: "陈持有", member.pk: "林受益"}[person.pk]
            person.user = get_user_model().objects.create_user(f"member-{person.pk}")
            person.save(update_fields=["name", "user"])
            users.append(person.user)
        slip_path = f"/slips/{settled['settlement_id']}/"
        client.force_login(users[0])
        page = client.get("/me/").content.decode()
        assert "林**" in page
        assert "300.00" in page
        assert client.get(slip_path).status_code == 404
        client.force_login(users[1])
        assert "relatives-title" not in client.get("/me/").content.decode()
        assert "陈**" in client.get(slip_path).content.decode()
        assert "陈**" not in till.get(f"settlements/{settled['settlement_id']}/slip").text


def test_a_citizen_sees_who_holds_a_quote_and_gives_it_back(
    signed_in: Callable[[str], Client], world: World
) -> None:
    till, other = world.till(), world.till(world.clinic)
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": [line()],
    }
    assert till.post("quotes", bill).status == 201
    citizen = signed_in("citizen")
    assert world.pharmacy.name in citizen.get("/me/").content.decode()
    elsewhere = {**bill, "scan_id": world.scan(other, use="settlement")}
    assert other.post("quotes", elsewhere)["code"] == "open_quote_elsewhere"
    assert citizen.get("/me/quotes/release").status_code == 405
    assert citizen.post("/me/quotes/release").status_code == 302
    assert other.post("quotes", elsewhere).status == 201
    assert "quotes-title" in citizen.get("/me/").content.decode()
    # Somebody else's is not theirs to give back.
    assert signed_in("fund").post("/me/quotes/release").status_code == 403
    assert other.post("quotes", elsewhere).status == 201
