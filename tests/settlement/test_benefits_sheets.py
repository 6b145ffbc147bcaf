"""A slip's figures: anybody recomputes every payment from its JSON alone, and names are readable.

The arithmetic here is a second one, of whole numbers and fractions, written from docs/api.md; it
imports nothing of the calculator's.
"""

import copy
import json
import os
import tomllib
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st

from settlement.benefits import (
    BenefitsError,
    Bill,
    Filing,
    Line,
    Member,
    RelativeAccount,
    Site,
    calculate,
    load_policy,
    sheet_figures,
)
from settlement.benefits.accumulators import accumulator_title
from settlement.benefits.cases import load_case, run_case
from settlement.benefits.explanation import PRIVATE_PAYERS
from tests.settlement.benefits_worlds import worlds
from tests.settlement.test_benefits_cases import CASES, read_policy

# Two searches share what others search with once.
EXAMPLES = int(os.environ.get("BENEFIT_EXAMPLES", "500")) // 2
FILES = sorted((Path(__file__).resolve().parents[2] / "policies").glob("*.toml"))
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in FILES}
POLICIES = {name: load_policy(text, name=f"{name}.toml") for name, text in TEXTS.items()}

# ------------------------------------------------------------------ recomputing by docs/api.md


def to_fen(exact: Fraction, rounding: str) -> int:
    """The nearest fen; of two equally near the upper one, or the even one."""
    lower = exact.numerator // exact.denominator
    over = exact - lower
    if over == Fraction(1, 2):
        return lower + (1 if rounding == "half_up" else lower % 2)
    return lower + (over > Fraction(1, 2))


def recompute(layer: dict, rounding: str) -> dict:
    """A layer's figures from its base, its rates and what is left of deductible and cap."""
    cost = layer["counted_fen"]
    assert 0 <= cost <= layer["base_fen"]
    off, left = layer["deductible_taken_off"], layer["deductible_left_fen"]
    deductible = 0
    if off == "base" or (off == "nothing_once_reached" and cost < left):
        deductible = min(cost, left)
    cost -= deductible
    parts, payments, rest, exact, rounded = [], [], cost, Fraction(0), 0
    at = layer["bands_from_fen"]
    for tier in layer["tiers"]:
        assert at >= tier["from_fen"]
        part = rest if tier["to_fen"] is None else min(rest, tier["to_fen"] - at)
        rate = Fraction(tier["rate_bp"] * 10_000 + tier["rate_rest"], 100_000_000)
        exact += part * rate
        parts.append(part)
        payments.append(to_fen(exact, rounding) - rounded)
        rounded += payments[-1]
        rest, at = rest - part, at + part
    if layer["rate_kind"] == "rate":
        assert rest == 0
        payment = rounded
    else:
        payment = min(layer["amount_fen"] or 0, cost)
    if off == "payment":
        deductible = min(payment, left)
        payment -= deductible
    cap = layer["cap_left_fen"]
    paid = payment if cap is None else min(payment, cap)
    if layer["rate_kind"] is None:
        paid = payment = 0
    return {
        "deductible_fen": deductible,
        "parts": parts,
        "payments": payments,
        "over_cap_fen": layer["base_fen"] - layer["counted_fen"] + payment - paid
        if layer["rate_kind"]
        else 0,
        "paid_fen": paid,
    }


def check(sheet: dict) -> None:
    """Every figure of the layers, and the shares, recomputed; raises AssertionError."""
    paid_by: dict[str, int] = {}
    for layer in sheet["layers"]:
        found = recompute(layer, sheet["rounding"])
        for name in ("deductible_fen", "over_cap_fen", "paid_fen"):
            assert found[name] == layer[name], (layer["name"], name)
        assert found["parts"] == [tier["part_fen"] for tier in layer["tiers"]]
        assert found["payments"] == [tier["paid_fen"] for tier in layer["tiers"]]
        assert bool(layer["reason"]) == (layer["paid_fen"] == 0)
        assert bool(layer["reason_text"]) == bool(layer["reason"])
        paid_by[layer["payer"]] = paid_by.get(layer["payer"], 0) + layer["paid_fen"]
    paid_by["cash"] = sheet["total_fen"] - sum(paid_by.values())
    shares = {share["payer"]: share["amount_fen"] for share in sheet["shares"]}
    assert shares == {payer: fen for payer, fen in paid_by.items() if fen}
    assert sum(shares.values()) == sheet["total_fen"]
    for each in sheet["year_to_date"]:
        assert each["before_fen"] + each["added_fen"] == each["after_fen"]


