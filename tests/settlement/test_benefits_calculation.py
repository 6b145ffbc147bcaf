"""Single facts of the calculation that decide: who is refused what, and with which reason."""

import json
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import pytest

from settlement.benefits import (
    LAYER_REASONS,
    LINE_REASONS,
    BenefitsError,
    Bill,
    Filing,
    Line,
    Member,
    Site,
    UseRestriction,
    calculate,
    canonical_inputs,
    explain,
    inputs_from,
    load_policy,
)
from settlement.benefits.policy import Relief
from settlement.benefits.wording import TEXTS

PATH = Path(__file__).resolve().parents[2] / "policies" / "370300-2022.toml"
POLICY = load_policy(PATH.read_text(encoding="utf-8"), name=PATH.name)
MEMBER = Member("employee", "retired", 67, None, True, True, (Filing("chronic", "M03900"),))
SITE = Site("hospital", 2, "H1", "370300")
LINE = Line(1, "X1", "a drug", 100_00, "A", 0, 0, True, True, False, False)
BILL = Bill("chronic", "M03900", date(2022, 3, 1), (LINE,))
MET = {"chronic.deductible": 1000_00}


def price(*, member=MEMBER, site=SITE, bill=BILL, year_to_date=MET, account=0):
    return calculate(
        policy=POLICY,
        member=member,
        site=site,
        bill=bill,
        year_to_date=year_to_date,
        account_available_fen=account,
    )


def test_with_nothing_in_the_way_the_pool_pays_its_rate():
    result = price()
    assert (result.share("pool"), result.cash_fen) == (80_00, 20_00)
    assert result.line_splits[0].reason == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"covered": False}, "not_in_catalogue"),
        ({"item_class": "C"}, "class_c"),
        ({"prescription_only": True}, "needs_prescription"),
        ({"disease_codes": ("M01600",)}, "not_for_this_disease"),
    ],
)
def test_a_line_outside_is_paid_by_the_member_and_says_why(line, reason):
    result = price(bill=replace(BILL, lines=(replace(LINE, **line),)))
    assert result.line_splits[0].out_of_scope_fen == 100_00
    assert result.line_splits[0].reason == reason
    assert result.fund_fen == 0
    assert result.cash_fen == 100_00


@pytest.mark.parametrize(
    "line",
    [
        {"prescription_only": True, "prescription": True},
        {"disease_codes": ("M01600", "M03900")},
    ],
)
def test_the_condition_met_brings_the_line_back_in(line):
    assert price(bill=replace(BILL, lines=(replace(LINE, **line),))).fund_fen == 80_00


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"pool_in_force": False}, "pool_frozen"),
        ({"filings": ()}, "disease_not_filed"),
        ({"filings": (Filing("chronic", "M01600"),)}, "disease_not_filed"),
        ({"filings": (Filing("chronic", "M03900", ("H2",)),)}, "institution_not_chosen"),
        ({"category": "student"}, "no_rate_for_this_case"),
    ],
)
def test_a_refused_layer_pays_nothing_and_every_line_says_why(member, reason):
    result = price(member=replace(MEMBER, **member), account=30_00)
    assert result.fund_fen == 0
    assert result.layers[0].reason == reason
    assert result.line_splits[0].reason == reason
    assert result.line_splits[0].in_range_fen == 100_00
    # In arrears and without a filing the account stays usable.
    assert (result.account_fen, result.cash_fen) == (30_00, 70_00)
    assert result.year_to_date_delta == {}
    assert not result.reads_year_to_date


@pytest.mark.parametrize(
    ("account", "limit", "in_force", "paid", "reason"),
    [
        (30_00, None, True, 20_00, ""),
        (5_00, None, True, 5_00, ""),
        (30_00, 1_00, True, 1_00, ""),
        (30_00, 0, True, 0, "account_not_wanted"),
        (0, None, True, 0, "account_empty"),
        (30_00, None, False, 0, "account_frozen"),
    ],
)
def test_the_account_pays_what_the_pool_leaves(account, limit, in_force, paid, reason):
    result = price(
        member=replace(MEMBER, account_in_force=in_force),
        bill=replace(BILL, account_limit_fen=limit),
        account=account,
    )
    assert result.account_fen == paid
    assert result.layers[-1].reason == reason
    assert result.cash_fen == 20_00 - paid


