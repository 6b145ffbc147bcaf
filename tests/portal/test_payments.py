"""The fund's page of payments: what it shows, what staff may do there, once, and who may not."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from messaging.models import InboxEntry
from settlement.models import CreditLine, CreditUse, Posting, StaffAct, Tender, TenderRule
from settlement.selectors import staff as seen
from settlement.services.tender import connections
from settlement.services.tender.simulator import Lie
from tests.settlement.tender_world import (
    connect,
    lying,
    part,
    pay,
    quoted,
    run_out,
    settle,
    states,
    work,
)
from tests.world import Till, World

ADDRESS = "/fund/payments/"
KEY = re.compile(r'name="key" value="([0-9a-f]{32})"')


@pytest.fixture(autouse=True)
def _fresh_services() -> Iterator[None]:
    connections.connected.cache_clear()
    yield
    connections.connected.cache_clear()


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


@pytest.fixture
def fund(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("fund")


def key() -> str:
    from messaging.ids import new_id

    return new_id().hex


def owing(world: World, till: Till, fen: int = 18_600) -> Tender:
    """A debt of WeChat's with the pharmacy."""
    quote = quoted(world, till)
    code = "134567890123450054"
    rest = [part("cash", 18_600 - fen)] if fen < 18_600 else []
    pay(till, quote, part("wechat", fen, payment_code=code), *rest)
    assert settle(till, quote).status == 201
    run_out(timezone.now())
    return Tender.objects.get(state="debt", quote_id=quote["quote_id"])


def on_credit(world: World, till: Till, client: Client, limit: str = "200") -> None:
    """A line with 186.00 yuan that are due."""
    act(client, "limit", member_number=world.retiree.number, limit_fen=limit)
    quote = quoted(world, till)
    pay(till, quote, part("credit", 18_600))
    assert settle(till, quote).status == 201
    run_out(timezone.now())


def act(client: Client, name: str, **fields: Any) -> Any:
    return client.post(ADDRESS, {"act": name, "key": key(), **fields})


def debts_on_the_books() -> int:
    rows = Posting.objects.filter(account__startswith="debt:")
    return sum(rows.values_list("amount_fen", flat=True))


# -- who


@pytest.mark.parametrize("name", ["citizen", "pharmacist", "cashier", "nobody"])
def test_only_fund_staff_see_it_and_act_there(
    signed_in: Callable[[str], Client], world: World, name: str
) -> None:
    client = signed_in(name)
    assert client.get(ADDRESS).status_code == 403
    answer = act(client, "limit", member_number=world.retiree.number, limit_fen="100")
    assert answer.status_code == 403
    assert not CreditLine.objects.exists()
    assert not StaffAct.objects.exists()


def test_strangers_are_asked_to_sign_in_and_do_nothing(world: World) -> None:
    answer = act(Client(), "limit", member_number=world.retiree.number, limit_fen="100")
    assert answer.url.startswith("/login/")
    assert not CreditLine.objects.exists()


def test_an_act_from_another_site_is_refused(fund: Client, world: World) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = fund.cookies
    answer = act(strict, "limit", member_number=world.retiree.number, limit_fen="100")
    assert answer.status_code == 403
    assert not CreditLine.objects.exists()


def test_the_dashboard_leads_here(fund: Client) -> None:
    assert f'href="{ADDRESS}"' in fund.get("/fund/").text
    assert "Nothing is owed." in fund.get(ADDRESS).text


# -- what is under way


def test_it_shows_what_is_not_certain_until_when_it_may_be(
    fund: Client, world: World, till: Till
) -> None:
    connect(lying(query=Lie.LOST_ANSWER))
    pay(till, quoted(world, till), part())
    shown = fund.get(ADDRESS).text
    until = timezone.localtime(Tender.objects.get().certain_by)
    assert "WeChat Pay · not known whether it was paid" in shown
    assert f"may stay so until {until:%H:%M:%S}" in shown


