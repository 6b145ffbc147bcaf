"""A policy file is read whole, or refused with every place that is wrong and what belongs there."""

import contextlib
import copy
import tomllib
from datetime import date
from pathlib import Path

import pytest

from settlement.benefits import PolicyError, load_policy, loading

POLICIES = sorted((Path(__file__).resolve().parents[2] / "policies").glob("*.toml"))
GOOD = """
format = 1
version = "370300-2022.1"
area = "370300"
title = { zh = "样例", en = "sample" }
effective_from = 2022-01-01
effective_until = 2023-01-01
rounding = "half_up"
[sources]
a = "an announcement"
[benefit_year]
starts = "07-01"
source = "a"
[kinds]
outpatient = { zh = "普通门诊", en = "outpatient" }
[catalogue]
order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
source = "assumption"
[[layer]]
name = "pool"
title = { zh = "统筹", en = "pool" }
payer = "pool"
base = ["in_range"]
source = "a"
[[layer.deductible]]
amount = 1000.50
per = "year"
counts_in = "pool.deductible"
source = "a"
[[layer.rate]]
rate = "70%"
source = "a"
[[layer.cap]]
amount = "2000"
per = "bill"
source = "a"
"""


def problems(text):
    with pytest.raises(PolicyError) as refused:
        load_policy(text, name="x.toml")
    return refused.value.problems


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_every_policy_of_the_product_loads_and_is_named_by_its_area(path):
    policy = load_policy(path.read_text(encoding="utf-8"), name=path.name)
    assert path.stem.startswith(policy.area)
    assert policy.version.startswith(path.stem)


