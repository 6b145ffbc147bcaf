"""Who is scanning: institutions, their agreements, terminals, operators and item lists.

Nothing here knows members or money. What an item costs the fund is the catalogue's business; here
it only has the merchant's own price and the national code it is mapped to.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Merchant(models.Model):
    """A designated pharmacy, hospital or clinic (定点医药机构)."""

    class Kind(models.TextChoices):
        PHARMACY = "pharmacy", _("pharmacy")
        HOSPITAL = "hospital", _("hospital")
        CLINIC = "clinic", _("clinic")

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")

    # The national institution code (fixmedins_code): P or H and eleven digits.
    code = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    # 1 to 3 for hospitals; 0 where there is no grading.
    level = models.PositiveSmallIntegerField(default=0)
    area_code = models.CharField(max_length=6)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    # Words that a policy may ask for (`site_marks`), such as "tcm" or "contracted".
    marks = models.JSONField(default=list, blank=True)


class Agreement(models.Model):
    """A service agreement (医保协议) and the capabilities it covers."""

    class State(models.TextChoices):
        IN_FORCE = "in_force", _("in force")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="agreements")
    number = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.IN_FORCE)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(until_date__isnull=True) | Q(until_date__gt=F("from_date")),
                name="an_agreement_ends_after_it_begins",
            ),
        ]


class Capability(models.Model):
    """One kind of benefit that an agreement covers: outpatient, chronic, pharmacy_account …"""

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="capabilities")
    kind = models.CharField(max_length=30)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agreement", "kind"], name="one_capability_a_kind"),
        ]


class Terminal(models.Model):
    """An enrolled device of one merchant, with its key (一机一码)."""

    class Kind(models.TextChoices):
        API = "api", _("software with its own key")
        PAGE = "page", _("the browser page of this system")

    class State(models.TextChoices):
        AWAITING = "awaiting", _("awaiting enrolment")
        ACTIVE = "active", _("active")
        REVOKED = "revoked", _("revoked")

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="terminals")
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=4, choices=Kind.choices, default=Kind.API)
    state = models.CharField(max_length=10, choices=State.choices, default=State.AWAITING)
    # Names the key in every signature; a new key has a new name.
    key_id = models.CharField(max_length=64, unique=True, null=True)
    public_key = models.BinaryField(default=b"")
    enrolment_code_hash = models.CharField(max_length=64, unique=True, null=True)
    enrolment_expires_at = models.DateTimeField(null=True)
    enrolled_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="active", kind="api") | Q(key_id__isnull=False),
                name="an_active_api_terminal_has_a_key",
            ),
        ]


class Operator(models.Model):
    """The person at a terminal (经办人)."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="operators")
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="operator"
    )
    code = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "code"], name="one_operator_a_merchant_and_code"
            ),
        ]


class AnswerKey(models.Model):
    """A key that signs the server's answers to terminals."""

    key_id = models.CharField(max_length=64, primary_key=True)
    public_key = models.BinaryField()
    private_key_cipher = models.BinaryField()
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()


class Item(models.Model):
    """Something a merchant sells or does, with its own code and price, and the national code it is
    mapped to (目录对照). An empty national code means unmapped: no fund pays for it."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="items")
    code = models.CharField(max_length=40)
    barcode = models.CharField(max_length=20, default="", blank=True)
    name = models.CharField(max_length=120)
    initials = models.CharField(max_length=120, default="", blank=True)
    spec = models.CharField(max_length=80, default="", blank=True)
    unit = models.CharField(max_length=20, default="", blank=True)
    # Decimal yuan text with at most 6 places; herbs are priced by the gram.
    unit_price = models.CharField(max_length=20)
    national_code = models.CharField(max_length=40, default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "code"], name="one_item_a_merchant_and_code"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "barcode"], name="items_by_barcode"),
            models.Index(fields=["merchant", "initials"], name="items_by_initials"),
        ]
