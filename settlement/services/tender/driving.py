"""The worker's side of tenders: whatever waits is looked at, a provider is called outside of any
transaction, and what it then holds to be true is written down.

A tender is taken by moving its next look ahead in a commit of its own. So two workers do not take
it at once; one that dies loses a minute; and if two ever do meet, providers do nothing twice under
a reference and rows move only from the state in which they were read.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import models, transaction

from merchants.selectors import terminal_facts
from messaging import outbox
from messaging.days import business_date
from messaging.refusals import Refusal
from settlement.certainty import IN_HAND_S, LONGEST_WAIT_S
from settlement.models import Tender, TenderRefund, TenderRule
from settlement.requests import RefundRequest
from settlement.services.closing import hold_day
from settlement.services.desk import Desk
from settlement.services.refunds import AlreadyRefunded, refund
from voucher import selectors as members

from .connections import connected
from .debts import OWE_DEBT, RELIEVE_DEBT
from .moves import move, refunds_are_due
from .provider import OVER, Provider, learn
from .returning import end_quote
from .taking import record_asked

log = logging.getLogger(__name__)

Row = TypeVar("Row", Tender, TenderRefund)


def drive_due(*, now: datetime, limit: int) -> int:
    """Look at up to `limit` tenders, and as many refunds of tenders, that are due. Answers at how
    many. Raises an ExceptionGroup of whatever went wrong, when all have had their turn: what is
    wrong with one keeps no other waiting, and is tried again after a minute."""
    looks: list[Callable[[], None]] = [
        *(partial(_drive, tender, now) for tender in _taken_in_hand(Tender, now=now, limit=limit)),
        *(
            partial(_send_back, row, now)
            for row in _taken_in_hand(TenderRefund, now=now, limit=limit)
        ),
    ]
    wrong: list[Exception] = []
    for look in looks:
        try:
            look()
        except Exception as error:
            wrong.append(error)
    if wrong:
        raise ExceptionGroup("tenders that could not be looked at", wrong)
    return len(looks)


def hear(*, reference: str, now: datetime) -> None:
    """A provider says by itself that something became of a part. It may say so twice, late or
    wrongly: it only means that the worker asks now rather than later."""
    Tender.objects.filter(
        reference=reference, state__in=("asked", "unknown", "capturing", "returning")
    ).update(due_at=now)


def _taken_in_hand(model: type[Row], *, now: datetime, limit: int) -> list[Row]:
    with transaction.atomic(durable=True):
        rows: models.QuerySet[Row] = model._default_manager.filter(due_at__lte=now)
        ids = list(
            rows.select_for_update(skip_locked=True)
            .order_by("due_at")
            .values_list("pk", flat=True)[:limit]
        )
        model._default_manager.filter(pk__in=ids).update(
            due_at=now + timedelta(seconds=IN_HAND_S), attempts=models.F("attempts") + 1
        )
    related = "quote" if model is Tender else "tender"
    found = model._default_manager.select_related(related).filter(pk__in=ids)
    return list(found.order_by("created_at", "pk"))


def _later(row: Tender | TenderRefund, now: datetime) -> datetime:
    return now + timedelta(seconds=min(LONGEST_WAIT_S, 2 ** min(row.attempts, 10)))


def _put_off(row: Tender | TenderRefund, now: datetime) -> None:
    # One that was heard of meanwhile is due at once and stays so.
    type(row)._default_manager.filter(pk=row.pk, due_at__gt=now).update(due_at=_later(row, now))


def _drive(tender: Tender, now: datetime) -> None:
    provider = connected().get(tender.kind)
    if provider is None:
        # It was connected when it was asked: whoever took it away will bring it back.
        log.error("tender %s is of a kind that is not connected any more", tender.pk)
        _put_off(tender, now)
        return
    if tender.state in ("received", "authorised"):
        _watch_quote(tender, now)
    elif tender.state in ("asked", "unknown"):
        quote = tender.quote
        if quote.state != "live" or now >= quote.expires_at:
            _watch_quote(tender, now)
        else:
            record_asked(tender, learn(provider, tender.reference), now=now)
    elif tender.state == "capturing":
        _capture(tender, provider, now)
    elif tender.state == "returning":
        _give_back_whole(tender, provider, now)
    else:
        Tender.objects.filter(pk=tender.pk, state=tender.state).update(due_at=None)


def _watch_quote(tender: Tender, now: datetime) -> None:
    """What is taken for a quote goes back when the quote has ended, which time alone may do."""
    with transaction.atomic(durable=True):
        members.lock_member(member_id=tender.quote.member_id)
        quote = tender.quote
        quote.refresh_from_db()
        if quote.state == "live" and now < quote.expires_at:
            Tender.objects.filter(pk=tender.pk, state=tender.state).update(due_at=quote.expires_at)
            return
        if quote.state == "confirmed":
            # The outbox has the rest; it may have come first.
            Tender.objects.filter(pk=tender.pk, state=tender.state).update(due_at=None)
            return
        end_quote(quote_id=quote.pk, now=now)


def _capture(tender: Tender, provider: Provider, now: datetime) -> None:
    reference = tender.reference
    # Past the clock it is made certain: a closed reference was not captured and never will be.
    act = provider.cancel if now >= tender.certain_by else provider.capture
    truth = learn(provider, reference, lambda: act(reference))
    if truth.standing == "captured":
        with transaction.atomic(durable=True):
            if move(
                tender_id=tender.pk,
                state="capturing",
                event="capture",
                who="provider",
                now=now,
                due_at=None,
            ):
                refunds_are_due(tender_id=tender.pk, now=now)
    elif truth.standing in OVER:
        _capture_failed(tender, now)
    else:
        _put_off(tender, now)


def _capture_failed(tender: Tender, now: datetime) -> None:
    """The settlement stands and a part of its cash cannot be had any more: by the merchant's rule
    the payment service owes it by name, or the settlement is returned."""
    rule = TenderRule.objects.filter(pk=tender.merchant_id).first()
    wanted = rule.capture_failed if rule else settings.TENDER_CAPTURE_FAILED
    if wanted != "reverse" or not _reversed(tender, now):
        with transaction.atomic(durable=True):
            if _moved_on(tender, "fail", due_at=None, now=now):
                outbox.put(topic=OWE_DEBT, subject=tender.pk, now=now)
                for row in _nothing_to_send_back(tender, now):
                    outbox.put(topic=RELIEVE_DEBT, subject=row, now=now)


def _moved_on(tender: Tender, event: str, *, due_at: datetime | None, now: datetime) -> bool:
    return move(
        tender_id=tender.pk,
        state="capturing",
        event=event,
        who="worker",
        now=now,
        due_at=due_at,
    )


def _nothing_to_send_back(tender: Tender, now: datetime) -> list[UUID]:
    """Refunds that waited for a capture that never came: nothing was taken. Answers their ids."""
    rows = TenderRefund.objects.filter(tender=tender, returned_at=None)
    ids = list(rows.order_by("id").values_list("pk", flat=True))
    TenderRefund.objects.filter(pk__in=ids).update(returned_at=now, due_at=None)
    return ids


class _TakenMeanwhile(Exception):
    """Another worker was first; everything of this one's is rolled back."""


