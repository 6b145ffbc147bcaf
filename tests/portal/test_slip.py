"""The slip: every fen explained, the same to the fen when worked out by others, seen by its own."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pypdf
import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.slip_pdf import FONT, printable, slip_pdf
from settlement.models import Settlement
from settlement.selectors.slips import slip_sheet
from tests.settlement.test_refunds import give_back, sale
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
        slip = slip_sheet(settlement_id=settled["settlement_id"], language=language)
        assert slip["recomputed"] is True
        assert sum(share["amount_fen"] for share in slip["shares"]) == slip["total_fen"]
        assert sum(one["amount_fen"] for one in slip["lines"]) == slip["total_fen"]
        for one in slip["lines"]:
            parts = ("in_range_fen", "first_pay_fen", "over_limit_fen", "out_of_scope_fen")
            assert sum(one[part] for part in parts) == one["amount_fen"]
        left_fen = slip["total_fen"]
        for layer in slip["layers"]:
            # Base less deductible, each tier at its rate, what is above the cap not paid.
            assert sum(tier["part_fen"] for tier in layer["tiers"]) in (
                0,
                layer["base_fen"] - layer["deductible_fen"],
            )
            for tier in layer["tiers"]:
                rate = round(float(tier["rate"].rstrip("%")) * 100)
                assert abs(tier["part_fen"] * rate / 10_000 - tier["paid_fen"]) <= 0.5
            paid = sum(tier["paid_fen"] for tier in layer["tiers"]) - layer["over_cap_fen"]
            assert layer["paid_fen"] in (paid, 0)
            left_fen -= layer["paid_fen"]
        cash = [s["amount_fen"] for s in slip["shares"] if s["payer"] in ("现金", "cash")]
        assert sum(cash) == left_fen
        for each in slip["year_to_date"]:
            assert each["before_fen"] + each["added_fen"] == each["after_fen"]


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("spoilt", ["hash", "shown figure", "input"])
def test_figures_that_no_longer_follow_from_their_inputs_are_told(
    signed_in: Callable[[str], Client], world: World, spoilt: str
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    row = Settlement.objects.get()
    if spoilt == "hash":
        row.trace_hash = "0" * 64
    elif spoilt == "shown figure":
        row.result["layers"][0]["base_fen"] += 1
    else:
        row.inputs["account_available_fen"] -= 1
    row.save()
    text = signed_in("fund").get(f"/slips/{settled['settlement_id']}/").content.decode()
    assert "other figures come out" in text
    assert "the same to the fen" not in text


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
    [("zh-hans", ["医疗费用结算单", "统筹基金", "起付线"]), ("en", ["Settlement slip", "pool"])],
)
def test_the_pdf_says_in_either_language_what_the_page_says(
    signed_in: Callable[[str], Client], world: World, language: str, words: list[str]
) -> None:
    settled = sale(world, world.till(), line("A4", "60", "18.6"), line("A5", "1", "128"))
    client = signed_in("citizen")
    answer = client.get(
        f"/slips/{settled['settlement_id']}.pdf", headers={"accept-language": language}
    )
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    text = text_of(answer.content)
    for said in [*words, "阿莫西林胶囊", "1,244.00", "92.80", settled["settlement_id"]]:
        assert said in text, said
    again = client.get(
        f"/slips/{settled['settlement_id']}.pdf", headers={"accept-language": language}
    )
    assert again.content == answer.content


@pytest.mark.django_db(transaction=True)
def test_a_pdf_of_five_hundred_lines_holds_every_one(world: World) -> None:
    settled = sale(
        world, world.till(), *[line("A6", "1", "0.01", amount_fen=1)] * 500,
        benefit_kind="pharmacy_account", disease_code=None,
    )  # fmt: skip
    sheet = slip_sheet(settlement_id=settled["settlement_id"], language="zh")
    text = text_of(slip_pdf(sheet))
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


# --- As JSON, for a vendor's own form -----------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_vendor_works_the_shares_out_from_the_json_alone(world: World) -> None:
    till = world.till()
    sale(world, till, line("A4", "50", "18.6"))
    settled = sale(world, till, line("A4", "60", "18.6"), line("A5", "1", "128"))
    slip = till.get(f"settlements/{settled['settlement_id']}/slip")["slip"]
    paid: dict[str, int] = {}
    for layer in slip["layers"]:
        if not layer["reason"] and layer["payer"] == "pool":
            over_fen = layer["base_fen"] - layer["deductible_fen"]
            assert layer["deductible_fen"] == layer["deductible_left_fen"] == 100_000 - 93_000
            (tier,) = layer["tiers"]
            assert (tier["part_fen"], tier["rate_bp"]) == (over_fen, 8_000)
            assert tier["paid_fen"] == over_fen * 80 // 100
        paid[layer["payer"]] = paid.get(layer["payer"], 0) + layer["paid_fen"]
    paid["cash"] = slip["total_fen"] - sum(paid.values())
    shares = {share["payer"]: share["amount_fen"] for share in slip["shares"]}
    assert {payer: fen for payer, fen in paid.items() if fen} == shares
    (deductible,) = [one for one in slip["year_to_date"] if one["name"] == "chronic.deductible"]
    assert (deductible["before_fen"], deductible["added_fen"]) == (93_000, 7_000)
