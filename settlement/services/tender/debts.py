"""Debts by name: a settlement stands, and a part of its cash could not be had.

The till lacks what the payment service owes it: `merchant:<id>:till` gives,
`debt:<merchant>:<kind>` receives. A refund of the settlement takes back as much of both, and
repayment what is left.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging import outbox
from messaging.bodies import FieldInvalid
from messaging.days import accounting_month, business_date
from messaging.refusals import Refusal
from settlement.models import Tender, TenderRefund, TenderRule
from settlement.states import Actor

from .moves import move, refunds_are_due

OWE_DEBT = "owe_debt"
RELIEVE_DEBT = "relieve_debt"
REPAY_DEBT = "repay_debt"

# Key, kind, area, business day, accounting month, legs: what the ledger takes.
DebtTransaction = tuple[str, str, str, date, date, list[tuple[str, int]]]


class NotOwed(Refusal):
    """No such debt, or it was repaid before."""

    code = "debt_not_owed"
    text = _("This is not owed: it was paid before, or the bill was returned.")


def _legs(tender: Tender, amount_fen: int) -> list[tuple[str, int]]:
    """Of a debt that grows by the amount."""
    if not amount_fen:
        return []
    return [
        (f"merchant:{tender.merchant_id}:till", -amount_fen),
        (f"debt:{tender.merchant_id}:{tender.kind}", amount_fen),
    ]


def _transaction(key: str, tender: Tender, amount_fen: int, now: datetime) -> DebtTransaction:
    assert tender.settlement is not None
    day = business_date(now)
    area_code = tender.settlement.area_code
    return (key, "debt", area_code, day, accounting_month(day), _legs(tender, amount_fen))


def owed(subjects: Sequence[UUID], now: datetime) -> list[DebtTransaction]:
    """Of tenders whose capture failed."""
    tenders = Tender.objects.select_related("settlement").filter(pk__in=subjects)
    return [_transaction(f"{OWE_DEBT}:{row.pk}", row, row.amount_fen, now) for row in tenders]


def relieved(subjects: Sequence[UUID], now: datetime) -> list[DebtTransaction]:
    """Of refunds of parts of which nothing was taken."""
    rows = TenderRefund.objects.select_related("tender__settlement").filter(pk__in=subjects)
    return [
        _transaction(f"{RELIEVE_DEBT}:{row.pk}", row.tender, -row.amount_fen, now) for row in rows
    ]


def repaid(subjects: Sequence[UUID], now: datetime) -> list[DebtTransaction]:
    """Of tenders whose debt was paid: what refunds have not taken back of it."""
    tenders = Tender.objects.select_related("settlement").filter(pk__in=subjects)
    return [
        _transaction(f"{REPAY_DEBT}:{row.pk}", row, -outstanding_fen(row), now) for row in tenders
    ]


def outstanding_fen(tender: Tender) -> int:
    """What is owed of a debt, or was when it was repaid, whatever went back since: this is asked
    again when the repayment is posted, which may be later."""
    relieved_fen = sum(
        row.amount_fen
        for row in tender.refunds.all()
        if row.returned_at is not None
        and not row.by_hand
        and (tender.state == "debt" or row.returned_at <= tender.changed_at)
    )
    return tender.amount_fen - relieved_fen


def set_rule(*, merchant_id: int, capture_failed: str) -> None:
    """What the merchant wants where a capture fails for good: debt or reverse. Raises FieldInvalid
    for another word."""
    if capture_failed not in TenderRule.CaptureFailed.values:
        problem = _("is none of: %(words)s") % {"words": ", ".join(TenderRule.CaptureFailed.values)}
        raise FieldInvalid(param="capture_failed", field="capture_failed", problem=problem)
    TenderRule.objects.update_or_create(
        merchant_id=merchant_id, defaults={"capture_failed": capture_failed}
    )


def repay(*, tender_id: UUID, who: Actor, now: datetime) -> int:
    """The payment service has paid what it owed. Answers how many fen. Raises NotOwed."""
    with transaction.atomic():
        tender = Tender.objects.select_for_update().filter(pk=tender_id, state="debt").first()
        if tender is None or not (fen := outstanding_fen(tender)):
            raise NotOwed(param="tender_id")
        move(tender_id=tender_id, state="debt", event="repay", who=who, now=now, due_at=None)
        refunds_are_due(tender_id=tender_id, now=now)
        outbox.put(topic=REPAY_DEBT, subject=tender_id, now=now)
        return fen
