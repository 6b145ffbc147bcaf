"""Published figures and worked days, each priced from a case file and a policy file alone."""

from pathlib import Path

import pytest

from settlement.benefits import load_policy
from settlement.benefits.cases import differences, load_case, run_case
from settlement.benefits.tables import CaseError
from settlement.money import fen, share_of

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))


FOLDERS = (ROOT / "policies", Path(__file__).parent / "cases" / "policies")


def read_policy(name):
    path = next(path for folder in FOLDERS if (path := folder / f"{name}.toml").exists())
    return load_policy(path.read_text(encoding="utf-8"), name=path.name)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_file_is_priced_as_it_expects(path):
    case = load_case(path.read_text(encoding="utf-8"), name=path.name)
    results = run_case(case, policy=[read_policy(name) for name in case.policies])
    account_fen = case.account_fen
    for visit, result in zip(case.visits, results, strict=True):
        account_fen -= result.account_fen
        assert visit.expected or visit.expected_layers, "a visit without a figure proves nothing"
        assert differences(visit, result, account_after_fen=account_fen) == ()


# The published examples that this product promises to reproduce to the fen, and the derived ones.
# fmt: off
OPEN = [
    "IP-01", "IP-03", "IP-05", "IP-06", "IP-08", "IP-10", "IP-11", "IP-12", "IP-13",
    "IP-14", "IP-16", "TB-01", "TB-02", "TB-04", "DS-01", "OP-01", "OP-03", "OP-04",
    "OP-05", "OP-07", "OP-10", "OP-13", "OP-14", "OP-15", "CH-01", "CH-03", "DR-01",
    "MI-01", "MI-02", "MI-05", "MI-07", "MA-01", "MA-04", "MA-05", "CS-01", "CS-03",
    "CS-05",
]
# fmt: on
DERIVED = ["SD-01", "SD-02", "SD-05", "SD-06", "SD-08", "SD-10", "SD-11", "SD-13", "SD-15"]


@pytest.mark.parametrize("name", [*OPEN, *DERIVED])
def test_every_open_case_has_its_file(name):
    assert any(name in path.read_text(encoding="utf-8").splitlines()[0] for path in CASES)


@pytest.mark.parametrize(
    ("wages", "rate_bp", "contribution"),
    [("8000", 750, "600.00"), ("8000", 200, "160.00"), ("8000", 950, "760.00")],
)
def test_a_contribution_is_a_share_of_the_wage_and_no_benefit(wages, rate_bp, contribution):
    """SD-16: employer, employee, flexibly employed.  No bill, so no policy states it."""
    assert share_of(fen(wages), rate_bp) == fen(contribution)


@pytest.mark.parametrize(
    ("name", "visit", "payer", "claim"),
    [
        ("NG-01", 0, "pool", "550"),
        ("NG-01", 1, "pool", "6420"),
        ("NG-02", 0, "pool", "6889.43"),
        ("NG-03-active", 0, "pool", "32345"),
        ("NG-03-retired", 0, "pool", "33829"),
        ("NG-04", 0, "major_illness", "240000"),
        ("NG-05", 0, "large_amount", "187500"),
        ("NG-06-payment", 0, "pool", "103200"),
        ("NG-06-base", 0, "pool", "103200"),
        ("NG-07", 0, "medical_aid", "7000"),
    ],
)
def test_a_figure_that_was_published_wrong_is_not_reproduced(name, visit, payer, claim):
    path = Path(__file__).parent / "cases" / f"{name}.toml"
    case = load_case(path.read_text(encoding="utf-8"), name=path.name)
    result = run_case(case, policy=read_policy(case.policy))[visit]
    assert case.visits[visit].expected[payer] == result.share(payer)
    assert result.share(payer) != fen(claim)
    assert result.fund_fen <= result.total_fen


@pytest.mark.parametrize(
    ("only", "pool"),
    [
        ('diagnoses = ["C16"]', 80),
        ('diagnoses = ["C25"]', 0),
        ('sex = "female", age_from = 60, age_below = 70', 80),
        ('sex = "male"', 0),
        ("levels = [2, 3]", 80),
        ('emergency = true, text = "限急诊"', 0),
    ],
)
def test_a_case_states_what_the_catalogue_restricts(only, pool):
    text = f"""
        title = "restricted"
        policy = "370300-2022"
        year_to_date = {{ chronic.deductible = 1000 }}
        [member]
        scheme = "employee"
        category = "retired"
        age = 67
        sex = "female"
        [[member.filing]]
        kind = "chronic"
        disease = "M03900"
        [[visit]]
        kind = "chronic"
        disease = "M03900"
        date = 2022-03-01
        diagnoses = ["C16.900"]
        site = {{ kind = "hospital", level = 2, area = "370300" }}
        line = [{{ amount = 100, only = {{ {only} }} }}]
        expect = {{ pool = {pool} }}
    """
    case = load_case(text, name="restricted.toml")
    (result,) = run_case(case, policy=read_policy(case.policy))
    assert differences(case.visits[0], result) == ()


def test_a_restriction_of_a_case_that_is_none_is_refused_by_its_place():
    path = Path(__file__).parent / "cases" / "SD-11-negotiated-drug.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace('group = "negotiated" }', 'only = { sex = "f", age_above = 3 } }', 1)
    with pytest.raises(CaseError) as refused:
        load_case(text, name="x.toml")
    where = "x.toml: visit 1: line 1 (negotiated drug): only: "
    sex, unknown = refused.value.problems
    assert sex.startswith(f"{where}sex: expected one of female, male")
    assert unknown == f"{where}age_above: unknown key, did you mean age_below?"


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
