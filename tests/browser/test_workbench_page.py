"""The policy workbench in a real browser: two versions, a bill, both results and the curve."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.site import OTHER_AREA, OTHER_VERSION

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_two_versions_of_a_region_price_a_typed_bill_and_draw_their_curves(
    visitor: Callable[..., Visitor], size: dict
) -> None:
    page = visitor("fund", size=size).page
    page.goto(page.url.split("/fund")[0] + "/fund/workbench/")
    # It begins with another region, and the kind looked at there is none of this one's.
    assert page.locator("#id_left option:checked").inner_text().startswith(OTHER_AREA)
    page.select_option("#id_left", label=_label(page, "#id_left", "370300-2022.1"))
    page.click("button.big")
    told = page.locator("#result .note.warn")
    told.wait_for()
    assert "“住院”" in told.inner_text()
    assert page.locator("#id_kind option:checked").inner_text() in told.inner_text()

    page.select_option("#id_kind", "chronic")
    page.select_option("#id_right", label=_label(page, "#id_right", OTHER_VERSION))
    page.select_option("#id_category", "retired")
    page.fill("#id_class_a", "")
    page.click("summary:has-text('逐项')")
    page.fill("#id_lines", "XC01AAA001, 1500\n自制茶包, 20, 丙")
    page.click("button.big")

    cards = page.locator(".grid .card")
    cards.nth(1).wait_for()
    # (1,500 - 1,000) at 80 % by the one, (1,500 - 900) by the other; the tea is the member's.
    assert "¥400.00" in cards.nth(0).inner_text()
    assert "¥480.00" in cards.nth(1).inner_text()
    assert "¥1,120.00" in cards.nth(0).inner_text()
    assert "自费 ¥20.00" in cards.nth(0).inner_text()
    # Four groups under each version; the corner at the deductible is among the figures.
    lines = page.locator("svg.curves polyline")
    assert lines.count() == 8
    assert lines.first.bounding_box()["height"] > 50
    page.click("summary:has-text('查看数字')")
    figures = page.inner_text(".curve-card table")
    assert "¥1,000.00" in figures
    assert "¥900.00" in figures
    # The answer is what the eye falls on, not the form.
    assert page.url.endswith("#result")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]

    page.fill("#id_lines", "XC01AAA001, 1500\n自制茶包 20 元")
    page.click("button.big")
    page.locator(".field-error").wait_for()
    assert page.inner_text(".field-error").startswith("第 2 行")
    page.click(".note.bad a")
    assert page.locator("#id_lines").is_visible()


def _label(page, select: str, start: str) -> str:
    """The whole text of the option that begins so."""
    texts = page.locator(f"{select} option").all_inner_texts()
    return next(text for text in texts if text.startswith(start))
