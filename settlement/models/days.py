"""Days of the books: which are closed, and what each came to.

A day is closed for the whole deployment, not area by area: a bill away from home is in the books of
two areas, and the day's lock is taken before anything is known about the member.
"""

from django.db import models


class ClosedDay(models.Model):
    """This business date and every one before it is closed: nothing more is booked on them.

    A month is open as long as its last day is. `last_seq` is the seal up to which the closed days
    reach at most: what belongs to them and is sealed later was smuggled in.
    """

    day = models.DateField(primary_key=True)
    last_seq = models.PositiveBigIntegerField()
    closed_at = models.DateTimeField()


class DayTotal(models.Model):
    """Sealed postings of an area, business date, merchant and kind of transaction, summed.

    `heading` says what was summed: a fund's payer by its name, `account` (the member's own),
    `relative_account`, `cash`, `due` and `till` (the merchant's), `between:<area of treatment>`,
    `agency:<area of treatment>`, `opening`; the empty heading counts the transactions and sums
    `due` and `till`, which is the bills' total. Signs are the postings'. Derived: the summariser
    can make it anew.
    """

    area_code = models.CharField(max_length=6)
    business_date = models.DateField()
    # 0 for what is no merchant's, such as openings; no foreign key, because nothing is 0's.
    merchant_id = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    heading = models.CharField(max_length=40)
    amount_fen = models.BigIntegerField()
    # Ledger transactions that have this heading.
    transactions = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["business_date", "area_code", "merchant_id", "kind", "heading"],
                name="one_total_a_day_area_merchant_kind_and_heading",
            ),
        ]


class FoldedUpTo(models.Model):
    """The seal up to which totals are folded. One row a summary, by its name."""

    name = models.CharField(max_length=20, primary_key=True)
    seq = models.PositiveBigIntegerField()