def as_sent(result, policy, audience="citizen", language="zh") -> dict:
    """The figures after a journey as JSON."""
    sheet = sheet_figures(result, policy=policy, language=language, audience=audience)
    return json.loads(json.dumps(sheet))


# ------------------------------------------------------------------ bills under the five regions


def asked(name: str, key: str) -> list:
    """The words that a policy's rules ask for under a key, with its denial."""
    found: set = set()

    def walk(value) -> None:
        if isinstance(value, dict):
            for each_key, each in value.items():
                if each_key in (key, f"not_{key}") and isinstance(each, list):
                    found.update(each)
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(tomllib.loads(TEXTS[name]))
    return sorted(found)


FEN = st.one_of(
    st.integers(0, 50), st.integers(0, 3_000_00), st.integers(0, 60_000_00), st.integers(0, 10**9)
)


@st.composite
def region_bills(draw):
    """A policy of the product, and the arguments of a calculation under it."""
    name = draw(st.sampled_from(sorted(POLICIES)))
    policy = POLICIES[name]
    diseases = asked(name, "diseases") or ["M03900"]
    disease = draw(st.sampled_from([*diseases, None]))
    first = policy.effective_from
    day = first + timedelta(days=draw(st.integers(0, 400)))
    assume(policy.in_force_on(day))
    kind = draw(st.sampled_from(sorted(policy.kinds)))
    groups = ["", *asked(name, "groups")]
    lines = tuple(
        Line(
            no=number,
            code=draw(st.sampled_from(["X", *asked(name, "codes")])),
            name="",
            amount_fen=draw(FEN),
            item_class=draw(st.sampled_from(["A", "A", "B", "C"])),
            first_pay_bp=draw(st.sampled_from([0, 500, 1_000, 3_333])),
            over_limit_fen=draw(st.sampled_from([0, 0, 7, 5_000])),
            covered=draw(st.sampled_from([True, True, True, False])),
            account_ok=draw(st.booleans()),
            prescription=True,
            prescription_only=draw(st.booleans()),
            group=draw(st.sampled_from(groups)),
        )
        for number in range(1, draw(st.integers(1, 4)) + 1)
    )
    filings = tuple(
        Filing(each, disease or "") for each in policy.kinds if draw(st.sampled_from([True, False]))
    )
    member = Member(
        scheme=draw(st.sampled_from(["employee", "resident"])),
        category=draw(st.sampled_from(asked(name, "categories") or ["active"])),
        age=draw(st.integers(0, 95)),
        aid=draw(st.sampled_from([None, *asked(name, "aids")])),
        pool_in_force=draw(st.sampled_from([True, True, True, False])),
        account_in_force=draw(st.sampled_from([True, True, False])),
        filings=filings,
        insured_months=draw(st.integers(0, 400)),
    )
    stay = draw(st.sampled_from(["S1", ""]))
    before = {}
    for written in policy.accumulators:
        if draw(st.booleans()):
            marks = {"disease": disease or "", "stay": stay, "day": str(day), "month": str(day)[:7]}
            amount = draw(st.integers(1, 5) if written.endswith(".times") else FEN)
            before[written.format(**marks)] = amount
    return {
        "policy": policy,
        "member": member,
        "site": Site(
            draw(st.sampled_from(["hospital", "hospital", "clinic", "pharmacy"])),
            draw(st.integers(0, 3)),
            "H1",
            draw(st.sampled_from([policy.area, policy.area, "110100"])),
            tuple(draw(st.sets(st.sampled_from(asked(name, "site_marks") or ["tcm"])))),
        ),
        "bill": Bill(
            kind=kind,
            disease_code=disease,
            service_date=day,
            lines=lines,
            account_limit_fen=draw(st.one_of(st.none(), FEN)),
            admission_date=day - timedelta(days=9),
            discharge_date=day,
            days=draw(st.integers(0, 60)),
            stay=stay,
            ordinal=draw(st.sampled_from([None, 1, 2, 3])),
            package=draw(st.sampled_from(["", *(each.name for each in policy.packages)])),
            relative_accounts=draw(st.sampled_from([(), (RelativeAccount("spouse", 50_00),)])),
        ),
        "year_to_date": before,
        "account_available_fen": draw(FEN),
    }


def result_of(arguments):
    try:
        return calculate(**arguments)
    except BenefitsError:
        # A bill that its area does not price, such as a package with no line to carry it.
        assume(False)
        raise


