"""The figures of a slip as plain data: all that is needed to work its shares out again by hand.

It takes a fresh result, whose layers say every figure on the way, and adds names and sentences in
one language for one audience. How to recompute from it is in docs/api.md; the property test does
exactly that. It knows no person, no institution and no row.
"""

from __future__ import annotations

from typing import Any

from settlement.benefits.accumulators import accumulator_title
from settlement.benefits.explanation import (
    PRIVATE_PAYERS,
    Audience,
    explain,
    layer_sources,
    layer_title,
    percent,
    steps,
    why_nothing,
)
from settlement.benefits.naming import word
from settlement.benefits.policy import Layer, Policy
from settlement.benefits.values import LayerTrace, Result, TierTrace
from settlement.benefits.wording import TEXTS, Language


def sheet_figures(
    result: Result, *, policy: Policy, language: Language, audience: Audience
) -> dict[str, Any]:
    """Rounding, shares, steps, layers and year to date, JSON-able; amounts in fen.

    ``result`` must come from ``calculate`` and not from storage, which does not keep every figure
    on the way. Raises ValueError for another policy than the result's.
    """
    layers = {layer.name: layer for layer in policy.layers}
    return {
        "rounding": policy.rounding,
        "total_fen": result.total_fen,
        "shares": [
            {
                "payer": share.payer,
                "title": _payer_title(share.payer, language, audience),
                "amount_fen": share.amount_fen,
            }
            for share in result.shares
        ],
        "layers": [
            _layer(trace, layers[trace.name], policy, language, audience) for trace in result.layers
        ],
        "steps": [
            {"text": step.text, "source": step.source or None}
            for step in steps(result, policy=policy, language=language, audience=audience)
        ],
        "explanation": list(explain(result, policy=policy, language=language, audience=audience)),
        "year_to_date": _year(result, policy, language, audience),
    }


def line_reason(reason: str, *, language: Language) -> str:
    """Why a line is out of scope, in words; nothing for a reason that its layer tells."""
    return TEXTS[language].get(f"line.{reason}", "")


def _payer_title(payer: str, language: Language, audience: Audience) -> str:
    if audience == "cashier" and payer in PRIVATE_PAYERS:
        return TEXTS[language]["private_layer"]
    name = word(payer, language=language)
    return name[:1].upper() + name[1:]


def _layer(
    trace: LayerTrace, layer: Layer, policy: Policy, language: Language, audience: Audience
) -> dict[str, Any]:
    rate = layer.rates[trace.rate_rule] if trace.rate_rule >= 0 else None
    source = layer_sources(trace, policy=policy, language=language) if audience == "citizen" else ""
    return {
        "name": trace.name,
        "title": layer_title(layer, language=language, audience=audience),
        "payer": trace.payer,
        "base_fen": trace.base_fen,
        "counted_fen": trace.counted_fen,
        "deductible_left_fen": trace.deductible_left_fen,
        "deductible_taken_off": _taken_off(trace, layer),
        "deductible_fen": trace.deductible_fen,
        "rate_kind": rate.kind if rate else None,
        "amount_fen": trace.amount_fen if rate and rate.kind != "rate" else None,
        "bands_from_fen": trace.bands_from_fen,
        "tiers": [_tier(tier) for tier in trace.tiers],
        "cap_left_fen": trace.cap_left_fen,
        "over_cap_fen": trace.over_cap_fen,
        "paid_fen": trace.paid_fen,
        "reason": trace.reason or None,
        "reason_text": why_nothing(trace, language) if trace.reason else None,
        "source": source or None,
    }


def _tier(tier: TierTrace) -> dict[str, Any]:
    return {
        "from_fen": tier.from_fen,
        "to_fen": tier.to_fen,
        "rate_bp": tier.rate_bp,
        "rate_rest": tier.rate_rest,
        "rate": percent(tier.rate_bp, tier.rate_rest),
        "part_fen": tier.part_fen,
        "paid_fen": tier.paid_fen,
    }


def _taken_off(trace: LayerTrace, layer: Layer) -> str | None:
    """What the deductible is taken off, in the words of a policy file."""
    if trace.deductible_rule < 0:
        return None
    rule = layer.deductibles[trace.deductible_rule]
    if rule.after_rate:
        return "payment"
    return "nothing_once_reached" if rule.whole_once_reached else "base"


def _year(
    result: Result, policy: Policy, language: Language, audience: Audience
) -> list[dict[str, Any]]:
    """The accumulators of the year in fen; how many bills there were is no amount."""
    return [
        {
            "name": name,
            "title": accumulator_title(name, policy=policy, language=language, audience=audience),
            "before_fen": after - result.year_to_date_delta.get(name, 0),
            "added_fen": result.year_to_date_delta.get(name, 0),
            "after_fen": after,
        }
        for name, after in sorted(result.year_to_date_after.items())
        if after and not name.endswith(".times")
    ]
