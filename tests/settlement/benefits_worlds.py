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
    OWN_PAYERS,
    PAYERS,
    Bill,
    Filing,
    Line,
    Member,
    Policy,
    RelativeAccount,
    Site,
    UseRestriction,
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
RESTRICTIONS = (
    UseRestriction(diagnoses=("C1", "D00"), text="限胃癌"),
    UseRestriction(age_from=0, age_below=18, levels=(2, 3), text="限二级及以上医疗机构的儿童"),
    UseRestriction(emergency=True, sex="female"),
)
HEAD = """
format = 1
version = "test"
area = "370300"
title = {{ zh = "样例", en = "sample" }}
effective_from = 2020-01-01
rounding = "{rounding}"
benefit_year = {{ starts = "01-01", source = "assumption" }}
kinds.chronic = {{ zh = "慢特病", en = "chronic", numbered_in = "chronic.times" }}
figures.wage = {{ amount = "{wage}", source = "assumption" }}
{package}
[catalogue]
order = {order}
source = "assumption"
amenity_groups = ["amenity"]
{price_rule}
part = [{{ name = "apart", of = "{apart}", groups = ["apart"], source = "assumption" }}]
first_pay = [{{ groups = ["special"], rate = "{group_rate}", source = "assumption" }}]
away_first_pay = [{{ care = ["away_temporary"], rate = "10%", source = "assumption" }}]
[[catalogue.restriction]]
groups = ["narrow"]
unless = [{{ diagnoses = ["C16"] }}]
source = "assumption"
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


BY_ORDINAL = 'by_ordinal = ["100%", "70.5%", "33.33%"]'
PERIODS = ["bill", "year", "disease", "stay", "day", "month"]


def by_period(draw, counter):
    period = draw(st.sampled_from(PERIODS))
    return f'"{period}"' if period == "bill" else f'"{period}"\ncounts_in = "{counter}"'


@st.composite
def deductible_texts(draw, name):
    """A deductible, now and then by ordinal, adjusted, bounded, with a ceiling over the year."""
    amount = draw(st.sampled_from([f'"{yuan(draw(SMALL))}"', '"5% of wage"', '"20% of base"']))
    text = [f"[[layer.deductible]]\namount = {amount}"]
    text.append(f"per = {by_period(draw, f'{name}.deductible')}")
    extras = draw(st.sets(st.sampled_from(["ordinal", "adjust", "bounds", "ceiling"]), max_size=2))
    if "ordinal" in extras:
        text.append(BY_ORDINAL)
    if "adjust" in extras:
        how = draw(st.sampled_from(['times = "70%"', 'times = "200%"', "plus = 5", "minus = 50"]))
        text.append(f'adjust = [{{ {how}, source = "assumption" }}]')
    if "bounds" in extras:
        text.append('at_least = 10\nat_most = "2000"')
    if "ceiling" in extras:
        text.append(f'year_ceiling = 30\nceiling_counts_in = "{name}.ceiling"')
    # A threshold of the first layer would move cost out of the reach of a layer that looks at its
    # deductible alone: reaching it can then cost the member, as the manual warns.
    ways = ["base", "base", "payment", *(["nothing_once_reached"] if name != "basic" else [])]
    taken = draw(st.sampled_from(ways))
    text.append(f'taken_off = "{taken}"\nsource = "assumption"')
    return "\n".join(text)


@st.composite
def rate_texts(draw, name):
    kind = draw(st.sampled_from(["rate", "rate", "tiers", "tiers", "fixed"]))
    if kind == "fixed":
        return f'[[layer.rate]]\nfixed = "{yuan(draw(SMALL))}"\nsource = "assumption"'
    if kind == "rate":
        text = f'[[layer.rate]]\nrate = "{draw(RATES)}"\nsource = "assumption"'
    else:
        bounds = sorted(draw(st.sets(st.integers(1, 20_000_00), min_size=1, max_size=3)))
        tiers = [f'{{ up_to = "{yuan(each)}", rate = "{draw(RATES)}" }}' for each in bounds]
        tiers.append(f'{{ rate = "{draw(RATES)}" }}')
        counted = draw(st.sampled_from(["from_zero", "after_deductible"]))
        text = (
            f'[[layer.rate]]\ntiers_counted = "{counted}"\n'
            f"tiers_per = {by_period(draw, f'{name}.{counted}')}\n"
            f'tiers = [{", ".join(tiers)}]\nsource = "assumption"'
        )
    if draw(st.booleans()):
        how = draw(
            st.sampled_from(
                [
                    'times = "85%"',
                    'times = "33.33%"',
                    'personal_times = "60%"',
                    'plus_points = "5%"',
                    'minus_points = "20%"',
                    'plus_points_per_year_of_age = "0.07%"',
                ]
            )
        )
        second = draw(st.sampled_from(["", ', { times = "91.7%", source = "assumption" }']))
        text += f'\nadjust = [{{ {how}, source = "assumption" }}{second}]'
    return text


@st.composite
def layer_texts(draw, name, payer, base):
    text = [
        f'[[layer]]\nname = "{name}"\npayer = "{payer}"\nbase = {base}',
        'title = { zh = "层", en = "layer" }\nsource = "assumption"',
    ]
    if draw(st.booleans()):
        text.append('requires = ["pool_in_force", "filing", "chosen_institution"]')
    rate = draw(rate_texts(name))
    if draw(st.booleans()):
        deductible = draw(deductible_texts(name))
        if "from_zero" in rate or '"payment"' in deductible:
            # One that grows with the bill would eat up a first tier that pays best, or more of
            # the payment than the bill adds to it.
            deductible = deductible.replace('"20% of base"', '"5% of wage"')
        text.append(deductible)
    text.append(rate)
    for of in draw(st.sets(st.sampled_from(["payment", "base"]))):
        counter = f"{name}.{of}_counted" + draw(st.sampled_from(["", ".{disease}"]))
        text.append(
            f'[[layer.cap]]\nof = "{of}"\namount = "{yuan(draw(SMALL))}"\n'
            f'per = {by_period(draw, counter)}\nsource = "assumption"'
        )
    return "\n".join(text)


def account_text(name, payer, base, rate):
    return (
        f'[[layer]]\nname = "{name}"\npayer = "{payer}"\nbase = {base}\n'
        'title = { zh = "账户", en = "account" }\nsource = "assumption"\n'
        f'[[layer.rate]]\nrate = "{rate}"\nsource = "assumption"'
    )


PACKAGE = """[[package]]
name = "package"
title = {{ zh = "病种", en = "package" }}
sets = "{sets}"
{price}
at_most_the_bill = {at_most}
beside = ["amenity"]
source = "assumption"
"""
FURTHER_BASES = [
    '["in_range.unpaid"]',
    '["basic.unpaid", "first_pay"]',
    '["basic.co_payment", { part = "first_pay", counted = "50%" }, "over_limit"]',
    '["basic.deductible", "basic.above_cap", "apart"]',
    '["out_of_scope", "apart.unpaid"]',
    '["unpaid"]',
]


@st.composite
def policy_texts(draw):
    orders = ('["out_of_scope", "over_limit", "first_pay", "away_first_pay"]',)
    orders += ('["out_of_scope", "first_pay", "over_limit", "away_first_pay"]',)
    # An account before the pool and a package would trade the account's money for the pool's.
    first = draw(st.sampled_from(["none", "none", "none", "account", "package"]))
    package = ""
    if first == "package":
        days = "per_day = [{ up_to_day = 2, price = 300 }, { price = 120 }]"
        package = PACKAGE.format(
            sets=draw(st.sampled_from(["charge", "charge", "hospital_payment"])),
            price=draw(st.sampled_from([f'price = "{yuan(draw(SMALL))}"', days])),
            at_most=draw(st.sampled_from(["true", "false"])),
        )
    rest = draw(st.sampled_from(["", "not_charged", "out_of_scope"]))
    price_rule = (
        f'price_rule = [{{ groups = ["fee"], counted = "{draw(RATES)}", rest = "{rest}", '
        'source = "assumption" }]'
    )
    text = HEAD.format(
        rounding=draw(st.sampled_from(["half_up", "half_even"])),
        order=draw(st.sampled_from(orders)),
        group_rate=draw(RATES),
        wage=yuan(draw(SMALL)),
        package=package,
        price_rule=price_rule if rest else "",
        apart=draw(st.sampled_from(["in_range", "first_pay", "over_limit", "out_of_scope"])),
    )
    layers = []
    if first == "account":
        layers.append(account_text("before", "account", '["in_range"]', "100%"))
    layers.append(draw(layer_texts("basic", "pool", '["in_range"]')))
    further = draw(st.lists(st.sampled_from(FURTHER_BASES), max_size=2))
    payers = ("major_illness", "medical_aid")
    for name, payer, base in zip(("major", "aid"), payers, further, strict=False):
        layers.append(draw(layer_texts(name, payer, base)))
    rate = draw(st.sampled_from(["100%", "50%"]))
    layers.append(account_text("account", "account", '["unpaid"]', rate))
    if draw(st.booleans()):
        layers.append(account_text("relatives", "relative_account", '["unpaid"]', "100%"))
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
        group=draw(st.sampled_from(["", "", "special", "fee", "apart", "narrow", "amenity"])),
    )


def own_name(name, disease, stay):
    """An accumulator's name as the bill of a world counts in it."""
    marks = {"disease": disease, "stay": stay, "day": "2022-05-01", "month": "2022-05"}
    return name.format(**marks)


