"""The tutorial of docs/policies.md is a policy: what it builds loads, and its case comes out."""

import re
from pathlib import Path

from settlement.benefits import load_policy
from settlement.benefits.cases import differences, load_case, run_case

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "policies.md"


def tutorial_blocks():
    text = MANUAL.read_text(encoding="utf-8")
    tutorial = text[text.index("## A city step by step") : text.index("## Reference of every key")]
    return re.findall(r"```toml\n(.*?)```", tutorial, flags=re.DOTALL)


def test_the_tutorial_builds_a_policy_that_prices_its_own_case():
    *steps, case_text = tutorial_blocks()
    assert len(steps) == 5
    policy = load_policy("\n".join(steps), name="999900-2024.toml")
    case = load_case(case_text, name="case.toml")
    (result,) = run_case(case, policy=policy)
    assert differences(case.visits[0], result) == ()
    assert case.visits[0].expected == {"pool": 48_000, "account": 5_000, "cash": 47_000}
