"""The slip: every fen explained, the same to the fen when worked out by others, seen by its own."""

import hashlib
import io
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pypdf
import pytest
import time_machine
from django.test import Client
from django.utils import timezone, translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merchants.models import Operator
from portal.slip_pdf import FONT, printable, slip_pdf
from settlement.benefits import wording
from settlement.models import Settlement, SlipIssue
from settlement.selectors.slips import sheet_sha256, slip, slip_was_issued
from settlement.services import slips as slips_service
from settlement.services.slips import issue_slip
from tests.city import RESTATES, City
from tests.rows import added, counts
from tests.settlement import test_restating_returns as restating
from tests.settlement.test_benefits_sheets import check
from tests.settlement.test_refunds import give_back, sale
from tests.settlement.test_restating_returns import buy
from tests.settlement.test_settlements import BILLS, as_lines
from tests.world import World, line


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sales=BILLS, language=st.sampled_from(["zh", "en"]))
def test_a_slip_can_be_worked_out_with_a_pencil(world: World, sales: Any, language: Any) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    scan_id = world.scan(till)
    for kind, rows, limit_fen in sales:
        settled = sale(
            world, till, scan_id=scan_id, benefit_kind=kind, lines=as_lines(rows),
            disease_code="M03900" if kind == "chronic" else None, account_limit_fen=limit_fen,
        )  # fmt: skip
        found = slip(settlement_id=settled["settlement_id"], language=language, audience="citizen")[
            "slip"
        ]
        check(json.loads(json.dumps(found)))
        assert sum(one["amount_fen"] for one in found["lines"]) == found["total_fen"]
        for one in found["lines"]:
            parts = ("in_range_fen", "first_pay_fen", "over_limit_fen", "out_of_scope_fen")
            assert sum(one[part] for part in parts) == one["amount_fen"]
        own = [found["account_fen"], found["cash_fen"], found["pool_fen"]]
        assert sum(own) == found["total_fen"]