def test_it_shows_what_is_being_collected_and_refunds_that_wait_for_it(
    fund: Client, world: World, till: Till
) -> None:
    connect(lying(capture=Lie.LOST_REQUEST))
    quote = quoted(world, till)
    pay(till, quote, part())
    settled = settle(till, quote)
    work(timezone.now())
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    shown = fund.get(ADDRESS).text
    assert "WeChat Pay · being collected" in shown
    assert re.search(r"tried [1-9]\d* times", shown)
    assert "waits until the payment itself is collected" in shown


def test_a_list_shows_the_longest_waiting_and_how_many_there_are(
    fund: Client, world: World, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "SHOWN", 1)
    connect(lying(query=Lie.LOST_ANSWER))
    pay(till, quoted(world, till), part(amount_fen=100), part(amount_fen=200))
    shown = fund.get(ADDRESS).text
    assert "The first 1 of 2." in shown
    assert "¥1.00" in shown
    assert "¥2.00" not in shown


# -- debts


def test_a_debt_is_shown_by_name_and_is_off_the_books_when_it_was_paid(
    fund: Client, world: World, till: Till
) -> None:
    tender = owing(world, till, 18_000)
    shown = fund.get(ADDRESS).text
    assert f"WeChat Pay owes {world.pharmacy.name}" in shown
    assert "¥180.00 was paid" in shown
    assert f"/slips/{tender.settlement_id}/" in shown
    assert debts_on_the_books() == 18_000
    answer = act(fund, "debt_paid", tender_id=tender.pk)
    assert answer.status_code == 302
    after = fund.get(answer.url.partition("#")[0]).text
    assert "¥180.00 are owed no more." in after
    assert "Nothing is owed." in after
    run_out(timezone.now())
    assert debts_on_the_books() == 0
    row = StaffAct.objects.get()
    assert (row.kind, row.actor, row.tender_id, row.amount_fen) == (
        "debt_paid",
        "fund",
        tender.pk,
        18_000,
    )


def test_pressing_twice_pays_a_debt_once_and_is_answered_alike(
    fund: Client, world: World, till: Till
) -> None:
    tender = owing(world, till)
    one = key()
    answers = [act(fund, "debt_paid", tender_id=tender.pk, key=one) for _ in range(2)]
    assert answers[0].url == answers[1].url
    assert StaffAct.objects.count() == 1
    run_out(timezone.now())
    assert debts_on_the_books() == 0


def test_a_debt_that_was_paid_is_refused_under_another_key_and_the_refusal_is_kept(
    fund: Client, world: World, till: Till
) -> None:
    tender = owing(world, till)
    act(fund, "debt_paid", tender_id=tender.pk)
    second = act(fund, "debt_paid", tender_id=tender.pk)
    assert second.status_code == 409
    assert "This is not owed" in second.text
    run_out(timezone.now())
    assert (debts_on_the_books(), StaffAct.objects.count()) == (0, 1)
    kept = InboxEntry.objects.filter(circle="fund").order_by("id")
    assert list(kept.values_list("status", "code")) == [(200, ""), (409, "debt_not_owed")]


def test_a_debt_that_a_refund_has_taken_back_whole_is_neither_shown_nor_paid(
    fund: Client, world: World, till: Till
) -> None:
    tender = owing(world, till)
    refund = {"settlement_id": str(tender.settlement_id), "reason": "x"}
    assert till.post("refunds", refund).status == 201
    run_out(timezone.now())
    assert "Nothing is owed." in fund.get(ADDRESS).text
    assert act(fund, "debt_paid", tender_id=tender.pk).status_code == 409


# -- credit


