"""A result in plain sentences, one a step, for the citizen or for the cashier.

Every figure said is taken from the result; the policy only gives titles and sources.  The cashier
hears neither a source nor which aid a member receives: a pharmacy learns what is covered and
why, not who the member is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from settlement.benefits.loading import ASSUMPTION
from settlement.benefits.policy import Layer, Policy
from settlement.benefits.values import LayerTrace, Result
from settlement.benefits.wording import TEXTS, Language
from settlement.money import yuan

Audience = Literal["citizen", "cashier"]

# Payers whose very name tells something about the member's circumstances.
PRIVATE_PAYERS: Final = frozenset({"medical_aid", "second_aid", "civil_servant"})


def explain(
    result: Result, *, policy: Policy, language: Language = "zh", audience: Audience = "citizen"
) -> tuple[str, ...]:
    """The sentences, in the order of the calculation.

    Raises ValueError when the policy is not the one the result was made with, because its titles
    and sources could then belong to other figures.
    """
    if policy.sha256 != result.policy_sha256:
        raise ValueError(f"expected the policy of the result, {result.policy_version}")
    texts = TEXTS[language]
    said = [texts["total"].format(total=yuan(result.total_fen))]
    said.extend(_lines(result, policy, texts, audience))
    by_name = {layer.name: layer for layer in policy.layers}
    fund_layers = False
    for trace in result.layers:
        sentence = _layer(trace, by_name[trace.name], texts, language, audience)
        fund_layers = fund_layers or trace.payer != "account"
        if audience == "citizen" and trace.rate_rule >= 0:
            sentence += _sources(trace, by_name[trace.name], policy, texts)
        said.append(sentence)
    if fund_layers:
        said.append(texts["fund"].format(amount=yuan(result.fund_fen)))
    else:
        said.append(texts["no_fund"])
    if result.cash_fen:
        said.append(texts[f"cash.{audience}"].format(amount=yuan(result.cash_fen)))
    else:
        said.append(texts[f"cash_none.{audience}"])
    return tuple(said)


def _lines(
    result: Result, policy: Policy, texts: Mapping[str, str], audience: Audience
) -> list[str]:
    said = []
    outside: dict[str, list[tuple[int, int]]] = {}
    for split in result.line_splits:
        if split.out_of_scope_fen:
            outside.setdefault(split.reason, []).append((split.no, split.out_of_scope_fen))
    for reason, lines in outside.items():
        said.append(
            texts["outside"].format(
                lines=texts["and"].join(str(no) for no, _ in lines),
                reason=texts[f"line.{reason}"],
                amount=yuan(sum(amount for _, amount in lines)),
            )
        )
    over_limit = sum(split.over_limit_fen for split in result.line_splits)
    in_range = sum(split.in_range_fen for split in result.line_splits)
    if over_limit:
        said.append(texts["over_limit"].format(amount=yuan(over_limit)))
    for first in result.first_pays:
        rules = policy.away_first_pays if first.step == "away" else policy.first_pays
        rate = percent(rules[first.rule].rate_bp) if first.rule >= 0 else ""
        sentence = texts[f"first_pay.{first.step}"].format(
            base=yuan(first.base_fen), rate=rate, amount=yuan(first.amount_fen)
        )
        if audience == "citizen" and first.rule >= 0:
            sentence += _named([rules[first.rule].source], policy, texts)
        said.append(sentence)
    if in_range != result.total_fen:
        said.append(texts["in_range"].format(amount=yuan(in_range)))
    return said


def _layer(
    trace: LayerTrace,
    layer: Layer,
    texts: Mapping[str, str],
    language: Language,
    audience: Audience,
) -> str:
    title = layer.title[language]
    if audience == "cashier" and trace.payer in PRIVATE_PAYERS:
        title = texts["private_layer"]
    if trace.reason:
        why = texts[f"layer.{trace.reason}"].format(
            base=yuan(trace.base_fen), left=yuan(trace.deductible_left_fen)
        )
        return texts["pays_nothing"].format(title=title, reason=why)
    if trace.payer == "account":
        key = "account_cap" if trace.over_cap_fen else "account"
        return texts[key].format(
            title=title,
            base=yuan(trace.base_fen),
            left=yuan(trace.cap_left_fen or 0),
            paid=yuan(trace.paid_fen),
        )
    sentence = texts["layer"].format(title=title, base=yuan(trace.base_fen))
    if trace.deductible_rule >= 0:
        by_year = layer.deductibles[trace.deductible_rule].counts_in is not None
        key = "deductible_year" if by_year else "deductible_bill"
        sentence += texts[key].format(
            left=yuan(trace.deductible_left_fen), amount=yuan(trace.deductible_fen)
        )
    tiers = layer.rates[trace.rate_rule].tiers
    for tier in trace.tiers:
        sentence += texts["flat" if len(tiers) == 1 else "tier"].format(
            position=1 + [each[0] for each in tiers].index(tier.from_fen),
            part=yuan(tier.part_fen),
            rate=percent(tier.rate_bp),
            paid=yuan(tier.paid_fen),
        )
    if trace.cap_left_fen is not None:
        sentence += texts["cap"].format(left=yuan(trace.cap_left_fen))
    if trace.over_cap_fen:
        sentence += texts["over_cap"].format(amount=yuan(trace.over_cap_fen))
    return sentence + texts["pays"].format(paid=yuan(trace.paid_fen))


def _sources(trace: LayerTrace, layer: Layer, policy: Policy, texts: Mapping[str, str]) -> str:
    """The sources of the figures this step used, each once, in the order they were used."""
    keys = [layer.rates[trace.rate_rule].source]
    if trace.deductible_rule >= 0:
        keys.insert(0, layer.deductibles[trace.deductible_rule].source)
    if trace.cap_rule >= 0:
        keys.append(layer.caps[trace.cap_rule].source)
    return _named(keys, policy, texts)


def _named(keys: Sequence[str], policy: Policy, texts: Mapping[str, str]) -> str:
    named = texts["source_and"].join(
        texts["assumption"] if key == ASSUMPTION else policy.sources[key]
        for key in dict.fromkeys(keys)
    )
    return texts["source"].format(sources=named)


def percent(rate_bp: int) -> str:
    """Basis points as people write them: ``percent(750) == "7.5%"``."""
    whole, rest = divmod(rate_bp, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "%"
