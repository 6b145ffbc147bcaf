"""Who pays what: quotes with their holds, settlements and refunds with their shares."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, Terminal
from messaging.ids import new_id
from voucher.models import Member

from .books import Account
from .presence import Scan, Visit
from .rules import Policy


class Quote(models.Model):
    """An estimate that reserves what it used for a short time. `inputs` is the canonical bill with
    all that was read for it, `result` what it comes to: confirmed exactly, or refused."""

    class State(models.TextChoices):
        LIVE = "live", _("live")
        CONFIRMED = "confirmed", _("confirmed")
        RELEASED = "released", _("released")
        REPLACED = "replaced", _("replaced")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, default=new_id)
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, db_index=False)
    # Null for a pharmacy purchase, whose visit opens and closes with the settlement.
    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, null=True, db_index=False)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, db_index=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, db_index=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.LIVE)
    reads_year_to_date = models.BooleanField()
    total_fen = models.BigIntegerField()
    # The request's bill as it was sent, and the calculator's canonical inputs made from it.
    bill = models.JSONField()
    inputs = models.JSONField()
    result = models.JSONField()
    quoted_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member"],
                condition=Q(state="live", reads_year_to_date=True),
                name="one_live_quote_a_member_that_reads_year_to_date",
            ),
        ]
        indexes = [models.Index(fields=["member", "state"], name="quotes_by_member_and_state")]


class Hold(models.Model):
    """What a live quote reserves on an account. It ends with its quote, by time or by act."""

    quote = models.ForeignKey(Quote, on_delete=models.PROTECT, related_name="holds")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False)
    amount_fen = models.BigIntegerField()
    # The account is a relative's (家庭共济), not the quoted member's own.
    relative = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="a_hold_holds_something"),
        ]
        indexes = [
            # A holder has to find what relatives' quotes hold; one's own come with one's quotes.
            models.Index(
                fields=["account"], condition=Q(relative=True), name="relatives_holds_by_account"
            ),
        ]


class Settlement(models.Model):
    """The accepted bill (结算). Final when it is answered; posted to the ledger shortly after."""

    class State(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        POSTED = "posted", _("posted")

    id = models.UUIDField(primary_key=True, default=new_id)
    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, related_name="settlements")
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT)
    quote = models.OneToOneField(Quote, on_delete=models.PROTECT, null=True)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, db_index=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    operator = models.CharField(max_length=30, default="")
    # The member's settlements and refunds in the order they were accepted, without gaps.
    member_seq = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACCEPTED)
    benefit_kind = models.CharField(max_length=30)
    disease_code = models.CharField(max_length=20, default="")
    area_code = models.CharField(max_length=6)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, db_index=False)
    engine_version = models.CharField(max_length=20)
    service_date = models.DateField()
    business_date = models.DateField()
    benefit_year = models.PositiveSmallIntegerField()
    accounting_month = models.DateField()
    total_fen = models.BigIntegerField()
    fund_fen = models.BigIntegerField()
    account_fen = models.BigIntegerField()
    # What relatives' accounts pay (家庭共济); whose, is in RelativeShare.
    relative_fen = models.BigIntegerField(default=0)
    cash_fen = models.BigIntegerField()
    refunded_fen = models.BigIntegerField(default=0)
    inputs = models.JSONField()
    result = models.JSONField()
    trace_hash = models.CharField(max_length=64)
    accepted_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True)
    # Two-step settlement: reversed by itself unless the client confirms by then.
    confirm_by = models.DateTimeField(null=True)
    # The client has said that it knows the result: from here on there are refunds, no reversal.
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "member_seq"], name="one_settlement_a_member_and_seq"
            ),
            models.CheckConstraint(
                condition=Q(
                    total_fen=F("fund_fen") + F("account_fen") + F("relative_fen") + F("cash_fen")
                ),
                name="settlement_shares_make_the_total",
            ),
            models.CheckConstraint(
                condition=Q(fund_fen__gte=0)
                & Q(account_fen__gte=0)
                & Q(relative_fen__gte=0)
                & Q(cash_fen__gte=0),
                name="no_settlement_share_is_negative",
            ),
            models.CheckConstraint(
                condition=Q(refunded_fen__gte=0) & Q(refunded_fen__lte=F("total_fen")),
                name="a_settlement_is_refunded_at_most_whole",
            ),
            models.CheckConstraint(
                condition=Q(state="accepted", posted_at__isnull=True)
                | Q(state="posted", posted_at__isnull=False),
                name="a_posted_settlement_has_its_moment",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "business_date"], name="settlements_by_merchant_day"),
            models.Index(fields=["business_date"], name="settlements_by_day"),
            models.Index(
                fields=["confirm_by"],
                condition=Q(confirm_by__isnull=False, confirmed_at__isnull=True),
                name="settlements_to_be_confirmed",
            ),
            # They have no ledger transaction, so no total counts them.
            models.Index(
                fields=["business_date"], condition=Q(total_fen=0), name="bills_of_nothing_by_day"
            ),
        ]


class Share(models.Model):
    """One payer's part of a settlement."""

    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    payer = models.CharField(max_length=30)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "payer"], name="one_share_a_settlement_and_payer"
            ),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="a_share_pays_something"),
        ]


