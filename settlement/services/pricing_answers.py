"""A priced bill as terminals see it."""

from collections.abc import Sequence
from typing import Any

from settlement import benefits
from settlement.selectors.records import current_language


def result_answer(
    result: benefits.Result, *, policy: benefits.Policy, lines: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A result as terminals see it: shares, lines with reasons, plain-language steps.

    `lines` describes each line besides money, as `BillLine.described` does.
    """
    splits = {split.no: split for split in result.line_splits}
    return {
        "total_fen": result.total_fen,
        "shares": [{"payer": s.payer, "amount_fen": s.amount_fen} for s in result.shares],
        "pool_fen": result.fund_fen,
        "account_fen": result.account_fen,
        "relative_fen": result.share("relative_account"),
        "cash_fen": result.cash_fen,
        "hospital_payment_fen": result.hospital_payment_fen,
        "lines": [
            {
                **line,
                "in_range_fen": splits[line["no"]].in_range_fen,
                "first_pay_fen": splits[line["no"]].first_pay_fen,
                "over_limit_fen": splits[line["no"]].over_limit_fen,
                "out_of_scope_fen": splits[line["no"]].out_of_scope_fen,
                "reason": splits[line["no"]].reason or None,
            }
            for line in lines
        ],
        "explanation": list(
            benefits.explain(
                result,
                policy=policy,
                language=current_language(),
                audience="cashier",
            )
        ),
        "policy": policy.version,
    }