def test_a_line_is_found_opened_used_and_repaid(fund: Client, world: World, till: Till) -> None:
    found = fund.post(ADDRESS, {"act": "find", "member_number": world.retiree.number})
    # The number is in no address.
    assert world.retiree.number not in found.url
    assert "There is no line yet." in fund.get(found.url.partition("#")[0]).text
    on_credit(world, till, fund)
    shown = fund.get(found.url.partition("#")[0]).text
    assert world.retiree.name not in shown
    assert shown.index("Limit") < shown.index("¥200.00") < shown.index("¥186.00")
    assert world.pharmacy.name in shown
    answer = act(fund, "repayment", member_number=world.retiree.number, amount_fen="86.00")
    after = fund.get(answer.url.partition("#")[0]).text
    assert "A repayment of ¥86.00 was booked." in after
    assert "still due ¥100.00" in after
    assert CreditLine.objects.get().used_fen == 10_000
    assert list(StaffAct.objects.order_by("done_at").values_list("kind", "amount_fen")) == [
        ("limit", 20_000),
        ("repayment", 8_600),
    ]


def test_pressing_twice_books_a_repayment_once(fund: Client, world: World, till: Till) -> None:
    on_credit(world, till, fund)
    one = key()
    for _ in range(2):
        act(fund, "repayment", member_number=world.retiree.number, amount_fen="10", key=one)
    assert CreditLine.objects.get().used_fen == 17_600
    assert StaffAct.objects.filter(kind="repayment").count() == 1


def on_the_page(client: Client, member_id: int, form: str) -> dict[str, str]:
    """What a form of the person's line would send if nobody touched it."""
    page = client.get(f"{ADDRESS}?line={member_id}").text
    (body,) = [each for each in page.split("<form") if f'value="{form}"' in each]
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', body)
    return {name: value for name, value in fields if name not in ("csrfmiddlewaretoken", "act")}


def test_the_same_money_is_not_booked_from_two_pages(
    fund: Client, world: World, till: Till
) -> None:
    on_credit(world, till, fund)
    pages = [on_the_page(fund, world.retiree.pk, "repayment") for _ in range(2)]
    first, second = (act(fund, "repayment", **page, amount_fen="50") for page in pages)
    assert (first.status_code, second.status_code) == (302, 409)
    assert "Look again." in second.text
    assert CreditLine.objects.get().used_fen == 13_600
    again = on_the_page(fund, world.retiree.pk, "repayment")
    assert act(fund, "repayment", **again, amount_fen="50").status_code == 302


def test_a_limit_is_not_set_over_one_that_nobody_was_shown(fund: Client, world: World) -> None:
    pages = [on_the_page(fund, world.retiree.pk, "limit") for _ in range(2)]
    answers = [
        act(fund, "limit", **page, limit_fen=limit).status_code
        for page, limit in zip(pages, ("100", "5"), strict=True)
    ]
    assert answers == [302, 409]
    assert CreditLine.objects.get().limit_fen == 10_000


def test_one_key_is_not_used_for_two_amounts(fund: Client, world: World, till: Till) -> None:
    on_credit(world, till, fund)
    one = key()
    for amount, status in (("10", 302), ("11", 409)):
        answer = act(
            fund, "repayment", member_number=world.retiree.number, amount_fen=amount, key=one
        )
        assert answer.status_code == status
    assert CreditLine.objects.get().used_fen == 17_600


def test_more_than_is_due_is_not_repaid(fund: Client, world: World, till: Till) -> None:
    on_credit(world, till, fund)
    answer = act(fund, "repayment", member_number=world.retiree.number, amount_fen="186.01")
    assert answer.status_code == 409
    assert "Only ¥186.00 are due" in answer.text
    assert CreditLine.objects.get().used_fen == 18_600
    assert CreditUse.objects.get().repaid_fen == 0
    assert not StaffAct.objects.filter(kind="repayment").exists()


def test_a_limit_below_what_is_used_is_refused_with_what_is_used(
    fund: Client, world: World, till: Till
) -> None:
    on_credit(world, till, fund)
    answer = act(fund, "limit", member_number=world.retiree.number, limit_fen="185.99")
    assert (answer.status_code, CreditLine.objects.get().limit_fen) == (409, 20_000)
    assert "¥186.00 are used" in answer.text


