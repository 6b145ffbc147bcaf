"""A result in plain sentences, one a step, for the citizen or for the cashier.

Every figure said is taken from the result; the policy only gives titles and sources.  The cashier
hears neither a source nor which aid a member receives: a pharmacy learns what is covered and
why, not who the member is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from settlement.benefits.policy import Layer, Policy
from settlement.benefits.reading import ASSUMPTION
from settlement.benefits.values import OWN_PAYERS, LayerTrace, Result
from settlement.benefits.wording import TEXTS, Language
from settlement.money import yuan

Audience = Literal["citizen", "cashier"]

# Payers whose very name tells something about the member's circumstances.
PRIVATE_PAYERS: Final = frozenset({"medical_aid", "second_aid", "civil_servant"})


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence, and the sources of the figures in it; no source where none is told."""

    text: str
    source: str = ""


def explain(
    result: Result, *, policy: Policy, language: Language = "zh", audience: Audience = "citizen"
) -> tuple[str, ...]:
    """The sentences with their sources, in the order of the calculation.

    Raises ValueError as `steps` does.
    """
    texts = TEXTS[language]
    return tuple(
        step.text + (texts["source"].format(sources=step.source) if step.source else "")
        for step in steps(result, policy=policy, language=language, audience=audience)
    )


def steps(
    result: Result, *, policy: Policy, language: Language = "zh", audience: Audience = "citizen"
) -> tuple[Step, ...]:
    """The sentences and, apart from them, their sources, in the order of the calculation.

    Raises ValueError when the policy is not the one the result was made with, because its titles
    and sources could then belong to other figures.
    """
    if policy.sha256 != result.policy_sha256:
        raise ValueError(f"expected the policy of the result, {result.policy_version}")
    texts = TEXTS[language]
    said = _prices(result, policy, texts, language, audience)
    said.append(Step(texts["total"].format(total=yuan(result.total_fen))))
    said.extend(_lines(result, policy, texts, audience))
    by_name = {layer.name: layer for layer in policy.layers}
    fund_layers = False
    for trace in result.layers:
        sentence = _layer(trace, by_name[trace.name], texts, language, audience)
        fund_layers = fund_layers or trace.payer not in OWN_PAYERS
        source = ""
        if audience == "citizen":
            source = layer_sources(trace, policy=policy, language=language)
        said.append(Step(sentence, source))
    if audience == "citizen":
        said.extend(
            Step(texts["relative"].format(holder=draw.holder, amount=yuan(draw.amount_fen)))
            for draw in result.relative_draws
        )
    if fund_layers:
        said.append(Step(texts["fund"].format(amount=yuan(result.fund_fen))))
    else:
        said.append(Step(texts["no_fund"]))
    if result.cash_fen:
        said.append(Step(texts[f"cash.{audience}"].format(amount=yuan(result.cash_fen))))
    else:
        said.append(Step(texts[f"cash_none.{audience}"]))
    return tuple(said)


def layer_title(layer: Layer, *, language: Language, audience: Audience) -> str:
    """What the layer is called to this audience."""
    if audience == "cashier" and layer.payer in PRIVATE_PAYERS:
        return TEXTS[language]["private_layer"]
    return layer.title[language]


def _prices(
    result: Result,
    policy: Policy,
    texts: Mapping[str, str],
    language: Language,
    audience: Audience,
) -> list[Step]:
    """What took the place of the lines' own amounts before benefits."""
    said = []
    for price in result.prices:
        listed, charged = yuan(price.listed_fen), yuan(price.charged_fen)
        if price.step == "package":
            package = policy.packages[price.rule]
            sentence = texts["package"].format(
                title=package.title[language], listed=listed, charged=charged
            )
            source = package.source
        else:
            rule = policy.price_rules[price.rule]
            key = "price_rule" if rule.charged else "price_rule_counted"
            sentence = texts[key].format(listed=listed, charged=charged, rate=percent(rule.rate_bp))
            source = rule.source
        told = _named([source], policy, texts) if audience == "citizen" else ""
        said.append(Step(sentence, told))
    return said


