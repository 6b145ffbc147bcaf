"""Evidence of presence and what was done: scans, visits, fee batches, lines, prescriptions.

A foreign key has an index of its own only where something is looked up by it and no wider index
begins with it: each would be written with every scan or line.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, Terminal
from messaging.ids import new_id
from voucher.models import Member


class Scan(models.Model):
    """Evidence presented once, for a use the terminal declares, and what came of it.

    Refused scans have their row too, with the refusal's code; what could not be established is
    null.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    terminal = models.ForeignKey(Terminal, on_delete=models.PROTECT, db_index=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    operator = models.CharField(max_length=30, default="")
    evidence_type = models.CharField(max_length=30)
    use = models.CharField(max_length=30)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True)
    # Empty when accepted, else the code of the refusal.
    code = models.CharField(max_length=64, default="")
    # The most that all settlements under this scan may come to; null for no limit.
    ceiling_fen = models.BigIntegerField(null=True)
    scanned_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    business_date = models.DateField()
    request_id = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(member__isnull=False) | ~Q(code=""),
                name="an_accepted_scan_has_a_member",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "business_date"], name="scans_by_merchant_and_day"),
            models.Index(fields=["business_date"], name="scans_by_day"),
        ]


class Visit(models.Model):
    """Gathers scans, fee batches, settlements and refunds (就诊)."""

    class Kind(models.TextChoices):
        PHARMACY = "pharmacy", _("pharmacy purchase")
        OUTPATIENT = "outpatient", _("outpatient visit")
        INPATIENT = "inpatient", _("admission")

    id = models.UUIDField(primary_key=True, default=new_id)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, db_index=False)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, db_index=False)
    # Null only for a visit taken over from the register (an admission in progress).
    scan = models.ForeignKey(Scan, on_delete=models.PROTECT, null=True, db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    department = models.CharField(max_length=60, default="")
    doctor = models.CharField(max_length=60, default="")
    diagnoses = models.JSONField(default=list)
    # An emergency at the door (急诊), and a declared public one (疫情): two different things.
    emergency = models.BooleanField(db_default=False)
    public_emergency = models.BooleanField(db_default=False)
    # Of an admission only: the day it began, and the day it ended once it has.
    admission_date = models.DateField(null=True)
    discharge_date = models.DateField(null=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    business_date = models.DateField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="inpatient", admission_date__isnull=False)
                | (~Q(kind="inpatient") & Q(admission_date__isnull=True)),
                name="an_admission_and_nothing_else_has_its_day",
            ),
            models.CheckConstraint(
                condition=Q(discharge_date__isnull=True)
                | Q(discharge_date__gte=models.F("admission_date")),
                name="a_stay_ends_after_it_begins",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "opened_at"], name="visits_by_member"),
            models.Index(fields=["merchant", "business_date"], name="visits_by_merchant_and_day"),
            # Who lies in hospital, which every clinic page asks again and again.
            models.Index(
                fields=["merchant", "discharge_date"],
                condition=Q(kind="inpatient", closed_at__isnull=True),
                name="stays_by_merchant",
            ),
        ]


class FeeBatch(models.Model):
    """What was done or sold, as it was uploaded at one time (收费批次)."""

    id = models.UUIDField(primary_key=True, default=new_id)
    visit = models.ForeignKey(
        Visit, on_delete=models.PROTECT, related_name="fee_batches", db_index=False
    )
    number = models.PositiveIntegerField()
    service_date = models.DateField()
    department = models.CharField(max_length=60, default="")
    doctor = models.CharField(max_length=60, default="")
    total_fen = models.BigIntegerField()
    uploaded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["visit", "number"], name="one_fee_batch_a_visit_and_number"
            ),
        ]


class Prescription(models.Model):
    """A reference that a line may carry (处方). Filled at most to the quantities of its lines."""

    number = models.CharField(max_length=40, unique=True)
    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    institution_code = models.CharField(max_length=12)
    prescriber = models.CharField(max_length=60)
    diagnosis = models.CharField(max_length=120)
    # The coded diagnosis, for rules that go by it; empty when only the text was given.
    diagnosis_code = models.CharField(max_length=20, default="")
    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, null=True)
    issued_date = models.DateField()
    # The first day on which it is no longer good.
    until_date = models.DateField()


class PrescriptionLine(models.Model):
    """One prescribed item. Quantities in ten-thousandths, as lines have four places."""

    prescription = models.ForeignKey(Prescription, on_delete=models.PROTECT, related_name="lines")
    national_code = models.CharField(max_length=40)
    quantity_e4 = models.BigIntegerField()
    filled_e4 = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prescription", "national_code"], name="one_line_a_prescription_and_item"
            ),
            models.CheckConstraint(
                condition=Q(filled_e4__gte=0) & Q(filled_e4__lte=models.F("quantity_e4")),
                name="a_prescription_is_filled_at_most_to_its_quantity",
            ),
        ]


class Line(models.Model):
    """One thing done or sold (费用明细). Amounts decide; quantity × unit price must agree."""

    fee_batch = models.ForeignKey(
        FeeBatch, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    # Null until it is settled; stays when the settlement is refunded.
    settlement = models.ForeignKey(
        "settlement.Settlement", on_delete=models.PROTECT, null=True, related_name="lines"
    )
    number = models.PositiveIntegerField()
    code = models.CharField(max_length=40, default="")
    national_code = models.CharField(max_length=40, default="")
    name = models.CharField(max_length=120)
    # Decimal text: at most 4 places, and at most 6 places of yuan.
    quantity = models.CharField(max_length=20)
    unit_price = models.CharField(max_length=20)
    amount_fen = models.BigIntegerField()
    split_pack = models.BooleanField(default=False)
    trace_codes = models.JSONField(default=list)
    prescription_number = models.CharField(max_length=40, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["fee_batch", "number"], name="one_line_a_batch_and_number"
            ),
            models.CheckConstraint(condition=Q(amount_fen__gte=0), name="a_line_is_never_negative"),
        ]


class TraceCode(models.Model):
    """A drug trace code that a settlement in force has used; sold once, whatever the merchant."""

    code = models.CharField(max_length=40, primary_key=True)
    settlement = models.ForeignKey("settlement.Settlement", on_delete=models.PROTECT)


class Pickup(models.Model):
    """Drugs of a settlement were handed out against a scan of their own (取药)."""

    id = models.UUIDField(primary_key=True, default=new_id)
    visit = models.ForeignKey(Visit, on_delete=models.PROTECT)
    settlement = models.OneToOneField("settlement.Settlement", on_delete=models.PROTECT)
    scan = models.OneToOneField(Scan, on_delete=models.PROTECT)
    picked_up_at = models.DateTimeField()