@st.composite
def worlds(draw):
    text = draw(policy_texts())
    if draw(st.booleans()):
        # A kind that is not numbered reads nothing of the year by itself.
        text = text.replace(', numbered_in = "chronic.times"', "").replace(BY_ORDINAL, "")
    policy = load_policy(text, name="random.toml")
    disease = draw(st.sampled_from(DISEASES))
    # A package needs a line of its own to carry its price.
    count = draw(st.integers(1 if policy.packages else 0, 5))
    numbered = [draw(lines(number)) for number in range(1, count + 1)]
    if policy.packages:
        numbered[0] = replace(numbered[0], group="")
    stay = draw(st.sampled_from(["", "", "S1"]))
    year_to_date = {}
    for name in policy.accumulators:
        if draw(st.booleans()):
            amount = draw(st.integers(1, 5) if name.endswith(".times") else AMOUNTS)
            if "{stay}" not in name or stay:
                year_to_date[own_name(name, disease, stay)] = amount
    world = World(
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
            tuple(numbered),
            draw(st.one_of(st.none(), SMALL)),
            days=draw(st.integers(0, 5)),
            stay=stay,
            diagnoses=draw(st.sampled_from([(), ("C16", "C25")])),
            relative_accounts=draw(
                st.sampled_from([(), (RelativeAccount("spouse", 50_00), RelativeAccount("son", 7))])
            ),
        ),
        year_to_date=year_to_date,
        account=draw(AMOUNTS),
        seed=draw(st.integers(0, 2**16)),
    )
    # The first and the last line, if there are any, may be of restricted items.
    for at in (0, -1) if numbered else ():
        restriction = draw(st.sampled_from([None, None, *RESTRICTIONS]))
        numbered[at] = replace(numbered[at], restriction=restriction)
    return replace(world, bill=replace(world.bill, lines=tuple(numbered)))


