"""The fund's dashboard: the certainty board, in words when something is overdue."""

import os
from collections.abc import Callable

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visitor

pytestmark = pytest.mark.browser

LATE = {"settlement": 2, "two_step": 1}


def board(late: dict[str, int]) -> dict:
    """As the server tells it: kind, stated time, open, oldest, finished, p99, worst."""
    rows = [
        ("scan", 1800, 41, 1622.4, 3108, 1800.0, 1800.0),
        ("quote", 360, 3, 71.2, 902, 120.0, 341.7),
        ("settlement", 265, 5, 3.1, 120_000, 3.94, 6.2),
        ("two_step", 865, 0, 0.0, 12, 61.2, 62.9),
        ("refund", 265, 0, 0.0, 9, 2.96, 2.96),
        ("payment", 625, 1, 0.8, 61, 9.7, 143.0),
        ("tender", 87_650, 2, 3_900.0, 58, 12.1, 7_300.0),
        ("tender_refund", 87_025, 0, 0.0, 0, None, None),
    ]
    return {
        "measured_over_s": 86_400,
        "kinds": [
            {
                "kind": kind,
                "limit_s": limit_s,
                "open": many,
                "oldest_s": oldest_s,
                "overdue": late.get(kind, 0),
                "finished": min(finished, 100_000),
                "p50_s": p99_s,
                "p99_s": p99_s,
                "worst_s": worst_s,
                "in_part": finished > 100_000,
            }
            for kind, limit_s, many, oldest_s, finished, p99_s, worst_s in rows
        ],
    }


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("late", [{}, LATE], ids=["in-time", "overdue"])
def test_the_board_says_in_words_what_is_overdue(
    visitor: Callable[..., Visitor], size: dict, late: dict[str, int]
) -> None:
    one = visitor("fund", size=size)
    page = one.page
    page.route("**/fund/certainty.json", lambda route: route.fulfill(json=board(late)))
    page.goto(f"{one.site.url}/fund/")
    rows = page.locator("[data-part=certainty] tr")
    rows.nth(7).wait_for()
    verdict = page.locator("[data-part=verdict]").inner_text()
    assert verdict == ("已超时，须派人处理：结算 2，两步结算 1" if late else "没有超时。")
    assert page.locator(".clock .tag.bad").count() == len(late)
    words = [" ".join(rows.nth(place).inner_text().split()) for place in (1, 2, 6, 7)]
    assert words == [
        "报价 已确认、已释放、被替换或已过期 0 6 分钟 3 71 秒 902 2 分钟 6 分钟",
        f"结算 已入账；应答时即已生效 {late.get('settlement', 0)} 4 分钟 5 3.1 秒 100000 以上"
        " 3.9 秒 6.2 秒",
        "支付了结 已扣款、已退回、被拒，或记名欠款 0 24 小时 2 65 分钟 58 12 秒 2 小时",
        "支付退还 已原路退回 0 24 小时 0 – 0 – –",
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    if os.environ.get("SHOTS"):
        page.wait_for_timeout(500)
        name = f"{os.environ['SHOTS']}/{size['width']}-{'late' if late else 'ok'}.png"
        page.screenshot(path=name, full_page=True)


def test_the_board_of_a_running_system_is_shown(visitor: Callable[..., Visitor]) -> None:
    one = visitor("fund")
    one.page.goto(f"{one.site.url}/fund/")
    one.page.locator("[data-part=certainty] tr").nth(7).wait_for()
    assert one.page.locator("[data-part=verdict]").inner_text() == "没有超时。"
