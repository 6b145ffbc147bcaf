"""The one-bill slip (一单制结算单): one settlement with every figure that led to its shares.

The trace is worked out anew from the stored inputs and compared with the stored hash, so that what
is shown is what was settled. Whose slips somebody may see is the caller's narrowing: a member's
own, a merchant's, or any for fund staff.
"""

from typing import Any
from uuid import UUID

from settlement import benefits
from settlement.benefits.explanation import percent
from settlement.benefits.naming import word
from settlement.benefits.reports import report
from settlement.benefits.wording import TEXTS
from settlement.models import Settlement
from settlement.selectors.presence import NotFound
from settlement.selectors.records import current_language, settlement_record
from settlement.selectors.rules import compiled_policy
from voucher.selectors import masked_name


def slip_sheet(
    *,
    settlement_id: UUID,
    language: benefits.Language,
    member_id: int | None = None,
    merchant_id: int | None = None,
) -> dict[str, Any]:
    """All that a slip shows, in plain values; amounts in fen.

    With `member_id` or `merchant_id` only that one's settlements are found. Raises NotFound.
    """
    rows = Settlement.objects.select_related("merchant", "member").filter(pk=settlement_id)
    if member_id is not None:
        rows = rows.filter(member_id=member_id)
    if merchant_id is not None:
        rows = rows.filter(merchant_id=merchant_id)
    row = rows.first()
    if row is None:
        raise NotFound(param="settlement_id")
    policy = compiled_policy(row.policy_id)
    stored = benefits.inputs_from(row.inputs)
    result = benefits.result_from_dict(row.result)
    record = settlement_record(row, audience="citizen")
    data = report(result, policy=policy, account_after_fen=0)
    texts = TEXTS[language]
    return {
        **record,
        "merchant": {"code": row.merchant.code, "name": row.merchant.name},
        "member_name": masked_name(row.member.name),
        "accepted_at": row.accepted_at,
        "kind": policy.kinds[row.benefit_kind][language],
        "policy_title": policy.title[language],
        "shares": [
            {"payer": word(share.payer, language=language), "amount_fen": share.amount_fen}
            for share in result.shares
        ],
        "lines": [
            # A layer's reason is said by the layer.
            {**line, "reason": texts.get(f"line.{line['reason']}", "")}
            for line in record["lines"]
        ],
        "layers": [_layer(layer, language) for layer in data["layers"]],
        "year_to_date": _year(result),
        "recomputed": _recomputes(policy, stored, trace_hash=row.trace_hash, shown=result),
    }


def slip(*, settlement_id: UUID, merchant_id: int) -> dict[str, Any]:
    """The slip of a settlement of this merchant, for its own software: every figure by name, and
    `text` to print. Raises NotFound."""
    row = (
        Settlement.objects.select_related("merchant", "member")
        .filter(pk=settlement_id, merchant_id=merchant_id)
        .first()
    )
    if row is None:
        raise NotFound(param="settlement_id")
    record = settlement_record(row, audience="citizen")
    result = benefits.result_from_dict(row.result)
    data = report(result, policy=compiled_policy(row.policy_id), account_after_fen=0)
    return {
        "slip": {
            **record,
            "merchant": {"code": row.merchant.code, "name": row.merchant.name},
            "member": {"name": masked_name(row.member.name)},
            "layers": [_api_layer(layer, current_language()) for layer in data["layers"]],
            "year_to_date": _year(result),
        },
        "text": record["explanation"],
    }


_LAYER_FIGURES = (
    "name",
    "payer",
    "base_fen",
    "deductible_left_fen",
    "deductible_fen",
    "cap_left_fen",
    "over_cap_fen",
    "paid_fen",
)
_TIER_FIGURES = ("from_fen", "to_fen", "rate_bp", "part_fen", "paid_fen")


def _api_layer(layer: dict[str, Any], language: benefits.Language) -> dict[str, Any]:
    return {
        **{name: layer[name] for name in _LAYER_FIGURES},
        "title": layer["title"][language],
        "tiers": [{name: tier[name] for name in _TIER_FIGURES} for tier in layer["tiers"]],
        "reason": layer["reason"] or None,
    }


def _year(result: benefits.Result) -> list[dict[str, Any]]:
    """The accumulators of the year in fen; how many bills there were is no amount."""
    return [
        {
            "name": name,
            "before_fen": after - result.year_to_date_delta.get(name, 0),
            "added_fen": result.year_to_date_delta.get(name, 0),
            "after_fen": after,
        }
        for name, after in sorted(result.year_to_date_after.items())
        if after and not name.endswith(".times")
    ]


def _layer(layer: dict[str, Any], language: benefits.Language) -> dict[str, Any]:
    return {
        "title": layer["title"][language],
        "base_fen": layer["base_fen"],
        "deductible_fen": layer["deductible_fen"],
        "tiers": [
            {
                "part_fen": tier["part_fen"],
                "rate": percent(tier["rate_bp"], tier.get("rate_rest", 0)),
                "paid_fen": tier["paid_fen"],
            }
            for tier in layer["tiers"]
            if tier["part_fen"]
        ],
        "cap_left_fen": layer["cap_left_fen"],
        "over_cap_fen": layer["over_cap_fen"],
        "paid_fen": layer["paid_fen"],
    }


def _recomputes(
    policy: benefits.Policy,
    stored: benefits.CalculationInputs,
    *,
    trace_hash: str,
    shown: benefits.Result,
) -> bool:
    """Whether the calculator comes to the stored figures again, and the slip shows those."""
    try:
        again = benefits.calculate(policy=policy, **stored)
    except benefits.BenefitsError:
        return False
    return benefits.trace_hash(again) == trace_hash == benefits.trace_hash(shown)
