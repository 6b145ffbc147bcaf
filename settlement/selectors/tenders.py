"""What members pay themselves, by the kind of money it came in (支付方式).

The one place that splits the cash part of settlements and refunds. Rows say no kind yet, so all of
it is money in the drawer.
"""

from collections.abc import Iterator

from django.db.models import QuerySet, Sum

from settlement.models import Refund, Settlement

# The tender that lies in the drawer and is counted at the end of a shift.
DRAWER = "cash"


def tenders(
    settlements: QuerySet[Settlement], refunds: QuerySet[Refund]
) -> Iterator[tuple[int, str, str, int, int]]:
    """Terminal, operator, tender, fen received and fen given back of these rows; a terminal and
    operator may come more than once. Tenders that moved nothing are left out."""
    for received in settlements.values("terminal_id", "operator").annotate(fen=Sum("cash_fen")):
        if received["fen"]:
            yield received["terminal_id"], received["operator"], DRAWER, received["fen"], 0
    for given in refunds.values("terminal_id", "operator").annotate(fen=Sum("cash_fen")):
        if given["fen"]:
            yield given["terminal_id"], given["operator"], DRAWER, 0, given["fen"]
