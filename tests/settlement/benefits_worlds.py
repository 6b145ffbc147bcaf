"""Random policies, members and bills, and what must be true of every calculation on them.

A property is a function of a calculator and a world, so that the same function runs on the real
calculator and on a broken one.
"""

import json
import os
import random
import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from hypothesis import strategies as st

from settlement.benefits import (
    PAYERS,
    Bill,
    Filing,
    Line,
    Member,
    Policy,
    Site,
    canonical_inputs,
    explain,
    inputs_from,
    load_policy,
    result_from_dict,
    result_to_dict,
    trace_hash,
)
from settlement.money import fen, yuan

EXAMPLES = int(os.environ.get("BENEFIT_EXAMPLES", "500"))
ROOT = Path(__file__).resolve().parents[2]
DISEASES = ("M03900", "M01600")
HEAD = """
format = 1
version = "test"
area = "370300"
title = {{ zh = "样例", en = "sample" }}
effective_from = 2020-01-01
rounding = "{rounding}"
benefit_year = {{ starts = "01-01", source = "assumption" }}
kinds.chronic = {{ zh = "慢特病", en = "chronic" }}
[catalogue]
order = {order}
source = "assumption"
first_pay = [{{ groups = ["special"], rate = "{group_rate}", source = "assumption" }}]
away_first_pay = [{{ care = ["away_temporary"], rate = "10%", source = "assumption" }}]
"""


@dataclass(frozen=True)
class World:
    """Everything a calculation needs, with the policy's text for the reader of a failure."""

    text: str
    policy: Policy
    member: Member
    site: Site
    bill: Bill
    year_to_date: dict[str, int]
    account: int
    seed: int

    def arguments(self):
        return {
            "policy": self.policy,
            "member": self.member,
            "site": self.site,
            "bill": self.bill,
            "year_to_date": self.year_to_date,
            "account_available_fen": self.account,
        }


RATES = st.integers(min_value=0, max_value=10_000).map(lambda bp: f"{bp // 100}.{bp % 100:02d}%")
SMALL = st.integers(min_value=0, max_value=3_000_00)
AMOUNTS = st.one_of(st.integers(min_value=0, max_value=50), SMALL, st.integers(0, 90_000_00))


@st.composite
def layer_texts(draw, name, payer, base):
    text = [
        f'[[layer]]\nname = "{name}"\npayer = "{payer}"\nbase = {json.dumps(base)}',
        'title = { zh = "层", en = "layer" }\nsource = "assumption"',
    ]
    if draw(st.booleans()):
        text.append('requires = ["pool_in_force", "filing", "chosen_institution"]')
    if draw(st.booleans()):
        per = draw(st.sampled_from(['"bill"', f'"year"\ncounts_in = "{name}.deductible"']))
        text.append(
            f'[[layer.deductible]]\namount = "{yuan(draw(SMALL))}"\nper = {per}\n'
            'source = "assumption"'
        )
    if draw(st.booleans()):
        text.append(f'[[layer.rate]]\nrate = "{draw(RATES)}"\nsource = "assumption"')
    else:
        bounds = sorted(draw(st.sets(st.integers(1, 20_000_00), min_size=1, max_size=3)))
        tiers = [f'{{ up_to = "{yuan(each)}", rate = "{draw(RATES)}" }}' for each in bounds]
        tiers.append(f'{{ rate = "{draw(RATES)}" }}')
        counted = draw(st.sampled_from(["from_zero", "after_deductible"]))
        per = draw(st.sampled_from(['"bill"', f'"year"\ncounts_in = "{name}.{counted}"']))
        text.append(
            f'[[layer.rate]]\ntiers_counted = "{counted}"\ntiers_per = {per}\n'
            f'tiers = [{", ".join(tiers)}]\nsource = "assumption"'
        )
    for of in draw(st.sets(st.sampled_from(["payment", "base"]))):
        counter = f"{name}.{of}_counted" + draw(st.sampled_from(["", ".{disease}"]))
        per = draw(st.sampled_from(['"bill"', f'"year"\ncounts_in = "{counter}"']))
        text.append(
            f'[[layer.cap]]\nof = "{of}"\namount = "{yuan(draw(SMALL))}"\nper = {per}\n'
            'source = "assumption"'
        )
    return "\n".join(text)


