"""Returns into declared months as the fund's staff see them: what waits, and what was decided."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from merchants.models import Operator
from settlement.models import Line, RefundApproval

# Beyond these a page is no page any more; the oldest are decided first, the rest follow.
WAITING_SHOWN = 100
DECIDED_SHOWN = 50


def how_many_wait(*, area_code: str | None = None) -> int:
    """Asks that nobody has decided, of one area's institutions or of all."""
    rows = RefundApproval.objects.filter(state="waiting")
    if area_code is not None:
        rows = rows.filter(merchant__area_code=area_code)
    return rows.count()


def waiting_approvals() -> list[dict[str, Any]]:
    """What waits for a decision, the oldest first."""
    return _described(
        RefundApproval.objects.filter(state="waiting").order_by("asked_at", "id"), WAITING_SHOWN
    )


def decided_approvals() -> list[dict[str, Any]]:
    """What waits no more, the latest decision first; what was overtaken unseen, by when it was
    asked for."""
    ended = RefundApproval.objects.exclude(state="waiting")
    return _described(
        ended.order_by(Coalesce("decided_at", "asked_at").desc(), F("id").desc()), DECIDED_SHOWN
    )


def _described(found: QuerySet[RefundApproval], limit: int) -> list[dict[str, Any]]:
    rows = list(found.select_related("settlement", "merchant", "terminal")[:limit])
    names = _line_names(rows)
    operators = _operator_names(rows)
    return [
        {
            "approval_id": row.id,
            "state": row.state,
            "state_text": row.get_state_display(),
            "merchant": row.merchant,
            "settlement_id": row.settlement_id,
            "month": row.settlement.accounting_month,
            "lines": [
                {**part, "name": names.get((row.settlement_id, part["no"]), "")}
                for part in row.parts
            ],
            "shares": [{"payer": name, "amount_fen": fen} for name, fen in row.shares.items()],
            "total_fen": sum(row.shares.values()),
            "settlement_total_fen": row.settlement.total_fen,
            "reason": row.reason,
            "terminal_name": row.terminal.name,
            "operator": row.operator,
            "operator_name": operators.get((row.merchant_id, row.operator), ""),
            "asked_at": row.asked_at,
            "decided_by": row.decided_by,
            "decided_at": row.decided_at,
            "note": row.note,
        }
        for row in rows
    ]


def _line_names(rows: Sequence[RefundApproval]) -> dict[tuple[Any, int], str]:
    """By settlement and the number that the calculator gave the line."""
    lines = Line.objects.filter(settlement__in={row.settlement_id for row in rows})
    counted: dict[Any, int] = {}
    names: dict[tuple[Any, int], str] = {}
    ordered = lines.order_by("fee_batch__number", "number")
    for settlement_id, name in ordered.values_list("settlement_id", "name"):
        counted[settlement_id] = counted.get(settlement_id, 0) + 1
        names[settlement_id, counted[settlement_id]] = name
    return names


def _operator_names(rows: Sequence[RefundApproval]) -> dict[tuple[int, str], str]:
    found = Operator.objects.filter(merchant__in={row.merchant_id for row in rows})
    return {(one.merchant_id, one.code): one.name for one in found}
