"""The pharmacy's page in a real browser: a code on a phone, a scanner, a bill, a settlement."""

import io
import re
import unicodedata
from collections.abc import Callable

import pypdf
import pytest

from tests.browser.conftest import PHONE, Site, Visitor
from tests.browser.scanning import code_on, type_as_scanner
from voucher.tokens import looks_like_payment_code

pytestmark = pytest.mark.browser

FEN = re.compile(r"¥([\d,]+)\.(\d\d)")


def fen(text: str) -> int:
    """The first amount in a text."""
    found = FEN.search(text)
    assert found, text
    return int(found[1].replace(",", "") + found[2])


def serve_one(counter: Visitor, code: str, packs: list[str]) -> None:
    """Scan a person, then packs."""
    page = counter.page
    type_as_scanner(page, code)
    page.locator(".person-name").wait_for()
    for bar_code in packs:
        page.locator("#item").wait_for()
        before = page.locator(".line").count()
        page.fill("#item", bar_code)
        page.press("#item", "Enter")
        page.locator(".line").nth(before).wait_for()


def settled_so_far(citizen: Visitor) -> int:
    """How many settlements the citizen's page lists: the tests of a session share their people."""
    citizen.page.locator("#settlements > *").wait_for()
    return citizen.page.locator("#settlements .row").count()


def test_a_purchase_from_the_code_on_the_phone_to_posted(
    visitor: Callable[..., Visitor], site: Site
) -> None:
    citizen = visitor("citizen", size=PHONE)
    before = settled_so_far(citizen)
    counter = visitor("pharmacist")
    page = counter.page
    serve_one(counter, code_on(citizen.page), ["6900000000011", "6900000000042"])

    assert page.locator(".person-name").inner_text().startswith("王*")
    page.fill("#item", "zzcb")
    page.locator("[role=option]").first.wait_for()
    # Unmapped, and marked so before the quote.
    assert page.locator("[role=option] .tag.warn").count() == 1
    page.press("#item", "Enter")
    page.locator(".line").nth(2).wait_for()
    page.locator(".line").first.locator(".rx").fill(site.prescription)

    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    amounts = {
        row.locator("dt").inner_text(): fen(row.locator("dd").inner_text())
        for row in page.locator("[data-part=figures] .share").all()
    }
    assert sum(amounts.values()) == fen(page.locator("[data-part=total]").inner_text())
    assert page.locator("[data-part=left]").inner_text()

    page.dblclick("[data-part=confirm]")
    page.locator(".done-card").wait_for()
    page.locator(".done-card .tag.good").wait_for(timeout=10_000)
    # What is paid for cannot be billed again by a stray hand.
    assert page.locator("[data-part=items-step]").evaluate("step => step.inert")

    citizen.page.locator("#settlements .row").nth(before).wait_for(timeout=10_000)
    assert settled_so_far(citizen) == before + 1
    citizen.page.locator("#settlements .row").first.locator(".tag.good").wait_for(timeout=10_000)

    page.click("[data-part=refund]")
    page.fill("#refund-reason", "顾客退货")
    page.click("dialog .danger")
    page.locator(".refunded-card").wait_for()
    page.click("[data-part=next]")
    page.locator("[data-part=empty]").wait_for()
    assert not page.locator("[data-part=items-step]").evaluate("step => step.inert")


def test_what_the_list_does_not_sell_is_found_in_the_catalogue_and_priced_by_hand(
    visitor: Callable[..., Visitor],
) -> None:
    counter = visitor("pharmacist")
    page = counter.page
    type_as_scanner(page, code_on(visitor("worker", size=PHONE).page))
    page.locator(".person-name").wait_for()
    # Blood counts are the clinic's: the pharmacy has no price for them.
    page.fill("#item", "xcg")
    page.locator("[role=option]").first.wait_for()
    assert page.locator("[role=option] .amount").count() == 0
    page.press("#item", "Enter")
    page.locator(".line .price").wait_for()
    assert page.evaluate("document.activeElement.className") == "price"
    page.click("[data-part=quote]")
    assert "warn" in (page.get_attribute("[data-part=pay-step] [data-part=state]", "class") or "")
    page.focus(".line .price")
    page.keyboard.type("20.5")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "item"
    # One more of it, by the beginning of its national code.
    page.fill("#item", "0025010")
    page.press("#item", "Enter")
    page.locator(".line-amount", has_text="¥41.00").wait_for()
    assert page.locator(".line").count() == 1
    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    assert fen(page.locator("[data-part=total]").inner_text()) == 4100
    page.click("[data-part=withdraw]")


def test_an_entry_that_the_list_sells_under_another_name_is_sold_at_the_list_s_price(
    visitor: Callable[..., Visitor],
) -> None:
    page = visitor("pharmacist").page
    answer = (
        '{"items": [{"national_code": "XJ01CAA004", "name": "别名", "specification": "",'
        ' "manufacturer": "", "barcode": "", "restricted_use": "限急诊"}]}'
    )
    page.route(
        "**/counter/look/catalogue*",
        lambda route: route.fulfill(content_type="application/json", body=answer),
    )
    page.fill("#item", "bieming")
    option = page.locator("[role=option]", has_text="限急诊")
    option.wait_for()
    page.press("#item", "Enter")
    page.locator(".line-amount", has_text="¥18.60").wait_for()
    assert page.locator(".line .price").count() == 0