@st.composite
def policy_texts(draw):
    orders = ('["out_of_scope", "over_limit", "first_pay", "away_first_pay"]',)
    orders += ('["out_of_scope", "first_pay", "over_limit", "away_first_pay"]',)
    text = HEAD.format(
        rounding=draw(st.sampled_from(["half_up", "half_even"])),
        order=draw(st.sampled_from(orders)),
        group_rate=draw(RATES),
    )
    layers = [draw(layer_texts("basic", "pool", ["in_range"]))]
    if draw(st.booleans()):
        left = draw(
            st.sets(
                st.sampled_from(
                    ["basic.deductible", "basic.co_payment", "basic.above_cap", "first_pay"]
                ),
                min_size=1,
            )
        )
        layers.append(draw(layer_texts("major", "major_illness", sorted(left))))
    layers.append(
        '[[layer]]\nname = "account"\npayer = "account"\nbase = ["unpaid"]\n'
        'title = { zh = "账户", en = "account" }\nsource = "assumption"\n'
        f'[[layer.rate]]\nrate = "{draw(st.sampled_from(["100%", "50%"]))}"\nsource = "assumption"'
    )
    return "\n".join([text, *layers])


@st.composite
def lines(draw, number):
    return Line(
        no=number,
        code=f"X{number}",
        name="",
        amount_fen=draw(AMOUNTS),
        item_class=draw(st.sampled_from(["A", "A", "B", "C"])),
        first_pay_bp=draw(st.sampled_from([0, 0, 500, 1_000, 3_333, 10_000])),
        over_limit_fen=draw(st.sampled_from([0, 0, 0, 7, 5_000])),
        covered=draw(st.sampled_from([True, True, True, False])),
        account_ok=draw(st.booleans()),
        prescription=draw(st.booleans()),
        prescription_only=draw(st.sampled_from([False, False, True])),
        disease_codes=draw(st.sampled_from([(), (), DISEASES[:1], DISEASES[1:]])),
        group=draw(st.sampled_from(["", "", "special"])),
    )


@st.composite
def worlds(draw):
    text = draw(policy_texts())
    policy = load_policy(text, name="random.toml")
    disease = draw(st.sampled_from(DISEASES))
    count = draw(st.integers(0, 5))
    year_to_date = {}
    for name in policy.accumulators:
        if draw(st.booleans()):
            year_to_date[name.replace("{disease}", disease)] = draw(AMOUNTS)
    return World(
        text=text,
        policy=policy,
        member=Member(
            "employee",
            "active",
            50,
            None,
            draw(st.sampled_from([True, True, False])),
            True,
            (Filing("chronic", DISEASES[0], draw(st.sampled_from([(), ("H1",)]))),),
        ),
        site=Site(
            "hospital",
            2,
            draw(st.sampled_from(["H1", "H2"])),
            draw(st.sampled_from(["370300", "370300", "370100"])),
        ),
        bill=Bill(
            "chronic",
            disease,
            date(2022, 5, 1),
            tuple(draw(lines(number)) for number in range(1, count + 1)),
            draw(st.one_of(st.none(), SMALL)),
        ),
        year_to_date=year_to_date,
        account=draw(AMOUNTS),
        seed=draw(st.integers(0, 2**16)),
    )


# ------------------------------------------------------------------------------- the properties