def _reversed(tender: Tender, now: datetime) -> bool:
    """Return the whole settlement, and the part by a cancellation of its own: two steps, the second
    by the worker. False where the settlement may not be returned."""
    settlement = tender.settlement
    assert settlement is not None
    desk = Desk(
        terminal=terminal_facts(terminal_id=settlement.terminal_id, day=business_date(now)),
        operator="",
        now=now,
        request_id=f"tender-{tender.pk}",
    )
    request = RefundRequest(
        settlement_id=settlement.pk,
        reason="the payment of the cash part could not be captured",
    )
    try:
        with transaction.atomic(durable=True):
            hold_day(desk.day)
            # It may be returned already, by a person or because another part failed before.
            with contextlib.suppress(AlreadyRefunded):
                refund(desk, request, kind="reversal")
            if not _moved_on(tender, "undo", due_at=now, now=now):
                raise _TakenMeanwhile
            _nothing_to_send_back(tender, now)
    except _TakenMeanwhile:
        return True
    except Refusal as refusal:
        log.warning("settlement %s is not returned: %s", settlement.pk, refusal.code)
        return False
    return True


def _give_back_whole(tender: Tender, provider: Provider, now: datetime) -> None:
    """Cancel it; if it was captured in spite of everything, refund it."""
    reference = tender.reference
    truth = learn(provider, reference, lambda: provider.cancel(reference))
    if truth.standing == "captured":
        whole = f"{reference[:31]}R"
        truth = learn(
            provider, reference, lambda: provider.refund(reference, whole, tender.amount_fen)
        )
        is_back = whole in truth.refunds
    else:
        is_back = truth.standing in OVER
    if not is_back:
        _put_off(tender, now)
        return
    move(
        tender_id=tender.pk,
        state="returning",
        event="give_back",
        who="provider",
        now=now,
        due_at=None,
    )


def _send_back(row: TenderRefund, now: datetime) -> None:
    """One refund's part of one captured tender."""
    provider = connected().get(row.tender.kind)
    if provider is None:
        _put_off(row, now)
        return
    reference = row.tender.reference
    truth = learn(
        provider,
        reference,
        lambda: provider.refund(reference, row.reference, row.amount_fen),
    )
    if row.reference in truth.refunds:
        by_hand = False
    elif truth.standing in OVER:
        # The debt of a capture that failed was paid in another way: this goes back in another too.
        by_hand = True
    else:
        _put_off(row, now)
        return
    TenderRefund.objects.filter(pk=row.pk, returned_at=None).update(
        returned_at=now, due_at=None, by_hand=by_hand
    )
