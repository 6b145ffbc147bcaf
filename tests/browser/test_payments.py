"""How the cash part is paid, in a real browser: at counters, on the fund's page, on a phone."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.scanning import code_on, type_as_scanner

pytestmark = pytest.mark.browser

# What the simulator does by the last four digits of a payment code.
GOOD, DECLINED, UNCOLLECTED, SLOW, LOST = "1234", "0051", "0054", "0091", "0092"


PHARMACY = "P37030099001"


def payment_code(end: str, *, start: str = "13") -> str:
    return f"{start}456789012345"[:14] + end


def quoted(counter: Visitor, phone: Visitor, packs: int) -> None:
    """A bill of the pharmacy's that is all cash, 25.00 yuan a pack, with the ways to pay open."""
    page = counter.page
    phone.page.reload()
    type_as_scanner(page, code_on(phone.page))
    page.locator(".person-name").wait_for()
    page.fill("#item", "6900000000011")
    page.press("#item", "Enter")
    page.locator(".quantity input").fill(str(packs))
    page.locator(".quantity input").press("Tab")
    page.click("[data-part=quote]")
    page.click("[data-part=tender] summary")


def take(page: Any, way: str, *, amount: str = "", typed: str = "", twice: bool = False) -> None:
    """Take a part as somebody at the till does."""
    page.check(f"[name=tender-way][value={way}]")
    if amount:
        page.fill("#tender-amount", amount)
    if way == "code":
        type_as_scanner(page, typed, focus="#tender-code")
    else:
        if typed:
            page.fill("#tender-slip", typed)
        (page.dblclick if twice else page.click)("[data-part=tender-take]")
    page.locator(
        "[data-part=pay-step][aria-busy=false], [data-part=pay][aria-busy=false]"
    ).wait_for()


def told(page: Any, within: str) -> list[tuple[str, str, str]]:
    """Kind, amount and standing of the parts that are shown."""
    return [
        tuple(row.locator(each).inner_text() for each in ("strong", ".amount", ".tag"))  # type: ignore[misc]
        for row in page.locator(f"{within} .parts .row").all()
    ]


@pytest.fixture
def phone(visitor: Callable[..., Visitor]) -> Visitor:
    return visitor("payer", size=PHONE)


