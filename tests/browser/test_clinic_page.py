"""The clinic's page in a real browser: 挂号, 就诊, 收费, 取药."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import PHONE, Visitor
from tests.browser.scanning import code_on, type_as_scanner

pytestmark = pytest.mark.browser


def pay(page) -> None:
    """Quote what is due and confirm it."""
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()


def test_a_visit_from_registration_to_the_drugs_in_the_hand(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = visitor("citizen", size=PHONE)
    counter = visitor("cashier")
    page = counter.page

    page.fill("#department", "全科")
    page.fill("#doctor", "孙医师")
    page.locator("#fee option").nth(1).wait_for(state="attached")
    type_as_scanner(page, code_on(citizen.page), focus="#registration-code")
    page.locator("[data-part=visit-head] .person-name").wait_for()
    # A clinic learns the full name from the opening of the visit.
    assert page.locator("[data-part=visit-head] .person-name").inner_text() == "王测试"
    pay(page)

    page.click("#tab-treat")
    page.fill("#diagnosis-code", "J06")
    page.fill("#diagnosis-name", "急性上呼吸道感染")
    page.fill("#fee-item", "amxl")
    page.locator("[role=option]").first.wait_for()
    page.press("#fee-item", "Enter")
    page.locator(".line").wait_for()
    page.click("[data-part=prescribe]")
    page.locator("[data-part=uploaded] .note").wait_for()
    page.click("[data-part=upload]")
    page.locator("[data-part=treat-state].good").wait_for()

    page.click("#tab-charge")
    page.click("[data-part=estimate]")
    page.locator("[data-part=figures] .share").first.wait_for()
    pay(page)

    page.click("#tab-collect")
    citizen.page.click("#renew")
    citizen.page.wait_for_timeout(500)
    type_as_scanner(page, code_on(citizen.page), focus="#pickup-code")
    page.locator("[data-pickup]").wait_for()
    assert "阿莫西林胶囊 × 1" in page.locator("[data-pickup]").inner_text()

    page.click("[data-part=new]")
    assert page.locator("[data-visit]").count() >= 1