# ------------------------------------------------------------------------------- the properties


def shares_sum_to_the_total(calculate, world):
    result = calculate(**world.arguments())
    assert sum(share.amount_fen for share in result.shares) == result.total_fen
    charged = sum(line.amount_fen for line in world.bill.lines)
    for price in result.prices:
        rules = world.policy.price_rules
        if price.step == "package" or rules[price.rule].charged:
            charged += price.charged_fen - price.listed_fen
    assert result.total_fen == charged
    assert sum(draw.amount_fen for draw in result.relative_draws) == result.share(
        "relative_account"
    )
    payers = [share.payer for share in result.shares]
    assert payers == sorted(set(payers), key=PAYERS.index)
    parts = 0
    for line, split in zip(world.bill.lines, result.line_splits, strict=True):
        own = split.out_of_scope_fen + split.over_limit_fen
        own += split.first_pay_fen + split.in_range_fen
        assert result.prices or line.amount_fen == own
        parts += own
    assert parts == result.total_fen
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


def _left(world, amount, counts_in):
    """What a figure that is counted somewhere leaves for the world's bill."""
    if counts_in is None or ("{stay}" in counts_in and not world.bill.stay):
        return amount
    name = own_name(counts_in, world.bill.disease_code, world.bill.stay)
    return max(0, amount - world.year_to_date.get(name, 0))


