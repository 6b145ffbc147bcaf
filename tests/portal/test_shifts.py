"""The shift at the counter's pages: whose it is, what the page is told, and the hand-over slip."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from merchants import services as merchants
from settlement.models import Settlement
from tests.portal.test_counter import ask, scan
from tests.world import World, line

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def colleague(world: World) -> Client:
    """Another operator of the pharmacy, signed in."""
    user = User.objects.create_user("colleague", password="x")
    merchants.add_operator(merchant_id=world.pharmacy.pk, user=user, code="0002", name="孙柜台")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def open_shift(client: Client, **more: object) -> str:
    opened = ask(client, "open_shift", {"opening_float_fen": 20_000, **more})
    assert opened.status_code == 201, opened.text
    return str(opened.json()["shift_id"])


def sell_tea(client: Client, world: World) -> None:
    bill = {
        "scan_id": scan(client, world).json()["scan_id"],
        "benefit_kind": "pharmacy_account",
        "lines": [line("A6", "1", "9.9")],
        "account_limit_fen": 0,
    }
    assert ask(client, "settle", bill).status_code == 201


def test_a_page_s_shift_is_the_signed_in_operator_s_and_shows_on_its_till(
    signed_in: Callable[[str], Client], world: World, colleague: Client
) -> None:
    client = signed_in("pharmacist")
    before = client.get("/counter/look/shift_here").json()
    assert (before["shift"], before["last"]) == (None, None)
    shift_id = open_shift(client)
    sell_tea(client, world)
    shown = client.get("/counter/look/shift_here").json()
    assert shown["shift"]["operator"] == "0001"
    assert shown["shift"]["expected_fen"] == 20_990
    assert (shown["today"]["settlements"], shown["today"]["net_fen"]) == (1, 990)
    # The colleague's till is another.
    beside = colleague.get("/counter/look/shift_here").json()
    assert (beside["shift"], beside["today"]["settlements"]) == (None, 0)
    closed = ask(client, "close_shift", {"counted_fen": 21_000}, query=f"?shift_id={shift_id}")
    assert (closed.status_code, closed.json()["difference_fen"]) == (200, 10)
    after = client.get("/counter/look/shift_here").json()
    assert after["shift"] is None
    assert (after["last"]["shift_id"], after["last"]["difference_fen"]) == (shift_id, 10)


def test_a_colleague_does_not_close_a_shift(
    signed_in: Callable[[str], Client], colleague: Client
) -> None:
    shift_id = open_shift(signed_in("pharmacist"))
    for body in ({"counted_fen": 0}, {"counted_fen": 0, "operator": "0002"}):
        answer = ask(colleague, "close_shift", body, query=f"?shift_id={shift_id}")
        assert (answer.status_code, answer.json()["code"]) == (403, "shift_of_another")


def test_nobody_opens_or_closes_in_another_name(
    signed_in: Callable[[str], Client], colleague: Client
) -> None:
    shift_id = open_shift(signed_in("pharmacist"), operator="0001")
    for operation, body in (
        ("open_shift", {"opening_float_fen": 0}),
        ("close_shift", {"counted_fen": 0}),
    ):
        answer = ask(
            colleague, operation, {**body, "operator": "0001"}, query=f"?shift_id={shift_id}"
        )
        assert (answer.json()["code"], answer.json()["param"]) == ("field_invalid", "operator")


def test_the_page_s_sales_bear_who_is_signed_in_whoever_opened_the_shift(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    open_shift(client)
    sell_tea(client, world)
    assert Settlement.objects.get().operator == "0001"


def test_the_hand_over_slip_is_the_merchant_s_operators_only(
    signed_in: Callable[[str], Client], world: World, colleague: Client
) -> None:
    client = signed_in("pharmacist")
    shift_id = open_shift(client)
    sell_tea(client, world)
    path = f"/counter/shifts/{shift_id}/"
    assert "still open" in client.get(path).text
    ask(client, "close_shift", {"counted_fen": 20_000}, query=f"?shift_id={shift_id}")
    for who in (client, colleague):
        page = who.get(path)
        assert page.status_code == 200
        assert "Cash short" in page.text
        for part in ("赵柜台", "¥209.90", "¥200.00", "¥9.90"):
            assert part in page.text
        assert page["Cache-Control"].startswith("max-age=0, no-cache")
    for name in ("cashier", "fund", "citizen", "nobody"):
        assert signed_in(name).get(path).status_code == 404, name
    assert Client().get(path).status_code == 302
    assert client.get("/counter/shifts/00000000-0000-7000-8000-000000000000/").status_code == 404