def test_the_account_pays_only_the_members_part_of_lines_it_may_pay_for():
    other = replace(LINE, no=2, account_ok=False)
    result = price(bill=replace(BILL, lines=(LINE, other)), account=1_000_00)
    assert (result.fund_fen, result.account_fen, result.cash_fen) == (160_00, 20_00, 20_00)


@pytest.mark.parametrize(
    ("year_to_date", "pool", "deductible", "reason"),
    [
        ({}, 0, 100_00, "within_deductible"),
        ({"chronic.deductible": 900_00}, 0, 100_00, "within_deductible"),
        ({"chronic.deductible": 900_01}, 1, 99_99, ""),
        ({"chronic.deductible": 1000_00}, 80_00, 0, ""),
        # More than the deductible was counted, after a change of category, say.
        ({"chronic.deductible": 1200_00}, 80_00, 0, ""),
    ],
)
def test_the_yearly_deductible_is_met_once(year_to_date, pool, deductible, reason):
    result = price(year_to_date=year_to_date)
    assert result.share("pool") == pool
    assert result.layers[0].deductible_fen == deductible
    assert result.layers[0].reason == reason


@pytest.mark.parametrize(
    ("paid_before", "pool", "reason"),
    [(0, 75_00, ""), (5_430_00, 70_00, ""), (5_500_00, 0, "cap_reached")],
)
def test_the_yearly_cap_stops_the_payment(paid_before, pool, reason):
    result = price(
        bill=replace(BILL, kind="outpatient", disease_code=None),
        year_to_date={"outpatient.deductible": 600_00, "outpatient.paid": paid_before},
    )
    assert result.share("pool") == pool
    assert result.layers[0].reason == reason


def test_a_purchase_from_the_account_reads_no_year_to_date():
    result = price(bill=replace(BILL, kind="pharmacy_account", disease_code=None), account=60_00)
    assert (result.account_fen, result.cash_fen, result.fund_fen) == (60_00, 40_00, 0)
    assert not result.reads_year_to_date
    assert result.line_splits[0].reason == "no_fund_for_this_kind"


def test_an_unknown_accumulator_is_carried_through():
    assert price(year_to_date={"other.paid": 7}).year_to_date_after["other.paid"] == 7


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"bill": replace(BILL, kind="inpatient")}, "unknown_kind", "kind"),
        (
            {"bill": replace(BILL, service_date=date(2021, 12, 31))},
            "policy_not_in_force",
            "service_date",
        ),
        (
            {"bill": replace(BILL, lines=(replace(LINE, amount_fen=-1),))},
            "negative_amount",
            "lines.1",
        ),
        (
            {"bill": replace(BILL, lines=(replace(LINE, first_pay_bp=10_001),))},
            "rate_out_of_range",
            "lines.1",
        ),
        ({"bill": replace(BILL, lines=(LINE, LINE))}, "duplicate_line", "lines"),
        (
            {"bill": replace(BILL, account_limit_fen=-1)},
            "negative_amount",
            "account_limit_fen",
        ),
        ({"account": -1}, "negative_amount", "account_available_fen"),
        (
            {"year_to_date": {"chronic.paid": -1}},
            "negative_amount",
            "year_to_date.chronic.paid",
        ),
    ],
)
def test_inputs_that_cannot_be_priced_are_refused_by_name(change, code, param):
    with pytest.raises(BenefitsError) as refused:
        price(**change)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_both_languages_say_the_same_things():
    assert TEXTS["zh"].keys() == TEXTS["en"].keys()
    assert {f"layer.{reason}" for reason in LAYER_REASONS} <= TEXTS["zh"].keys()
    assert {f"line.{reason}" for reason in LINE_REASONS[:4]} <= TEXTS["zh"].keys()


def test_the_citizen_hears_the_source_and_the_cashier_does_not():
    result = price()
    citizen = "".join(explain(result, policy=POLICY, language="zh", audience="citizen"))
    cashier = "".join(explain(result, policy=POLICY, language="zh", audience="cashier"))
    assert POLICY.sources["zb-02"] in citizen
    assert "依据" not in cashier


