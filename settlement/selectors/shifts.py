"""Shifts as their merchant sees them: who, when, what the tills took, and the drawer."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from merchants.models import Operator, Terminal
from messaging.bodies import FieldInvalid
from messaging.days import business_date, moment
from settlement.models import Shift
from settlement.selectors.presence import NotFound
from settlement.selectors.takings import Figures, Scope, figures, scope_of, totals


def stored_shift(*, shift_id: UUID, merchant_id: int) -> Shift:
    """A shift of this merchant with its terminal. Raises NotFound."""
    row = (
        Shift.objects.select_related("terminal")
        .filter(pk=shift_id, merchant_id=merchant_id)
        .first()
    )
    if row is None:
        raise NotFound(param="shift_id")
    return row


def shift_record(row: Shift, *, sums: Figures | None = None) -> dict[str, Any]:
    """A shift with its sums and its drawer, in plain values; amounts in fen.

    The drawer should hold the opening float and the cash received, less the cash given back. While
    the shift is open that is worked out anew; once it is closed it is what was written down then.
    """
    sums = sums or figures(scope_of(row))
    drawer = sums.drawer
    expected_fen = row.opening_float_fen + drawer.net_fen
    return {
        "shift_id": str(row.id),
        "state": "closed" if row.closed_at else "open",
        "terminal_id": row.terminal_id,
        "terminal_name": row.terminal.name,
        "operator": row.operator,
        "opened_at": moment(row.opened_at),
        "closed_at": moment(row.closed_at) if row.closed_at else None,
        "opening_float_fen": row.opening_float_fen,
        "cash_received_fen": drawer.in_fen,
        "cash_given_back_fen": drawer.back_fen,
        "expected_fen": expected_fen if row.expected_fen is None else row.expected_fen,
        "counted_fen": row.counted_fen,
        "difference_fen": row.difference_fen,
        **sums.described(),
    }


def shift(*, shift_id: UUID, merchant_id: int) -> dict[str, Any]:
    """A shift as the API shows it. Raises NotFound."""
    return shift_record(stored_shift(shift_id=shift_id, merchant_id=merchant_id))


def shift_here(*, terminal_id: int, merchant_id: int, now: datetime) -> dict[str, Any]:
    """What a counter page shows of its own till: the open shift or none, the one before it, and
    what the till has taken today."""
    latest = (
        Shift.objects.select_related("terminal")
        .filter(terminal_id=terminal_id)
        .order_by("-opened_at")
    )
    opened = latest.filter(closed_at__isnull=True).first()
    closed = latest.filter(closed_at__isnull=False).first()
    day = business_date(now)
    today = figures(Scope(merchant_id=merchant_id, day=day, terminal_id=terminal_id))
    return {
        "shift": shift_record(opened) if opened else None,
        "last": {
            "shift_id": str(closed.id),
            "closed_at": moment(closed.closed_at),
            "counted_fen": closed.counted_fen,
            "difference_fen": closed.difference_fen,
        }
        if closed and closed.closed_at
        else None,
        "today": {"day": day.isoformat(), **today.described()},
    }


def handover(*, shift_id: UUID, merchant_id: int) -> dict[str, Any]:
    """What the hand-over slip (交班单) shows: the shift's record with moments to be formatted, and
    the operator's name where it is somebody of the pages. Raises NotFound."""
    row = stored_shift(shift_id=shift_id, merchant_id=merchant_id)
    known = Operator.objects.filter(merchant_id=merchant_id, code=row.operator).first()
    return {
        **shift_record(row),
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "operator_name": known.name if known else "",
    }


def period(
    *,
    merchant_id: int,
    day: date | None,
    shift_id: UUID | None,
    terminal_id: int | None,
    operator: str | None,
) -> Scope:
    """The scope of a Beijing day or of a shift, narrowed further. A shift is of one terminal.

    Raises NotFound for a shift or a terminal that is not this merchant's, FieldInvalid where both a
    day and a shift are named, or neither.
    """
    if (day is None) == (shift_id is None):
        raise FieldInvalid(param="day", field="day", problem=_("give a day or a shift_id"))
    if (
        terminal_id is not None
        and not Terminal.objects.filter(pk=terminal_id, merchant_id=merchant_id).exists()
    ):
        raise NotFound(param="terminal_id")
    if shift_id is None:
        return Scope(merchant_id=merchant_id, day=day, terminal_id=terminal_id, operator=operator)
    row = stored_shift(shift_id=shift_id, merchant_id=merchant_id)
    if terminal_id not in (None, row.terminal_id):
        raise NotFound(param="terminal_id")
    return Scope(
        merchant_id=merchant_id,
        since=row.opened_at,
        until=row.closed_at,
        terminal_id=row.terminal_id,
        operator=operator,
    )


def period_totals(
    *,
    merchant_id: int,
    day: date | None,
    shift_id: UUID | None,
    terminal_id: int | None,
    operator: str | None,
) -> dict[str, Any]:
    """Totals of a day or a shift as the API shows them. Raises what `period` raises."""
    scope = period(
        merchant_id=merchant_id,
        day=day,
        shift_id=shift_id,
        terminal_id=terminal_id,
        operator=operator,
    )
    return {
        "day": day.isoformat() if day else None,
        "shift_id": str(shift_id) if shift_id else None,
        "terminal_id": scope.terminal_id,
        "operator": operator,
        **totals(scope),
    }
