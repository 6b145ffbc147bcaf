"""Months given over to clearing (清算), and what the fund's staff say of returns into them.

Clearing itself, which pays the merchant, begins with a declared month; here is only what must hold
from then on: what the month came to does not change behind the fund's back.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, Terminal
from messaging.ids import new_id
from settlement.states import states_of

from .settlements import Refund, Settlement


class DeclaredMonth(models.Model):
    """This accounting month of this merchant is declared for clearing. Append only: it is never
    taken back."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    # Its first day.
    month = models.DateField()
    declared_at = models.DateTimeField()
    declared_by = models.CharField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "month"], name="a_month_is_declared_once_a_merchant"
            ),
            models.CheckConstraint(
                condition=Q(month__day=1), name="a_declared_month_is_named_by_its_first_day"
            ),
            models.CheckConstraint(
                condition=~Q(declared_by=""), name="a_month_is_declared_by_somebody"
            ),
        ]


class RefundApproval(models.Model):
    """One return into a declared month, as a till asked for it, and what became of the ask. Its
    states are those of `settlement/states.py`."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for the fund")
        APPROVED = "approved", _("approved, not returned yet")
        DECLINED = "declined", _("declined")
        USED = "used", _("approved and returned")
        OVERTAKEN = "overtaken", _("overtaken by another return")

    id = models.UUIDField(primary_key=True, default=new_id)
    settlement = models.ForeignKey(Settlement, on_delete=models.PROTECT)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    # What comes back, line by line, in the form of `settlement.services.approvals`, and its hash.
    parts = models.JSONField()
    parts_hash = models.CharField(max_length=64)
    # What each payer would get back of it, in fen by payer: that, and nothing else, is approved.
    shares = models.JSONField()
    reason = models.CharField(max_length=200)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    operator = models.CharField(max_length=30, default="")
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    # The login of whoever of the fund's staff decided, when, and what they say to the till.
    decided_by = models.CharField(max_length=150, default="")
    decided_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, default="")
    # The refund that went through on it.
    refund = models.OneToOneField(Refund, on_delete=models.PROTECT, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=states_of("approval")), name="an_approval_has_a_known_state"
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_at__isnull=True)
                | Q(state="overtaken")
                | Q(state__in=["approved", "declined", "used"], decided_at__isnull=False),
                name="a_decided_approval_has_its_moment",
            ),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, decided_by="")
                | (Q(decided_at__isnull=False) & ~Q(decided_by="")),
                name="an_approval_is_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(state="used", refund__isnull=False)
                | (~Q(state="used") & Q(refund__isnull=True)),
                name="only_a_used_approval_has_its_refund",
            ),
            models.UniqueConstraint(
                fields=["settlement", "parts_hash"],
                condition=Q(state__in=["waiting", "approved"]),
                name="one_open_approval_a_settlement_and_parts",
            ),
        ]
        indexes = [
            models.Index(
                fields=["asked_at"], condition=Q(state="waiting"), name="approvals_that_wait"
            ),
            models.Index(fields=["decided_at"], name="approvals_by_decision"),
        ]
