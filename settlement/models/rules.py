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
    # What the package bears and the licence says.
    barcode = models.CharField(max_length=20, default="")
    specification = models.CharField(max_length=120, default="")
    manufacturer = models.CharField(max_length=120, default="")
    # The substance and form without a brand: products that may stand in for each other share it.
    generic_name = models.CharField(max_length=120, default="")
    # 谈判药, 集采, 双通道.
    negotiated = models.BooleanField(default=False)
    centrally_purchased = models.BooleanField(default=False)
    dual_channel = models.BooleanField(default=False)
    # 限定支付范围 in the catalogue's own words.
    restricted_use = models.CharField(max_length=600, default="")
    # What the calculator goes by, as `benefits.restriction_to_dict` writes it; NULL for an item
    # whose words nobody has put into figures, which refuse nothing.
    restriction = models.JSONField(null=True)
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
        # What is typed is looked up byte by byte, whatever the language of the database.
        indexes = [
            models.Index(
                fields=["area_code", column],
                name=f"catalogue_by_{name}",
                opclasses=["varchar_pattern_ops"] * 2,
            )
            for column, name in (
                ("national_code", "code"),
                ("barcode", "barcode"),
                ("initials", "initials"),
                ("name", "name"),
            )
        ]


class NameEnding(models.Model):
    """What is left of a catalogue name from one of its letters on, in small letters.

    A part of a name is the beginning of one of its endings, so that an ordinary index finds it, on
    every database and for Chinese as for Latin text. Brands and packs share their names, so these
    are far fewer than letters in the catalogue. Of all areas; a name no longer used does no harm.
    """

    ending = models.CharField(max_length=120)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "ending"], name="one_ending_of_a_name_once"),
        ]
        indexes = [
            models.Index(
                fields=["ending"], name="names_by_ending", opclasses=["varchar_pattern_ops"]
            )
        ]
