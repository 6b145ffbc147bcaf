"""What members with a line of credit are told of it, and how the cash of their bills was paid.

Every query names the member. What a payment service owes a merchant is not theirs to see.
"""

from collections import defaultdict
from typing import Any

from settlement.models import CreditLine, Settlement, Tender
from settlement.selectors.staff import due_fen


def own_credit(member_id: int) -> dict[str, int] | None:
    """Fen of the member's line: its limit, what is used of it and of that due, what is left, and
    what the lender owes back. None without a line."""
    line = CreditLine.objects.filter(pk=member_id).first()
    if line is None:
        return None
    return {
        "limit_fen": line.limit_fen,
        "used_fen": line.used_fen,
        "due_fen": due_fen(member_id),
        "left_fen": line.limit_fen - line.used_fen,
        "owed_fen": line.owed_fen,
    }


def how_cash_was_paid(member_id: int, *, latest: int) -> dict[str, list[dict[str, Any]]]:
    """By settlement, of the member's latest: the ways in which its cash part was paid, in words,
    with fen, in the order in which they were taken. `paid` is false of a part that was never
    collected, or goes back whole. A settlement whose cash part is nothing has none."""
    ways: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = Settlement.objects.filter(member_id=member_id).order_by("-member_seq")
    bills = dict(rows.values_list("pk", "cash_fen")[:latest])
    for part in Tender.objects.filter(settlement_id__in=bills).order_by("number"):
        ways[str(part.settlement_id)].append(
            {
                "name": part.get_kind_display(),
                "amount_fen": part.amount_fen,
                "paid": part.state not in ("debt", "returning", "returned"),
            }
        )
    for settlement_id, cash_fen in bills.items():
        # Without parts the till took it into its drawer.
        if cash_fen and str(settlement_id) not in ways:
            cash = {"name": str(Tender.Kind.CASH.label), "amount_fen": cash_fen, "paid": True}
            ways[str(settlement_id)] = [cash]
    return dict(ways)
