"""How the cash part is paid: tenders, what of them goes back, credit for medical care, and what
staff did about them.

A tender is one part of a quote's cash in one kind of money. Payment codes are in no column here,
nor anywhere else.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant
from messaging.ids import new_id
from settlement.certainty import promise
from settlement.states import states_of
from voucher.models import Member

from .settlements import Quote, Refund, Settlement

# In the order of the table of states.
OPEN_TENDERS = [state for state in states_of("tender") if state not in promise("tender").final]


class Tender(models.Model):
    """One part of a quote's cash. Its states are those of `settlement/states.py`."""

    class Kind(models.TextChoices):
        CASH = "cash", _("cash")
        BANK_CARD = "bank_card", _("bank card")
        WECHAT = "wechat", _("WeChat Pay")
        ALIPAY = "alipay", _("Alipay")
        CREDIT = "credit", _("credit for medical care")

    id = models.UUIDField(primary_key=True, default=new_id)
    quote = models.ForeignKey(
        Quote, on_delete=models.PROTECT, related_name="tenders", db_index=False
    )
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, null=True, related_name="tenders", db_index=False
    )
    # In the order in which the parts of the quote were taken, from 1.
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_fen = models.BigIntegerField()
    # What refunds of the settlement have sent back of it, or are sending.
    refunded_fen = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10)
    # Ours: the provider knows the part by it, and does nothing twice under it.
    reference = models.CharField(max_length=32)
    # Theirs; of a bank card the card terminal's.
    provider_reference = models.CharField(max_length=64, default="")
    # Looks of the worker since the state last changed.
    attempts = models.PositiveIntegerField(default=0)
    # When the worker looks at it next; null where it waits for nothing.
    due_at = models.DateTimeField(null=True)
    # Until then the truth is waited for; afterwards the worker makes it certain by a cancellation.
    certain_by = models.DateTimeField()
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # Since when it is known whether it was paid, or that it goes back; of cash, null.
    known_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=states_of("tender")), name="a_tender_has_a_known_state"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["cash", "bank_card", "wechat", "alipay", "credit"]),
                name="a_tender_has_a_known_kind",
            ),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="a_tender_pays_something"),
            models.CheckConstraint(
                condition=Q(refunded_fen__gte=0) & Q(refunded_fen__lte=F("amount_fen")),
                name="a_tender_gives_back_at_most_itself",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["capturing", "captured", "debt"])
                | Q(settlement__isnull=False),
                name="only_a_settlement_captures_a_tender",
            ),
            models.UniqueConstraint(
                fields=["quote", "number"], name="one_tender_a_quote_and_number"
            ),
            models.UniqueConstraint(fields=["reference"], name="one_tender_a_reference"),
            models.UniqueConstraint(
                fields=["merchant", "provider_reference"],
                condition=Q(kind="bank_card"),
                name="one_tender_a_card_slip",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="tenders_by_due_moment"
            ),
            models.Index(
                fields=["settlement"],
                condition=Q(settlement__isnull=False),
                name="tenders_by_settlement",
            ),
            # What is not final yet, for the certainty clock; short, whatever the table's size.
            models.Index(
                fields=["certain_by"],
                condition=Q(state__in=OPEN_TENDERS),
                name="tenders_not_final",
            ),
            # Few of many: what fund staff look at.
            models.Index(
                fields=["state", "changed_at"],
                condition=Q(state__in=["asked", "unknown", "capturing", "returning", "debt"]),
                name="tenders_that_are_open",
            ),
        ]


class TenderRefund(models.Model):
    """What one refund sends back of one tender, the way it came."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tender = models.ForeignKey(
        Tender, on_delete=models.PROTECT, related_name="refunds", db_index=False
    )
    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="tender_refunds")
    amount_fen = models.BigIntegerField()
    reference = models.CharField(max_length=32)
    # The provider has nothing of it any more: the till hands it out.
    by_hand = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    # Null when it is done, and while the tender itself is not captured yet.
    due_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="one_tender_refund_a_reference"),
            models.UniqueConstraint(
                fields=["tender", "refund"], name="one_return_a_tender_and_refund"
            ),
            models.CheckConstraint(
                condition=Q(amount_fen__gt=0), name="a_tender_refund_returns_something"
            ),
            models.CheckConstraint(
                condition=Q(returned_at__isnull=True) | Q(due_at__isnull=True),
                name="what_is_returned_is_not_due",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(due_at__isnull=False),
                name="tender_refunds_by_due_moment",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(returned_at__isnull=True),
                name="tender_refunds_not_returned",
            ),
        ]


class TenderRule(models.Model):
    """What a merchant wants where the money of an accepted settlement cannot be had. A merchant
    without a row has the setting's default."""

    class CaptureFailed(models.TextChoices):
        DEBT = "debt", _("the settlement stands and the payment service owes it")
        REVERSE = "reverse", _("the settlement is returned")

    merchant = models.OneToOneField(Merchant, on_delete=models.PROTECT, primary_key=True)
    capture_failed = models.CharField(max_length=10, choices=CaptureFailed.choices)


