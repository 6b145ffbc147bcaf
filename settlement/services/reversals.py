"""Withdrawing an act whose result its client never learnt (冲正), and saying that it is learnt.

A reversal names the key that the act was sent under and is safe at any moment. Before the act, the
key is barred, so that a request still on its way finds it used up; during it, the reversal waits
for it to end; after it, what was settled is returned as if it had never been. Once the client has
confirmed the result, somebody took the receipt away, or the month is declared for clearing, there
is nothing unknown left to withdraw: goods then come back as refunds do.
"""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import OperationalError, transaction
from django.utils.translation import gettext_lazy as _

from merchants import endpoint
from merchants import selectors as merchants
from messaging import inbox, sql
from messaging.days import business_date, moment
from messaging.refusals import Refusal
from settlement.certainty import NOT_CONFIRMED
from settlement.requests import ConfirmRequest, ReleaseRequest, ReverseRequest
from settlement.selectors.slips import slip_was_issued
from settlement.selectors.standing import Standing, standing
from settlement.services.closing import hold_day
from settlement.services.declaring import month_is_declared
from settlement.services.desk import Desk
from settlement.services.fee_batches import write_fee_batch
from settlement.services.quotes import QuoteNotLive, release
from settlement.services.refunds import book, lock_for_return
from settlement.services.returned_lines import whole

log = logging.getLogger(__name__)

# Acts that leave nothing behind to withdraw.
HARMLESS = frozenset({"scan", "estimate", "release", "confirm", "reverse"})

# A line as it is written again, in the order in which it is read.
LINE = (
    "no",
    "code",
    "national_code",
    "name",
    "quantity",
    "unit_price",
    "amount_fen",
    "split_pack",
    "trace_codes",
    "prescription",
)


class UseRefund(Refusal):
    """The result is known: what is wanted back is returned, not withdrawn."""

    code = "use_refund"
    text = _("The result of this settlement is known: please return it as a refund.")


class NotReversible(Refusal):
    """An act that is put right in another way."""

    code = "not_reversible"
    text = _("What was done under this key cannot be withdrawn.")


class SettlementReversed(Refusal):
    """Too late to confirm."""

    code = "settlement_reversed"
    text = _("This settlement was reversed: it counts as never made.")


class KeyBarred(Refusal):
    """The request came after its own reversal."""

    code = "key_reversed"
    text = _("This request was withdrawn before it arrived.")


def reverse(desk: Desk, request: ReverseRequest) -> dict[str, Any]:
    """Withdraw what was sent under a key by any terminal of this merchant.

    Answers `outcome`: `barred` (it never arrived and no longer can), `refused` (it was refused, so
    nothing was done), `nothing_to_withdraw`, `released` (a quote), or `reversed` with the refund.
    Raises UseRefund, NotReversible.
    """
    actors = [
        f"terminal:{terminal_id}"
        for terminal_id in merchants.terminal_ids(merchant_id=desk.terminal.merchant_id)
    ]
    # Waits for a request under way; what is not there yet can no longer come.
    original = inbox.bar(
        actors=actors,
        circle=f"merchant:{desk.terminal.merchant_id}",
        key=request.original_key,
        refused=lambda: endpoint.refused(KeyBarred(), request_id=desk.request_id),
        request_id=desk.request_id,
        now=desk.now,
    )
    answer: dict[str, Any] = {"original_key": request.original_key, "refund": None}
    if original is None:
        return {**answer, "operation": None, "outcome": "barred"}
    path, code, body = original
    operation = path.partition("?")[0]
    answer["operation"] = operation
    if code:
        return {**answer, "outcome": "refused"}
    if operation in HARMLESS:
        return {**answer, "outcome": "nothing_to_withdraw"}
    done = msgspec.json.decode(body)
    if operation == "quote":
        try:
            release(desk, ReleaseRequest(), quote_id=UUID(done["quote_id"]))
        except QuoteNotLive:
            raise UseRefund(param="original_key") from None
        return {**answer, "outcome": "released"}
    if operation != "settle":
        raise NotReversible(param="original_key")
    settlement_id = UUID(done["settlement_id"])
    returned = _reverse_settlement(desk, settlement_id, reason=request.reason)
    return {**answer, "outcome": "reversed", "refund": returned}


def confirm(desk: Desk, request: ConfirmRequest, *, settlement_id: UUID) -> dict[str, Any]:
    """The client knows the result: from here on the settlement is refunded, not reversed.
    Confirming twice is the same as once. Raises NotFound, SettlementReversed."""
    found = _locked(desk, settlement_id)
    if found.is_gone and _reversal_of(settlement_id) is not None:
        raise SettlementReversed(param="settlement_id")
    confirmed_at = found.confirmed_at or desk.now
    if found.confirmed_at is None:
        sql.run(
            "UPDATE settlement_settlement SET confirmed_at = %s WHERE id = %s",
            (desk.now, settlement_id),
        )
    return {"settlement_id": str(settlement_id), "confirmed_at": moment(confirmed_at)}