@pytest.fixture
def counter(visitor: Callable[..., Visitor]) -> Visitor:
    one = visitor("pharmacist")
    # A definite no is a status of HTTP, which the console repeats.
    one.expected = ["status of 4"]
    return one


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_cash_part_is_split_and_its_refund_goes_back_the_way_it_came(
    visitor: Callable[..., Visitor], phone: Visitor, size: dict[str, int]
) -> None:
    counter = visitor("pharmacist", size=size)
    page = counter.page
    quoted(counter, phone, packs=4)
    confirm = page.locator("[data-part=confirm]")
    assert confirm.inner_text() == "已收现金 ¥100.00，确认结算"
    take(page, "code", typed=payment_code(DECLINED))
    # Declined: cash alone is one press away again.
    assert confirm.is_enabled()
    slip = "slip-phone" if size is PHONE else "slip-desktop"
    take(page, "bank_card", amount="10", typed=slip, twice=True)
    assert confirm.is_disabled()
    assert confirm.inner_text() == "尚需收取 ¥90.00"
    # What is paid for stays as it is.
    assert page.locator("[data-part=items-step]").evaluate("step => step.inert")
    take(page, "credit")
    take(page, "cash", amount="5.5")
    take(page, "code", typed=payment_code(SLOW, start="28"))
    assert told(page, "[data-part=tender-parts]") == [
        ("微信支付", "¥100.00", "被拒绝，未扣款"),
        ("银行卡", "¥10.00", "已付"),
        ("信用就医", "¥50.00", "已付"),
        ("现金", "¥5.50", "已收"),
        ("支付宝", "¥34.50", "尚不确定"),
    ]
    assert "请勿重复收取" in page.locator("[data-part=tender-state]").inner_text()
    assert confirm.is_disabled()
    page.locator("[data-part=confirm]", has_text="已全部收取").wait_for(timeout=30_000)
    page.dblclick("[data-part=confirm]")
    page.locator(".done-card [data-part=paid-with] .row").nth(3).wait_for()
    page.locator(".done-card .tag.good", has_text="已入账").wait_for(timeout=10_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    # The phone tells how, in words.
    phone.page.reload()
    row = phone.page.locator("#settlements .row").first
    row.locator("[data-part=paid-by]").wait_for()
    assert "信用就医 ¥50.00" in row.locator("[data-part=paid-by]").inner_text()
    page.click("[data-part=refund]")
    page.fill("#refund-reason", "退货")
    page.click("dialog .danger")
    page.locator(".refunded-card .row").nth(3).wait_for()
    page.locator(".refunded-card .row .tag", has_text="已退回").nth(1).wait_for(timeout=15_000)
    assert told(page, ".refunded-card") == [
        ("银行卡", "¥10.00", "请在刷卡终端上退款"),
        ("信用就医", "¥50.00", "已退回"),
        ("现金", "¥5.50", "请退还现金"),
        ("支付宝", "¥34.50", "已退回"),
    ]


def test_what_cannot_be_taken_is_said_beside_the_field_and_sends_nothing(
    counter: Visitor, phone: Visitor
) -> None:
    page = counter.page
    quoted(counter, phone, packs=1)
    sent: list[str] = []
    page.on(
        "request", lambda request: sent.append(request.url) if "ops/tender" in request.url else 0
    )
    line = page.locator("[data-part=tender-state]")
    for way, amount, typed, says in (
        ("cash", "25.01", "", "只需再收取 ¥25.00"),
        ("cash", "0", "", "请输入金额"),
        ("cash", "1.005", "", "请输入金额"),
        ("bank_card", "1", "12", "刷卡小票号"),
        ("code", "1", "6900000000011", "请扫描顾客手机上的付款码"),
        ("code", "1", "6212345678901234567", "不是微信或支付宝"),
        ("code", "1", code_on(phone.page), "这是医保码"),
    ):
        take(page, way, amount=amount, typed=typed)
        assert says in line.inner_text()
    assert not sent
    # A code that is scanned while the focus is elsewhere lands in its field.
    page.locator("[data-part=confirm]").focus()
    type_as_scanner(page, payment_code(GOOD), focus=None)
    page.locator("[data-part=tender-parts] .row").wait_for()
    page.click("[data-part=withdraw]")
    page.click("[data-part=seen-to]")


def test_a_lost_answer_takes_once_and_the_payment_code_is_kept_nowhere(
    counter: Visitor, phone: Visitor
) -> None:
    page = counter.page
    quoted(counter, phone, packs=1)
    counter.expected += ["ERR_FAILED", "ERR_INTERNET"]
    lost: list[str] = []

    def lose_the_first(route: Any) -> None:
        # It arrives, and its answer does not.
        if not lost:
            lost.append(route.request.post_data)
            route.fetch()
            return route.abort()
        return route.continue_()

    page.route("**/counter/ops/tender*", lose_the_first)
    code = payment_code(GOOD)
    page.check("[name=tender-way][value=code]")
    type_as_scanner(page, code, focus="#tender-code")
    page.locator("[data-part=tender-state]", has_text="同一").wait_for()
    stored = page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    assert code in lost[0]
    assert code not in stored
    page.locator("[data-part=confirm]", has_text="已全部收取").wait_for(timeout=20_000)
    assert len(told(page, "[data-part=tender-parts]")) == 1
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()


def test_money_that_was_taken_outlives_a_reload_and_is_handed_back(
    counter: Visitor, phone: Visitor
) -> None:
    page = counter.page
    quoted(counter, phone, packs=1)
    take(page, "cash", amount="5")
    take(page, "code", amount="7", typed=payment_code(LOST))
    page.reload()
    page.locator("[data-part=tender-parts] .row").nth(1).wait_for()
    assert "页面被重新载入" in page.locator("[data-part=pay-step] > [data-part=state]").inner_text()
    assert page.locator("[data-part=confirm]").is_disabled()
    page.click("[data-part=withdraw]")
    page.locator("[data-part=way-back] .tag", has_text="已退回").wait_for(timeout=20_000)
    assert told(page, "[data-part=way-back]") == [
        ("现金", "¥5.00", "请退还现金"),
        ("微信支付", "¥7.00", "已退回"),
    ]
    # Until somebody has seen to it.
    page.reload()
    page.locator("[data-part=way-back] .row").nth(1).wait_for()
    page.click("[data-part=seen-to]")
    page.reload()
    page.locator("#code").wait_for()
    assert page.locator("[data-part=way-back]").count() == 0


def test_after_a_refused_settlement_the_till_is_told_what_to_hand_back(
    counter: Visitor, phone: Visitor
) -> None:
    page = counter.page
    quoted(counter, phone, packs=1)
    take(page, "cash", amount="5")
    take(page, "bank_card", amount="8", typed="slip-refused")
    take(page, "code", typed=payment_code(GOOD))
    # The citizen gives the quote back on the phone, and the till does not know it yet.
    phone.page.reload()
    phone.page.click("form[action$='/quotes/release'] button")
    phone.page.wait_for_load_state()
    page.click("[data-part=confirm]")
    page.locator("[data-part=way-back]").wait_for()
    page.locator("[data-part=way-back] .tag", has_text="已退回").wait_for(timeout=20_000)
    assert told(page, "[data-part=way-back]") == [
        ("现金", "¥5.00", "请退还现金"),
        ("银行卡", "¥8.00", "请在刷卡终端上退款"),
        ("微信支付", "¥12.00", "已退回"),
    ]
    # Nothing new before that.
    page.click("[data-part=quote]")
    line = page.locator("[data-part=pay-step] > [data-part=state]")
    assert "请先处理" in line.inner_text()
    page.click("[data-part=seen-to]")
    page.click("[data-part=quote]")
    page.locator("[data-part=confirm]").wait_for()
    page.click("[data-part=withdraw]")


def test_a_clinic_takes_parts_too_and_stays_at_the_visit_meanwhile(
    visitor: Callable[..., Visitor], phone: Visitor
) -> None:
    page = visitor("cashier").page
    page.fill("#department", "全科")
    page.locator("#fee option").nth(1).wait_for(state="attached")
    type_as_scanner(page, code_on(phone.page), focus="#registration-code")
    page.locator("[data-part=visit-head] .person-name").wait_for()
    page.click("[data-part=quote]")
    page.click("[data-part=tender] summary")
    take(page, "cash", amount="1")
    held = page.locator("[data-part=visit-list], [data-part=tabs]")
    assert held.evaluate_all("all => all.map(one => one.inert)") == [True, True]
    take(page, "code", typed=payment_code(GOOD))
    page.click("[data-part=confirm]")
    page.locator(".done-card [data-part=paid-with] .row").nth(1).wait_for()
    assert held.evaluate_all("all => all.map(one => one.inert)") == [False, False]


def test_fund_staff_settle_a_debt_and_book_a_repayment_once(
    visitor: Callable[..., Visitor], counter: Visitor, phone: Visitor
) -> None:
    page = counter.page
    quoted(counter, phone, packs=2)
    take(page, "credit", amount="20")
    take(page, "code", typed=payment_code(UNCOLLECTED))
    page.click("[data-part=confirm]")
    page.locator(".done-card").wait_for()
    page.locator("[data-part=paid-with] .tag", has_text="由支付机构向您偿付").wait_for(
        timeout=20_000
    )

    fund = visitor("fund", size=PHONE).page
    fund.click("a[href='/fund/payments/']")
    debt = fund.locator("#debts .row").last
    assert "微信支付应付测试大药房" in debt.inner_text()
    assert "¥30.00" in debt.inner_text()
    debt.locator("summary").click()
    debt.locator("button").dblclick()
    fund.locator("#debts .note.good", has_text="¥30.00").wait_for()

    fund.fill("#id_member_number", "370300000003")
    fund.click(".find button")
    fund.locator("#credit .person-name").wait_for()
    assert "370300000003" not in fund.url
    due = re.search(r"其中应还\s*¥([\d.]+)", fund.locator("#credit").inner_text())
    assert due
    fund.fill("#repayment-amount_fen", due[1])
    fund.locator(".credit-acts button").last.dblclick()
    fund.locator("#credit .note.good", has_text=f"¥{due[1]}").wait_for()
    assert fund.locator("#repayment-amount_fen").count() == 0
    assert fund.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def rule(fund: Any, choice: str) -> None:
    """What the pharmacy wants where a payment cannot be collected."""
    fund.click("#rules summary")
    fund.fill("#rule-merchant_code", PHARMACY)
    fund.check(f"#rules input[value={choice}]")
    fund.click("#rules button")
    fund.locator("#rules .note.good").wait_for()


def test_a_till_is_told_that_a_settlement_was_returned_by_itself(
    visitor: Callable[..., Visitor], counter: Visitor, phone: Visitor
) -> None:
    fund = visitor("fund").page
    fund.click("a[href='/fund/payments/']")
    rule(fund, "reverse")
    try:
        page = counter.page
        quoted(counter, phone, packs=1)
        take(page, "cash", amount="5")
        take(page, "code", typed=payment_code(UNCOLLECTED))
        page.click("[data-part=confirm]")
        page.locator(".done-card .note.bad", has_text="已自动退费").wait_for(timeout=20_000)
        assert told(page, ".done-card") == [
            ("现金", "¥5.00", "请退还现金"),
            ("微信支付", "¥20.00", "已退回"),
        ]
        assert page.locator(".done-card [data-part=refund]").count() == 0
    finally:
        rule(fund, "debt")
