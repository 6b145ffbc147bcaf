"""Slips that were handed out, each kept as it was issued."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .settlements import Settlement


class SlipIssue(models.Model):
    """A slip as somebody first took it away, in one language and wording. Never changed: a refund,
    another translation or a later version of the product leave it as it is."""

    class Language(models.TextChoices):
        ZH = "zh", _("Chinese")
        EN = "en", _("English")

    class Audience(models.TextChoices):
        CITIZEN = "citizen", _("citizen")
        CASHIER = "cashier", _("cashier")

    # The unique constraint begins with it and is its index.
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="slip_issues", db_index=False
    )
    language = models.CharField(max_length=2, choices=Language.choices)
    audience = models.CharField(max_length=7, choices=Audience.choices)
    sheet = models.JSONField()
    # Of the sheet's canonical JSON, 64 hexadecimal digits.
    sha256 = models.CharField(max_length=64)
    # `member:<id>`, `operator:<id>`, `terminal:<id>` or `staff:<user id>`: who took it first.
    issued_by = models.CharField(max_length=40)
    issued_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "language", "audience"],
                name="one_slip_a_settlement_language_and_audience",
            ),
            models.CheckConstraint(condition=~Q(issued_by=""), name="a_slip_is_issued_by_somebody"),
        ]
