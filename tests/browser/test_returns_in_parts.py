"""Parts returned at the counter: a quantity, an amount, packs; refusals said where they belong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import PHONE, Visitor
from tests.browser.sales import PACKS
from tests.browser.scanning import code_on
from tests.browser.test_pharmacy_page import serve_one
from tests.browser.test_stay import assert_looks_right

pytestmark = pytest.mark.browser

DIALOG = "[data-part=refund-dialog]"
Visitors = Callable[..., Visitor]


def asked(visitor: Visitors, sale: str, *, name: str = "pharmacist", **options: Any) -> Visitor:
    """At the dialog that asks what of a sale comes back."""
    counter = visitor(name, **options)
    counter.page.goto(f"{counter.site.url}/counter/returns/?settlement={counter.site.sales[sale]}")
    ask(counter.page)
    return counter


def ask(page: Any) -> None:
    """Open the dialog, which reads the sale anew."""
    page.click("[data-part=refund]")
    page.locator(f"{DIALOG}[open]").wait_for()


def row(page: Any, number: int) -> Any:
    return page.locator(f"{DIALOG} [data-line='{number}']")


def choose(page: Any, number: int, value: str | None = None, *, way: str = "goods") -> None:
    """Choose a line, and how much of it."""
    page.check(f"{DIALOG} input[value=parts]")
    row(page, number).locator("input[type=checkbox]").first.check()
    row(page, number).locator("select").select_option(way)
    if value is not None:
        row(page, number).locator("input[inputmode=decimal]").fill(value)


def confirm(page: Any) -> None:
    page.fill("#refund-reason", "顾客退货")
    page.click(f"{DIALOG} .danger")


def sent(page: Any) -> list[tuple[str, dict[str, Any]]]:
    """The refunds that the page sends from now on: key and body."""
    found: list[tuple[str, dict[str, Any]]] = []

    def note(request: Any) -> None:
        if request.url.endswith("/counter/ops/refund"):
            found.append((request.headers["idempotency-key"], json.loads(request.post_data)))

    page.on("request", note)
    return found


def record_of(page: Any, sale: str) -> dict[str, Any]:
    """The settlement as the server keeps it."""
    found: dict[str, Any] = page.evaluate(
        "(id) => fetch(`/counter/look/settlement?settlement_id=${id}`).then((r) => r.json())", sale
    )
    return found


def test_a_part_comes_back_by_quantity_and_then_the_rest(visitor: Visitors) -> None:
    counter = asked(visitor, "parts")
    page = counter.page
    assert row(page, 1).inner_text().endswith("可退：数量 3 · ¥55.80")
    # What is wrong is said at its field before anything is sent.
    bodies = sent(page)
    page.check(f"{DIALOG} input[value=parts]")
    page.click(f"{DIALOG} .danger")
    page.locator("#refund-lines-error:not([hidden])").wait_for()
    choose(page, 1, "3.00001")
    confirm(page)
    row(page, 1).locator(".field-error:not([hidden])").wait_for()
    choose(page, 1, "4")
    page.click(f"{DIALOG} .danger")
    assert "3" in row(page, 1).locator(".field-error").inner_text()
    assert page.evaluate("document.activeElement.inputMode") == "decimal"
    choose(page, 1, "1.5")
    assert page.locator("[data-part=refund-sum]").inner_text() == "¥27.90"
    page.fill("#refund-reason", "")
    page.click(f"{DIALOG} .danger")
    page.locator("#refund-reason-error:not([hidden])").wait_for()
    assert bodies == []

    confirm(page)
    card = page.locator(".refunded-card")
    card.locator(".refund-rows").wait_for()
    assert card.locator(".figure").inner_text() == "¥27.90"
    assert "× 1.5" in card.locator(".refund-rows").inner_text()
    assert "¥283.90" in card.locator("[data-part=remaining]").inner_text()
    assert bodies[0][1]["lines"] == [{"no": 1, "quantity": "1.5"}]

    # More of it, of what is left; then everything that is left, in one press.
    ask(page)
    assert row(page, 1).inner_text().endswith("可退：数量 1.5 · ¥27.90")
    choose(page, 2)
    confirm(page)
    page.locator("[data-part=remaining]", has_text="¥27.90").wait_for()
    page.reload()
    page.locator(".done-card .tag.warn", has_text="剩余 ¥27.90").wait_for()
    ask(page)
    assert page.locator(f"{DIALOG} [data-part=amount]").inner_text() == "¥27.90"
    assert row(page, 2).locator("input").first.is_disabled()
    confirm(page)
    page.locator(".refunded-card").wait_for()
    assert page.locator("[data-part=remaining]").count() == 0
    assert "lines" not in bodies[2][1]
    found = record_of(page, counter.site.sales["parts"])
    assert [line["remaining_fen"] for line in found["lines"]] == [0, 0]


def test_an_amount_comes_back_without_goods(visitor: Visitors) -> None:
    page = asked(visitor, "amount", size=PHONE).page
    bodies = sent(page)
    choose(page, 2, "256.01", way="amount")
    confirm(page)
    assert "¥256.00" in row(page, 2).locator(".field-error").inner_text()
    choose(page, 2, "6.5", way="amount")
    assert page.locator("[data-part=refund-sum]").inner_text() == "¥6.50"
    confirm(page)
    page.locator("[data-part=remaining]", has_text="¥305.30").wait_for()
    page.locator(".refund-rows", has_text="只退金额").wait_for()
    assert [body["lines"] for _key, body in bodies] == [[{"no": 2, "amount_fen": 650}]]
    # The goods are all there still, and cost that much less.
    ask(page)
    assert row(page, 2).inner_text().endswith("可退：数量 2 · ¥249.50")
    choose(page, 2, "1")
    assert page.locator("[data-part=refund-sum]").inner_text() == "¥128.00"


def test_packs_that_come_back_are_ticked_or_scanned(visitor: Visitors) -> None:
    counter = asked(visitor, "packs")
    page = counter.page
    page.check(f"{DIALOG} input[value=parts]")
    packs = row(page, 1).locator(".refund-packs")
    row(page, 1).locator("input[type=checkbox]").first.check()
    assert packs.locator("input").count() == 3
    confirm(page)
    row(page, 1).locator(".field-error", has_text="请勾选退回的追溯码").wait_for()
    # Ticking says how many; a number without its packs is not sent.
    packs.get_by_text(PACKS[0]).click()
    choose(page, 1, "2")
    confirm(page)
    row(page, 1).locator(".field-error", has_text="应勾选 2 个").wait_for()
    packs.get_by_text(PACKS[0]).click()
    # A scanner at any pack of the settlement ticks it, and its Enter sends nothing.
    bodies = sent(page)
    page.fill("#refund-find", PACKS[1])
    page.press("#refund-find", "Enter")
    assert packs.locator("input:checked").evaluate_all("all => all.map((one) => one.value)") == [
        PACKS[1]
    ]
    assert row(page, 1).locator("input[inputmode=decimal]").input_value() == "1"
    confirm(page)
    page.locator("[data-part=remaining]", has_text="¥47.10").wait_for()
    assert [body["lines"] for _key, body in bodies] == [
        [{"no": 1, "quantity": "1", "trace_codes": [PACKS[1]]}]
    ]
    found = record_of(page, counter.site.sales["packs"])
    assert found["lines"][0]["trace_codes"] == [PACKS[0], PACKS[2]]
    # The one that is back is not offered again.
    ask(page)
    choose(page, 1)
    assert packs.locator("input").count() == 2
    page.fill("#refund-find", PACKS[1])
    page.press("#refund-find", "Enter")
    page.locator("#refund-lines-error:not([hidden])", has_text=PACKS[1]).wait_for()


def test_who_has_to_pay_more_is_said_and_accepted_or_left(visitor: Visitors) -> None:
    counter = asked(visitor, "dearer", name="dear")
    counter.expected.append("409")
    page = counter.page
    bodies = sent(page)
    choose(page, 2)
    confirm(page)
    card = page.locator("[data-part=payment]")
    card.wait_for()
    assert "现金" in card.inner_text()
    assert card.locator(".share dd").all_inner_texts() == ["¥198.00"]
    assert_looks_right(page)
    page.click("[data-part=leave]")
    assert card.count() == 0
    assert page.locator(".done-card").is_visible()

    ask(page)
    choose(page, 2)
    confirm(page)
    page.locator("[data-part=accept]", has_text="¥198.00").dblclick()
    page.locator(".refunded-card").wait_for()
    assert "¥198.00" in page.locator("[data-part=refund-words]").inner_text()
    assert page.locator(".share.cash dd").inner_text() == "-¥198.00"
    keys, sent_bodies = zip(*bodies, strict=True)
    assert len(set(keys)) == 3
    assert [body.get("accept_payment_fen") for body in sent_bodies] == [None, None, 19_800]
    assert sent_bodies[2]["lines"] == [{"no": 2, "quantity": "1"}]
    assert record_of(page, counter.site.sales["dearer"])["refunded_fen"] == 21_000


def test_a_later_settlement_that_comes_back_first_is_named_and_linked(visitor: Visitors) -> None:
    counter = asked(visitor, "first", name="later")
    counter.expected.append("409")
    page = counter.page
    confirm(page)
    card = page.locator("[data-part=last-first]")
    card.wait_for()
    assert counter.site.sales["later"] in card.inner_text()
    assert_looks_right(page)
    card.locator("a").click()
    page.locator(f".done-card[data-settlement='{counter.site.sales['later']}']").wait_for()
    ask(page)
    confirm(page)
    page.locator(".refunded-card").wait_for()
    page.goto(f"{counter.site.url}/counter/returns/?settlement={counter.site.sales['first']}")
    ask(page)
    confirm(page)
    page.locator(".refunded-card").wait_for()


def test_a_later_settlement_of_another_institution_is_not_linked(visitor: Visitors) -> None:
    counter = asked(visitor, "raced")
    counter.expected += ["409", "404"]
    page = counter.page
    elsewhere = counter.site.sales["first"]
    problem = {"code": "refund_last_first", "detail": "先退", "settlement_id": elsewhere}
    page.route(
        "**/counter/ops/refund",
        lambda route: route.fulfill(
            status=409, content_type="application/problem+json", body=json.dumps(problem)
        ),
    )
    confirm(page)
    page.locator("[data-part=last-first]", has_text="其他机构").wait_for()
    assert page.locator("[data-part=last-first] a").count() == 0


def test_a_part_that_waits_for_the_fund_is_sent_again_as_it_was(visitor: Visitors) -> None:
    counter = asked(visitor, "declared")
    counter.expected.append("409")
    page = counter.page
    bodies = sent(page)
    choose(page, 1, "2")
    confirm(page)
    waiting = page.locator("[data-part=waiting]")
    waiting.wait_for()
    assert "× 2" in waiting.inner_text()
    number = counter.site.sales["declared"]
    fund = visitor("fund")
    fund.page.goto(f"{fund.site.url}/fund/approvals/")
    card = fund.page.locator(".approval", has_text=number)
    assert "¥37.20" in card.inner_text()
    card.locator("button:not(.danger)").click()
    fund.page.locator(".rows .row").filter(has_text=number).wait_for()
    page.click("[data-part=again]")
    page.locator(".refunded-card .figure", has_text="¥37.20").wait_for()
    assert waiting.count() == 0
    assert bodies[0][1] == bodies[1][1]
    assert bodies[0][0] != bodies[1][0]


def test_two_presses_return_a_part_once(visitor: Visitors) -> None:
    counter = asked(visitor, "twice")
    page = counter.page
    bodies = sent(page)
    choose(page, 2, "1")
    page.fill("#refund-reason", "顾客退货")
    # Both before the page has drawn anything.
    page.eval_on_selector(f"{DIALOG} .danger", "(button) => { button.click(); button.click(); }")
    page.locator(".refunded-card").wait_for()
    assert len({key for key, _body in bodies}) == 1
    assert record_of(page, counter.site.sales["twice"])["refunded_fen"] == 12_800
    # The dialog opens once, too.
    page.locator(".refunded-card [data-part=refund]").dblclick()
    page.locator(f"{DIALOG}[open]").wait_for()


def test_a_part_that_a_reload_interrupted_is_taken_up_again(visitor: Visitors) -> None:
    counter = asked(visitor, "reload")
    counter.expected += ["ERR_FAILED", "ERR_INTERNET", "ERR_ABORTED"]
    page = counter.page
    bodies = sent(page)
    choose(page, 1, "1")
    page.route("**/counter/**", lambda route: route.abort())
    confirm(page)
    page.locator("[data-part=pay] > [data-part=state].warn").wait_for()
    page.unroute("**/counter/**")
    page.reload()
    card = page.locator(".refunded-card")
    card.locator(".refund-rows", has_text="× 1").wait_for()
    assert len({key for key, _body in bodies}) == 1
    assert record_of(page, counter.site.sales["reload"])["refunded_fen"] == 1_860
    # Without the network there is nothing to ask about, and the page says so.
    page.route("**/counter/**", lambda route: route.abort())
    page.click(".refunded-card [data-part=refund]")
    page.locator("[data-part=state].bad", has_text="网络").wait_for()
    assert page.locator(f"{DIALOG}[open]").count() == 0


def test_what_another_till_returned_meanwhile_is_said_at_the_line(visitor: Visitors) -> None:
    counter, rival = asked(visitor, "raced"), asked(visitor, "raced")
    counter.expected.append("422")
    page = counter.page
    choose(page, 1, "2")
    choose(page, 2, "1")
    choose(rival.page, 2, "2")
    confirm(rival.page)
    rival.page.locator(".refunded-card").wait_for()
    confirm(page)
    page.locator(f"{DIALOG}[open]").wait_for()
    error = row(page, 2).locator(".field-error")
    error.wait_for()
    assert "第 2 行" in error.inner_text()
    assert "已退完" in row(page, 2).inner_text()
    # The other line is still chosen, and goes.
    page.click(f"{DIALOG} .danger")
    page.locator(".refunded-card .figure", has_text="¥37.20").wait_for()


def test_a_part_comes_back_right_after_the_sale(visitor: Visitors) -> None:
    citizen, counter = visitor("citizen", size=PHONE), visitor("pharmacist")
    page = counter.page
    serve_one(counter, code_on(citizen.page), ["6900000000042", "6900000000059"])
    page.click("[data-part=quote]")
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()
    ask(page)
    choose(page, 2)
    confirm(page)
    page.locator("[data-part=remaining]", has_text="¥18.60").wait_for()
    assert page.locator("[data-part=next]").is_visible()
    assert page.locator("[data-part=items-step]").evaluate("step => step.inert")


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 800}], ids=["phone", "desktop"])
def test_five_hundred_lines_scroll_inside_the_dialog(visitor: Visitors, size: dict) -> None:
    page = asked(visitor, "many", size=size).page
    choose(page, 1, "9")
    confirm(page)
    assert row(page, 1).locator(".field-error").is_visible()
    assert_looks_right(page)
    page.set_viewport_size(size)
    box = page.locator(DIALOG).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size["width"]
    assert box["y"] + box["height"] <= size["height"]
    # The buttons are in sight, and nothing is wider than the list that scrolls.
    button = page.locator(f"{DIALOG} .danger").bounding_box()
    assert button["y"] + button["height"] <= size["height"]
    assert page.eval_on_selector(
        "[data-part=refund-lines]",
        "(list) => list.scrollHeight > list.clientHeight && list.scrollWidth <= list.clientWidth",
    )


def test_the_dialog_needs_no_mouse(visitor: Visitors) -> None:
    page = asked(visitor, "many").page
    page.locator(f"{DIALOG} input[value=all]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("1.5")
    # What is typed there finds nothing, and a scanner's Enter is no confirmation.
    page.keyboard.press("Enter")
    page.locator("#refund-lines-error:not([hidden])").wait_for()
    page.locator("#refund-find").fill("")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    reached = []
    for _ in range(3):
        reached.append(page.evaluate("document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert reached == ["INPUT", "SELECT", "INPUT"]
    page.keyboard.press("Escape")
    assert page.locator(f"{DIALOG}[open]").count() == 0


BACK = [
    # quantity, amount_fen, what came back of the quantity, and beside it in fen; then asked for.
    ("3", 9_999, "0", 0, "1"),
    ("3", 9_999, "1", 0, "1.5"),
    ("3", 9_999, "1", 500, "0.0001"),
    ("2", 10_000, "0", 9_000, "1"),
    ("2", 10_000, "0", 9_000, "2"),
    ("0.3333", 1, "0", 0, "0.1"),
    ("7", 10, "0", 3, "5"),
    ("999999999", 99_999_999, "1", 1, "123456.789"),
]


def test_the_page_divides_a_line_as_the_server_does(visitor: Visitors) -> None:
    from settlement import money
    from settlement.benefits.returning import remaining_amount

    def left(quantity: str, amount_fen: int, *, e4: int, fen: int) -> int | None:
        whole = money.quantity_units(quantity)
        try:
            return remaining_amount(amount_fen, whole, returned_e4=e4, returned_fen=fen)
        except ValueError:
            return None

    cases, wanted = [], []
    for quantity, amount_fen, came, beside, more in BACK:
        e4, more_e4 = money.quantity_units(came), money.quantity_units(more)
        remaining = left(quantity, amount_fen, e4=e4, fen=beside)
        after = left(quantity, amount_fen, e4=e4 + more_e4, fen=beside)
        assert remaining is not None
        rest = money.quantity_text(money.quantity_units(quantity) - e4)
        line = {"quantity": quantity, "amount_fen": amount_fen}
        cases.append(
            [{**line, "remaining_quantity": rest, "remaining_fen": remaining}, str(more_e4), more]
        )
        wanted.append([None if after is None else remaining - after, more])
    page = visitor("pharmacist").page
    found = page.evaluate(
        "async (cases) => {"
        " const { fenBack, quantityText } = await import('/static/portal/money.js');"
        " return cases.map(([line, e4]) => [fenBack(line, BigInt(e4)), quantityText(BigInt(e4))]);"
        "}",
        cases,
    )
    assert found == wanted
    assert None in [fen for fen, _text in found]