def _is_plain(deductible):
    return not (deductible.amount.of or deductible.by_ordinal or deductible.adjustments)


def no_cap_is_exceeded(calculate, world):
    result = calculate(**world.arguments())
    layers = {layer.name: layer for layer in world.policy.layers}
    for trace in result.layers:
        layer = layers[trace.name]
        for cap in layer.caps:
            left = _left(world, cap.amount.fen, cap.counts_in)
            if cap.of_base:
                bands = sum(tier.part_fen for tier in trace.tiers)
                before_rate = trace.deductible_rule < 0 or not (
                    layer.deductibles[trace.deductible_rule].after_rate
                )
                assert bands + trace.deductible_fen * before_rate <= left
            else:
                assert trace.paid_fen <= left
        for deductible in layer.deductibles:
            if _is_plain(deductible) and deductible.at_least_fen is None:
                amount = _left(world, deductible.amount.fen, deductible.counts_in)
                # A threshold takes everything that does not reach it, and nothing that does.
                assert trace.deductible_fen <= amount
            if deductible.at_most_fen is not None:
                assert trace.deductible_fen <= deductible.at_most_fen
            if deductible.ceiling_in is not None:
                left = _left(world, deductible.ceiling_fen, deductible.ceiling_in)
                assert trace.deductible_fen <= left


def the_account_pays_no_more_than_it_may(calculate, world):
    result = calculate(**world.arguments())
    limit = world.bill.account_limit_fen
    assert result.account_fen <= world.account
    assert limit is None or result.account_fen <= limit
    if not world.policy.packages:
        assert result.account_fen <= sum(
            line.amount_fen for line in world.bill.lines if line.account_ok
        )


def a_layer_accounts_for_its_base(calculate, world):
    layers = {layer.name: layer for layer in world.policy.layers}
    for trace in calculate(**world.arguments()).layers:
        if trace.rate_rule < 0 or not trace.base_fen or trace.reason == "account_not_wanted":
            continue
        layer = layers[trace.name]
        assert trace.paid_fen + trace.deductible_fen + trace.over_cap_fen <= trace.base_fen
        assert bool(trace.reason) == (trace.paid_fen == 0)
        if layer.rates[trace.rate_rule].kind != "rate":
            continue
        parts = sum(tier.part_fen for tier in trace.tiers)
        uncapped = sum(tier.paid_fen for tier in trace.tiers)
        # Rounded once: within half a fen of the exact sum over the bands.
        exact = sum(
            tier.part_fen * (tier.rate_bp * 10_000 + tier.rate_rest) for tier in trace.tiers
        )
        assert abs(uncapped * 100_000_000 - exact) <= 50_000_000
        assert sum(trace.tiers_after_cap()) == trace.paid_fen
        deductible = trace.deductible_fen
        if trace.deductible_rule >= 0 and layer.deductibles[trace.deductible_rule].after_rate:
            uncapped -= deductible
            deductible = 0
        cut_from_payment = uncapped - trace.paid_fen
        assert trace.paid_fen + cut_from_payment <= parts
        cut_from_base = trace.over_cap_fen - cut_from_payment
        assert deductible + parts + cut_from_base == trace.base_fen


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
        # A package's price is shared out anew over the lines, each rounded for its first pay.
        assert fund_fen >= paid - (len(grown) if world.policy.packages else 0)
        paid = fund_fen


