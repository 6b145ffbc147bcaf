"""What members pay themselves, by the kind of money it came in (支付方式).

The one place that splits the cash part of settlements and refunds. A bill without tenders was paid
into the drawer, and so is what its refund gives back.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet, Sum

from settlement.models import Refund, Settlement, Tender, TenderRefund

# The tender that lies in the drawer and is counted at the end of a shift.
DRAWER = "cash"


def tenders(
    settlements: QuerySet[Settlement], refunds: QuerySet[Refund]
) -> Iterator[tuple[int, str, str, int, int]]:
    """Terminal, operator, tender, fen received and fen given back of these rows; a terminal and
    operator may come more than once. Tenders that moved nothing are left out."""
    received: Counter[tuple[int, str, str]] = Counter()
    given: Counter[tuple[int, str, str]] = Counter()
    bills: tuple[tuple[QuerySet[Any], Counter[tuple[int, str, str]]], ...] = (
        (settlements, received),
        (refunds, given),
    )
    for rows, sums in bills:
        for terminal_id, operator, fen in rows.values_list("terminal_id", "operator").annotate(
            fen=Sum("cash_fen")
        ):
            sums[terminal_id, operator, DRAWER] += fen
    parts = Tender.objects.filter(settlement__in=settlements.values("pk")).exclude(kind=DRAWER)
    back = TenderRefund.objects.filter(refund__in=refunds.values("pk")).exclude(tender__kind=DRAWER)
    for other, of, kind, sums in (
        (parts, "settlement", "kind", received),
        (back, "refund", "tender__kind", given),
    ):
        names = (f"{of}__terminal_id", f"{of}__operator", kind)
        for terminal_id, operator, tender, fen in other.values_list(*names).annotate(
            fen=Sum("amount_fen")
        ):
            # What came another way was not in the drawer.
            sums[terminal_id, operator, DRAWER] -= fen
            sums[terminal_id, operator, tender] += fen
    for (terminal_id, operator, tender), fen in received.items():
        if fen:
            yield terminal_id, operator, tender, fen, 0
    for (terminal_id, operator, tender), fen in given.items():
        if fen:
            yield terminal_id, operator, tender, 0, fen