def shares_sum_to_the_total(calculate, world):
    result = calculate(**world.arguments())
    assert sum(share.amount_fen for share in result.shares) == result.total_fen
    assert result.total_fen == sum(line.amount_fen for line in world.bill.lines)
    payers = [share.payer for share in result.shares]
    assert payers == sorted(set(payers), key=PAYERS.index)
    for line, split in zip(world.bill.lines, result.line_splits, strict=True):
        assert line.amount_fen == (
            split.out_of_scope_fen + split.over_limit_fen + split.first_pay_fen + split.in_range_fen
        )
    first_pays = sum(split.first_pay_fen for split in result.line_splits)
    assert first_pays == sum(first.amount_fen for first in result.first_pays)


def nothing_is_negative(calculate, world):
    def walk(value):
        if isinstance(value, dict):
            for key, each in value.items():
                if not key.endswith("_rule") and key != "rule":
                    walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, int):
            assert value >= 0

    walk(result_to_dict(calculate(**world.arguments())))


def no_cap_is_exceeded(calculate, world):
    result = calculate(**world.arguments())
    layers = {layer.name: layer for layer in world.policy.layers}
    for trace in result.layers:
        for cap in layers[trace.name].caps:
            name = (cap.counts_in or "").replace("{disease}", world.bill.disease_code)
            left = max(0, cap.amount.fen - world.year_to_date.get(name, 0))
            if cap.of_base:
                bands = sum(tier.part_fen for tier in trace.tiers)
                assert trace.deductible_fen + bands <= left
            else:
                assert trace.paid_fen <= left
        for deductible in layers[trace.name].deductibles:
            name = deductible.counts_in or ""
            left = max(0, deductible.amount.fen - world.year_to_date.get(name, 0))
            assert trace.deductible_fen <= left


def the_account_pays_no_more_than_it_may(calculate, world):
    result = calculate(**world.arguments())
    limit = world.bill.account_limit_fen
    assert result.account_fen <= world.account
    assert limit is None or result.account_fen <= limit
    assert result.account_fen <= sum(
        line.amount_fen for line in world.bill.lines if line.account_ok
    )


def a_layer_accounts_for_its_base(calculate, world):
    for trace in calculate(**world.arguments()).layers:
        if trace.rate_rule < 0 or not trace.base_fen or trace.reason == "account_not_wanted":
            continue
        parts = sum(tier.part_fen for tier in trace.tiers)
        uncapped = sum(tier.paid_fen for tier in trace.tiers)
        cut_from_payment = uncapped - trace.paid_fen
        # Rounded once: within half a fen of the exact sum over the bands.
        exact = sum(tier.part_fen * tier.rate_bp for tier in trace.tiers)
        assert abs(uncapped * 10_000 - exact) <= 5_000
        assert trace.paid_fen + cut_from_payment <= parts
        cut_from_base = trace.over_cap_fen - cut_from_payment
        assert trace.deductible_fen + parts + cut_from_base == trace.base_fen
        assert bool(trace.reason) == (trace.paid_fen == 0)


def a_bigger_bill_never_lowers_what_the_fund_pays(calculate, world):
    """Grows one line, or a line put on top, by steps from a fen to thousands of yuan."""
    extra = Line(99, "X99", "", 0, "A", 0, 0, True, True, True, False)
    grown = list(world.bill.lines) + [extra] * (world.seed % 2 or not world.bill.lines)
    at = world.seed % len(grown) if world.seed % 2 == 0 else -1
    paid = -1
    for step in (0, 1, 1, 99, 12_345, 100_000, 500_000, 1_000_000, 5_000_000):
        grown[at] = replace(grown[at], amount_fen=grown[at].amount_fen + step)
        bigger = replace(world, bill=replace(world.bill, lines=tuple(grown)))
        fund_fen = calculate(**bigger.arguments()).fund_fen
        assert fund_fen >= paid
        paid = fund_fen


def line_order_changes_nothing(calculate, world):
    shuffled = list(world.bill.lines)
    random.Random(world.seed).shuffle(shuffled)
    other = replace(world, bill=replace(world.bill, lines=tuple(shuffled)))
    first, second = calculate(**world.arguments()), calculate(**other.arguments())
    assert first == second
    assert trace_hash(first) == trace_hash(second)
    assert canonical_inputs(**world.arguments()) == canonical_inputs(**other.arguments())


