"""Where a bigger bill lowers what the funds pay: told to the fen, with the key that does it."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.benefits import calculate, load_policy
from settlement.benefits import falling as falling_module
from settlement.benefits.calculation import calculate as real_calculate
from settlement.benefits.falling import BESIDE_FEN, falling, may_fall
from settlement.benefits.situations import cases
from tests.settlement.benefits_worlds import policy_texts
from tests.settlement.test_benefits_properties import broken

CASES = Path(__file__).parent / "cases"
POLICIES = Path(__file__).resolve().parents[2] / "policies"
HEAD = """format = 1
version = "999900-2024.1"
area = "999900"
title = { zh = "样例市", en = "Sample city" }
effective_from = 2024-01-01
effective_until = 2025-01-01
rounding = "half_up"
benefit_year = { starts = "01-01", source = "assumption" }
kinds.inpatient = { zh = "住院", en = "inpatient" }
catalogue.order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
catalogue.source = "assumption"
"""


def layer(name, *rules, payer="pool", base='["in_range"]'):
    head = f'[[layer]]\nname = "{name}"\npayer = "{payer}"\nbase = {base}\n'
    text = head + 'title = { zh = "层", en = "layer" }\nsource = "assumption"\n'
    return text + "".join(f'[[layer.{rule}\nsource = "assumption"\n' for rule in rules)


def deductible(amount, taken_off="base", more=""):
    return f'deductible]]\nper = "bill"\namount = {amount}\ntaken_off = "{taken_off}"\n{more}'


def rate(percent, more=""):
    return f'rate]]\nrate = "{percent}%"\n{more}'


def tiers(counted):
    return (
        f'rate]]\ntiers_counted = "{counted}"\ntiers_per = "bill"\ntiers = ['
        '{ up_to = 10000, rate = "90%" }, { up_to = 20000, rate = "10%" }, { rate = "50%" }]'
    )


def shared_tiers(first, second):
    return (
        'rate]]\ntiers_counted = "from_zero"\ntiers_per = "year"\ncounts_in = "x.cost"\n'
        f'tiers = [{{ up_to = 10000, rate = "{first}%" }}, {{ rate = "{second}%" }}]'
    )


def policy(*layers, before=""):
    return load_policy(HEAD + before + "".join(layers), name="a.toml")


def package(sets, more=""):
    return (
        '[[package]]\nname = "cataract"\ntitle = { zh = "白内障", en = "cataract" }\n'
        f'packages = ["CAT"]\nsets = "{sets}"\nprice = 6000\n{more}\nsource = "assumption"\n'
    )


def on_deductible(name):
    return layer("aid", rate(80), payer="medical_aid", base=f'["{name}.deductible"]')


# What grows, from which amount, the funds' part there, the amount at the bottom, the funds' part
# there, where they pay the first amount again, and the place in the file; amounts in fen.
FALLING = {
    # The deductible grows by 20 % of each fen and eats at the first tier, 18 %; the second adds
    # 10 %.  At 10,000: (10,000 - 2,000) x 90 %; at 20,000: (10,000 - 4,000) x 90 % + 1,000.  From
    # there 50 % - 18 % bring back 800 over 2,500; 22,499.99 is rounded up to it.
    "a percentage deductible inside tiers": (
        policy(layer("basic", deductible('"20% of base"'), tiers("from_zero"))),
        ("in_range", 1_000_000, 720_000, 2_000_000, 640_000, 2_249_999),
        "layer 1 (basic): deductible 1: amount",
    ),
    # A bill of 999.99 is the deductible and aid pays 80 % of it; one of 1,000 has none.
    "a threshold that only has to be reached": (
        policy(
            layer("basic", deductible("1000", "nothing_once_reached"), rate(50)),
            on_deductible("basic"),
        ),
        ("in_range", 99_999, 79_999, 100_000, 50_000, 159_997),
        "layer 1 (basic): deductible 1: taken_off",
    ),
    # 10 % of the total: beside 1,000 in range, 9,000 outside make a deductible of 1,000; the last
    # five fen are rounded up.
    "a deductible to which cost outside the scope adds": (
        policy(layer("basic", deductible('"10% of total"'), rate(80))),
        ("out_of_scope", 0, 72_000, 899_995, 0, None),
        "layer 1 (basic): deductible 1: amount",
    ),
    # 90 % - 20 % up to 10,000, then 10 % - 20 % up to 20,000, then 50 % - 20 %.
    "a percentage taken off a payment in tiers": (
        policy(layer("basic", deductible('"20% of base"', "payment"), tiers("after_deductible"))),
        ("in_range", 1_000_000, 700_000, 2_000_000, 600_000, 2_333_331),
        "layer 1 (basic): deductible 1: amount",
    ),
    # 300 less 10 %: 270 for a bill of 300, nothing for one of 3,000; 10 % of 2,999.95 are already
    # rounded to 300.00.
    "a percentage taken off a fixed amount": (
        policy(layer("basic", deductible('"10% of base"', "payment"), "rate]]\nfixed = 300")),
        ("in_range", 30_000, 27_000, 299_995, 0, None),
        "layer 1 (basic): deductible 1: amount",
    ),
    # What the first layer looks at moves the second layer's start: it pays 90 % of half the bill
    # until both fill the first tier, then 10 % of more and more of it.
    "tiers that two layers count in": (
        policy(
            layer("basic", shared_tiers(50, 90)),
            layer("aid", shared_tiers(90, 10), payer="medical_aid", base='["basic.co_payment"]'),
        ),
        ("in_range", 666_667, 633_334, 1_000_000, 550_000, 1_091_575),
        "layer 2 (aid): rate 1: tiers",
    ),
}


@pytest.mark.parametrize("name", FALLING)
def test_a_rule_by_which_a_bigger_bill_gets_less_is_told_with_its_amounts(name):
    rules, amounts, place = FALLING[name]
    (fall,) = falling(rules).falls
    found = (fall.grows, fall.from_fen, fall.before_fen, fall.to_fen, fall.after_fen)
    assert (*found, fall.again_fen) == amounts
    assert fall.place == f"a.toml: {place}"
    assert fall.beside_fen == (BESIDE_FEN[0] if fall.grows == "out_of_scope" else 0)
    assert fall.who == ()


NOT_FALLING = {
    "fixed deductibles, tiers and caps": policy(
        layer(
            "basic",
            deductible("500"),
            tiers("from_zero"),
            'cap]]\nper = "bill"\namount = 12000',
        ),
        layer(
            "aid", deductible("500", "payment"), rate(80), payer="medical_aid", base='["unpaid"]'
        ),
    ),
    "a percentage deductible and one rate": policy(
        layer("basic", deductible('"20% of base"', more="at_least = 300"), rate(80))
    ),
    "a percentage taken off a payment of one rate": policy(
        layer("basic", deductible('"20% of base"', "payment"), rate(80))
    ),
    "a threshold that no later layer looks at": policy(
        layer("basic", deductible("1000", "nothing_once_reached"), rate(50))
    ),
    "a fixed amount": policy(
        layer("basic", deductible("100"), "rate]]\nfixed = 300"),
        layer("aid", rate(80), payer="medical_aid", base='["basic.co_payment"]'),
    ),
    "a charge package": policy(
        layer("basic", deductible("500"), tiers("from_zero")), before=package("charge")
    ),
    "a charge package that is at most the bill": policy(
        layer("basic", deductible("500"), rate(80)),
        before=package("charge", "at_most_the_bill = true"),
    ),
    "a payment of the hospital": policy(
        layer("basic", deductible("500"), tiers("from_zero")), before=package("hospital_payment")
    ),
}


@pytest.mark.parametrize("name", NOT_FALLING)
def test_rules_under_which_a_bigger_bill_never_gets_less_give_no_warning(name):
    assert falling(NOT_FALLING[name], every_case=True).falls == ()


def test_a_package_whose_price_an_account_may_pay_first_is_told():
    account = layer("account", rate(100), payer="account", base='["in_range"]')
    pool = layer("basic", rate(80))
    (fall,) = falling(policy(account, pool, before=package("charge"))).falls
    # 6,000 are shared out over the lines: all of it is the pool's while nothing is for the account,
    # and 0.60 beside ten million that are.
    found = (fall.grows, fall.beside_fen, fall.from_fen, fall.before_fen, fall.to_fen)
    assert found == ("for_account", 100_000, 0, 480_000, 1_000_000_000)
    assert fall.after_fen == 48
    assert (fall.again_fen, fall.place) == (None, "a.toml: package 1 (cataract): sets")
    assert fall.who == (("packages", ("CAT",)),)
    # The account after the pool takes nothing away from it.
    assert falling(policy(pool, account, before=package("charge"))).falls == ()
    assert falling(policy(account, pool, before=package("hospital_payment"))).falls == ()
    assert falling(policy(account, pool)).falls == ()


def test_only_those_concerned_are_named():
    rules = policy(
        layer(
            "basic",
            deductible('"20% of base"', more='levels = [3]\nschemes = ["resident"]'),
            deductible("500"),
            tiers("from_zero"),
        ),
        before="",
    )
    (fall,) = falling(rules).falls
    assert fall.who == (("schemes", ("resident",)), ("levels", ("3",)))
    assert fall.from_fen == 1_000_000


def test_a_package_whose_code_a_bill_carries_is_a_case_of_its_own():
    rules = policy(
        layer("basic", deductible('"20% of base"'), tiers("from_zero")), before=package("charge")
    )
    (fall,) = falling(rules).falls
    assert fall.who == (("packages", ("none",)),)


def test_the_shipped_policies_have_no_such_rule():
    found = {
        path.name: falling(load_policy(path.read_text(encoding="utf-8"), name=path.name))
        for path in POLICIES.glob("*.toml")
    }
    assert len(found) == 5
    assert {name: report.falls for name, report in found.items() if report.falls} == {}
    assert all(not report.not_searched_whole for report in found.values())


def test_of_the_published_cases_one_has_such_a_rule():
    falls = [
        (fall.place, fall.grows, fall.from_fen, fall.before_fen, fall.to_fen, fall.after_fen)
        for path in sorted((CASES / "policies").glob("*.toml"))
        for fall in falling(load_policy(path.read_text(encoding="utf-8"), name=path.name)).falls
    ]
    # 20 % of the total away from home: cost outside the scope adds to the deductible.
    place = "RP-05.toml: layer 1 (basic): deductible 1: amount"
    assert falls == [
        (place, "out_of_scope", 2, 560_000, 3_999_998, 0),
        (place, "out_of_scope", 2, 480_000, 3_999_998, 0),
    ]


def test_a_search_that_was_cut_short_says_so():
    rules = policy(
        layer(
            "basic",
            deductible('"20% of base"'),
            rate(60, "levels = [3]"),
            tiers("from_zero"),
        )
    )
    assert falling(rules).not_searched_whole == ()
    assert falling(rules, most_cases=1).not_searched_whole == ("inpatient",)
    assert falling(rules, most_looks=50).not_searched_whole == ("inpatient",)
    assert falling(rules, kinds=()).falls == ()


def fall_prone(text):
    """A random policy with the shapes put back that the always-true properties leave out."""
    for old, new in (
        ('"5% of wage"', '"20% of base"'),
        ('taken_off = "base"', 'taken_off = "nothing_once_reached"'),
    ):
        text = text.replace(old, new, 1)
    return text


@given(text=policy_texts().flatmap(lambda t: st.sampled_from([t, fall_prone(t)])), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_policies_fall_where_it_is_told_and_nowhere_else(text, data):
    rules = load_policy(text, name="random.toml")
    every = [case for case in cases(rules, "chronic") if not case.situation.package]
    report = falling(rules, every_case=True)
    told = [fall for fall in report.falls if fall.grows == "in_range"]
    if not any(may_fall(case.layers) for case in every):
        assert report.falls == ()
    for case in data.draw(st.permutations(every))[:3]:
        situation = case.situation

        def pays(fen, situation=situation):
            return falling_module._price(rules, situation, "in_range", 0, fen).fund_fen

        amounts = data.draw(st.lists(st.integers(0, 30_000_00), min_size=20, max_size=60))
        amounts = sorted({*amounts, *(fen + 1 for fen in amounts)})
        peak = 0
        for fen in amounts:
            paid = pays(fen)
            if paid < peak - len(case.layers) - 1:
                assert any(f.from_fen < fen and f.after_fen <= paid < f.before_fen for f in told)
            peak = max(peak, paid)


def test_a_calculator_that_takes_too_much_is_found_on_rules_that_never_fall(monkeypatch):
    rules = NOT_FALLING["fixed deductibles, tiers and caps"]
    mutant = broken(
        "layers",
        "deductible_met = deductible = min(eligible, deductible_left)",
        "deductible_met = deductible = min(eligible, deductible_left + eligible // 10**6 * 9**5)",
    )
    monkeypatch.setattr("settlement.benefits.calculation.run_layer", mutant.run_layer)
    assert falling_module.calculate is real_calculate is calculate
    assert falling(rules, every_case=True).falls


def test_check_policies_warns_with_file_key_and_yuan_and_is_content(tmp_path):
    text = HEAD + layer("basic", deductible('"20% of base"'), tiers("from_zero"))
    (tmp_path / "city.toml").write_text(text, encoding="utf-8")
    out = io.StringIO()
    call_command("check_policies", str(tmp_path / "city.toml"), stdout=out)
    in_order, warning = out.getvalue().splitlines()
    assert in_order.startswith("city.toml: 999900-2024.1, 1 layers")
    assert warning == (
        "warning: city.toml: layer 1 (basic): deductible 1: amount: a bigger bill lowers the fund's"
        " part (kinds inpatient): a bill in range of 10000.00 gets 7200.00, one of 20000.00 gets"
        " 6400.00, again 7200.00 at 22499.99"
    )


def test_a_warning_does_not_hide_an_error(tmp_path):
    text = HEAD + layer("basic", deductible('"20% of base"'), tiers("from_zero"))
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    (tmp_path / "b.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=r"b\.toml: version: a\.toml has the same one"):
        call_command(
            "check_policies",
            str(tmp_path / "a.toml"),
            str(tmp_path / "b.toml"),
            stdout=io.StringIO(),
        )


def test_many_warnings_of_one_file_are_told_in_part(tmp_path):
    levels = "".join(
        layer(
            f"own_{number}",
            deductible(f'"{12 + number}% of base"'),
            tiers("from_zero"),
        ).replace('payer = "pool"\n', f'payer = "pool"\ncategories = ["c{number}"]\n')
        for number in range(32)
    )
    (tmp_path / "a.toml").write_text(HEAD + levels, encoding="utf-8")
    out = io.StringIO()
    call_command("check_policies", str(tmp_path / "a.toml"), stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 1 + 30 + 1
    assert lines[-1] == "warning: a.toml: 2 more of the same sort"
