"""The page on which the fund's staff approve or decline returns into declared months."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from settlement.models import RefundApproval
from tests.settlement.declared_world import Counter, declare_long_ago, sold
from tests.world import World, line

ADDRESS = "/fund/approvals/"


@pytest.fixture
def waiting(world: World) -> RefundApproval:
    """A return that waits for the fund."""
    return ask(world)


def ask(world: World, name: str = "till 1") -> RefundApproval:
    till = world.till(name=name)
    settlement = sold(world, till, line("A4", "100", "18.6"), line("A5", "2", "128"))
    declare_long_ago(settlement["settlement_id"])
    return Counter(world, till, settlement).asked(reason="买错了 <b>规格</b>")


def decide(client: Client, row: RefundApproval, decision: str, note: str = "") -> object:
    return client.post(f"{ADDRESS}{row.pk}/", {"decision": decision, "note": note})


def test_what_waits_is_shown_with_all_that_a_decision_needs(
    signed_in: Callable[[str], Client], waiting: RefundApproval
) -> None:
    text = signed_in("fund").get(ADDRESS).text
    for word in (
        "测试大药房", "P37030099001", "2022-01", str(waiting.settlement_id), "till 1",
        "阿莫西林胶囊 × 100", "西洋参片 × 2", "¥1,860.00", "¥256.00", "¥2,116.00", "Pool", "Cash",
        "买错了 &lt;b&gt;规格&lt;/b&gt;",
    ):  # fmt: skip
        assert word in text, word


def test_the_oldest_waits_first_and_the_number_is_on_the_dashboard(
    signed_in: Callable[[str], Client], world: World, waiting: RefundApproval
) -> None:
    older = ask(world, "till 2")
    RefundApproval.objects.filter(pk=older.pk).update(asked_at=waiting.asked_at - timedelta(days=2))
    client = signed_in("fund")
    text = client.get(ADDRESS).text
    assert text.index(f"a-{older.pk}") < text.index(f"a-{waiting.pk}")
    assert client.get("/fund/overview.json").json()["approvals_waiting"] == 2
    assert f'href="{ADDRESS}"' in client.get("/fund/").text
    decide(client, older, "approve")
    assert client.get("/fund/overview.json").json()["approvals_waiting"] == 1


@pytest.mark.parametrize(
    ("decision", "note", "state"),
    [
        ("approve", "", "approved"),
        ("approve", "fine", "approved"),
        ("decline", "发票呢", "declined"),
    ],
)
def test_a_decision_is_kept_with_its_maker_and_shown_below(
    signed_in: Callable[[str], Client],
    waiting: RefundApproval,
    decision: str,
    note: str,
    state: str,
) -> None:
    client = signed_in("fund")
    answer = decide(client, waiting, decision, note)
    assert answer.url == ADDRESS  # type: ignore[attr-defined]
    waiting.refresh_from_db()
    assert (waiting.state, waiting.note, waiting.decided_by) == (state, note, "fund")
    text = client.get(ADDRESS).text
    assert f"a-{waiting.pk}" not in text
    assert str(waiting.settlement_id) in text
    assert waiting.get_state_display() in text
    assert note in text


def test_pressed_twice_it_is_decided_once_and_nobody_is_alarmed(
    signed_in: Callable[[str], Client], waiting: RefundApproval
) -> None:
    client = signed_in("fund")
    for _ in range(2):
        assert decide(client, waiting, "approve").url == ADDRESS  # type: ignore[attr-defined]
    assert "no longer waiting" not in client.get(ADDRESS).text
    # Another decision than the one that stands changes nothing, and says so once.
    decide(client, waiting, "decline", "too late")
    assert "no longer waiting" in client.get(ADDRESS).text
    assert "no longer waiting" not in client.get(ADDRESS).text
    assert RefundApproval.objects.get().state == "approved"


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        ({"decision": "decline", "note": "  "}, "Say why it is declined"),
        ({"decision": "decline", "note": "x" * 201}, "at most 200"),
        ({"decision": "approve", "note": "a\0b"}, "Null characters"),
        ({"decision": "burn", "note": ""}, "burn"),
        ({}, "required"),
    ],
)
def test_a_faulty_form_decides_nothing_and_says_why(
    signed_in: Callable[[str], Client], waiting: RefundApproval, sent: dict[str, str], fault: str
) -> None:
    answer = signed_in("fund").post(f"{ADDRESS}{waiting.pk}/", sent)
    assert answer.status_code == 200
    assert fault in answer.text
    assert RefundApproval.objects.get().state == "waiting"


def test_there_is_nothing_to_decide_of_what_is_not_there(
    signed_in: Callable[[str], Client], waiting: RefundApproval
) -> None:
    unknown = RefundApproval(pk=waiting.settlement_id)
    assert decide(signed_in("fund"), unknown, "approve").status_code == 404  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["citizen", "pharmacist", "cashier", "nobody"])
def test_only_the_funds_staff_see_and_decide(
    signed_in: Callable[[str], Client], waiting: RefundApproval, name: str
) -> None:
    client = signed_in(name)
    assert client.get(ADDRESS).status_code == 403
    assert decide(client, waiting, "approve").status_code == 403  # type: ignore[attr-defined]
    assert RefundApproval.objects.get().state == "waiting"


def test_a_stranger_is_asked_to_sign_in_and_a_forged_form_is_refused(
    signed_in: Callable[[str], Client], waiting: RefundApproval
) -> None:
    assert Client().get(ADDRESS).url.startswith(reverse("portal:login"))  # type: ignore[attr-defined]
    staff = signed_in("fund")
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = staff.cookies
    assert decide(forged, waiting, "approve").status_code == 403  # type: ignore[attr-defined]
    assert RefundApproval.objects.get().state == "waiting"


def test_a_page_of_nothing_says_so(signed_in: Callable[[str], Client]) -> None:
    text = signed_in("fund").get(ADDRESS).text
    assert "Nothing waits for a decision." in text
    assert "Nothing was decided yet." in text


def test_the_citizen_sees_nothing_of_it(
    signed_in: Callable[[str], Client], waiting: RefundApproval
) -> None:
    (row,) = signed_in("citizen").get("/me/settlements.json").json()["settlements"]
    assert row["refunded_fen"] == 0
    assert "approval" not in str(row)
