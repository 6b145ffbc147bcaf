"""`calculate` and `check_policies` as a benefits officer meets them; no row is read or written."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

CASES = Path(__file__).parent / "cases"
POLICIES = Path(__file__).resolve().parents[2] / "policies"


def run(*arguments):
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_case_is_priced_without_a_database():
    assert run("calculate", CASES / "IP-14.toml") == (
        "1. 2022-06-01 inpatient\n   total 1000.00: pool 360.00, cash 640.00\n"
    )


def test_every_step_is_said_with_its_source():
    chinese = run("calculate", CASES / "TB-02.toml", "--explain")
    english = run("calculate", CASES / "TB-02.toml", "--explain", "--language", "en")
    assert "第 1 段 9720.00 元按 80% 计 7776.00 元" in chinese
    assert "9720.00 yuan in tier 1 at 80% makes 7776.00 yuan" in english
    assert "城镇居民医疗保险三级医院住院医疗费用分段支付表" in chinese


def test_json_has_every_figure_of_every_visit():
    (visit,) = json.loads(run("calculate", CASES / "TB-02.toml", "--json"))["visits"]
    (layer,) = visit["layers"]
    assert [tier["after_cap_fen"] for tier in layer["tiers"]] == [777_600, 1_700_000, 3_522_400]
    assert [tier["paid_fen"] for tier in layer["tiers"]] == [777_600, 1_700_000, 6_300_000]
    assert (layer["base_fen"], layer["deductible_fen"]) == (10_000_000, 28_000)
    assert (layer["cap_left_fen"], layer["paid_fen"]) == (6_000_000, 6_000_000)
    assert visit["year_to_date_after"] == {"inpatient.paid": 6_000_000, "inpatient.times": 2}
    assert (visit["fund_fen"], visit["cash_fen"], visit["account_after_fen"]) == (
        6_000_000,
        4_000_000,
        0,
    )


def test_the_year_of_one_visit_feeds_the_next():
    visits = json.loads(run("calculate", CASES / "DS-01.toml", "--json"))["visits"]
    assert [visit["layers"][0]["deductible_fen"] for visit in visits] == [
        60_000,
        60_000,
        110_000,
        0,
    ]


def test_an_expectation_that_is_not_met_ends_with_an_error(tmp_path):
    case = tmp_path / "case.toml"
    case.write_text((CASES / "IP-14.toml").read_text().replace("pool = 360", "pool = 361"))
    with pytest.raises(CommandError) as refused:
        run("calculate", case, "--policy", CASES / "policies" / "IP-14.toml")
    assert str(refused.value) == (
        "case.toml: visit 1: pool: expected 36100 fen, calculated 36000 fen"
    )


def test_a_policy_is_looked_for_beside_the_case_and_in_the_product(tmp_path):
    text = (CASES / "ZB-03.toml").read_text(encoding="utf-8")
    (tmp_path / "a.toml").write_text(text)
    assert "pool 2475.00" in run("calculate", tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text(text.replace("370300-2022", "nowhere"))
    with pytest.raises(CommandError, match=r"b\.toml: policy: no file nowhere\.toml in "):
        run("calculate", tmp_path / "b.toml")
    (tmp_path / "c.toml").write_text(text.replace('policy = "370300-2022"', ""))
    with pytest.raises(CommandError, match=r"c\.toml: policy: missing"):
        run("calculate", tmp_path / "c.toml")


def test_every_mistake_of_a_file_is_told_with_its_place(tmp_path):
    case = tmp_path / "case.toml"
    case.write_text('[member]\nscheme = "x"\n[[visit]]\nkind = "inpatient"\n')
    with pytest.raises(CommandError) as refused:
        run("calculate", case)
    assert str(refused.value).splitlines() == [
        "case.toml: member: scheme: expected one of employee, resident, found 'x'",
        "case.toml: visit 1: date: missing, expected a day such as 2022-06-15, without quotes",
        "case.toml: visit 1: expected either [[visit.line]] or totals = { … }",
    ]


def test_a_visit_that_cannot_be_priced_is_named(tmp_path):
    case = tmp_path / "case.toml"
    case.write_text((CASES / "IP-14.toml").read_text().replace('"inpatient"', '"chronic"'))
    with pytest.raises(CommandError, match=r"case\.toml: visit 1: kind: expected one of inpatient"):
        run("calculate", case, "--policy", CASES / "policies" / "IP-14.toml")


def test_a_file_that_is_not_there_is_an_error_and_no_traceback(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        run("calculate", tmp_path / "none.toml")
    with pytest.raises(CommandError, match="cannot be read"):
        run("check_policies", tmp_path / "none.toml")


def test_the_products_policies_are_in_order_and_say_who_checked_them():
    lines = run("check_policies").splitlines()
    assert len(lines) == len(list(POLICIES.glob("*.toml")))
    assert any(
        line.startswith("210100-2021.toml") and "checked against liaoning" in line for line in lines
    )


@pytest.mark.parametrize("name", ["MI-05", "OP-15"])
def test_a_policy_without_an_authority_loads_marked_unchecked(name):
    said = run("check_policies", CASES / "policies" / f"{name}.toml")
    assert said.endswith("unchecked (names no authority)\n")


def test_problems_of_all_files_are_told_at_once(tmp_path):
    good = (POLICIES / "210100-2021.toml").read_text(encoding="utf-8")
    (tmp_path / "a.toml").write_text(
        good.replace('{ up_to = 50000, rate = "60%" }', '{ up_to = 50000, rate = "59%" }')
    )
    (tmp_path / "b.toml").write_text(good.replace("rounding", "roundin"))
    with pytest.raises(CommandError) as refused:
        run("check_policies", tmp_path / "a.toml", tmp_path / "b.toml")
    told = str(refused.value)
    assert "a.toml: layer 9 (major): rate 1: tiers 1: rate: 59% is below the 60%" in told
    assert "b.toml: rounding: missing" in told
    assert "b.toml: roundin: unknown key, did you mean rounding?" in told
