"""Sending tenders back: those of a quote that came to nothing, and a refund's cash part.

A refund takes the parts in the order in which they were taken, each as far as it goes. Only rows
are written here; the worker calls the providers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from messaging import outbox, sql
from messaging.ids import new_id
from settlement.models import Quote, Tender, TenderRefund
from settlement.services.desk import Desk
from settlement.states import sources, transition
from voucher import selectors as members

from .debts import RELIEVE_DEBT
from .moves import move

RETURN_TENDER = "return_tender"
# Refused, the same quote may still be settled: with the figure it names, or the rest of the money.
MAY_STILL_SETTLE = frozenset(
    {
        "not_found",
        "field_invalid",
        "line_changed",
        "cash_differs",
        "tender_incomplete",
        "tender_unknown",
    }
)
_RETURNABLE = sources("tender", "return")


def return_what_was_taken(*, quotes: str, params: Sequence[Any], now: datetime) -> None:
    """Leave the tenders of quotes, by a clause on `q`, to the worker to return. Writes only; in the
    commit that ends the quotes, or afterwards."""
    outbox.put_chosen(
        topic=RETURN_TENDER,
        chosen="SELECT DISTINCT t.quote_id AS subject FROM settlement_tender t"
        " JOIN settlement_quote q ON q.id = t.quote_id WHERE t.settlement_id IS NULL"
        f" AND {sql.among('t.state')} AND {quotes}",
        params=(sql.values(_RETURNABLE), *params),
        now=now,
    )


def give_up(desk: Desk, *, quote_id: UUID, code: str) -> None:
    """The settlement of a quote was refused for good: what was taken for it goes back now rather
    than when the quote runs out. A quote that nothing was taken for is left as it is."""
    if code in MAY_STILL_SETTLE:
        return
    row = sql.fetch_one(
        "SELECT member_id FROM settlement_quote q WHERE id = %s AND merchant_id = %s"
        " AND EXISTS (SELECT 1 FROM settlement_tender t WHERE t.quote_id = q.id)",
        (quote_id, desk.terminal.merchant_id),
    )
    if row is None:
        return
    members.lock_member(member_id=row[0])
    end_quote(quote_id=quote_id, now=desk.now)


def end_quote(*, quote_id: UUID, now: datetime) -> None:
    """Release a live quote, or write down that it has run out, and return what was taken for it.
    Under the member's lock; a quote that was confirmed stays."""
    quotes = Quote.objects.filter(pk=quote_id, state="live")
    if not quotes.filter(expires_at__lte=now).update(state="expired"):
        quotes.update(state="released")
    return_what_was_taken(
        quotes="q.id = %s AND q.state NOT IN ('live', 'confirmed')", params=(quote_id,), now=now
    )


def return_tenders(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of quotes that ended without a settlement, inside the batch's transaction.

    An ended quote is never confirmed any more, so that no member need be locked.
    """
    found = Tender.objects.filter(
        quote_id__in=subjects,
        quote__state__in=("released", "replaced", "expired"),
        settlement=None,
        state__in=_RETURNABLE,
    )
    for tender in found.order_by("id"):
        move(
            tender_id=tender.pk,
            state=tender.state,
            event="return",
            who="worker",
            now=now,
            # Cash is handed back over the counter; the till sees what on the record.
            due_at=None if tender.state == "received" else now,
        )


def give_back(
    *, settlement_id: UUID, refund_id: UUID, cash_fen: int, now: datetime
) -> list[dict[str, Any]]:
    """Send a refund's cash part back through the tenders of its settlement, first taken first.

    Under the member's lock, after the refund's row is written. Answers what goes which way, in fen;
    a settlement without tenders was paid in cash and has nothing here. A part that is on its way
    back whole, because its capture failed, needs no refund; of a debt nothing was taken.
    """
    left_fen = cash_fen
    ways: list[dict[str, Any]] = []
    tenders = Tender.objects.select_for_update().filter(settlement_id=settlement_id)
    for tender in tenders.order_by("number"):
        part_fen = min(left_fen, tender.amount_fen - tender.refunded_fen)
        if part_fen <= 0:
            continue
        left_fen -= part_fen
        ways.append({"kind": tender.kind, "amount_fen": part_fen})
        Tender.objects.filter(pk=tender.pk).update(refunded_fen=tender.refunded_fen + part_fen)
        if tender.state not in sources("tender", "refund"):
            continue
        transition("tender", tender.state, "refund", who="till")
        in_debt = tender.state == "debt"
        row = TenderRefund.objects.create(
            tender=tender,
            refund_id=refund_id,
            amount_fen=part_fen,
            reference=new_id().hex,
            due_at=now if tender.state == "captured" else None,
            created_at=now,
            returned_at=now if in_debt else None,
        )
        if in_debt:
            outbox.put(topic=RELIEVE_DEBT, subject=row.pk, now=now)
    return ways
