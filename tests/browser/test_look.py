"""What holds for every page at every size: nothing overflows, everything is reachable and named."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor

pytestmark = pytest.mark.browser

PAGES = [
    ("", "/"),
    ("", "/login/"),
    ("citizen", "/me/"),
    ("payer", "/me/"),
    ("citizen", "/me/try/"),
    ("pharmacist", "/counter/pharmacy/"),
    ("pharmacist", "/counter/returns/"),
    ("cashier", "/counter/clinic/"),
    ("ward", "/counter/clinic/"),
    ("fund", "/fund/"),
    ("fund", "/fund/payments/"),
    ("fund", "/fund/workbench/"),
    ("fund", "/fund/approvals/"),
    ("nobody", "/"),
]

# Relative luminance and contrast as WCAG 2 defines them, over every visible text of the page.
WEAK_TEXTS = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("noscript, :disabled")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(colour(style.color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (contrast < (large ? 3 : 4.5)) weak.push([element.textContent.trim(), contrast]);
  }
  return weak;
}"""
UNNAMED = """() => [...document.querySelectorAll("input, select, button, a[href], summary")]
  .filter((e) => e.checkVisibility() && e.type !== "hidden")
  .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim()))
  .map((e) => e.outerHTML)"""


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize(("name", "path"), PAGES)
def test_a_page_fits_its_screen_and_can_be_read(
    visitor: Callable[..., Visitor], name: str, path: str, size: dict
) -> None:
    one = visitor(name, size=size)
    one.page.goto(one.site.url + path)
    one.page.wait_for_load_state("networkidle")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert one.page.evaluate(WEAK_TEXTS) == []
    assert one.page.evaluate(UNNAMED) == []


def test_a_purchase_needs_no_mouse(visitor: Callable[..., Visitor]) -> None:
    counter = visitor("pharmacist")
    page = counter.page
    page.locator("#item").focus()
    page.keyboard.type("amxl")
    page.locator("[role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator(".line").wait_for()
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.part ?? ''"))
    assert {"quote", "estimate"} <= reached


MONEY_TABLE = [
    ("1", "25", 2500),
    ("2", "12.5", 2500),
    ("0.5", "0.01", 1),
    ("0.3333", "0.01", 0),
    ("3", "33.333333", 10000),
    ("1.0005", "100", 10005),
    ("１２", "1", 1200),
    ("0", "1", None),
    ("", "1", None),
    ("1,5", "1", None),
    ("-1", "1", None),
    ("1.00001", "1", None),
    ("1e3", "1", None),
]


def test_the_page_multiplies_as_the_server_does(visitor: Callable[..., Visitor]) -> None:
    page = visitor("pharmacist").page
    found = page.evaluate(
        "async (rows) => { const { lineFen } = await import('/static/portal/money.js');"
        " return rows.map(([quantity, price]) => lineFen(quantity, price)); }",
        [[quantity, price] for quantity, price, _fen in MONEY_TABLE],
    )
    assert found == [fen for _quantity, _price, fen in MONEY_TABLE]