def a_restriction_refuses_the_lines_outside_it_and_no_others(calculate, world):
    """As if a line within its restriction had none, and one outside were in no catalogue."""
    within = {None, *(RESTRICTIONS[:1] if world.bill.diagnoses else ())}
    plain = tuple(
        replace(line, restriction=None, covered=line.covered and line.restriction in within)
        for line in world.bill.lines
    )
    bill = replace(world.bill, lines=plain)
    result = calculate(**world.arguments())
    other = calculate(**{**world.arguments(), "bill": bill})
    assert result.shares == other.shares
    for split, line in zip(result.line_splits, world.bill.lines, strict=True):
        if split.restriction:
            assert split.restriction == line.restriction.text


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
            counted = cap.counts_in and (world.bill.stay or "{stay}" not in cap.counts_in)
            if counted and not cap.of_base and layer.name in paid:
                assert paid[layer.name] <= cap.amount.fen
        for deductible in layer.deductibles:
            name = deductible.counts_in
            counted = name and (world.bill.stay or "{stay}" not in name)
            plain = _is_plain(deductible) and deductible.at_least_fen is None
            if counted and plain and layer.name in met:
                assert met[layer.name] <= deductible.amount.fen
            if deductible.ceiling_in and layer.name in met:
                assert met[layer.name] <= deductible.ceiling_fen


def a_full_stay_is_one_admission_however_it_is_billed(calculate, world):
    if not world.bill.stay:
        return
    once = calculate(**world.arguments())
    again = calculate(**{**world.arguments(), "year_to_date": once.year_to_date_after})
    for name in ("chronic.times", "chronic.S1.times"):
        after = again.year_to_date_after.get(name, 0)
        assert after == once.year_to_date_after.get(name, 0)


def layers_take_from_what_is_left(calculate, world):
    """No fen is paid twice: what all layers pay is no more than the bill, own money included."""
    result = calculate(**world.arguments())
    assert sum(trace.paid_fen for trace in result.layers) <= result.total_fen
    assert result.personal_fen == sum(result.share(payer) for payer in OWN_PAYERS)
    relatives = sum(account.available_fen for account in world.bill.relative_accounts)
    assert result.share("relative_account") <= relatives


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
    for price in result.prices:
        known |= {price.listed_fen, price.charged_fen}
    known |= {draw.amount_fen for draw in result.relative_draws}
    for part in ("over_limit_fen", "first_pay_fen", "in_range_fen"):
        known.add(sum(getattr(split, part) for split in result.line_splits))
    outside = {}
    for split in result.line_splits:
        why = (split.reason, split.restriction)
        outside[why] = outside.get(why, 0) + split.out_of_scope_fen
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
            figures = {
                fen(text) for text in re.findall(r"(?<![0-9.])[0-9]+\.[0-9]{2}(?![0-9]*%)", said)
            }
            assert figures <= known
            # A payer of two layers is said layer by layer, cash at the end.
            assert {trace.paid_fen for trace in result.layers} <= figures
            assert result.cash_fen == 0 or result.cash_fen in figures


PROPERTIES = [
    shares_sum_to_the_total,
    nothing_is_negative,
    no_cap_is_exceeded,
    the_account_pays_no_more_than_it_may,
    a_layer_accounts_for_its_base,
    a_bigger_bill_never_lowers_what_the_fund_pays,
    a_restriction_refuses_the_lines_outside_it_and_no_others,
    line_order_changes_nothing,
    a_full_refund_leaves_the_year_to_date_as_it_was,
    the_year_obeys_its_caps_over_many_bills,
    a_full_stay_is_one_admission_however_it_is_billed,
    layers_take_from_what_is_left,
    only_a_reading_bill_depends_on_the_year_to_date,
    stored_inputs_and_results_read_back_equal,
    explanation_says_the_figures_of_the_result,
]