def reverse_overdue(*, now: datetime, limit: int) -> int:
    """Reverse two-step settlements that nobody confirmed in time, each in a transaction of its own.
    Answers how many were looked at."""
    overdue = sql.fetch(
        "SELECT id FROM settlement_settlement WHERE confirm_by <= %s AND confirmed_at IS NULL"
        " ORDER BY confirm_by LIMIT %s",
        (now, limit),
        kinds=("uuid",),
    )
    for (settlement_id,) in overdue:
        try:
            with transaction.atomic(durable=True):
                hold_day(business_date(now))
                _reverse_if_unconfirmed(settlement_id, now=now)
        # Nobody is there to be told, and neither the others nor posting may wait for one.
        except Refusal as refusal:
            log.error("settlement %s cannot be reversed: %s", settlement_id, refusal.code)
        except OperationalError:
            # Somebody holds the person; the next look tries again.
            log.warning("settlement %s is not reversed yet", settlement_id, exc_info=True)
    return len(overdue)


def _reverse_if_unconfirmed(settlement_id: UUID, *, now: datetime) -> None:
    row = sql.fetch_one(
        "SELECT terminal_id FROM settlement_settlement WHERE id = %s", (settlement_id,)
    )
    if row is None:
        return
    terminal = merchants.terminal_facts(terminal_id=row[0], day=business_date(now))
    desk = Desk(terminal=terminal, operator="", now=now, request_id=f"time:{settlement_id}")
    found = _locked(desk, settlement_id)
    if found.confirm_by is None or found.confirm_by > now or found.confirmed_at is not None:
        # Somebody was quicker.
        return
    if found.is_gone:
        _forget_the_clock(settlement_id)
    elif found.refunded_fen or slip_was_issued(settlement_id):
        # A part came back, or somebody took the receipt away: the result is known, said or not.
        sql.run(
            "UPDATE settlement_settlement SET confirmed_at = %s WHERE id = %s",
            (now, settlement_id),
        )
    else:
        _book_reversal(desk, found, reason=NOT_CONFIRMED)
        log.info("settlement %s was not confirmed in time and is reversed", settlement_id)


def _locked(desk: Desk, settlement_id: UUID) -> Standing:
    lock_for_return(settlement_id, merchant_id=desk.terminal.merchant_id, kind="reversal")
    return standing(settlement_id=settlement_id)


def _reverse_settlement(desk: Desk, settlement_id: UUID, *, reason: str) -> dict[str, Any] | None:
    found = _locked(desk, settlement_id)
    earlier = _reversal_of(settlement_id)
    if earlier is not None:
        # Asked again under another key: it is withdrawn, once.
        return earlier
    if found.confirmed_at is not None or found.refunded_fen or slip_was_issued(settlement_id):
        raise UseRefund(param="original_key", settlement_id=str(settlement_id))
    if found.is_gone:
        return None
    if month_is_declared(found, day=desk.day):
        # The fund has been told of it; only its staff let it come back.
        raise UseRefund(param="original_key", settlement_id=str(settlement_id))
    return _book_reversal(desk, found, reason=reason)


def _reversal_of(settlement_id: UUID) -> dict[str, Any] | None:
    row = sql.fetch_one(
        "SELECT id, total_fen FROM settlement_refund"
        " WHERE settlement_id = %s AND kind = 'reversal'",
        (settlement_id,),
        kinds=("uuid", None),
    )
    if row is None:
        return None
    return {
        "refund_id": str(row[0]),
        "settlement_id": str(settlement_id),
        "total_fen": row[1],
    }


def _book_reversal(desk: Desk, found: Standing, *, reason: str) -> dict[str, Any]:
    wish = whole(found)
    returned = book(
        desk,
        found,
        wish.parts,
        wish.remaining_fen,
        reason=reason,
        kind="reversal",
    )
    _forget_the_clock(found.settlement_id)
    _copy_lines(desk, found.settlement_id)
    return {name: returned[name] for name in ("refund_id", "settlement_id", "total_fen")}


def _forget_the_clock(settlement_id: UUID) -> None:
    sql.run("UPDATE settlement_settlement SET confirm_by = NULL WHERE id = %s", (settlement_id,))


def _copy_lines(desk: Desk, settlement_id: UUID) -> None:
    """What was billed in a visit is there to be billed again, as it was uploaded. The reversed
    settlement keeps its own lines: its record says what was withdrawn."""
    rows = sql.fetch(
        "SELECT b.visit_id, b.id, b.service_date, b.department, b.doctor, l.number, l.code,"
        " l.national_code, l.name, l.quantity, l.unit_price, l.amount_fen, l.split_pack,"
        " l.trace_codes, l.prescription_number FROM settlement_line l"
        " JOIN settlement_feebatch b ON b.id = l.fee_batch_id"
        " JOIN settlement_visit v ON v.id = b.visit_id"
        " WHERE l.settlement_id = %s AND v.kind <> 'pharmacy' ORDER BY b.number, l.number",
        (settlement_id,),
        kinds=("uuid", "uuid", "date", *(None,) * 9, "bool", None, None),
    )
    if not rows:
        return
    visit_id = rows[0][0]
    number = sql.fetch(
        "SELECT max(number) FROM settlement_feebatch WHERE visit_id = %s", (visit_id,)
    )[0][0]
    # What a batch says of itself, with its id so that two alike stay two.
    batches: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        line = dict(zip(LINE, row[5:], strict=True))
        line["trace_codes"] = msgspec.json.decode(line["trace_codes"])
        batches.setdefault(row[1:5], []).append(line)
    for place, (batch, lines) in enumerate(batches.items(), start=1):
        _batch_id, service_date, department, doctor = batch
        write_fee_batch(
            lines,
            visit_id=visit_id,
            number=number + place,
            service_date=service_date,
            total_fen=sum(line["amount_fen"] for line in lines),
            now=desk.now,
            department=department,
            doctor=doctor,
        )