RELAXED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(arguments=region_bills(), audience=st.sampled_from(["citizen", "cashier"]))
@RELAXED
def test_every_payment_of_a_region_s_bill_is_recomputed_from_the_slip_alone(arguments, audience):
    check(as_sent(result_of(arguments), arguments["policy"], audience))


@given(world=worlds())
@RELAXED
def test_every_payment_under_a_random_policy_is_recomputed_from_the_slip_alone(world):
    check(as_sent(calculate(**world.arguments()), world.policy))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_payment_of_a_published_case_is_recomputed_from_the_slip_alone(path):
    """The cases have what no random bill has: amounts that a slip states as paid elsewhere."""
    case = load_case(path.read_text(encoding="utf-8"), name=path.name)
    policies = [read_policy(name) for name in case.policies]
    by_hash = {policy.sha256: policy for policy in policies}
    for result in run_case(case, policy=policies):
        check(as_sent(result, by_hash[result.policy_sha256]))


# What the bills above must reach, or the two tests above would say little.
REACHED = {
    "two bands": lambda layer: len(layer["tiers"]) > 1,
    "bands that begin in the year": lambda layer: layer["tiers"] and layer["bands_from_fen"] > 0,
    "a rate finer than a basis point": lambda layer: any(t["rate_rest"] for t in layer["tiers"]),
    "a deductible": lambda layer: layer["deductible_fen"] > 0,
    "a cap on the payment": lambda layer: layer["paid_fen"] and layer["over_cap_fen"] > 0,
    "a cap on the cost": lambda layer: 0 < layer["counted_fen"] < layer["base_fen"],
    "a deductible off the payment": lambda layer: layer["deductible_taken_off"] == "payment",
    "a threshold": lambda layer: layer["deductible_taken_off"] == "nothing_once_reached",
    "a fixed amount": lambda layer: layer["rate_kind"] == "fixed" and layer["paid_fen"],
}


