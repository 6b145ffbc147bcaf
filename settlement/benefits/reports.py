"""A calculated visit as plain data for a program to read: every figure with its name.

It adds to a stored result what can be worked out from it: what each tier pays after the cap, the
sums by who pays, and what the account holds afterwards.  It says nothing in sentences.
"""

from __future__ import annotations

from typing import Any

from settlement.benefits.canonical import result_to_dict
from settlement.benefits.policy import Policy
from settlement.benefits.values import Result


def report(result: Result, *, policy: Policy, account_after_fen: int) -> dict[str, Any]:
    """The result of one visit, JSON-able; amounts in fen, rates in basis points."""
    data = result_to_dict(result)
    titles = {layer.name: layer.title for layer in policy.layers}
    for layer, trace in zip(data["layers"], result.layers, strict=True):
        layer["title"] = dict(titles[trace.name])
        for tier, kept in zip(layer["tiers"], trace.tiers_after_cap(), strict=True):
            tier["after_cap_fen"] = kept
    return {
        "total_fen": data.pop("total_fen"),
        "fund_fen": result.fund_fen,
        "personal_fen": result.personal_fen,
        "account_fen": result.account_fen,
        "cash_fen": result.cash_fen,
        "account_after_fen": account_after_fen,
        **data,
    }
