"""A person's time at a till (班次): what was in the drawer at its beginning and at its end.

No total is kept here. What a shift took is derived from the settlements and refunds whose
`accepted_at` lies in its half-open interval; at the close, when nothing can join it any more, the
outcome of the count is written down beside what was expected.
"""

from django.db import models
from django.db.models import F, Q

from merchants.models import Merchant, Terminal
from messaging.ids import new_id


class Shift(models.Model):
    """From `opened_at` on and before `closed_at`, all that its terminal settles is this shift's."""

    id = models.UUIDField(primary_key=True, default=new_id)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    # Who answers for the drawer; empty where the software names nobody.
    operator = models.CharField(max_length=30, default="")
    opening_float_fen = models.BigIntegerField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    # What the drawer should hold, what was found in it, and found less expected. Expected may be
    # below nothing: a refund may be paid from a pocket.
    expected_fen = models.BigIntegerField(null=True)
    counted_fen = models.BigIntegerField(null=True)
    difference_fen = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            # Also the index by which a settlement finds the shift it would belong to.
            models.UniqueConstraint(
                fields=["terminal", "opened_at"], name="one_shift_a_terminal_and_moment"
            ),
            models.UniqueConstraint(
                fields=["terminal"],
                condition=Q(closed_at__isnull=True),
                name="one_open_shift_a_terminal",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")),
                name="a_shift_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(
                    closed_at__isnull=True,
                    expected_fen__isnull=True,
                    counted_fen__isnull=True,
                    difference_fen__isnull=True,
                )
                | Q(
                    closed_at__isnull=False,
                    expected_fen__isnull=False,
                    counted_fen__isnull=False,
                    difference_fen__isnull=False,
                ),
                name="a_shift_is_counted_when_it_closes",
            ),
            models.CheckConstraint(
                condition=Q(difference_fen__isnull=True)
                | Q(difference_fen=F("counted_fen") - F("expected_fen")),
                name="a_drawer_differs_by_counted_less_expected",
            ),
            models.CheckConstraint(
                condition=Q(opening_float_fen__gte=0)
                & (Q(counted_fen__isnull=True) | Q(counted_fen__gte=0)),
                name="a_drawer_holds_nothing_or_more",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "opened_at"], name="shifts_by_merchant"),
        ]