def test_an_explanation_with_another_policy_is_refused():
    with pytest.raises(ValueError, match=r"370300-2022\.1"):
        explain(replace(price(), policy_sha256="0" * 64), policy=POLICY)


# One fact of the bill that a restriction asks for, and the same bill without it.
RESTRICTED = [
    ({"diagnoses": ("C16", "C25")}, {"diagnoses": ("I10.x00", "c16.900x003")}, {}),
    ({"diagnoses": ("C16",)}, {"diagnoses": ("C16",)}, {"diagnoses": ("C1", "D16.C16")}),
    ({"sex": "female"}, {"sex": "female"}, {"sex": "male"}),
    ({"sex": "female"}, {"sex": "female"}, {"sex": None}),
    ({"age_from": 18}, {"age": 18}, {"age": 17}),
    ({"age_from": 0}, {"age": 0}, {"age": None}),
    ({"age_below": 18}, {"age": 17}, {"age": 18}),
    ({"age_below": 18}, {"age": 17}, {"age": None}),
    ({"levels": (2, 3)}, {"level": 2}, {"level": 1}),
    (
        {"levels": (2, 3)},
        {"level": 0, "prescribing_level": 3},
        {"level": 3, "prescribing_level": 1},
    ),
    ({"emergency": True}, {"emergency": True}, {"emergency": False}),
    # Everything must hold.
    (
        {"sex": "female", "age_below": 50},
        {"sex": "female", "age": 49},
        {"sex": "female", "age": 50},
    ),
    ({"emergency": True}, {"public_emergency": True, "lifts": True}, {"public_emergency": True}),
]


def price_restricted(restriction, facts):
    """The one line restricted, priced with these facts of member, site and bill."""
    policy = POLICY
    facts = dict(facts)
    if facts.pop("lifts", False):
        policy = replace(policy, relief=Relief(frozenset({"catalogue"}), None, None, "assumption"))
    level = facts.pop("level", 2)
    member = replace(MEMBER, **{name: facts.pop(name) for name in ("age", "sex") if name in facts})
    line = replace(LINE, restriction=UseRestriction(**restriction, text="限本条之用"))
    arguments = {
        "policy": policy,
        "member": member,
        "site": replace(SITE, level=level),
        "bill": replace(BILL, lines=(line,), **facts),
        "year_to_date": MET,
        "account_available_fen": 0,
    }
    result = calculate(**arguments)
    stored = json.loads(json.dumps(canonical_inputs(**arguments)))
    assert calculate(policy=policy, **inputs_from(stored)) == result
    return result


@pytest.mark.parametrize(("restriction", "within", "outside"), RESTRICTED)
def test_an_item_is_paid_within_its_restriction_and_the_members_outside_it(
    restriction, within, outside
):
    paid = price_restricted(restriction, within)
    assert (paid.line_splits[0].reason, paid.line_splits[0].restriction) == ("", "")
    assert paid.fund_fen > 0
    refused = price_restricted(restriction, outside)
    (split,) = refused.line_splits
    assert (split.reason, split.restriction) == ("restricted_use", "限本条之用")
    assert (split.out_of_scope_fen, refused.cash_fen) == (100_00, 100_00)


def test_the_explanation_quotes_the_restriction_that_a_line_does_not_meet():
    result = price_restricted({"sex": "female"}, {"sex": "male"})
    for language, audience in product(("zh", "en"), ("citizen", "cashier")):
        said = explain(result, policy=POLICY, language=language, audience=audience)
        reason = TEXTS[language]["line.restricted_use"]
        assert any(reason in sentence and "限本条之用" in sentence for sentence in said)


def test_what_a_line_fails_first_is_said_before_its_restriction():
    line = replace(LINE, item_class="C", restriction=UseRestriction(emergency=True, text="限急诊"))
    (split,) = price(bill=replace(BILL, lines=(line,))).line_splits
    assert (split.reason, split.restriction) == ("class_c", "")


def test_a_line_without_a_restriction_is_stored_as_before_there_were_any():
    arguments = {"member": MEMBER, "site": SITE, "year_to_date": {}, "account_available_fen": 0}
    stored = canonical_inputs(policy=POLICY, bill=BILL, **arguments)
    assert stored["bill"]["lines"] == [
        [1, "X1", "a drug", 100_00, "A", 0, 0, True, True, False, False, [], ""]
    ]