@pytest.mark.django_db(transaction=True)
def test_its_member_its_merchant_and_the_fund_see_a_slip_and_nobody_else(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"), line("A5", "1", "128"))
    path = f"/slips/{settled['settlement_id']}/"
    for name in ("citizen", "pharmacist", "fund"):
        response = signed_in(name).get(path)
        assert response.status_code == 200, name
        text = response.content.decode()
        assert "王**" in text
        assert "王测试" not in text
        assert "not in the catalogue" in text
        assert "the same to the fen" in text
    for name in ("cashier", "nobody"):
        assert signed_in(name).get(path).status_code == 404, name


@pytest.mark.django_db(transaction=True)
def test_another_person_s_slip_is_not_found(
    signed_in: Callable[[str], Client], world: World
) -> None:
    till = world.till()
    settled = sale(
        world, till, scan_id=world.scan(till, member=world.worker),
        benefit_kind="pharmacy_account", disease_code=None,
    )  # fmt: skip
    citizen = signed_in("citizen")
    assert citizen.get(f"/slips/{settled['settlement_id']}/").status_code == 404
    assert citizen.get("/slips/00000000-0000-7000-8000-000000000000/").status_code == 404
    assert citizen.get("/slips/nothing/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_refund_stands_on_the_slip(signed_in: Callable[[str], Client], world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "2", "18.6"))
    give_back(till, settled)
    text = signed_in("citizen").get(f"/slips/{settled['settlement_id']}/").content.decode()
    assert "Refunded ¥37.20" in text
    assert "after the slip was issued" not in text


@pytest.mark.django_db(transaction=True)
def test_a_slip_says_what_a_restated_bill_counts_now_after_a_part_of_it_came_back(
    signed_in: Callable[[str], Client], world: World
) -> None:
    city = City.made("370100", text=RESTATES.replace("370300", "370100"))
    member, till = city.person(7, balance_fen=0), city.hospital_till()
    first, later = buy(city, till, member, 600), buy(city, till, member, 200, 100)
    page = f"/slips/{later['settlement_id']}/"
    fund = signed_in("fund")
    assert "counts anew" not in fund.get(page).content.decode()
    restating.give_back(till, first)
    assert "counts anew: cash ¥300.00." in fund.get(page).content.decode()
    restating.give_back(till, later, 2)
    assert "counts anew: cash ¥200.00." in fund.get(page).content.decode()
    restating.give_back(till, later)
    assert "counts anew" not in fund.get(page).content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_counter_reads_its_own_wording_and_the_member_theirs(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"), line("A5", "1", "128"))
    path = f"/slips/{settled['settlement_id']}/"
    member, counter = (signed_in(name) for name in ("citizen", "pharmacist"))
    told = member.get(path).content.decode()
    assert "You pay " in told
    assert "通报" in told
    asked = counter.get(path).content.decode()
    assert "Collect " in asked
    assert "You pay" not in asked
    assert "通报" not in asked
    chinese = counter.get(path, headers={"accept-language": "zh-hans"}).content.decode()
    assert "应收现金" in chinese
    assert "已付起付线" in chinese
    assert "chronic.deductible" not in chinese


@pytest.mark.django_db(transaction=True)
def test_one_s_own_slip_speaks_to_the_member_also_at_one_s_own_counter(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    client = signed_in("pharmacist")
    world.retiree.user_id = int(client.session["_auth_user_id"])
    world.retiree.save(update_fields=["user"])
    text = client.get(f"/slips/{settled['settlement_id']}/").content.decode()
    assert "You pay" in text


# --- Figures that no longer follow ---------------------------------------------------------------


def spoil(what: str) -> None:
    """Change one stored thing of the only settlement behind the system's back."""
    row = Settlement.objects.get()
    if what == "hash":
        row.trace_hash = "0" * 64
    elif what == "shown figure":
        row.result["layers"][0]["base_fen"] += 1
    elif what == "input":
        row.inputs["account_available_fen"] -= 1
    elif what == "unreadable input":
        del row.inputs["bill"]
    else:
        row.inputs["bill"]["kind"] = "nothing"
    row.save()


WAYS = {
    "page": lambda client, number: client.get(f"/slips/{number}/"),
    "issuing": lambda client, number: client.post(f"/slips/{number}/issue/"),
    "pdf": lambda client, number: client.get(f"/slips/{number}.pdf"),
    "json": lambda client, number: client.get(f"/slips/{number}.json"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("issued_before", [False, True])
@pytest.mark.parametrize(
    "what", ["hash", "shown figure", "input", "unreadable input", "input without a price"]
)
def test_a_slip_that_cannot_be_reproduced_is_refused_everywhere(
    signed_in: Callable[[str], Client],
    world: World,
    caplog: pytest.LogCaptureFixture,
    what: str,
    issued_before: bool,
) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "60", "18.6"))
    number = settled["settlement_id"]
    client = signed_in("fund")
    if issued_before:
        assert client.post(f"/slips/{number}/issue/").status_code == 302
    before = counts()
    spoil(what)
    for way, ask in WAYS.items():
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            answer = ask(client, number)
        assert answer.status_code == 409, way
        assert number in caplog.text, way
        assert "王" not in caplog.text, way
        told = answer.content.decode()
        assert "no slip of it is given out" in told, way
        assert "¥" not in told, way
    refused = till.get(f"settlements/{number}/slip")
    assert (refused.status, refused["code"]) == (409, "slip_not_reproducible")
    assert "no slip of it is given out" in refused["detail"]
    assert added(before).get("SlipIssue", 0) == 0
    # The record of the settlement is no slip, and stays readable.
    assert till.get(f"settlements/{number}").status == 200


@pytest.mark.django_db(transaction=True)
def test_the_refusal_is_a_page_in_either_language_with_a_number_to_quote(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till())
    spoil("hash")
    answer = signed_in("citizen").get(
        f"/slips/{settled['settlement_id']}/",
        headers={"accept-language": "zh-hans", "x-request-id": "quote-this-1"},
    )
    text = answer.content.decode()
    assert "无法出具该笔结算的结算单" in text
    assert "请联系医保经办机构" in text
    assert "quote-this-1" in text
    assert 'class="brand"' in text


@pytest.mark.django_db(transaction=True)
def test_an_issued_sheet_that_was_changed_is_refused(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    client = signed_in("citizen")
    client.post(f"/slips/{settled['settlement_id']}/issue/")
    row = SlipIssue.objects.get()
    row.sheet["shares"][0]["amount_fen"] += 1
    row.save()
    assert client.get(f"/slips/{settled['settlement_id']}.pdf").status_code == 409


def test_a_visitor_is_asked_to_sign_in(client: Client, world: World) -> None:
    answer = client.get("/slips/00000000-0000-7000-8000-000000000000/")
    assert answer.status_code == 302


# --- As a PDF ---------------------------------------------------------------------------------

FONT_SHA256 = "27a8ad73957bcb11e8f14c0a120833eb0426f5f9776e6f3446c693ad02122dc1"


def text_of(content: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    # The reader gives each Latin letter both of its bytes.
    return "\n".join(page.extract_text() for page in pages).replace("\0", "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-hans", ["医疗费用结算单", "统筹基金", "起付线"]), ("en", ["Settlement slip", "Pool"])],
)
def test_the_pdf_says_in_either_language_what_the_page_says(
    signed_in: Callable[[str], Client], world: World, language: str, words: list[str]
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"), line("A5", "1", "128"))
    client = signed_in("citizen")
    number, asked = settled["settlement_id"], {"accept-language": language}
    answer = client.post(f"/slips/{number}/issue/", headers=asked, follow=True)
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    text = text_of(answer.content)
    for said in [*words, "阿莫西林胶囊", "1,244.00", "92.80", number, sheet_sha256(issued())]:
        assert said in text, said
    again = client.get(f"/slips/{number}.pdf", headers=asked)
    assert again.content == answer.content


def issued() -> dict[str, Any]:
    """The sheet of the only slip that was issued."""
    sheet: dict[str, Any] = SlipIssue.objects.get().sheet
    return sheet


def issued_slip(number: str, language: Any) -> dict[str, Any]:
    """A settlement's slip, issued now."""
    return issue_slip(
        settlement_id=UUID(number), language=language, audience="citizen",
        issued_by="staff:1", now=timezone.now(),
    )  # fmt: skip


def pdf_in(found: dict[str, Any], language: str) -> bytes:
    """Its PDF as a reader of the language gets it."""
    with translation.override("en" if language == "en" else "zh-hans"):
        return slip_pdf(found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_slip_of_an_ordinary_bill_fits_one_page(world: World, language: str) -> None:
    till = world.till()
    sale(world, till, line("A4", "50", "18.6"))
    settled = sale(
        world, till, line("A4", "60", "18.6"), line("A5", "1", "128"), line("A6", "2", "9.9"),
        line("A2", "2", "36.8", prescription=world.prescription(national_code="XC01AAA002")),
    )  # fmt: skip
    found = issued_slip(settled["settlement_id"], language)
    # Areas with a second fund have a third layer, here as long as the first.
    for part in ("layers", "steps"):
        longest = max(found["slip"][part], key=lambda one: len(str(one)))
        found["slip"][part].append(longest)
    assert (len(found["slip"]["lines"]), len(found["slip"]["layers"])) == (4, 3)
    content = pdf_in(found, language)
    assert len(pypdf.PdfReader(io.BytesIO(content)).pages) == 1


@pytest.mark.django_db(transaction=True)
def test_a_pdf_of_five_hundred_lines_holds_every_one(world: World) -> None:
    settled = sale(
        world, world.till(), *[line("A6", "1", "0.01", amount_fen=1)] * 500,
        benefit_kind="pharmacy_account", disease_code=None,
    )  # fmt: skip
    text = text_of(pdf_in(issued_slip(settled["settlement_id"], "zh"), "zh"))
    assert "500. 自制茶包" in text
    assert text.count("自制茶包") == 500


def test_a_character_that_the_font_has_not_is_written_as_its_code_point() -> None:
    assert printable("王龘 ¥1 ×") == "王[U+9F98] ¥1 ×"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["cashier", "nobody"])
def test_the_pdf_is_for_those_who_may_see_the_slip(
    signed_in: Callable[[str], Client], world: World, name: str
) -> None:
    settled = sale(world, world.till())
    assert signed_in(name).get(f"/slips/{settled['settlement_id']}.pdf").status_code == 404


def test_the_font_is_the_one_that_was_taken_in_and_brings_its_licence() -> None:
    assert hashlib.sha256(FONT.read_bytes()).hexdigest() == FONT_SHA256
    assert "SIL OPEN FONT LICENSE" in (FONT.parent / "LICENSE").read_text()


# --- Issued, and kept as issued ------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_looking_issues_nothing_and_the_button_issues_once(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    number = settled["settlement_id"]
    client = signed_in("citizen")
    before = counts()
    assert "Issue as PDF" in client.get(f"/slips/{number}/").content.decode()
    early = client.get(f"/slips/{number}.pdf")
    assert (early.status_code, early["Location"]) == (302, f"/slips/{number}/")
    assert client.get(f"/slips/{number}.json").json()["issued_at"] is None
    assert client.get(f"/slips/{number}/issue/").status_code == 405
    assert added(before) == {}
    assert slip_was_issued(UUID(number)) is False

    for _ in range(2):
        answer = client.post(f"/slips/{number}/issue/")
        assert (answer.status_code, answer["Location"]) == (302, f"/slips/{number}.pdf")
    assert added(before) == {"SlipIssue": 1}
    assert slip_was_issued(UUID(number)) is True
    row = SlipIssue.objects.get()
    assert (row.language, row.audience) == ("en", "citizen")
    assert row.issued_by == f"member:{world.retiree.pk}"
    text = client.get(f"/slips/{number}/").content.decode()
    assert "Open the PDF" in text
    assert "Issue as PDF" not in text


@pytest.mark.django_db(transaction=True)
def test_issuing_asks_for_the_page_s_own_token(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till())
    stranger = Client(enforce_csrf_checks=True)
    stranger.cookies = signed_in("citizen").cookies
    assert stranger.post(f"/slips/{settled['settlement_id']}/issue/").status_code == 403
    assert SlipIssue.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_issued_slip_stays_as_issued_after_a_refund_another_name_and_other_words(
    signed_in: Callable[[str], Client], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "60", "18.6"))
    number = settled["settlement_id"]
    client = signed_in("citizen")
    pdf = client.post(f"/slips/{number}/issue/", follow=True).content
    sheet = issued()
    give_back(till, settled)
    world.pharmacy.name = "改名大药房"
    world.pharmacy.save()
    monkeypatch.setitem(wording.TEXTS["en"], "total", "In all {total} yuan.")
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        assert client.get(f"/slips/{number}.pdf").content == pdf
        found = client.get(f"/slips/{number}.json").json()
        text = client.get(f"/slips/{number}/").content.decode()
    assert found["slip"] == sheet == issued()
    assert found["sha256"] == sheet_sha256(found["slip"])
    assert found["slip"]["refunded_fen"] == 0
    assert found["current"]["refunded_fen"] == settled["total_fen"]
    assert len(found["current"]["refunds"]) == 1
    assert "改名" not in text
    assert "The bill comes to" in text
    assert "after the slip was issued and is not on its PDF" in text


@pytest.mark.django_db(transaction=True)
def test_a_slip_that_is_issued_after_the_refund_bears_it(world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "2", "18.6"))
    give_back(till, settled)
    text = text_of(pdf_in(issued_slip(settled["settlement_id"], "en"), "en"))
    assert "Refunded ¥37.20" in text


@pytest.mark.django_db(transaction=True)
def test_each_language_and_wording_is_issued_for_itself(
    signed_in: Callable[[str], Client], world: World
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    path = f"/slips/{settled['settlement_id']}/issue/"
    citizen, counter = signed_in("citizen"), signed_in("pharmacist")
    for client, language in ((citizen, "en"), (citizen, "zh-hans"), (counter, "zh-hans")):
        client.post(path, headers={"accept-language": language})
    rows = SlipIssue.objects.values_list("language", "audience", "issued_by")
    operator = Operator.objects.get()
    assert set(rows) == {
        ("en", "citizen", f"member:{world.retiree.pk}"),
        ("zh", "citizen", f"member:{world.retiree.pk}"),
        ("zh", "cashier", f"operator:{operator.pk}"),
    }


@pytest.mark.django_db(transaction=True)
def test_who_comes_second_gets_what_the_first_was_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival issues between the second's look and its write."""
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    asked: dict[str, Any] = {
        "settlement_id": UUID(settled["settlement_id"]), "language": "en", "audience": "citizen",
    }  # fmt: skip
    real, given = slips_service.sheet_sha256, []

    def interrupted(sheet: dict[str, Any]) -> str:
        if not given:
            given.append(None)
            given[0] = issue_slip(**asked, issued_by="member:1", now=timezone.now())
        return real(sheet)

    monkeypatch.setattr(slips_service, "sheet_sha256", interrupted)
    late = timezone.now() + timedelta(seconds=5)
    assert issue_slip(**asked, issued_by="terminal:1", now=late) == given[0]
    assert SlipIssue.objects.get().issued_by == "member:1"


@pytest.mark.django_db(transaction=True)
def test_a_vendor_s_first_asking_issues_and_later_ones_get_the_same(world: World) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "60", "18.6"))
    path = f"settlements/{settled['settlement_id']}/slip"
    first = till.get(path)
    assert SlipIssue.objects.get().issued_by == f"terminal:{till.terminal_id}"
    give_back(till, settled)
    later = till.get(path)
    for name in ("slip", "text", "issued_at", "sha256"):
        assert later[name] == first[name], name
    # As docs/api.md says it is made, with another encoder.
    text = json.dumps(later["slip"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert later["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (first["current"]["refunded_fen"], later["current"]["refunded_fen"]) == (0, 111_600)
    assert SlipIssue.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_another_merchant_s_slip_is_neither_shown_nor_issued(world: World) -> None:
    settled = sale(world, world.till())
    other = world.till(world.clinic)
    assert other.get(f"settlements/{settled['settlement_id']}/slip").status == 404
    assert SlipIssue.objects.count() == 0


# --- As JSON, for a vendor's own form -----------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_vendor_works_the_shares_out_from_the_json_alone(world: World) -> None:
    till = world.till()
    sale(world, till, line("A4", "50", "18.6"))
    settled = sale(world, till, line("A4", "60", "18.6"), line("A5", "1", "128"))
    found = till.get(f"settlements/{settled['settlement_id']}/slip")["slip"]
    check(found)
    pool = next(one for one in found["layers"] if one["payer"] == "pool" and not one["reason"])
    over_fen = pool["base_fen"] - pool["deductible_fen"]
    assert pool["deductible_fen"] == pool["deductible_left_fen"] == 100_000 - 93_000
    (tier,) = pool["tiers"]
    assert (tier["part_fen"], tier["rate_bp"], tier["rate_rest"]) == (over_fen, 8_000, 0)
    assert tier["paid_fen"] == over_fen * 80 // 100
    assert "ZB-02" in pool["source"]
    assert found["rounding"] == "half_up"
    (deductible,) = [one for one in found["year_to_date"] if one["name"] == "chronic.deductible"]
    assert (deductible["before_fen"], deductible["added_fen"]) == (93_000, 7_000)
    assert deductible["title"] == "Chronic and special disease: deductible met"
    assert any(step["source"] and "ZB-02" in step["source"] for step in found["steps"])
    assert not any("ZB-02" in step["text"] for step in found["steps"])


@pytest.mark.django_db(transaction=True)
def test_the_page_s_json_is_for_the_same_people_in_the_form_of_the_api(
    signed_in: Callable[[str], Client], world: World
) -> None:
    till = world.till()
    settled = sale(world, till, line("A4", "60", "18.6"), line("A5", "1", "128"))
    path = f"/slips/{settled['settlement_id']}.json"
    fund = signed_in("fund").get(path)
    assert fund["Cache-Control"] == "no-store"
    vendor = till.get(f"settlements/{settled['settlement_id']}/slip")
    assert fund.json() == {**vendor.body, "issued_at": None, "sha256": None}
    assert signed_in("citizen").get(path).json() == vendor.body
    counter = signed_in("pharmacist").get(path).json()
    assert counter["slip"]["audience"] == "cashier"
    assert counter["slip"]["trace_hash"] == vendor["slip"]["trace_hash"]
    for name in ("cashier", "nobody"):
        answer = signed_in(name).get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name
    visitor = Client().get(path)
    assert (visitor.status_code, visitor.json()["code"]) == (401, "not_signed_in")