def test_a_person_s_page_tells_nothing_of_another(fund: Client, world: World, till: Till) -> None:
    on_credit(world, till, fund)
    act(fund, "limit", member_number=world.worker.number, limit_fen="7")
    StaffAct.objects.all().delete()
    shown = fund.get(f"{ADDRESS}?line={world.worker.pk}").text
    assert world.worker.number in shown
    assert world.retiree.number not in shown
    assert "¥186.00" not in shown


@pytest.mark.parametrize(
    ("name", "fields", "status"),
    [
        ("find", {"member_number": "nobody"}, 404),
        ("find", {"member_number": ""}, 422),
        ("find", {"member_number": "9\x00"}, 422),
        ("limit", {"member_number": "nobody", "limit_fen": "1"}, 404),
        ("limit", {"limit_fen": "-1"}, 422),
        ("limit", {"limit_fen": "1.001"}, 422),
        ("limit", {"limit_fen": "1e9"}, 422),
        ("limit", {"limit_fen": "NaN"}, 422),
        ("limit", {"limit_fen": "1", "key": "short"}, 422),
        ("repayment", {"amount_fen": "0"}, 422),
        ("repayment", {"amount_fen": "1"}, 404),
        ("repayment", {}, 422),
        ("rule", {"merchant_code": "nobody", "capture_failed": "debt"}, 404),
        ("rule", {"merchant_code": "nobody", "capture_failed": "steal"}, 422),
        ("debt_paid", {"tender_id": "x"}, 422),
        ("debt_paid", {"tender_id": "01900000-0000-7000-8000-000000000000"}, 409),
        ("steal", {}, 422),
        ("", {}, 422),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(
    fund: Client, world: World, name: str, fields: dict[str, str], status: int
) -> None:
    answer = act(fund, name, **{"member_number": world.retiree.number, **fields})
    assert answer.status_code == status
    assert not StaffAct.objects.exists()
    assert not CreditLine.objects.exists()


@pytest.mark.parametrize("line", ["x", "-1", "9" * 30, "٣", "0"])
def test_an_address_that_names_nobody_shows_nobody(fund: Client, world: World, line: str) -> None:
    answer = fund.get(ADDRESS, {"line": line, "done": "\x00"})
    assert (answer.status_code, answer.context["credit"]) == (200, None)


def test_what_another_did_is_not_shown_as_one_s_own(
    fund: Client, signed_in: Callable[[str], Client], world: World
) -> None:
    one = key()
    act(fund, "limit", member_number=world.retiree.number, limit_fen="1", key=one)
    fund.force_login(_other_staff())
    assert fund.get(ADDRESS, {"done": one}).context["done"] is None
    # Another's key is free to use.
    act(fund, "limit", member_number=world.retiree.number, limit_fen="2", key=one)
    assert CreditLine.objects.get().limit_fen == 200


def _other_staff() -> Any:
    from django.contrib.auth.models import Group, User

    user = User.objects.create_user("other", password="x")
    user.groups.add(Group.objects.get(name="fund staff"))
    return user


# -- rules


def test_a_rule_decides_what_becomes_of_the_next_capture_that_fails(
    fund: Client, world: World, till: Till
) -> None:
    answer = act(fund, "rule", merchant_code=world.pharmacy.code, capture_failed="reverse")
    assert "The rule is kept." in fund.get(answer.url.partition("#")[0]).text
    assert TenderRule.objects.get().capture_failed == "reverse"
    quote = quoted(world, till)
    pay(till, quote, part(payment_code="134567890123450054"))
    settle(till, quote)
    run_out(timezone.now() + timedelta(seconds=1))
    assert states(quote) == ["returned"]
    row = StaffAct.objects.get()
    assert (row.merchant_id, row.capture_failed) == (world.pharmacy.pk, "reverse")


def test_every_form_has_a_key_of_its_own(fund: Client, world: World, till: Till) -> None:
    on_credit(world, till, fund)
    owing(world, till, 100)
    shown = fund.get(f"{ADDRESS}?line={world.retiree.pk}").text
    keys = KEY.findall(shown)
    assert len(keys) == len(set(keys)) == 4
