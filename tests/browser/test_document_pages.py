"""The API's reader page and the refusals' page in a real browser, under the content policy."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import PHONE, Visitor

pytestmark = pytest.mark.browser


def test_the_reader_page_shows_an_operation_with_its_refusals(
    visitor: Callable[..., Visitor],
) -> None:
    reader = visitor()
    elsewhere: list[str] = []
    reader.page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((reader.site.url, "data:"))
            else elsewhere.append(request.url)
        ),
    )
    reader.page.goto(f"{reader.site.url}/api/docs/")
    reader.page.click("#operations-scans-scan .opblock-summary-control")
    operation = reader.page.locator("#operations-scans-scan .opblock-body")
    operation.get_by_text("presented before; each code works once").wait_for()
    assert "Idempotency-Key" in operation.inner_text()
    # A page cannot sign for a terminal: nothing is offered that could only be refused.
    assert operation.get_by_text("Try it out").count() == 0
    assert elsewhere == []


def test_a_problems_address_opens_at_its_code_and_fits_a_phone(
    visitor: Callable[..., Visitor],
) -> None:
    reader = visitor(size=PHONE)
    reader.page.goto(f"{reader.site.url}/docs/refusals#code_used")
    row = reader.page.locator("#code_used")
    row.wait_for()
    assert row.evaluate("row => row.matches(':target')")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
