"""The merchant's own figures against ours (对账): what differs, by how much, and because of which
settlements or refunds.

Nothing is written, nobody is right: the answer names both figures. Lists are bounded, and say how
much they leave off.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from messaging.bodies import FieldInvalid
from messaging.days import moment
from settlement.models import Refund, RefundShare, Settlement, Share
from settlement.requests import ListedRefund, ListedSettlement, TotalsComparison
from settlement.selectors.shifts import period
from settlement.selectors.takings import Figures, Flow, Scope, figures, rows_of

Listed = ListedSettlement | ListedRefund
# The most rows behind one figure, or in one list, of an answer.
MOST_ROWS = 500


def compare(request: TotalsComparison, *, merchant_id: int) -> dict[str, Any]:
    """What of the merchant's figures differs from ours. Figures that are not given are not
    compared; a payer that is missing among those given counts as nothing.

    Raises what `period` raises, and FieldInvalid for a list that names something twice.
    """
    scope = period(
        merchant_id=merchant_id,
        day=request.day,
        shift_id=request.shift_id,
        terminal_id=request.terminal_id,
        operator=request.operator,
    )
    _check_named_once("settlement_list", request.settlement_list or [])
    _check_named_once("refund_list", request.refund_list or [])
    ours = figures(scope)
    differences = _differences(request, ours)
    if request.show_rows:
        for one in differences:
            one["rows"], one["rows_left_off"] = _rows(scope, one["what"], one["name"])
    lists = {
        "settlement_list": request.settlement_list is not None
        and _listed(scope, request.settlement_list, Settlement, merchant_id=merchant_id),
        "refund_list": request.refund_list is not None
        and _listed(scope, request.refund_list, Refund, merchant_id=merchant_id),
    }
    return {
        "equal": not differences
        and not any(found and found["different"] for found in lists.values()),
        "differences": differences,
        **{name: found or None for name, found in lists.items()},
    }


def _check_named_once(name: str, listed: Sequence[Listed]) -> None:
    seen: set[UUID] = set()
    for index, one in enumerate(listed):
        if one.id in seen:
            place = f"{name}[{index}]"
            raise FieldInvalid(param=place, field=place, problem=_("is listed twice"))
        seen.add(one.id)


def _differences(request: TotalsComparison, ours: Figures) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def compared(what: str, name: str, yours: int, our: int) -> None:
        if yours != our:
            found.append(
                {
                    "what": what,
                    "name": name,
                    "yours": yours,
                    "ours": our,
                    "difference": yours - our,
                    "rows": None,
                    "rows_left_off": 0,
                }
            )

    for what, given, flows in (
        ("payer", request.payers, ours.payers),
        ("tender", request.tenders, ours.tenders),
    ):
        if given is not None:
            for name in sorted({*given, *flows}):
                compared(what, name, given.get(name, 0), flows.get(name, Flow()).net_fen)
    if request.settlements is not None:
        compared("count", "settlements", request.settlements, ours.settlements)
    if request.refunds is not None:
        compared("count", "refunds", request.refunds, ours.refunds)
    return found


def _rows(scope: Scope, what: str, name: str) -> tuple[list[dict[str, Any]] | None, int]:
    """What makes up one of our figures, oldest first: amounts returned are negative. None for a
    tender, whose rows are those of the payer `cash`."""
    if what == "tender":
        return None, 0
    settlements, refunds = rows_of(scope)
    found: list[tuple[Any, str, UUID, int]] = []
    left_off = 0
    for kind, rows, shares, parent in (
        ("settlement", settlements, Share, "settlement"),
        ("refund", refunds, RefundShare, "refund"),
    ):
        sign = 1 if kind == "settlement" else -1
        every: QuerySet[Any, Any]
        if what == "count":
            if name != f"{kind}s":
                continue
            every = rows.order_by("accepted_at", "member_seq", "id").values_list(
                "accepted_at", "id", "total_fen"
            )
        else:
            every = (
                shares.objects.filter(scope.condition(f"{parent}__"), payer=name)
                .order_by(f"{parent}__accepted_at", f"{parent}__member_seq", f"{parent}_id")
                .values_list(f"{parent}__accepted_at", f"{parent}_id", "amount_fen")
            )
        taken = list(every[:MOST_ROWS])
        if len(taken) == MOST_ROWS:
            left_off += every.count() - MOST_ROWS
        found += [(at, kind, pk, sign * fen) for at, pk, fen in taken]
    # Of one moment they stay in the order in which their members' bills came.
    found.sort(key=lambda row: (row[0], row[1]))
    left_off += max(0, len(found) - MOST_ROWS)
    return [
        {"kind": kind, f"{kind}_id": str(pk), "amount_fen": fen, "accepted_at": moment(at)}
        for at, kind, pk, fen in found[:MOST_ROWS]
    ], left_off


def _listed(
    scope: Scope,
    listed: Sequence[Listed],
    model: type[Settlement] | type[Refund],
    *,
    merchant_id: int,
) -> dict[str, Any]:
    """The merchant's list against ours. What only they have may be a row of this merchant in
    another day, till or shift: then it says where; with nulls it is none of the merchant's."""
    key = f"{model.__name__.lower()}_id"
    yours = {one.id: one.total_fen for one in listed}
    ours = {
        row.pk: row
        for row in model.objects.filter(scope.condition())
        .only("id", "total_fen", "accepted_at", "business_date", "terminal_id", "operator")
        .order_by("accepted_at", "member_seq", "id")
    }
    only_yours = [pk for pk in yours if pk not in ours]
    only_ours = [row for pk, row in ours.items() if pk not in yours]
    differ = [pk for pk, fen in yours.items() if pk in ours and ours[pk].total_fen != fen]
    shown = only_yours[:MOST_ROWS]
    elsewhere = {
        row.pk: row
        for row in model.objects.filter(pk__in=shown, merchant_id=merchant_id).only(
            "id", "total_fen", "accepted_at", "business_date", "terminal_id", "operator"
        )
    }
    return {
        "only_yours": [
            {key: str(pk), "yours_fen": yours[pk], **_place(elsewhere.get(pk))} for pk in shown
        ],
        "only_ours": [{key: str(row.pk), **_place(row)} for row in only_ours[:MOST_ROWS]],
        "differ": [
            {key: str(pk), "yours_fen": yours[pk], "ours_fen": ours[pk].total_fen}
            for pk in differ[:MOST_ROWS]
        ],
        "different": len(only_yours) + len(only_ours) + len(differ),
        "left_off": sum(max(0, len(one) - MOST_ROWS) for one in (only_yours, only_ours, differ)),
    }


def _place(row: Settlement | Refund | None) -> dict[str, Any]:
    if row is None:
        nothing = ("ours_fen", "business_date", "accepted_at", "terminal_id", "operator")
        return dict.fromkeys(nothing)
    return {
        "ours_fen": row.total_fen,
        "business_date": row.business_date.isoformat(),
        "accepted_at": moment(row.accepted_at),
        "terminal_id": row.terminal_id,
        "operator": row.operator,
    }
