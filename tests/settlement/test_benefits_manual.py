"""docs/policies.md is true: its city, its recipes and its cases load and come out as it says."""

import re
from pathlib import Path

import pytest

from settlement.benefits import conditions, load_policy
from settlement.benefits.cases import differences, load_case, run_case
from settlement.benefits.floors import load_authority

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")


def blocks(section, fence="toml"):
    start = MANUAL.index(f"\n## {section}")
    text = MANUAL[start : MANUAL.find("\n## ", start + 1)]
    return re.findall(rf"```{fence}\n(.*?)```", text, flags=re.DOTALL)


*STEPS, CASE = blocks("A city step by step")
CITY = "\n".join(STEPS)


@pytest.mark.parametrize("text", [CASE, *blocks("Trying a policy: case files", "toml case")])
def test_the_citys_cases_come_out_as_the_manual_says(text):
    case = load_case(text, name="case.toml")
    (result,) = run_case(case, policy=load_policy(CITY, name="999900-2024.toml"))
    assert case.visits[0].expected
    assert differences(case.visits[0], result) == ()


def test_the_city_has_five_steps_and_the_last_one_tries_it():
    assert len(STEPS) == 5
    assert load_case(CASE, name="case.toml").visits[0].expected == {
        "pool": 48_000,
        "account": 5_000,
        "cash": 47_000,
    }


@pytest.mark.parametrize("recipe", blocks("Recipes"), ids=lambda text: text.split("\n")[0])
def test_every_recipe_can_be_added_to_the_city(recipe):
    load_policy(CITY + "\n" + recipe, name="999900-2024.toml")


def test_the_recipe_of_an_authority_is_an_authority():
    (text,) = blocks("Recipes", "toml authority")
    authority = load_authority(text, name="sample_province.toml")
    assert [floor.measures for floor in authority.floors] == ["rate", "average", "cap"]
    assert authority.is_above("991100")
    assert not authority.is_above("981100")


@pytest.mark.parametrize(
    "fact", [*conditions.SCALAR_FACTS, *conditions.SET_FACTS, *conditions.FLAG_FACTS]
)
def test_every_condition_is_in_the_reference(fact):
    start = MANUAL.index("\n### Conditions")
    assert f"`{fact}`" in MANUAL[start : MANUAL.index("\n### `[[layer]]`", start)]