def test_a_payment_code_never_leaves_the_page(visitor: Callable[..., Visitor]) -> None:
    counter = visitor("pharmacist")
    sent = []
    counter.page.on("request", lambda request: sent.append(request.url))
    type_as_scanner(counter.page, "134567890123456789")
    line = counter.page.locator("[data-part=person-step] [data-part=state]")
    line.wait_for()
    assert "bad" in (line.get_attribute("class") or "")
    assert not [url for url in sent if "/counter/ops/" in url]
    assert counter.page.input_value("#code") == ""


def test_a_scan_lands_in_its_field_wherever_the_focus_is(visitor: Callable[..., Visitor]) -> None:
    counter = visitor("pharmacist")
    citizen = visitor("worker", size=PHONE)
    counter.page.locator("[data-part=estimate]").focus()
    type_as_scanner(counter.page, code_on(citizen.page), focus=None)
    counter.page.locator(".person-name").wait_for()


def test_a_used_code_says_what_to_do_next(visitor: Callable[..., Visitor]) -> None:
    counter = visitor("pharmacist")
    counter.expected.append("409")
    citizen = visitor("worker", size=PHONE)
    code = code_on(citizen.page)
    type_as_scanner(counter.page, code)
    counter.page.locator(".person-name").wait_for()
    counter.page.click("[data-part=change]")
    type_as_scanner(counter.page, code)
    line = counter.page.locator("[data-part=person-step] [data-part=state].bad")
    line.wait_for()
    assert line.inner_text()


def test_a_lost_answer_is_asked_for_again_and_settled_once(
    visitor: Callable[..., Visitor], site: Site
) -> None:
    counter = visitor("pharmacist")
    counter.expected += ["ERR_FAILED", "404"]
    citizen = visitor("worker", size=PHONE)
    before = settled_so_far(citizen)
    serve_one(counter, code_on(citizen.page), ["6900000000042"])
    page = counter.page
    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    posted = []

    def lose_the_first_answer(route) -> None:
        posted.append(route.request.headers["idempotency-key"])
        if len(posted) == 1:
            # The server accepts; the till never learns it.
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/counter/ops/settle", lose_the_first_answer)
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()
    assert len(set(posted)) == 1
    citizen.page.goto(f"{site.url}/me/")
    assert settled_so_far(citizen) == before + 1


def test_what_a_reload_interrupted_is_taken_up_under_its_key(
    visitor: Callable[..., Visitor],
) -> None:
    counter = visitor("pharmacist")
    counter.expected += ["ERR_FAILED", "ERR_INTERNET", "ERR_ABORTED"]
    citizen = visitor("citizen", size=PHONE)
    serve_one(counter, code_on(citizen.page), ["6900000000042"])
    page = counter.page
    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    page.route("**/counter/**", lambda route: route.abort())
    page.click("[data-part=confirm]")
    page.locator("[data-part=pay-step] > [data-part=state].warn").wait_for()
    # What is being settled stays as it is while nobody knows.
    assert page.locator("[data-part=items-step]").evaluate("step => step.inert")
    assert not page.locator("[data-part=change]").is_visible()
    page.unroute("**/counter/**")
    page.reload()
    page.locator(".done-card").wait_for()


def test_plain_http_keeps_the_camera_off_and_the_scanner_on(
    visitor: Callable[..., Visitor], site: Site
) -> None:
    citizen = visitor("worker", size=PHONE)
    # A name that is neither localhost nor https: no secure context, as on a shop's network.
    counter = visitor(flags=("--host-resolver-rules=MAP till.example 127.0.0.1",))
    counter.expected.append("Cross-Origin-Opener-Policy")
    counter.sign_in("pharmacist", url=site.url.replace("127.0.0.1", "till.example"))
    assert counter.page.evaluate("isSecureContext") is False
    assert counter.page.locator("#insecure").is_visible()
    assert counter.page.locator("[data-part=camera-button]").is_disabled()
    type_as_scanner(counter.page, code_on(citizen.page))
    counter.page.locator(".person-name").wait_for()


PRESENTED = [
    "134567890123456789",
    "103456789012345678",
    "153456789012345678",
    "163456789012345678",
    "13456789012345678",
    "2534567890123456",
    "301234567890123456789012",
    "3112345678901234",
    "25345678901234",
    "6212345678901234567",
    "62123456789012345678",
    "6900000000042",
    "1" * 254,
]