def _lines(
    result: Result, policy: Policy, texts: Mapping[str, str], audience: Audience
) -> list[Step]:
    said = []
    outside: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for split in result.line_splits:
        if split.out_of_scope_fen:
            why = (split.reason, split.restriction)
            outside.setdefault(why, []).append((split.no, split.out_of_scope_fen))
    for (reason, restriction), lines in outside.items():
        because = texts[f"line.{reason}"]
        if restriction:
            because += texts["restriction"].format(restriction=restriction)
        sentence = texts["outside"].format(
            lines=texts["and"].join(str(no) for no, _ in lines),
            reason=because,
            amount=yuan(sum(amount for _, amount in lines)),
        )
        said.append(Step(sentence))
    over_limit = sum(split.over_limit_fen for split in result.line_splits)
    in_range = sum(split.in_range_fen for split in result.line_splits)
    if over_limit:
        said.append(Step(texts["over_limit"].format(amount=yuan(over_limit))))
    for first in result.first_pays:
        rules = policy.away_first_pays if first.step == "away" else policy.first_pays
        rate = percent(rules[first.rule].rate_bp) if first.rule >= 0 else ""
        sentence = texts[f"first_pay.{first.step}"].format(
            base=yuan(first.base_fen), rate=rate, amount=yuan(first.amount_fen)
        )
        told = audience == "citizen" and first.rule >= 0
        said.append(
            Step(sentence, _named([rules[first.rule].source], policy, texts) if told else "")
        )
    if in_range != result.total_fen:
        said.append(Step(texts["in_range"].format(amount=yuan(in_range))))
    return said


def _layer(
    trace: LayerTrace,
    layer: Layer,
    texts: Mapping[str, str],
    language: Language,
    audience: Audience,
) -> str:
    title = layer_title(layer, language=language, audience=audience)
    if trace.reason:
        return texts["pays_nothing"].format(title=title, reason=why_nothing(trace, language))
    if trace.payer in OWN_PAYERS:
        key = "account_cap" if trace.over_cap_fen else "account"
        return texts[key].format(
            title=title,
            base=yuan(trace.base_fen),
            left=yuan(trace.cap_left_fen or 0),
            paid=yuan(trace.paid_fen),
        )
    sentence = texts["layer"].format(title=title, base=yuan(trace.base_fen))
    rate = layer.rates[trace.rate_rule]
    after_rate = False
    if trace.deductible_rule >= 0:
        rule = layer.deductibles[trace.deductible_rule]
        after_rate = rule.after_rate
        key = "deductible_year" if rule.counts_in is not None else "deductible_bill"
        if rule.counts_in is not None and "{" in rule.counts_in:
            # Of a stay, a disease, a day: the year is not what it is counted over.
            key = "deductible_left"
        if rule.whole_once_reached:
            key = "threshold"
        if not after_rate:
            sentence += texts[key].format(
                left=yuan(trace.deductible_left_fen), amount=yuan(trace.deductible_fen)
            )
    if rate.kind != "rate":
        sentence += texts[rate.kind]
    for tier in trace.tiers:
        sentence += texts["flat" if len(rate.tiers) == 1 else "tier"].format(
            position=1 + [each[0] for each in rate.tiers].index(tier.from_fen),
            part=yuan(tier.part_fen),
            rate=percent(tier.rate_bp, tier.rate_rest),
            paid=yuan(tier.paid_fen),
        )
    if after_rate:
        sentence += texts["deductible_after_rate"].format(amount=yuan(trace.deductible_fen))
    if trace.cap_left_fen is not None:
        sentence += texts["cap"].format(left=yuan(trace.cap_left_fen))
    if trace.over_cap_fen:
        sentence += texts["over_cap"].format(amount=yuan(trace.over_cap_fen))
    return sentence + texts["pays"].format(paid=yuan(trace.paid_fen))


def why_nothing(trace: LayerTrace, language: Language) -> str:
    """Why a layer paid nothing, as part of a sentence. Only of a trace that has a reason."""
    return TEXTS[language][f"layer.{trace.reason}"].format(
        base=yuan(trace.base_fen), left=yuan(trace.deductible_left_fen)
    )


def layer_sources(trace: LayerTrace, *, policy: Policy, language: Language) -> str:
    """The sources of the figures a layer used, each once, in the order they were used; nothing for
    a layer that had no rate.

    An adjustment may or may not have held for this bill; its source is named with its figure's.
    """
    if trace.rate_rule < 0:
        return ""
    layer = next(each for each in policy.layers if each.name == trace.name)
    keys: list[str] = []
    if trace.deductible_rule >= 0:
        deductible = layer.deductibles[trace.deductible_rule]
        keys += [deductible.source, *(each.source for each in deductible.adjustments)]
    rate = layer.rates[trace.rate_rule]
    keys += [rate.source, *(each.source for each in rate.adjustments)]
    if trace.cap_rule >= 0:
        cap = layer.caps[trace.cap_rule]
        keys += [cap.source, *(each.source for each in cap.adjustments)]
    return _named(keys, policy, TEXTS[language])


def _named(keys: Sequence[str], policy: Policy, texts: Mapping[str, str]) -> str:
    return texts["source_and"].join(
        texts["assumption"] if key == ASSUMPTION else policy.sources[key]
        for key in dict.fromkeys(keys)
    )


def percent(rate_bp: int, rest: int = 0) -> str:
    """Basis points and ten-thousandths of one as people write them: ``percent(750) == "7.5%"``."""
    whole, part = divmod(rate_bp * 10_000 + rest, 1_000_000)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".") + "%"
