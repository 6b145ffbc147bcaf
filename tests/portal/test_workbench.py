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
