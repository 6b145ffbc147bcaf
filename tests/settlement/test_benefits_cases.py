"""Published figures and worked days, each priced from a case file and a policy file alone."""

from pathlib import Path

import pytest

from settlement.benefits import load_policy
from settlement.benefits.cases import differences, load_case, run_case
from settlement.benefits.tables import CaseError

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))


def read_policy(name):
    path = ROOT / "policies" / f"{name}.toml"
    return load_policy(path.read_text(encoding="utf-8"), name=path.name)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_file_is_priced_as_it_expects(path):
    case = load_case(path.read_text(encoding="utf-8"), name=path.name)
    results = run_case(case, policy=read_policy(case.policy))
    for visit, result in zip(case.visits, results, strict=True):
        assert visit.expected, "a visit without a figure proves nothing"
        assert differences(visit, result) == ()


def test_a_wrong_expectation_is_reported():
    text = (Path(__file__).parent / "cases" / "ZB-03.toml").read_text(encoding="utf-8")
    case = load_case(text.replace("pool = 2475", "pool = 2476"), name="ZB-03.toml")
    (result,) = run_case(case, policy=read_policy(case.policy))
    assert differences(case.visits[0], result) == (
        "pool: expected 247600 fen, calculated 247500 fen",
    )


def test_a_broken_case_file_is_refused_with_every_place_named():
    with pytest.raises(CaseError) as refused:
        load_case(
            'title = "x"\n[member]\nscheme = "emploee"\ncategory = "active"\n'
            '[[visit]]\nkind = "outpatient"\nsite = { kind = "clinic", area = "370300" }\n'
            'line = [{ amount = "1.005" }]\n',
            name="x.toml",
        )
    assert refused.value.problems == (
        "x.toml: member: scheme: expected one of employee, resident, found 'emploee'",
        "x.toml: visit 1: date: missing, expected a day such as 2022-06-15, without quotes",
        "x.toml: visit 1: line 1: amount: expected yuan with at most two decimals, "
        "such as 1000 or \"1000.50\", found '1.005'",
    )
