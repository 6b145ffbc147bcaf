"""A shift at the counter in a real browser: opened, sold in, closed, its slip printed."""

import re
from collections.abc import Callable

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.scanning import code_on, type_as_scanner
from tests.browser.test_look import UNNAMED, WEAK_TEXTS
from tests.browser.test_pharmacy_page import fen

pytestmark = pytest.mark.browser


def drawer_fen(page) -> int:
    """What should be in the drawer, as the bar of the panel says."""
    return fen(page.locator("#shift [data-part=line]").inner_text())


def close_if_open(page) -> None:
    """The tests of a session share their till."""
    page.locator("#shift [data-part=toggle]:enabled").wait_for()
    if page.locator("#shift .tag.good").count():
        page.click("#shift [data-part=toggle]")
        page.fill("#shift-counted", "1")
        page.click("#shift [data-part=close-form] button")
        page.locator("#shift .note.good, #shift .note.warn").wait_for()
        page.click("#shift [data-part=toggle]")


def test_a_shift_is_opened_sold_in_and_closed_with_the_count(
    visitor: Callable[..., Visitor],
) -> None:
    citizen = visitor("citizen", size=PHONE)
    counter = visitor("pharmacist")
    page = counter.page
    close_if_open(page)

    page.click("#shift [data-part=toggle]")
    page.fill("#shift-float", "两百")
    page.click("#shift [data-part=open-form] button")
    page.locator("#shift .note.bad").wait_for()
    page.fill("#shift-float", "200.5")
    page.press("#shift-float", "Enter")
    page.locator("#shift .tag.good").wait_for()
    assert drawer_fen(page) == 20_050
    # Out of the way of the next sale.
    assert not page.locator("#shift-body").is_visible()

    page.focus("#code")
    type_as_scanner(page, code_on(citizen.page))
    page.locator(".person-name").wait_for()
    page.fill("#item", "6900000000066")
    page.press("#item", "Enter")
    page.locator(".line").wait_for()
    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    cash_fen = fen(page.locator("[data-part=figures] .share.cash dd").inner_text())
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()
    page.wait_for_function(
        "text => document.querySelector('#shift [data-part=line]').textContent.includes(text)",
        arg=f"{(20_050 + cash_fen) / 100:.2f}",
    )

    page.click("#shift [data-part=toggle]")
    rows = page.locator("#shift .shift-sums tbody tr")
    rows.first.wait_for()
    total = page.locator("#shift .sum-row .num-cell").last.inner_text()
    assert fen(total) == 990
    page.fill("#shift-counted", f"{(20_050 + cash_fen - 100) / 100:.2f}")
    page.click("#shift [data-part=close-form] button")
    note = page.locator("#shift .note.warn")
    note.wait_for()
    assert fen(note.inner_text()) == 100
    assert page.locator("#shift .tag.good").count() == 0

    with page.context.expect_page() as opened:
        note.locator("a").click()
    slip = opened.value
    slip.wait_for_load_state()
    assert re.search(r"短款\s*¥1\.00", slip.locator("article").inner_text())
    assert slip.locator("[data-print]").is_visible()
    for language in ("zh-hans", "en"):
        for size in (DESKTOP, PHONE):
            slip.set_viewport_size(size)
            assert slip.evaluate("document.documentElement.scrollWidth") <= size["width"], language
            assert slip.evaluate(WEAK_TEXTS) == []
        slip.click("[name=language]")
        slip.wait_for_load_state()


@pytest.mark.parametrize(
    ("name", "path"), [("pharmacist", "/counter/pharmacy/"), ("cashier", "/counter/clinic/")]
)
def test_the_panel_fits_a_phone_unfolded(
    visitor: Callable[..., Visitor], name: str, path: str
) -> None:
    one = visitor(name, size=PHONE)
    page = one.page
    page.goto(one.site.url + path)
    page.locator("#shift [data-part=toggle]:enabled").click()
    page.locator("#shift-body").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(WEAK_TEXTS) == []
    assert page.evaluate(UNNAMED) == []