def a_full_refund_leaves_the_year_to_date_as_it_was(calculate, world):
    result = calculate(**world.arguments())
    after = dict(result.year_to_date_after)
    for name, amount in result.year_to_date_delta.items():
        after[name] -= amount
    assert {name: amount for name, amount in after.items() if amount} == {
        name: amount for name, amount in world.year_to_date.items() if amount
    }


def the_year_obeys_its_caps_over_many_bills(calculate, world):
    paid, met = {}, {}
    year_to_date = {}
    for _ in range(3):
        result = calculate(**{**world.arguments(), "year_to_date": year_to_date})
        for trace in result.layers:
            paid[trace.name] = paid.get(trace.name, 0) + trace.paid_fen
            met[trace.name] = met.get(trace.name, 0) + trace.deductible_fen
        year_to_date = result.year_to_date_after
    for layer in world.policy.layers:
        for cap in layer.caps:
            if cap.counts_in and not cap.of_base and layer.name in paid:
                assert paid[layer.name] <= cap.amount.fen
        for deductible in layer.deductibles:
            if deductible.counts_in and layer.name in met:
                assert met[layer.name] <= deductible.amount.fen


def only_a_reading_bill_depends_on_the_year_to_date(calculate, world):
    result = calculate(**world.arguments())
    if not result.reads_year_to_date:
        fresh = calculate(**{**world.arguments(), "year_to_date": {}})
        assert fresh.shares == result.shares
        assert fresh.layers == result.layers


def stored_inputs_and_results_read_back_equal(calculate, world, canonical_inputs=canonical_inputs):
    result = calculate(**world.arguments())
    stored = json.loads(json.dumps(canonical_inputs(**world.arguments())))
    again = calculate(policy=world.policy, **inputs_from(stored))
    assert again == result
    assert result_from_dict(json.loads(json.dumps(result_to_dict(result)))) == result


def explanation_says_the_figures_of_the_result(calculate, world, explain=explain):
    result = calculate(**world.arguments())
    known = {result.total_fen, result.fund_fen, 0}
    known |= {share.amount_fen for share in result.shares}
    for first in result.first_pays:
        known |= {first.base_fen, first.amount_fen}
    for part in ("over_limit_fen", "first_pay_fen", "in_range_fen"):
        known.add(sum(getattr(split, part) for split in result.line_splits))
    outside = {}
    for split in result.line_splits:
        outside[split.reason] = outside.get(split.reason, 0) + split.out_of_scope_fen
    known |= set(outside.values())
    for trace in result.layers:
        known |= {trace.base_fen, trace.deductible_left_fen, trace.deductible_fen}
        known |= {trace.cap_left_fen or 0, trace.over_cap_fen, trace.paid_fen}
        for tier in trace.tiers:
            known |= {tier.part_fen, tier.paid_fen}
    for language in ("zh", "en"):
        for audience in ("citizen", "cashier"):
            said = " ".join(
                explain(result, policy=world.policy, language=language, audience=audience)
            )
            # Rates have a percent sign; every other number with two places is an amount.
            figures = {fen(text) for text in re.findall(r"(?<![0-9.])[0-9]+\.[0-9]{2}(?!%)", said)}
            assert figures <= known
            assert {share.amount_fen for share in result.shares} <= figures


PROPERTIES = [
    shares_sum_to_the_total,
    nothing_is_negative,
    no_cap_is_exceeded,
    the_account_pays_no_more_than_it_may,
    a_layer_accounts_for_its_base,
    a_bigger_bill_never_lowers_what_the_fund_pays,
    line_order_changes_nothing,
    a_full_refund_leaves_the_year_to_date_as_it_was,
    the_year_obeys_its_caps_over_many_bills,
    only_a_reading_bill_depends_on_the_year_to_date,
    stored_inputs_and_results_read_back_equal,
    explanation_says_the_figures_of_the_result,
]
