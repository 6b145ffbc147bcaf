"""The workbench: for fund staff only, every figure the calculator's own, and nothing stored."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.test import Client

from settlement import benefits
from settlement.benefits.trials import Trial, member_curve, price
from settlement.models import Policy
from tests.rows import counts
from tests.world import POLICY_FILE, World

TEXT = POLICY_FILE.read_text()
PATH = "/fund/workbench/"
DAY = date(2026, 1, 5)


@pytest.fixture
def fund(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("fund")


def filled(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "left": world.policy.pk, "right": "", "draft": "", "kind": "chronic", "filed": "on",
        "scheme": "employee", "category": "retired", "age": "70", "site_kind": "pharmacy",
        "level": "0", "care": "", "class_a": "1500", "up_to": "10000", "year_to_date": "",
        **changes,
    }  # fmt: skip


def shown(response: Any) -> list[tuple[str, int]]:
    (bill,) = response.context["bills"]
    return [(share["payer"], share["amount_fen"]) for share in bill["shares"]]


def test_a_bill_is_priced_as_a_person_works_it_out_and_nothing_is_stored(
    fund: Client, world: World
) -> None:
    before = counts()
    response = fund.post(PATH, filled(world))
    assert response.status_code == 200
    # (1,500 - 1,000) at 80 %.
    assert shown(response) == [("pool", 40_000), ("cash", 110_000)]
    assert "¥400.00" in response.content.decode()
    assert counts() == before


def test_the_first_look_shows_rules_and_curves_without_asking_anything(
    fund: Client, world: World
) -> None:
    response = fund.get(PATH)
    text = response.content.decode()
    assert "Employee chronic-disease pool" in text
    assert "ZB-02" in text
    assert "<polyline" in text
    assert " style=" not in text


def test_totals_by_class_the_year_and_the_account_count(fund: Client, world: World) -> None:
    response = fund.post(
        PATH,
        filled(
            world, class_a="1000", class_b="500", first_pay="10", out_of_scope="20",
            over_limit="5", account="30", year_to_date="chronic.deductible = 1000",
        ),
    )  # fmt: skip
    # In range 1,000 + 450, all over the deductible; the account pays first of what is left.
    assert shown(response) == [("pool", 116_000), ("account", 3_000), ("cash", 33_500)]


def test_every_point_of_a_curve_is_the_calculator_s(fund: Client, world: World) -> None:
    response = fund.post(PATH, filled(world))
    policy = benefits.load_policy(TEXT, name="x")
    lines = response.context["lines"]
    assert len(lines) == 4
    for line, (scheme, category) in zip(
        lines,
        [("employee", "active"), ("employee", "retired"), ("resident", "resident")],
        strict=False,
    ):
        for point in line.points:
            trial = Trial(
                kind="chronic", service_date=DAY,
                scheme=scheme, category=category, age=70, site_kind="pharmacy", level=0,
                class_a_fen=point.total_fen,
            )  # fmt: skip
            assert price(policy, trial).personal_fen == point.personal_fen
    trial = Trial(kind="chronic", service_date=DAY, category="retired")
    curve = member_curve(policy, trial, up_to_fen=1_000_000)
    assert 100_000 in [point.total_fen for point in curve]


def test_a_draft_is_compared_row_by_row_and_bill_by_bill(fund: Client, world: World) -> None:
    draft = TEXT.replace('rate = "80%"', 'rate = "90%"', 1)
    response = fund.post(PATH, filled(world, draft=draft))
    changed = [table for table in response.context["tables"] if table["changed"]]
    assert [table["changed"] for table in changed] == [1]
    ours, theirs = response.context["bills"]
    assert theirs["result"].fund_fen - ours["result"].fund_fen == 5_000
    assert Policy.objects.count() == 1


def test_a_draft_by_which_a_bigger_bill_gets_less_is_warned_of(fund: Client, world: World) -> None:
    # The chronic deductible of 1,000 a year only has to be reached, and aid pays what it leaves.
    draft = TEXT.replace("amount = 1000", 'taken_off = "nothing_once_reached"\namount = 1000', 1)
    draft += (
        '[[layer]]\nname = "aid"\ntitle = { zh = "救助", en = "Aid" }\npayer = "medical_aid"\n'
        'schemes = ["employee"]\nkinds = ["chronic"]\nbase = ["chronic_employee.deductible"]\n'
        'source = "assumption"\n[[layer.rate]]\nrate = "100%"\nsource = "assumption"\n'
    )
    response = fund.post(PATH, filled(world, draft=draft))
    # Of 1,000 the fund pays 70 % for some and 80 % for others; away from home a tenth of the bill
    # is first pay, so that it is reached later.
    assert {
        (each["fall"].from_fen, each["fall"].before_fen, each["fall"].after_fen)
        for each in response.context["falls"]
    } == {(99_999, 99_999, p) for p in (70_000, 80_000)} | {
        (111_110, 99_999, p) for p in (70_000, 80_000)
    }
    text = response.content.decode()
    assert "from ¥999.99 for ¥999.99 in range to ¥800.00 for ¥1,000.00" in text
    assert "(employee · retired · away, temporary)" in text
    assert fund.post(PATH, filled(world)).context["falls"] == []


def test_two_loaded_versions_are_compared(fund: Client, world: World) -> None:
    other = TEXT.replace("370300-2022.1", "370300-2099.1").replace("amount = 1000", "amount = 900")
    row = Policy.objects.create(
        area_code="370300", version="370300-2099.1", from_date="2099-01-01", text=other,
        sha256="0" * 64, loaded_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    response = fund.post(PATH, filled(world, right=row.pk))
    assert len(response.context["bills"]) == 2
    assert sum(table["changed"] for table in response.context["tables"]) == 2


def test_a_broken_draft_is_told_where_and_what_was_expected(fund: Client, world: World) -> None:
    draft = TEXT.replace('rate = "80%"', 'rate = "180%"', 1)
    response = fund.post(PATH, filled(world, draft=draft))
    assert response.status_code == 200
    (problem,) = response.context["problems"]
    assert "rate" in problem
    assert "180%" in problem
    deep = ("a = " + "[" * 100_000, "a = " + "{b=" * 60_000, "format" + ".a" * 3_000 + " = 1")
    for nonsense in ("no toml at all [", "format = 1", "\x00", "x = " + "9" * 5_000, *deep):
        answer = fund.post(PATH, filled(world, draft=nonsense))
        assert answer.status_code == 200
        assert answer.context["problems"] or answer.context["form"].errors


def test_a_bill_typed_by_its_lines_is_priced_line_by_line(fund: Client, world: World) -> None:
    response = fund.post(
        PATH,
        filled(
            world,
            class_a="",
            site_kind="hospital",
            level="2",
            lines=(
                "XC01AAA001，1200.00\n"  # a wide comma; class A by the catalogue
                + "\n"
                + "XC01AAA002\t500\n"  # class B with a first pay of 10 % by the catalogue
                + "特殊检查, 乙, ¥300.00, 20%, 50, 是\n"
                + "进口敷料, 40, C\n"
                + "处方药, 60, A, , , no\n"
            ),
        ),
    )
    (bill,) = response.context["bills"]
    rows = [tuple(row.values()) for row in bill["lines"]]
    assert rows == [
        (1, "苯磺酸氨氯地平片", 120_000, 0, 0, 0),
        (3, "缬沙坦胶囊", 45_000, 5_000, 0, 0),
        # (300 - 50) at 20 %, so 200 in range.
        (4, "特殊检查", 20_000, 5_000, 5_000, 0),
        (5, "进口敷料", 0, 0, 0, 4_000),
        (6, "处方药", 0, 0, 0, 6_000),
    ]
    # In range 1,850, less the deductible of 1,000, at 80 %.
    assert shown(response) == [("pool", 68_000), ("cash", 142_000)]
    assert any(step.startswith("Line 6: needs a prescription") for step in bill["steps"])
    assert not response.context["totals_left_aside"]


def test_lines_take_the_place_of_totals_and_the_page_says_so(fund: Client, world: World) -> None:
    response = fund.post(PATH, filled(world, lines="血常规, 2000, A"))
    assert shown(response) == [("pool", 80_000), ("cash", 120_000)]
    assert "the totals are left aside" in response.content.decode()
    # The curve is of a bill of class A, whatever was typed.
    assert response.context["lines"][0].points[0].total_fen == 0


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("血常规", "expected an item and an amount"),
        (", 20", "expected an item and an amount"),
        ("x" * 121 + ", 20, A", "expected an item and an amount"),
        ("血常规, 二十, A", "expected an amount in yuan"),
        ("血常规, -1, A", "expected an amount in yuan"),
        ("血常规, 1e9, A", "expected an amount in yuan"),
        ("血常规, 99999999999, A", "expected an amount in yuan"),
        ("血常规, 1.234, A", "expected an amount in yuan"),
        ("血常规, 20, D", "expected the class"),
        ("血常规, 20", "say the class"),
        ("UNKNOWN01, 20", "say the class"),
        ("血常规, 20, B, 101", "expected a first pay of 0 to 100 %"),
        ("血常规, 20, B, x", "expected a first pay of 0 to 100 %"),
        ("血常规, 20, B, 10, -5", "expected an amount in yuan"),
        ("血常规, 20, B, 10, 21", "more is over the price limit"),
        ("血常规, 20, B, 10, 5, maybe", "expected yes or no"),
        ("血常规, 20, B, 10, 5, yes, 7", "expected six parts at most"),
        ("血常规 20 A", "expected an item and an amount"),
        ("\x01, \ud7ff, \u200b", "expected an amount in yuan"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    fund: Client, world: World, row: str, problem: str
) -> None:
    response = fund.post(PATH, filled(world, lines=f"血常规, 20, A\n\n{row}"))
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["lines"]
    (told,) = response.context["form"].errors["lines"]
    assert told.startswith("Line 3: ")
    assert problem in told
    assert "bills" not in response.context


def test_too_many_lines_are_refused_and_many_wrong_ones_told_in_part(
    fund: Client, world: World
) -> None:
    response = fund.post(PATH, filled(world, lines="血常规, 1, A\n" * 201))
    assert response.context["form"].errors == {"lines": ["At most 200 lines"]}
    response = fund.post(PATH, filled(world, lines="血常规, x, A\n" * 50))
    assert len(response.context["form"].errors["lines"]) == 10


def test_a_kind_that_the_rules_do_not_have_is_replaced_and_the_page_says_so(
    fund: Client, world: World
) -> None:
    response = fund.post(PATH, filled(world, kind="inpatient"))
    assert response.context["kind_replaced"]["asked"] == "inpatient"
    text = response.content.decode()
    assert "These rules have no “inpatient”" in text
    assert "kind_replaced" not in fund.post(PATH, filled(world)).context
    # Whatever somebody puts there is shown as text.
    text = fund.post(PATH, filled(world, kind="<b>" * 50)).content.decode()
    assert "<b><b>" not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", "999999"),
        ("left", "x"),
        ("right", "999999"),
        ("class_a", "-1"),
        ("class_a", "1.001"),
        ("class_a", "1e99"),
        ("class_a", "NaN"),
        ("first_pay", "101"),
        ("age", "131"),
        ("level", "4"),
        ("scheme", "other"),
        ("draft", "x" * 1_000_000),
        ("year_to_date", "chronic.deductible"),
        ("year_to_date", "chronic.deductible = -3"),
        ("year_to_date", "= 3"),
        ("year_to_date", "unknown.name = 3"),
        ("draft", "a." * 1_500 + "a = 1"),
        ("up_to", "99999999999"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_worked_out(
    fund: Client, world: World, field: str, value: str
) -> None:
    response = fund.post(PATH, filled(world, **{field: value}))
    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert "bills" not in response.context


@pytest.mark.parametrize("name", ["citizen", "pharmacist", "nobody"])
def test_nobody_else_may_look(signed_in: Callable[[str], Client], name: str) -> None:
    assert signed_in(name).get(PATH).status_code == 403


def test_a_visitor_is_asked_to_sign_in(client: Client, world: World) -> None:
    assert client.get(PATH).status_code == 302
