"""Opening and closing a shift (开班, 交班), and the lock that makes a settlement join exactly one.

A settlement or refund carries the moment at which its request arrived, and commits later; in that
gap its shift could be counted and closed without it. So whatever puts money into a till or takes it
out shares the till's lock until it commits, and looks, under it, for a shift that was closed over
its moment meanwhile: then nothing is stored and the same request comes again, with a later moment.
Closing takes the lock alone, so that every row before it is there to be counted, and every row
after it lies after it. No row is touched by this: settlements of one till do not wait for each
other.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.bodies import FieldInvalid
from messaging.ids import new_id
from messaging.refusals import Refusal, TryAgain
from settlement.models import Shift
from settlement.requests import CloseShiftRequest, OpenShiftRequest
from settlement.selectors.shifts import shift_record, stored_shift
from settlement.selectors.takings import figures, scope_of
from settlement.services.desk import Desk


class ShiftOpen(Refusal):
    """The terminal has a shift under way."""

    code = "shift_open"
    text = _("This till already has an open shift. Close it first.")


class ShiftClosed(Refusal):
    """It was closed before."""

    code = "shift_closed"
    text = _("This shift is already closed.")


class ShiftOfAnother(Refusal):
    """Somebody else answers for that drawer."""

    code = "shift_of_another"
    text = _("This shift belongs to another operator or another till.")


def stand_at_till(desk: Desk) -> Desk:
    """The desk of an act that moves money, in the shift that its moment belongs to: software that
    names no operator acts for the one who opened the shift.

    Takes the till's lock, shared, until the commit; before any member's. Raises TryAgain when the
    shift was closed while the request was under way.
    """
    _lock_till(desk.terminal.terminal_id, shared=True)
    # The latest that began by then is the only one that may hold the moment: they do not overlap.
    row = sql.fetch_one(
        "SELECT operator, closed_at FROM settlement_shift"
        " WHERE terminal_id = %s AND opened_at <= %s ORDER BY opened_at DESC LIMIT 1",
        (desk.terminal.terminal_id, desk.now),
        kinds=(None, "datetime"),
    )
    if row is None:
        return desk
    operator, closed_at = row
    if closed_at is None:
        return replace(desk, operator=desk.operator or operator)
    if desk.now < closed_at:
        raise TryAgain
    return desk


def _lock_till(terminal_id: int, *, shared: bool) -> None:
    # An advisory lock, because a row lock would have every settlement write to one row. SQLite
    # admits one writer anyway.
    if connection.vendor == "postgresql":
        kind = "_shared" if shared else ""
        sql.run(
            f"SELECT pg_advisory_xact_lock{kind}(hashtext('till'), hashint8(%s))", (terminal_id,)
        )


def open_shift(desk: Desk, request: OpenShiftRequest) -> dict[str, Any]:
    """Begin a shift at this terminal with what is in the drawer. Answers it as the API shows it.

    Takes the till's lock. Raises FieldInvalid, ShiftOpen; TryAgain within the moment that the last
    shift began or ended in, by whichever server's clock.
    """
    operator = _who(desk, request.operator)
    _lock_till(desk.terminal.terminal_id, shared=False)
    last = (
        Shift.objects.filter(terminal_id=desk.terminal.terminal_id).order_by("-opened_at").first()
    )
    if last is not None:
        if last.closed_at is None:
            raise ShiftOpen(shift_id=str(last.id))
        if desk.now <= last.opened_at or desk.now < last.closed_at:
            raise TryAgain
    row = Shift.objects.create(
        id=new_id(),
        merchant_id=desk.terminal.merchant_id,
        terminal_id=desk.terminal.terminal_id,
        operator=operator,
        opening_float_fen=request.opening_float_fen,
        opened_at=desk.now,
    )
    return shift_record(row)


def close_shift(desk: Desk, request: CloseShiftRequest, *, shift_id: UUID) -> dict[str, Any]:
    """End a shift of this terminal with what was counted in the drawer; the count is compared with
    what should be there and the difference kept, whatever it is.

    Takes the till's lock, so every settlement before is there to be summed. Raises FieldInvalid,
    NotFound, ShiftOfAnother, ShiftClosed; TryAgain before the shift's own beginning by another
    server's clock.
    """
    operator = _who(desk, request.operator)
    _lock_till(desk.terminal.terminal_id, shared=False)
    row = stored_shift(shift_id=shift_id, merchant_id=desk.terminal.merchant_id)
    if (row.terminal_id, row.operator) != (desk.terminal.terminal_id, operator):
        raise ShiftOfAnother(param="shift_id")
    if row.closed_at is not None:
        raise ShiftClosed(param="shift_id")
    _check_after(row.opened_at, desk.now)
    row.closed_at = desk.now
    sums = figures(scope_of(row))
    row.expected_fen = row.opening_float_fen + sums.drawer.net_fen
    row.counted_fen = request.counted_fen
    row.difference_fen = row.counted_fen - row.expected_fen
    row.save(update_fields=["closed_at", "expected_fen", "counted_fen", "difference_fen"])
    return shift_record(row, sums=sums)


def _check_after(opened_at: datetime, now: datetime) -> None:
    if now < opened_at:
        raise TryAgain


def _who(desk: Desk, named: str) -> str:
    """A page knows who is signed in; software says who it is."""
    if desk.operator and named not in ("", desk.operator):
        raise FieldInvalid(
            param="operator", field="operator", problem=_("somebody else is signed in")
        )
    return desk.operator or named
