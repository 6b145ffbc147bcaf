"""A return into a declared month, at the counter and on the page of the fund's staff."""

import json
from collections.abc import Callable

import pytest

from tests.browser.conftest import PHONE, Visitor
from tests.browser.scanning import code_on
from tests.browser.test_pharmacy_page import serve_one

pytestmark = pytest.mark.browser

WAITS = {
    "type": "/docs/refusals#refund_needs_approval",
    "title": "refund needs approval",
    "status": 409,
    "code": "refund_needs_approval",
    "detail": "这笔结算所在月份已申报清算。",
    "param": "settlement_id",
    "request_id": "1",
    "approval_id": "019ac0de-0000-7000-8000-00000000cafe",
    "state": "waiting",
    "since": "2026-11-30T02:30:00Z",
}


def test_a_till_is_told_that_its_refund_waits_and_sends_it_again(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = visitor("citizen", size=PHONE)
    counter = visitor("pharmacist")
    page = counter.page
    serve_one(counter, code_on(citizen.page), ["6900000000042"])
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()

    sent: list[tuple[str, str]] = []
    # The server's own refusal is proved elsewhere; here the fund is slow twice.
    answers = [WAITS, {**WAITS, "code": "refund_declined", "detail": "发票呢"}]

    def answered(route) -> None:
        request = route.request
        sent.append((request.headers["idempotency-key"], request.post_data))
        if len(sent) > len(answers) + 1:
            return route.continue_()
        return route.fulfill(
            status=409,
            content_type="application/problem+json",
            body=json.dumps(answers[max(0, len(sent) - 2)]),
        )

    page.route("**/counter/ops/refund", answered)
    counter.expected += ["409"]
    page.click("[data-part=refund]")
    page.fill("#refund-reason", "顾客退货")
    page.click("dialog .danger")
    waiting = page.locator("[data-part=waiting]")
    waiting.wait_for()
    assert WAITS["detail"] in waiting.inner_text()
    assert WAITS["approval_id"] in waiting.inner_text()
    assert "11/30 10:30" in waiting.inner_text()
    # It still waits: one card, not two.
    with page.expect_response("**/counter/ops/refund"):
        page.click("[data-part=again]")
    page.locator("[data-part=again]:enabled").wait_for()
    assert waiting.count() == 1
    # Declined: the card goes, and the fund's words are there.
    page.click("[data-part=again]")
    page.locator("[data-part=pay-step] [data-part=state]").filter(has_text="发票呢").wait_for()
    assert waiting.count() == 0
    # Asked for once more, it goes through.
    page.click("[data-part=refund]")
    page.fill("#refund-reason", "顾客退货")
    page.click("dialog .danger")
    page.locator(".refunded-card").wait_for()
    keys, bodies = zip(*sent, strict=True)
    assert len(set(keys)) == len(sent) == 4
    assert len(set(bodies)) == 1


def test_the_funds_staff_decide_with_one_press_or_two(visitor: Callable[..., Visitor]) -> None:
    fund = visitor("fund")
    page = fund.page
    page.locator("[data-part=approvals-waiting]:not(:empty)").wait_for()
    page.click("a[href='/fund/approvals/']")
    cards = page.locator(".approval")
    cards.first.wait_for()
    before = cards.count()
    # Declining needs a word; without it nothing happens, and the field says so.
    cards.last.locator("button.danger").click()
    page.locator(".field-error").wait_for()
    assert cards.count() == before
    page.locator(".approval textarea[aria-invalid]").fill("请附发票")
    cards.last.locator("button.danger").click()
    page.locator(".rows .row").filter(has_text="请附发票").wait_for()
    assert cards.count() == before - 1
    # Twice is once, and no alarm.
    number = cards.last.get_attribute("id")
    cards.last.locator("button:not(.danger)").dblclick()
    page.locator(f"[id='{number}']").wait_for(state="detached")
    page.wait_for_load_state()
    assert cards.count() == before - 2
    assert page.locator(".note.warn").count() == 0


def test_an_earlier_sale_comes_back_when_the_fund_has_approved_it(
    visitor: Callable[..., Visitor],
) -> None:
    fund, counter = visitor("fund"), visitor("pharmacist", size=PHONE)
    fund.page.goto(f"{fund.site.url}/fund/approvals/")
    card = fund.page.locator(".approval").last
    number = card.locator(".facts a").inner_text()
    page = counter.page
    counter.expected += ["404", "422", "409"]
    page.click("a[href='/counter/returns/']")
    for wrong in ("12", "019ac0de-0000-7000-8000-00000000cafe"):
        page.fill("#number", wrong)
        page.press("#number", "Enter")
        page.locator("#number[aria-invalid]").wait_for()
    page.fill("#number", number)
    page.press("#number", "Enter")
    page.locator(".done-card").wait_for()
    total = page.locator(".done-card .figure").inner_text()
    page.click("[data-part=refund]")
    page.fill("#refund-reason", "顾客退货")
    page.click("dialog .danger")
    page.locator("[data-part=waiting]").wait_for()
    # Left and come back to: the address names the sale.
    page.reload()
    page.locator(".done-card").wait_for()
    assert page.locator("[data-part=waiting]").count() == 0
    page.click("[data-part=refund]")
    page.fill("#refund-reason", "顾客退货")
    page.click("dialog .danger")
    page.locator("[data-part=waiting]").wait_for()

    card.locator("button:not(.danger)").click()
    fund.page.locator(".rows .row").filter(has_text=number).wait_for()
    page.click("[data-part=again]")
    page.locator(".refunded-card").wait_for()
    assert page.locator(".refunded-card .figure").inner_text() == total
    page.reload()
    page.locator(".done-card .tag.warn").wait_for()
    assert page.locator("[data-part=refund]").count() == 0


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 800}], ids=["phone", "desktop"])
def test_what_waits_fits_the_screen(visitor: Callable[..., Visitor], size: dict) -> None:
    fund = visitor("fund", size=size)
    fund.page.goto(f"{fund.site.url}/fund/approvals/")
    fund.page.locator(".approval").first.wait_for()
    assert fund.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