def test_the_page_knows_a_payment_code_as_the_server_does(
    visitor: Callable[..., Visitor],
) -> None:
    page = visitor("pharmacist").page
    found = page.evaluate(
        "async (texts) => { const { kindOf } = await import('/static/portal/evidence.js');"
        " return texts.map((text) => kindOf(text) === 'payment'); }",
        PRESENTED,
    )
    assert found == [looks_like_payment_code(text) for text in PRESENTED]
    assert any(found)
    assert not all(found)


def test_what_is_wrong_with_a_line_is_said_once_and_unsaid_when_put_right(
    visitor: Callable[..., Visitor],
) -> None:
    counter = visitor("pharmacist")
    counter.expected.append("422")
    citizen = visitor("citizen", size=PHONE)
    serve_one(counter, code_on(citizen.page), ["6900000000011"])
    page = counter.page
    line = page.locator("[data-part=pay-step] > [data-part=state]")

    page.locator(".quantity input").fill("0")
    page.click("[data-part=quote]")
    assert "数量" in line.inner_text()
    page.locator(".quantity input").fill("1")
    assert not line.is_visible()

    page.locator(".rx").fill("RX-NOWHERE")
    page.click("[data-part=quote]")
    page.locator("[data-part=pay-step] > [data-part=state].bad").wait_for()
    assert line.inner_text().count("第 1 行") == 1


def test_a_purchase_leads_to_one_slip_on_the_phone_and_at_the_counter(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = visitor("citizen", size=PHONE)
    before = settled_so_far(citizen)
    counter = visitor("pharmacist")
    serve_one(counter, code_on(citizen.page), ["6900000000042"])
    counter.page.click("[data-part=quote]")
    counter.page.click("[data-part=confirm]")
    counter.page.locator(".done-card").wait_for()
    citizen.page.locator("#settlements .row").nth(before).wait_for(timeout=10_000)
    citizen.page.locator("#settlements .slip-link").first.click()
    citizen.page.locator(".slip h1").wait_for()
    assert citizen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert citizen.page.locator(".slip footer .tag.good").is_visible()
    with counter.page.expect_popup() as opened:
        counter.page.click("[data-part=slip]")
    opened.value.locator(".slip h1").wait_for()
    total = ".share.sum dd"
    assert opened.value.locator(total).inner_text() == citizen.page.locator(total).inner_text()
    assert "收取现金" in opened.value.locator(".slip .steps").inner_text()
    assert "您" in citizen.page.locator(".slip .steps").inner_text()


def at_a_slip(visitor: Callable[..., Visitor]) -> Visitor:
    """A citizen's phone at the slip of what they just bought."""
    citizen = visitor("citizen", size=PHONE)
    before = settled_so_far(citizen)
    counter = visitor("pharmacist")
    serve_one(counter, code_on(citizen.page), ["6900000000042", "6900000000059"])
    counter.page.click("[data-part=quote]")
    counter.page.click("[data-part=confirm]")
    counter.page.locator(".done-card").wait_for()
    citizen.page.locator("#settlements .row").nth(before).wait_for(timeout=10_000)
    citizen.page.locator("#settlements .slip-link").first.click()
    citizen.page.locator(".slip h1").wait_for()
    return citizen


@pytest.mark.parametrize(
    ("paper", "most_pages"),
    [({"format": "A4"}, 1), ({"width": "80mm", "height": "297mm"}, 2)],
    ids=["A4", "roll"],
)
def test_a_slip_prints_whole_on_paper_and_on_a_roll(
    visitor: Callable[..., Visitor], paper: dict, most_pages: int
) -> None:
    citizen = at_a_slip(visitor)
    pages = pypdf.PdfReader(io.BytesIO(citizen.page.pdf(**paper))).pages
    assert len(pages) <= most_pages
    # The browser's fonts share glyphs with the radicals, and the reader takes those for the text.
    text = unicodedata.normalize("NFKC", "".join(page.extract_text() for page in pages))
    text = "".join(text.split())
    # The first and the last of it, nothing of the frame around it, nothing to press.
    assert "医疗费用结算单" in text
    assert citizen.page.locator(".slip .hash").first.inner_text()[:20] in text
    for left_out in ("退出", "出具PDF"):
        assert left_out not in text
    width_mm = float(pages[0].mediabox.width) / 72 * 25.4
    assert round(width_mm) == (210 if most_pages == 1 else 80)
    for at, page in enumerate(pages):
        assert page.extract_text().strip(), f"page {at + 1} is empty"


def test_the_button_issues_the_slip_and_leads_to_its_pdf(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = at_a_slip(visitor)
    # A PDF names no icon, so the browser asks for the one of its own invention.
    asked: list[str] = []
    citizen.page.on("response", lambda one: one.status == 404 and asked.append(one.url))
    citizen.expected.append("404 (Not Found)")
    address = citizen.page.url
    with citizen.page.expect_response("**/slips/*.pdf") as answered:
        citizen.page.click(".slip .actions button")
    assert answered.value.headers["content-type"] == "application/pdf"
    citizen.page.goto(address)
    assert citizen.page.locator(".slip .actions a").inner_text() == "打开 PDF"
    assert all(url.endswith("/favicon.ico") for url in asked), asked
