"""What a bill comes to when a part of it is returned: priced again with the lines that remain.

It is priced from the year to date and by the policy it was settled with, whatever happened since,
so parts returned in any order end alike. Nobody is asked for fresh money: accounts may give what
they gave, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from settlement.benefits.calculation import calculate
from settlement.benefits.restating import Settled, with_lines
from settlement.benefits.values import PAYERS, RelativeAccount, RelativeDraw, Result
from settlement.money import rounded_quotient


def remaining_amount(
    amount_fen: int, quantity_e4: int, *, returned_e4: int, returned_fen: int
) -> int:
    """What is left of a line in fen after so much of its quantity, and so many fen beside, came
    back.

    The part of a quantity is worked out from the whole line, not from what was left of it, so that
    no order of parts leaves another fen. Raises ValueError for more than there was.
    """
    if not 0 <= returned_e4 <= quantity_e4 or returned_fen < 0:
        raise ValueError("more than there was")
    kept = rounded_quotient(amount_fen * (quantity_e4 - returned_e4), quantity_e4)
    if returned_e4 == quantity_e4:
        return 0
    if returned_fen > kept:
        raise ValueError("more than there was")
    return kept - returned_fen


def result_of_rest(
    settled: Settled,
    *,
    remaining_fen: Mapping[int, int],
    account_fen: int,
    draws: Sequence[RelativeDraw],
) -> Result | None:
    """The bill with so much of each line, by number; None when nothing of it is left. `account_fen`
    and `draws` are what the own account and those of relatives may give at most.

    Raises ValueError for more than was settled, BenefitsError where the rest cannot be priced by
    itself.
    """
    if not any(remaining_fen.values()):
        return None
    rest = with_lines(settled, amounts_fen=remaining_fen)
    inputs = rest.inputs
    bill = replace(
        inputs["bill"],
        relative_accounts=tuple(RelativeAccount(draw.holder, draw.amount_fen) for draw in draws),
    )
    return calculate(
        policy=rest.policy,
        member=inputs["member"],
        site=inputs["site"],
        bill=bill,
        year_to_date=inputs["year_to_date"],
        account_available_fen=account_fen,
    )


def shares_of(result: Result | None) -> dict[str, int]:
    """What each payer pays, in fen; of nothing, nothing."""
    return {} if result is None else {share.payer: share.amount_fen for share in result.shares}


def shares_back(standing: Mapping[str, int], rest: Result | None) -> dict[str, int]:
    """By payer in fen, what each gets back when `standing` becomes the rest; less than nothing for
    one who would pay more. A payer whose part stays is left out; in the order of PAYERS."""
    back = _less(standing, shares_of(rest))
    return {payer: back[payer] for payer in sorted(back, key=PAYERS.index)}


def draws_back(before: Result, rest: Result | None) -> dict[str, int]:
    """The same by relative's account."""
    draws = () if rest is None else rest.relative_draws
    return _less(
        {draw.holder: draw.amount_fen for draw in before.relative_draws},
        {draw.holder: draw.amount_fen for draw in draws},
    )


def _less(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    found = {name: before.get(name, 0) - after.get(name, 0) for name in {**before, **after}}
    return {name: amount for name, amount in found.items() if amount}
