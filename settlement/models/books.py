"""Balances and the ledger. No row here is updated by more than one member's settlements: there is
no fund balance, no merchant or shift total; such figures are derived from postings."""

from django.db import models
from django.db.models import Q

from voucher.models import Member


class Account(models.Model):
    """A member's money in the insurance (个人账户).

    Balance = opening + posted legs + legs of accepted, unposted settlements and refunds.
    """

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="accounts")
    kind = models.CharField(max_length=20, default="personal")
    balance_fen = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "kind"], name="one_account_a_member_and_kind"
            ),
            models.CheckConstraint(
                condition=Q(balance_fen__gte=0), name="an_account_is_never_negative"
            ),
        ]


class YearToDate(models.Model):
    """What a member has used in a benefit year, by the accumulator names of the policy, in fen."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    benefit_year = models.PositiveSmallIntegerField()
    amounts = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "benefit_year"], name="one_year_to_date_a_member_and_year"
            ),
        ]


class LedgerTransaction(models.Model):
    """Postings that sum to zero. Append only; a correction is a new transaction."""

    # What it posts, as topic and subject: posting twice is impossible, not just unlikely.
    key = models.CharField(max_length=80)
    kind = models.CharField(max_length=20)
    area_code = models.CharField(max_length=6)
    business_date = models.DateField()
    # The first day of the month whose books it belongs to.
    accounting_month = models.DateField()
    posted_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Not `unique=True`: that would add a second index for LIKE, which nothing asks for.
            models.UniqueConstraint(fields=["key"], name="one_transaction_a_key"),
        ]
        indexes = [models.Index(fields=["business_date"], name="transactions_by_day")]


class Posting(models.Model):
    """One leg (分录). Accounts by name:

    `member:<id>:personal`, `fund:<area>:<payer>`, `merchant:<id>:due` (what the funds owe it),
    `merchant:<id>:till` (what it took from members), `cash:<area>` (what members paid themselves),
    `opening:<area>`; of care away from home also `between:<insured area>:<area of treatment>` (what
    the one owes the other) and `agency:<area>:advanced` (what an agency owes for it).
    `debt:<merchant>:<kind of tender>` is what a payment service owes a merchant. A positive amount
    is received by the account, a negative one given.
    """

    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="postings", db_index=False
    )
    leg = models.PositiveSmallIntegerField()
    account = models.CharField(max_length=60)
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["transaction", "leg"], name="one_posting_a_transaction_and_leg"
            ),
            models.CheckConstraint(condition=~Q(amount_fen=0), name="a_posting_moves_something"),
        ]
        indexes = [models.Index(fields=["account"], name="postings_by_account")]