class RelativeShare(models.Model):
    """What one relative's account pays of a settlement; they sum to the share of
    `relative_account`."""

    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="relative_shares", db_index=False
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "account"], name="one_share_a_settlement_and_relative"
            ),
            models.CheckConstraint(
                condition=Q(amount_fen__gt=0), name="a_relatives_share_pays_something"
            ),
        ]


class Refund(models.Model):
    """Goods or fees returned, whole or in part (退费), or an act withdrawn whose result its client
    never learnt (冲正): every payer gets its part back."""

    class Kind(models.TextChoices):
        REFUND = "refund", _("refund")
        REVERSAL = "reversal", _("reversal")

    class State(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        POSTED = "posted", _("posted")

    id = models.UUIDField(primary_key=True, default=new_id)
    settlement = models.ForeignKey(Settlement, on_delete=models.PROTECT, related_name="refunds")
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    operator = models.CharField(max_length=30, default="")
    member = models.ForeignKey(Member, on_delete=models.PROTECT, db_index=False)
    member_seq = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACCEPTED)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.REFUND)
    reason = models.CharField(max_length=200)
    # What the settlement comes to from here on; null when nothing of it is left.
    result = models.JSONField(null=True)
    business_date = models.DateField()
    accounting_month = models.DateField()
    total_fen = models.BigIntegerField()
    fund_fen = models.BigIntegerField()
    account_fen = models.BigIntegerField()
    relative_fen = models.BigIntegerField(default=0)
    cash_fen = models.BigIntegerField()
    accepted_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "member_seq"], name="one_refund_a_member_and_seq"
            ),
            models.CheckConstraint(
                condition=Q(
                    total_fen=F("fund_fen") + F("account_fen") + F("relative_fen") + F("cash_fen")
                ),
                name="refund_shares_make_the_total",
            ),
            models.CheckConstraint(condition=Q(total_fen__gt=0), name="a_refund_returns_something"),
        ]
        indexes = [models.Index(fields=["business_date"], name="refunds_by_day")]


class RefundShare(models.Model):
    """What one payer gets back; less than nothing for one whose part has grown."""

    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    payer = models.CharField(max_length=30)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["refund", "payer"], name="one_share_a_refund_and_payer"
            ),
            models.CheckConstraint(
                condition=~Q(amount_fen=0), name="a_refund_share_moves_something"
            ),
        ]


class RefundLine(models.Model):
    """What came back of one line: a quantity, or an amount without one."""

    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    line = models.ForeignKey("settlement.Line", on_delete=models.PROTECT, related_name="returns")
    quantity_e4 = models.BigIntegerField(default=0)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="one_return_a_refund_and_line"),
            models.CheckConstraint(
                condition=Q(quantity_e4__gte=0) & Q(amount_fen__gte=0),
                name="nothing_is_returned_backwards",
            ),
        ]


class RelativeRefund(models.Model):
    """What one relative's account gets back; they sum to the share of `relative_account`."""

    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="relative_refunds", db_index=False
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["refund", "account"], name="one_part_a_refund_and_relative"
            ),
            models.CheckConstraint(
                condition=~Q(amount_fen=0), name="a_relatives_refund_moves_something"
            ),
        ]


class Restatement(models.Model):
    """A later settlement of the year priced again because an earlier one came back, under a policy
    that wants it so. What its payers pay more or less is part of that one refund, at whose till it
    was paid; the settlement's merchant is owed what it was owed before."""

    id = models.UUIDField(primary_key=True, default=new_id)
    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="restatements", db_index=False
    )
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="restatements"
    )
    # What the settlement comes to from here on.
    result = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["refund", "settlement"], name="one_restatement_a_refund_and_settlement"
            ),
        ]


class RestatedShare(models.Model):
    """What one payer gets back for a restated settlement; less than nothing for one whose part has
    grown. The parts of a restatement sum to nothing."""

    restatement = models.ForeignKey(
        Restatement, on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    payer = models.CharField(max_length=30)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["restatement", "payer"], name="one_share_a_restatement_and_payer"
            ),
            models.CheckConstraint(
                condition=~Q(amount_fen=0), name="a_restated_share_moves_something"
            ),
        ]