@pytest.mark.parametrize("what", REACHED)
def test_the_random_bills_reach_every_way_of_paying(what):
    worlds_or_regions = st.one_of(worlds().map(lambda w: w.arguments()), region_bills())

    def reaches(arguments) -> bool:
        try:
            sheet = as_sent(calculate(**arguments), arguments["policy"])
        except BenefitsError:
            return False
        return any(REACHED[what](layer) for layer in sheet["layers"])

    find(
        worlds_or_regions,
        reaches,
        settings=settings(
            max_examples=2_000,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def rich_sheet() -> dict:
    """A slip with two bands of uneven rates, a deductible and a cap, rounded half even."""
    text = """
format = 1
version = "370300-2022.9"
area = "370300"
title = { zh = "样例", en = "sample" }
effective_from = 2022-01-01
rounding = "half_even"
benefit_year = { starts = "01-01", source = "assumption" }
kinds.outpatient = { zh = "普通门诊", en = "outpatient" }
[catalogue]
order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
source = "assumption"
[[layer]]
name = "pool"
title = { zh = "统筹", en = "Pool" }
payer = "pool"
base = ["in_range"]
source = "assumption"
[[layer.deductible]]
amount = 100
per = "year"
counts_in = "pool.deductible"
source = "assumption"
[[layer.rate]]
tiers_counted = "after_deductible"
tiers_per = "year"
counts_in = "pool.above"
tiers = [{ up_to = 500, rate = "33.33%" }, { rate = "62.5%" }]
adjust = [{ times = "33.33%", source = "assumption" }]
source = "assumption"
[[layer.cap]]
amount = 100
per = "bill"
source = "assumption"
"""
    policy = load_policy(text, name="x.toml")
    result = calculate(
        policy=policy,
        member=Member("employee", "active", 40, None, True, True),
        site=Site("hospital", 2, "H1", "370300"),
        bill=Bill(
            "outpatient",
            None,
            date(2022, 5, 1),
            (Line(1, "X", "", 900_37, "A", 0, 0, True, True, True, False),),
        ),
        year_to_date={"pool.deductible": 30_00, "pool.above": 200_00},
        account_available_fen=0,
    )
    return as_sent(result, policy, language="en")


SPOILT = (
    "base_fen", "counted_fen", "deductible_left_fen", "deductible_fen", "cap_left_fen",
    "over_cap_fen", "paid_fen",
)  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.parametrize("by", [1, -1])
def test_a_fen_more_or_less_in_a_layer_is_noticed(name, by):
    sheet = rich_sheet()
    check(sheet)
    sheet["layers"][0][name] += by
    with pytest.raises(AssertionError):
        check(sheet)


@pytest.mark.parametrize("name", ["part_fen", "paid_fen", "rate_bp"])
@pytest.mark.parametrize("position", [0, 1])
def test_a_change_in_a_band_is_noticed(name, position):
    sheet = rich_sheet()
    sheet["layers"][0]["tiers"][position][name] += 1
    with pytest.raises(AssertionError):
        check(sheet)


def test_the_parts_beyond_a_basis_point_and_the_rounding_are_needed():
    """The bill is one that comes out otherwise without either: nothing here is decoration."""
    sheet = rich_sheet()
    (layer,) = sheet["layers"]
    assert [tier["rate_rest"] for tier in layer["tiers"]] == [8889, 1250]
    without = copy.deepcopy(layer)
    for tier in without["tiers"]:
        tier["rate_rest"] = 0
    assert recompute(without, "half_even")["payments"] != recompute(layer, "half_even")["payments"]
    half = {**layer, "counted_fen": 1, "base_fen": 1, "deductible_left_fen": 0}
    half["tiers"] = [{**layer["tiers"][0], "rate_bp": 5_000, "rate_rest": 0}]
    assert recompute(half, "half_even")["paid_fen"] == 0
    assert recompute(half, "half_up")["paid_fen"] == 1


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_accumulator_of_a_region_has_a_readable_title_of_its_own(name, language):
    policy = POLICIES[name]
    marks = {"disease": "M03900", "stay": "S1", "day": "2022-05-01", "month": "2022-05"}
    written = [each for each in policy.accumulators if not each.endswith(".times")]
    titles = [
        accumulator_title(each.format(**marks), policy=policy, language=language)
        for each in written
    ]
    assert len(set(titles)) == len(titles) > 3
    for each, title in zip(written, titles, strict=True):
        assert each.partition(".{")[0] not in title, title
        assert title.isascii() == (language == "en"), title


@pytest.mark.parametrize(
    ("region", "name", "zh", "en"),
    [
        ("370300-2022", "chronic.deductible", "门诊慢特病：已付起付线",
         "Chronic and special disease: deductible met"),
        ("210100-2021", "inpatient.deductible.S1", "住院：已付起付线（住院 S1）",
         "Inpatient: deductible met (stay S1)"),
        ("150100-2020", "major.paid", "大病保险：已支付", "Major illness: paid"),
        ("210100-2021", "chronic.paid.M03900", "门诊特慢病统筹：已支付（病种 M03900）",
         "Chronic-disease pool: paid (disease M03900)"),
        ("370300-2022", "earlier.rules", "earlier.rules", "earlier.rules"),
    ],
)  # fmt: skip
def test_an_accumulator_is_called_by_whom_it_belongs_to_and_what_it_counts(region, name, zh, en):
    policy = POLICIES[region]
    assert accumulator_title(name, policy=policy, language="zh") == zh
    assert accumulator_title(name, policy=policy, language="en") == en


def test_the_cashier_s_slip_names_no_aid_and_no_source():
    policy = POLICIES["150100-2020"]
    arguments = {
        "policy": policy,
        "member": Member("resident", "active", 50, "destitute", True, True),
        "site": Site("hospital", 2, "H1", policy.area),
        "bill": Bill(
            "inpatient", None, date(2020, 5, 9),
            (Line(1, "X", "", 9_000_000, "A", 0, 0, True, True, True, False),), stay="S1",
        ),
        "year_to_date": {},
        "account_available_fen": 0,
    }  # fmt: skip
    result = calculate(**arguments)
    private = [share for share in result.shares if share.payer in PRIVATE_PAYERS]
    assert private
    told = {who: as_sent(result, policy, audience=who) for who in ("citizen", "cashier")}
    for who, tells in (("citizen", True), ("cashier", False)):
        sheet = told[who]
        shown = [
            *(share["title"] for share in sheet["shares"]),
            *(layer["title"] for layer in sheet["layers"]),
            *(each["title"] for each in sheet["year_to_date"]),
            *(step["text"] for step in sheet["steps"]),
        ]
        assert any("救助" in text for text in shown) == tells, who
        assert any(layer["source"] for layer in sheet["layers"]) == tells
        assert any(step["source"] for step in sheet["steps"]) == tells
        assert any("依据" in text for text in sheet["explanation"]) == tells
