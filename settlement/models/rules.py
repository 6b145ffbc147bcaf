"""What the calculator is fed: policies as they were loaded, and the area's catalogue."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Policy(models.Model):
    """A policy file, immutable once loaded; chosen by area and date, the latest version wins."""

    area_code = models.CharField(max_length=6)
    version = models.CharField(max_length=40, unique=True)
    from_date = models.DateField()
    until_date = models.DateField(null=True)
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    loaded_at = models.DateTimeField()


class CatalogueItem(models.Model):
    """A drug, service or consumable with its national code, as one area classes it for a time."""

    class Kind(models.TextChoices):
        DRUG = "drug", _("drug")
        SERVICE = "service", _("service")
        CONSUMABLE = "consumable", _("consumable")

    area_code = models.CharField(max_length=6)
    national_code = models.CharField(max_length=40)
    name = models.CharField(max_length=120)
    initials = models.CharField(max_length=120, default="")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    # A 甲, B 乙, C 丙; none for what has no class.
    item_class = models.CharField(max_length=4, default="none")
    first_pay_bp = models.PositiveIntegerField(default=0)
    # Decimal yuan text a unit, empty where there is no limit.
    price_limit = models.CharField(max_length=20, default="")
    covered = models.BooleanField(default=True)
    account_ok = models.BooleanField(default=True)
    prescription_only = models.BooleanField(default=False)
    # A group with a first pay of its own in the policy, such as "negotiated"; empty for none.
    drug_group = models.CharField(max_length=30, default="")
    # Chronic diseases it may be claimed under; empty means any.
    disease_codes = models.JSONField(default=list)
    from_date = models.DateField()
    until_date = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["area_code", "national_code", "from_date"],
                name="one_catalogue_item_an_area_code_and_start",
            ),
            models.CheckConstraint(
                condition=Q(first_pay_bp__lte=10_000), name="first_pay_is_at_most_the_whole"
            ),
            models.CheckConstraint(
                condition=Q(until_date__isnull=True) | Q(until_date__gt=F("from_date")),
                name="a_catalogue_item_ends_after_it_begins",
            ),
        ]
        indexes = [models.Index(fields=["initials"], name="catalogue_by_initials")]
