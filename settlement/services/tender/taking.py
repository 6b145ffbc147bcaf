"""Paying the cash part of a quote: parts are written down, then whoever holds the money is asked.

Two steps, because nobody is asked inside a transaction. The first decides under the member's lock
and commits the parts with the answer "asked"; the second asks, and writes down what came of it.
Whatever happens between them is found by the worker, which never has a payment code: it can only
ask what became of a part, or cancel it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement.models import Quote, Tender
from settlement.requests import TenderPart, TenderRequest
from settlement.selectors.presence import NotFound
from settlement.selectors.tenders import quoted_cash_fen, tender_record, tendered_fen
from settlement.services.desk import Desk
from settlement.services.quotes import QuoteExpired, QuoteNotLive
from settlement.states import transition
from voucher import selectors as members

from .connections import connected
from .moves import move
from .provider import OVER, Truth, learn

# The worker leaves a part alone for so long: whoever wrote it down is asking.
BEING_ASKED_S = 15


class TenderExceeds(Refusal):
    """More than the quote's cash part leaves to pay."""

    code = "tender_exceeds"
    text = _("Only %(left_fen)s fen of the cash part are left to pay.")


class TenderNotConnected(Refusal):
    """A kind of money that nobody moves here."""

    code = "tender_not_connected"
    text = _("This kind of payment is not connected here.")


class TenderReferenceUsed(Refusal):
    """One card slip for two parts."""

    code = "tender_reference_used"
    text = _("This card payment was used before.")


def take(desk: Desk, request: TenderRequest, *, quote_id: UUID) -> dict[str, Any]:
    """Write down parts of a quote's cash: cash as received, others as asked for.

    Raises FieldInvalid, NotFound, QuoteNotLive, QuoteExpired, TenderNotConnected, TenderExceeds,
    TenderReferenceUsed.
    """
    request.check()
    merchant_id = desk.terminal.merchant_id
    row = sql.fetch_one(
        "SELECT member_id FROM settlement_quote WHERE id = %s AND merchant_id = %s",
        (quote_id, merchant_id),
    )
    if row is None:
        raise NotFound(param="quote_id")
    members.lock_member(member_id=row[0])
    quote = Quote.objects.get(pk=quote_id)
    if quote.state == "expired" or (quote.state == "live" and desk.now >= quote.expires_at):
        raise QuoteExpired(param="quote_id")
    if quote.state != "live":
        raise QuoteNotLive(param="quote_id")
    for index, part in enumerate(request.parts):
        if part.kind not in connected():
            raise TenderNotConnected(param=f"parts[{index}].kind")
    left_fen = quoted_cash_fen(quote) - tendered_fen(quote_id)
    if sum(part.amount_fen for part in request.parts) > left_fen:
        raise TenderExceeds(param="parts", left_fen=left_fen)
    _check_references(request.parts, merchant_id=merchant_id)
    already = Tender.objects.filter(quote_id=quote_id).count()
    for number, part in enumerate(request.parts, start=already + 1):
        _write(part, quote=quote, number=number, now=desk.now)
    return tender_record(quote_id=quote_id, merchant_id=merchant_id, now=desk.now)


def _check_references(parts: Sequence[TenderPart], *, merchant_id: int) -> None:
    """Two tills of a merchant with one slip at one moment are told apart by the unique row."""
    seen: set[str] = set()
    for index, part in enumerate(parts):
        if part.reference is None:
            continue
        used = Tender.objects.filter(
            merchant_id=merchant_id, kind="bank_card", provider_reference=part.reference
        )
        if part.reference in seen or used.exists():
            raise TenderReferenceUsed(param=f"parts[{index}].reference")
        seen.add(part.reference)


def _write(part: TenderPart, *, quote: Quote, number: int, now: datetime) -> None:
    is_cash = part.kind == "cash"
    born = transition("tender", "", "receive" if is_cash else "ask", who="till")
    Tender.objects.create(
        quote=quote,
        number=number,
        merchant_id=quote.merchant_id,
        kind=part.kind,
        amount_fen=part.amount_fen,
        state=born.next,
        reference=new_id().hex,
        provider_reference=part.reference or "",
        # Whoever holds the money is looked after when the quote runs out.
        due_at=quote.expires_at if is_cash else now + timedelta(seconds=BEING_ASKED_S),
        # One clock for the whole quote: asking again and again does not keep it alive.
        certain_by=quote.quoted_at + timedelta(seconds=settings.TENDER_CERTAINTY_S),
        created_at=now,
        changed_at=now,
    )


def ask(
    desk: Desk, request: TenderRequest, written: Mapping[str, Any], *, quote_id: UUID
) -> dict[str, Any]:
    """Ask for each part that `take` has just written and answered, outside of any transaction, and
    answer how all parts stand."""
    # They are the last of the quote's parts, in the order of the request.
    for part, row in zip(request.parts, written["parts"][-len(request.parts) :], strict=True):
        if part.kind == "cash":
            continue
        tender = Tender.objects.select_related("quote").get(pk=row["tender_id"])
        if tender.state != "asked":
            # Its quote was released the moment before: nothing need be asked for.
            continue
        provider = connected()[part.kind]
        authorise = partial(
            provider.authorise, tender.reference, part.amount_fen, part.payment_code or ""
        )
        record_asked(tender, learn(provider, tender.reference, authorise), now=desk.now)
    return tender_record(quote_id=quote_id, merchant_id=desk.terminal.merchant_id, now=desk.now)


def record_asked(tender: Tender, truth: Truth, *, now: datetime) -> None:
    """Write down what is known of a part that was asked for; what is not known becomes unknown.

    Only a definite word counts. A part whose quote ended meanwhile is on its way back, and stays.
    """
    with transaction.atomic(durable=True):
        members.lock_member(member_id=tender.quote.member_id)
        if truth.standing in ("authorised", "captured"):
            move(
                tender_id=tender.pk,
                state=tender.state,
                event="authorise",
                who="provider",
                now=now,
                due_at=extend_quote(tender, now=now),
                amount_fen=min(tender.amount_fen, truth.amount_fen or tender.amount_fen),
                provider_reference=tender.provider_reference or truth.provider_reference,
            )
        elif truth.standing in OVER:
            move(
                tender_id=tender.pk,
                state=tender.state,
                event="decline",
                who="provider",
                now=now,
                due_at=None,
            )
        elif tender.state == "asked":
            extend_quote(tender, now=now)
            move(
                tender_id=tender.pk,
                state="asked",
                event="lose_sight",
                who="worker",
                now=now,
                due_at=now + timedelta(seconds=2),
            )
        else:
            extend_quote(tender, now=now)
            Tender.objects.filter(pk=tender.pk, state="unknown").update(
                due_at=now + timedelta(seconds=min(15, 2**tender.attempts))
            )


def extend_quote(tender: Tender, *, now: datetime) -> datetime:
    """Keep a quote alive whose payment was not certain at once, never past the certainty clock.
    Answers until when it lives. Under the member's lock.

    One that has run out stays so: what it held may be another's by now.
    """
    quote = Quote.objects.get(pk=tender.quote_id)
    until = min(tender.certain_by, now + timedelta(seconds=settings.QUOTE_LIFETIME_S))
    near_its_end = now < quote.expires_at <= now + timedelta(seconds=settings.QUOTE_LIFETIME_S / 2)
    if quote.state == "live" and near_its_end and until > quote.expires_at:
        Quote.objects.filter(pk=quote.pk).update(expires_at=until)
        return until
    return quote.expires_at
