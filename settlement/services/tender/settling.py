"""What a settlement needs of the tenders of its quote: all of the cash part, and nothing unknown.

A quote without any is paid in cash at the counter, as its till says by settling it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from messaging import outbox, sql
from messaging.refusals import Refusal
from settlement.models import Tender
from settlement.selectors.tenders import PAID, UNCERTAIN
from settlement.services.desk import Desk

from .moves import move, refunds_are_due

CAPTURE_TENDER = "capture_tender"


class TenderIncomplete(Refusal):
    """Parts were paid, but not all."""

    code = "tender_incomplete"
    text = _("%(missing_fen)s fen of the cash part are not paid yet.")


class TenderUnknown(Refusal):
    """Whether a part is paid is not known."""

    code = "tender_unknown"
    text = _("Whether a part was paid is not known yet: please ask again in a moment.")


def check_paid(*, quote_id: UUID, cash_fen: int) -> None:
    """Under the member's lock. Raises TenderUnknown, TenderIncomplete."""
    parts = Tender.objects.filter(quote_id=quote_id).values_list("state", "amount_fen")
    if any(state in UNCERTAIN for state, _amount_fen in parts):
        raise TenderUnknown(param="quote_id")
    missing_fen = cash_fen - sum(amount_fen for state, amount_fen in parts if state in PAID)
    if missing_fen:
        raise TenderIncomplete(param="quote_id", missing_fen=missing_fen)


def attach(desk: Desk, *, quote_id: UUID, settlement_id: UUID) -> None:
    """Say what the parts have paid for, and leave their capture to the worker. Writes only."""
    sql.run(
        "UPDATE settlement_tender SET settlement_id = %s, due_at = NULL"
        f" WHERE quote_id = %s AND {sql.among('state')}",
        (settlement_id, quote_id, sql.values(PAID)),
    )
    outbox.put(topic=CAPTURE_TENDER, subject=settlement_id, now=desk.now)


def capture_tenders(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of accepted settlements with tenders, inside the batch's transaction: what
    is in the till is captured by that, what is authorised is for the worker to capture."""
    waiting = Tender.objects.filter(settlement_id__in=subjects, state__in=PAID)
    for tender in waiting.order_by("id"):
        in_the_till = tender.state == "received"
        move(
            tender_id=tender.pk,
            state=tender.state,
            event="settle",
            who="worker",
            now=now,
            due_at=None if in_the_till else now,
            certain_by=now + timedelta(seconds=settings.TENDER_CAPTURE_S),
        )
        if in_the_till:
            refunds_are_due(tender_id=tender.pk, now=now)