class StaffAct(models.Model):
    """What somebody of the fund did about tenders, who and when; of what was refused the inbox
    knows. Never changed."""

    class Kind(models.TextChoices):
        DEBT_PAID = "debt_paid", _("debt paid")
        RULE = "rule", _("rule of an institution")
        LIMIT = "limit", _("limit of a line of credit")
        REPAYMENT = "repayment", _("repayment")

    id = models.UUIDField(primary_key=True, default=new_id)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    # The login, or what stands for it at the command line.
    actor = models.CharField(max_length=150)
    # Of the request; the inbox has it under the same key.
    key = models.CharField(max_length=64)
    tender = models.ForeignKey(Tender, on_delete=models.PROTECT, null=True, db_index=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, null=True, db_index=False)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, db_index=False)
    amount_fen = models.BigIntegerField(null=True)
    capture_failed = models.CharField(
        max_length=10, choices=TenderRule.CaptureFailed.choices, default="", blank=True
    )
    done_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="debt_paid", tender__isnull=False, amount_fen__isnull=False)
                | Q(kind="rule", merchant__isnull=False, capture_failed__in=["debt", "reverse"])
                | Q(
                    kind__in=["limit", "repayment"],
                    member__isnull=False,
                    amount_fen__isnull=False,
                ),
                name="a_staff_act_names_what_it_is_about",
            ),
            models.CheckConstraint(condition=~Q(actor=""), name="a_staff_act_names_its_actor"),
            models.UniqueConstraint(fields=["actor", "key"], name="one_staff_act_an_actor_and_key"),
            models.UniqueConstraint(
                fields=["tender"], condition=Q(kind="debt_paid"), name="a_debt_is_paid_once"
            ),
        ]
        indexes = [
            models.Index(fields=["-done_at"], name="staff_acts_by_moment"),
            models.Index(
                fields=["member", "-done_at"],
                condition=Q(member__isnull=False),
                name="staff_acts_by_member",
            ),
        ]


class CreditLine(models.Model):
    """Credit for medical care (信用就医): what a member may owe for cash parts, and owes now."""

    member = models.OneToOneField(Member, on_delete=models.PROTECT, primary_key=True)
    limit_fen = models.BigIntegerField()
    # Reserved and used and not yet repaid. Changes under the member's lock only.
    used_fen = models.BigIntegerField(default=0)
    # Refunds of what had been repaid before: the lender owes it to the member.
    owed_fen = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(used_fen__gte=0) & Q(used_fen__lte=F("limit_fen")),
                name="credit_is_used_within_its_limit",
            ),
            models.CheckConstraint(
                condition=Q(owed_fen__gte=0), name="nobody_owes_less_than_nothing"
            ),
        ]


class CreditUse(models.Model):
    """One use of a credit line, by the tender's reference. `standing` is a provider's word for what
    became of it; of a reference that was closed before it was ever asked for, nothing is used."""

    reference = models.CharField(max_length=32, primary_key=True)
    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    amount_fen = models.BigIntegerField()
    standing = models.CharField(max_length=10)
    repaid_fen = models.BigIntegerField(default=0)
    # Fen by the reference of each refund.
    refunds = models.JSONField(default=dict)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(repaid_fen__gte=0) & Q(repaid_fen__lte=F("amount_fen")),
                name="a_credit_use_is_repaid_at_most_whole",
            ),
        ]


class SimulatedPayment(models.Model):
    """What the local simulator of a payment service believes of one reference: the service's own
    book, which nothing of ours reads but through its adapter."""

    reference = models.CharField(max_length=32, primary_key=True)
    amount_fen = models.BigIntegerField()
    standing = models.CharField(max_length=10)
    refunds = models.JSONField(default=dict)
    # What the payment code was made to bring about, see the simulator; never the code.
    refuses_capture = models.BooleanField(default=False)
    # So many queries more are answered "under way".
    silent = models.PositiveSmallIntegerField(default=0)
