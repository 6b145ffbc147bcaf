"""The citizen's page in a real browser: a code that renews itself, and never outstays its life."""

import io
from base64 import b64decode
from collections.abc import Callable

import pytest
import zxingcpp
from PIL import Image

from tests.browser.conftest import PHONE, Site, Visitor
from tests.browser.scanning import code_on, picture_of_code
from voucher.images import render as draw

pytestmark = pytest.mark.browser


def test_the_digits_are_drawn_and_never_written(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor("citizen", size=PHONE)
    text = code_on(citizen.page)
    assert len(text) == 254
    assert text.isdigit()
    assert text not in citizen.page.content()
    assert text not in citizen.page.evaluate("document.body.innerText")


def test_the_page_draws_the_symbol_that_the_server_draws(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor("citizen", size=PHONE)
    text = code_on(citizen.page)
    size = (49, 49)
    ours = Image.open(io.BytesIO(draw(text, form="png", box_px=1))).convert("1")
    shown = citizen.page.evaluate("document.getElementById('canvas').toDataURL()")
    data = b64decode(shown.partition(",")[2])
    theirs = Image.open(io.BytesIO(data)).convert("1").resize(size, Image.Resampling.NEAREST)
    assert ours.size == size
    assert list(ours.get_flattened_data()) == list(theirs.get_flattened_data())


def test_a_new_code_comes_before_the_old_one_ends(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor(size=PHONE)
    citizen.page.clock.install()
    # Every answer tells the server's time, and would put right the clock that this test moves.
    citizen.page.route(
        "**/me/settlements.json",
        lambda route: route.fulfill(json={"balance_fen": 0, "settlements": []}),
    )
    citizen.sign_in("citizen")
    first = code_on(citizen.page)
    citizen.page.clock.fast_forward(30_000)
    assert code_on(citizen.page) == first
    with citizen.page.expect_response("**/me/code.json*"):
        citizen.page.clock.fast_forward(12_000)
    citizen.page.clock.run_for(1000)
    assert code_on(citizen.page) != first


def test_a_code_that_ended_without_network_is_greyed(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor(size=PHONE)
    citizen.expected.append("ERR_INTERNET_DISCONNECTED")
    citizen.page.clock.install()
    citizen.sign_in("citizen")
    picture_of_code(citizen.page)
    citizen.context.set_offline(True)
    citizen.page.clock.fast_forward(45_000)
    citizen.page.clock.run_for(1000)
    citizen.page.locator("#code-state.warn").wait_for()
    assert "dead" not in (citizen.page.locator("#symbol").get_attribute("class") or "")
    citizen.page.clock.fast_forward(20_000)
    citizen.page.clock.run_for(1000)
    citizen.page.locator("#symbol.dead").wait_for()
    assert citizen.page.locator("#veil").is_visible()


def test_a_limited_code_is_asked_for_and_said(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor("citizen", size=PHONE)
    before = code_on(citizen.page)
    citizen.page.click("summary")
    citizen.page.select_option("#id_use", "pharmacy_purchase")
    citizen.page.fill("#id_ceiling", "50")
    with citizen.page.expect_response("**/me/code.json?*") as answered:
        citizen.page.click("#scope button:not([type])")
    assert "use=pharmacy_purchase" in answered.value.url
    assert "ceiling=50" in answered.value.url
    citizen.page.locator("#limits").wait_for()
    assert "50" in citizen.page.locator("#limits").inner_text()
    assert code_on(citizen.page) != before


def test_without_script_the_server_draws_the_code(
    visitor: Callable[..., Visitor], site: Site
) -> None:
    citizen = visitor("citizen", size=PHONE, java_script_enabled=False)
    picture = citizen.page.locator(".symbol img")
    picture.wait_for()
    image = Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
    assert len(zxingcpp.read_barcodes(image)[0].text) == 254


def test_english_is_one_click_away_and_stays(visitor: Callable[..., Visitor]) -> None:
    citizen = visitor("citizen", size=PHONE)
    assert "个人账户" in citizen.page.inner_text("main")
    citizen.page.click("form.language button")
    citizen.page.get_by_text("Personal account").wait_for()
    citizen.page.reload()
    citizen.page.get_by_text("Personal account").wait_for()
    citizen.page.get_by_text("renews itself").wait_for()