def test_amounts_and_rates_are_read_without_a_float():
    policy = load_policy(GOOD, name="x.toml")
    assert policy.layers[0].deductibles[0].amount.fen == 100_050
    assert policy.layers[0].rates[0].tiers == ((0, None, 7_000),)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "format = 2", ["x.toml: format: expected 1"]),
        ('version = "370300-2022.1"', "", ["x.toml: version: missing"]),
        ('area = "370300"', 'area = "3703"', ["x.toml: area: expected a six-digit"]),
        ("effective_until = 2023-01-01", "effective_until = 2022-01-01",
         ["x.toml: effective_until: expected a day after effective_from"]),
        ("effective_from = 2022-01-01", 'effective_from = "2022"',
         ["x.toml: effective_from: expected a day such as 2022-06-15"]),
        ('rounding = "half_up"', 'rounding = "down"',
         ["x.toml: rounding: expected one of half_up, half_even, found 'down'"]),
        ('starts = "07-01"', 'starts = "02-29"', ["x.toml: benefit_year: starts: expected month"]),
        ('"over_limit", "first_pay", ', "", ["x.toml: catalogue: order: expected"]),
        ('payer = "pool"', 'payer = "cash"',
         ["x.toml: layer 1 (pool): payer: expected one of pool"]),
        ('base = ["in_range"]', 'base = ["in_rang"]',
         ["x.toml: layer 1 (pool): base: expected a list of in_range"]),
        ('base = ["in_range"]', 'base = ["pool.deductible"]',
         ["x.toml: layer 1 (pool): base: expected a list of in_range"]),
        ('base = ["in_range"]', 'base = ["unpaid", "in_range"]',
         ["x.toml: layer 1 (pool): base: expected \"unpaid\" alone"]),
        ("amount = 1000.50", "amount = 1000.505",
         ["x.toml: layer 1 (pool): deductible 1: amount: expected yuan"]),
        ("amount = 1000.50", "amount = -1",
         ["x.toml: layer 1 (pool): deductible 1: amount: expected yuan"]),
        ('rate = "70%"', "rate = 0.7",
         ["x.toml: layer 1 (pool): rate 1: rate: expected a percentage"]),
        ('rate = "70%"', 'rate = "101%"',
         ["x.toml: layer 1 (pool): rate 1: rate: expected a percentage"]),
        ('rate = "70%"', 'rate = "70%"\nadjust = [{ plus_points = "101%", source = "a" }]',
         ["x.toml: layer 1 (pool): rate 1: adjust 1: plus_points: expected a percentage"]),
        ('rate = "70%"\nsource = "a"', 'rate = "70%"',
         ["x.toml: layer 1 (pool): rate 1: source: missing"]),
        ('rate = "70%"\nsource = "a"', 'rate = "70%"\nsource = "b"',
         ["x.toml: layer 1 (pool): rate 1: source: expected the name of an entry of [sources]"]),
        ('rate = "70%"', 'rate = "70%"\ncategorys = ["active"]',
         ["x.toml: layer 1 (pool): rate 1: categorys: unknown key, did you mean categories?"]),
        ('rate = "70%"', 'rate = "70%"\nkinds = ["chronic"]',
         ["x.toml: layer 1 (pool): rate 1: kinds: expected a list of outpatient"]),
        ('rate = "70%"', 'rate = "70%"\nlevels = [4]',
         ["x.toml: layer 1 (pool): rate 1: levels: expected a list of hospital levels"]),
        ('counts_in = "pool.deductible"\n', "",
         ["x.toml: layer 1 (pool): deductible 1: counts_in: missing"]),
        ('per = "bill"', 'per = "bill"\ncounts_in = "pool.paid"',
         ["x.toml: layer 1 (pool): cap 1: counts_in: expected only with per = \"year\""]),
        ('per = "bill"', 'per = "year"\ncounts_in = "pool.deductible"',
         ["x.toml: layer 1 (pool): cap 1: counts_in: \"pool.deductible\" already counts the"]),
        ('rate = "70%"',
         'tiers_counted = "from_zero"\ntiers_per = "bill"\n'
         'tiers = [{ up_to = 5, rate = "1%" }, { up_to = 4, rate = "2%" }]',
         ["x.toml: layer 1 (pool): rate 1: tiers 2: up_to: expected an amount above",
          "x.toml: layer 1 (pool): rate 1: tiers: expected a last tier without up_to"]),
        ("[[layer.rate]]", "[[layer.rates]]",
         ["x.toml: layer 1 (pool): rate: missing, expected at least one table [[rate]]",
          "x.toml: layer 1 (pool): rates: unknown key, did you mean rate?"]),
        ("format = 1", "format = 1 1", ["x.toml: not readable as TOML: "]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_place_and_what_was_expected(old, new, expected):
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


def test_all_mistakes_are_told_at_once():
    text = GOOD.replace('"70%"', '"x"').replace('"2000"', '"x"').replace("07-01", "x")
    assert len(problems(text)) == 3


def test_a_benefit_year_is_named_by_the_year_it_begins_in():
    policy = load_policy(GOOD, name="x.toml")
    assert policy.benefit_year(date(2022, 6, 30)) == 2021
    assert policy.benefit_year(date(2022, 7, 1)) == 2022


def test_the_effective_interval_is_half_open():
    policy = load_policy(GOOD, name="x.toml")
    assert not policy.in_force_on(date(2021, 12, 31))
    assert policy.in_force_on(date(2022, 1, 1))
    assert policy.in_force_on(date(2022, 12, 31))
    assert not policy.in_force_on(date(2023, 1, 1))


def test_a_policy_is_known_by_the_hash_of_its_text():
    first = load_policy(GOOD, name="x.toml")
    assert first.sha256 == load_policy(GOOD, name="y.toml").sha256
    assert first.sha256 != load_policy(GOOD + "# a word\n", name="x.toml").sha256


def places(value, path=()):
    """Every place of a parsed file, tables and lists included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


JUNK = [None, True, -1, 10**30, "", "x", "１０%", [], [[]], [{}], {}, {"x": 1}, date(1, 1, 1)]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_in_a_file_is_a_policy_error_or_harmless(junk, monkeypatch):
    data = tomllib.loads(POLICIES[0].read_text(encoding="utf-8"), parse_float=str)
    for path in list(places(data)):
        changed = copy.deepcopy(data)
        table = changed
        for key in path[:-1]:
            table = table[key]
        if junk is None:
            del table[path[-1]]
        else:
            table[path[-1]] = junk
        monkeypatch.setattr(loading.tomllib, "loads", lambda *_, data=changed, **__: data)
        # Anything but a PolicyError escapes and fails the test.
        with contextlib.suppress(PolicyError):
            load_policy("", name="x.toml")
        monkeypatch.undo()
