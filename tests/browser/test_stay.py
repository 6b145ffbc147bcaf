"""A stay at the hospital's page in a real browser: 入院, 费用, 中途结算, 出院, 出院结算."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.scanning import code_on, type_as_scanner
from tests.browser.test_look import UNNAMED, WEAK_TEXTS

pytestmark = pytest.mark.browser


def fresh_code(one: Visitor) -> str:
    """Another code of a phone."""
    before = code_on(one.page)
    one.page.click("#renew")
    for _ in range(50):
        one.page.wait_for_timeout(100)
        if (code := code_on(one.page)) != before:
            return code
    raise AssertionError("the phone shows no new code")


def assert_looks_right(page) -> None:
    """Fits a phone and a desk, can be read, and every control has a name."""
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(WEAK_TEXTS) == []
        assert page.evaluate(UNNAMED) == []


def upload(page, *items: str, day: str = "") -> None:
    """Upload a unit of each item, named by its own code."""
    page.click("#tab-treat")
    if day:
        page.fill("#service-date", day)
    for number, item in enumerate(items, start=1):
        page.fill("#fee-item", item)
        page.press("#fee-item", "Enter")
        page.locator(".line").nth(number - 1).wait_for()
    page.click("[data-part=upload]")
    page.locator("[data-part=treat-state].good").wait_for()


def test_a_stay_from_the_admission_to_the_final_bill(visitor: Callable[..., Visitor]) -> None:
    patient = visitor("patient", size=PHONE)
    counter = visitor("ward")
    page = counter.page
    # Refusals of bills and of a day, which the page shows at their fields.
    counter.expected += ["422", "409", "400"]

    page.check("input[name=visit-kind][value=inpatient]")
    assert not page.locator("#fee").is_visible()
    page.fill("#department", "内科")
    page.check("[data-part=emergency]")
    assert_looks_right(page)
    first_day = page.locator("#admission-date").get_attribute("min")
    page.fill("#admission-date", first_day)
    type_as_scanner(page, code_on(patient.page), focus="#registration-code")
    page.locator("[data-part=visit-head] .person-name").wait_for()
    assert page.locator("[data-part=visit-head] .person-name").inner_text() == "张试验"
    assert page.locator("[data-part=visit-head] .tag").all_inner_texts()[:2] == ["住院", "急诊"]

    upload(page, "H-XA01", "H-001", day=first_day)
    yesterday = (date.fromisoformat(first_day) + timedelta(days=2)).isoformat()
    upload(page, "H-XA01", "H-XB01", "H-XD01", day=yesterday)

    # The scan that admitted still counts for a bill while the patient stays.
    page.click("#tab-charge")
    page.fill("#package", "NONE-SUCH")
    page.click("[data-part=estimate]")
    page.locator("#package-error:not([hidden])").wait_for()
    page.fill("#package", "BED-DAY-PSY")
    page.click("[data-part=estimate]")
    page.locator("#days-error:not([hidden])").wait_for()
    assert_looks_right(page)
    page.fill("#days", "3")
    page.click("[data-part=estimate]")
    assert "¥780.00" in page.locator("[data-part=hospital-payment]").inner_text()
    page.fill("#package", "")
    page.fill("#days", "")
    assert page.locator("[data-part=quote]").inner_text() == "中途结算报价"
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()

    upload(page, "H-002")
    page.click("#tab-charge")
    page.click("[data-part=leave]")
    page.fill("#discharge-date", yesterday)
    assert page.locator("[data-part=leave-days]").inner_text() == "2"
    assert_looks_right(page)
    page.click("[data-part=leave-confirm]")
    page.locator("[data-part=renewal]").wait_for()
    assert page.locator("[data-part=visit-head] .tag").first.inner_text() == "已出院"
    page.click("[data-part=quote]")
    assert page.locator("[data-part=pay] [data-part=state]").inner_text() == "请先扫描医保码。"

    type_as_scanner(page, fresh_code(patient), focus="#settlement-code")
    page.locator("[data-part=shown]:not([hidden])").wait_for()
    assert page.locator("[data-part=quote]").inner_text() == "出院结算报价"
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()

    assert_looks_right(page)

    # A bill has gone by the day: it stays.
    page.click("[data-part=leave]")
    page.fill("#discharge-date", page.locator("#discharge-date").get_attribute("max"))
    page.click("[data-part=leave-confirm]")
    page.locator("#discharge-date-error:not([hidden])").wait_for()
    page.click("[data-part=leave-cancel]")
    assert page.locator(".done-card").is_visible()


def test_a_patient_from_before_this_system_is_billed_under_a_scan_of_their_own(
    visitor: Callable[..., Visitor],
) -> None:
    patient = visitor("inmate", size=PHONE)
    other = visitor("patient", size=PHONE)
    counter = visitor("ward")
    page = counter.page
    # Whose code it was, only the server knows: both names look the same when masked.
    counter.expected.append("404")

    page.locator("[data-visit]", has_text="老年科").click()
    page.locator("[data-part=visit-head] .tag", has_text="住院").wait_for()
    upload(page, "H-001")
    page.click("#tab-charge")
    type_as_scanner(page, fresh_code(other), focus="#settlement-code")
    page.locator("[data-part=shown]:not([hidden])").wait_for()
    page.click("[data-part=estimate]")
    page.locator("[data-part=renewal]").wait_for()
    type_as_scanner(page, fresh_code(patient), focus="#settlement-code")
    page.locator("[data-part=shown]:not([hidden])").wait_for()
    page.click("[data-part=estimate]")
    page.locator("[data-part=figures] .share").first.wait_for()
    payers = page.locator("[data-part=figures] .share dt").all_inner_texts()
    assert payers == ["统筹支付", "账户支付", "家庭共济账户", "现金支付"]

    counter.expected.append("422")
    page.route(
        "**/counter/ops/estimate",
        lambda route: route.fulfill(
            status=422,
            content_type="application/problem+json",
            json={"code": "benefit_kind_not_for_visit", "detail": "…", "param": "benefit_kind"},
        ),
    )
    page.click("[data-part=estimate]")
    page.locator("#benefit-error:not([hidden])").wait_for()


def test_a_visit_whose_scan_ran_out_opens_and_asks_for_another(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = visitor("worker", size=PHONE)
    counter = visitor("cashier")
    page = counter.page
    page.locator("#fee option").nth(1).wait_for(state="attached")
    type_as_scanner(page, code_on(citizen.page), focus="#registration-code")
    page.locator("[data-part=visit-head] .person-name").wait_for()

    page.route(
        "**/counter/look/scan?*",
        lambda route: route.fulfill(
            status=410,
            content_type="application/problem+json",
            json={"code": "scan_expired", "detail": "…"},
        ),
    )
    counter.expected.append("410")
    page.reload()
    page.locator("[data-visit]", has_text="李").first.click()
    page.locator("[data-part=renewal]").wait_for()
    assert not page.locator("[data-part=benefit]").is_visible()
    type_as_scanner(page, fresh_code(citizen), focus="#settlement-code")
    page.locator("[data-part=benefit]").wait_for()
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()


def test_a_long_list_is_searched_by_name_or_department(visitor: Callable[..., Visitor]) -> None:
    page = visitor("ward").page
    patients = [
        {
            "visit_id": f"v{number}",
            "member_name": "王**" if number % 3 else "欧***",
            "department": "外科" if number % 2 else "老年科",
            "admission_date": "2026-11-01",
            "discharge_date": None,
            "opened_at": "2026-11-01T01:00:00Z",
            "closed_at": None,
        }
        for number in range(12)
    ]
    page.route(
        "**/counter/look/visits_today", lambda route: route.fulfill(json={"visits": patients})
    )
    page.reload()
    page.fill("#filter", "欧")
    assert page.locator("[data-visit]").count() == 4
    page.fill("#filter", "外科")
    assert page.locator("[data-visit]").count() == 6
    page.fill("#filter", "儿科")
    page.locator("[data-part=none-fits]").wait_for()
    assert_looks_right(page)
