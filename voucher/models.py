"""Who is asking: members, what they are enrolled in and entitled to, their vouchers and keys.

Nothing here knows money or merchants; a chosen institution is only its national code. Identity
numbers and private keys are kept encrypted (`messaging/vault.py`), with a keyed hash to search by.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


def _ends_after_it_begins(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(until_date__isnull=True) | Q(until_date__gt=F("from_date")), name=name
    )


class Member(models.Model):
    """An insured person (参保人)."""

    class Sex(models.TextChoices):
        FEMALE = "female", _("female")
        MALE = "male", _("male")

    # The area's person number (psn_no).
    number = models.CharField(max_length=30, unique=True)
    name = models.CharField(max_length=60)
    identity_cipher = models.BinaryField()
    identity_hash = models.CharField(max_length=64, unique=True)
    birth_date = models.DateField()
    sex = models.CharField(max_length=6, choices=Sex.choices)
    death_date = models.DateField(null=True, blank=True)
    # The login of a member who uses the citizen page.
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )


class Enrolment(models.Model):
    """What a member is insured in, where, as what, from when until when (参保信息)."""

    class Scheme(models.TextChoices):
        EMPLOYEE = "employee", _("employee insurance")
        RESIDENT = "resident", _("resident insurance")

    class Category(models.TextChoices):
        ACTIVE = "active", _("in work")
        RETIRED = "retired", _("retired")
        RESIDENT = "resident", _("resident")
        STUDENT = "student", _("student or child")

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="enrolments")
    scheme = models.CharField(max_length=10, choices=Scheme.choices)
    area_code = models.CharField(max_length=6)
    category = models.CharField(max_length=10, choices=Category.choices)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "scheme", "from_date"], name="one_enrolment_a_scheme_and_start"
            ),
            _ends_after_it_begins("an_enrolment_ends_after_it_begins"),
        ]


class Entitlement(models.Model):
    """What an enrolment gives in a period (待遇享受状态)."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting period")
        IN_FORCE = "in_force", _("in force")
        ARREARS = "arrears", _("contributions overdue: pool frozen, account usable")
        SUSPENDED = "suspended", _("suspended")
        DECEASED = "deceased", _("deceased")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="entitlements")
    state = models.CharField(max_length=10, choices=State.choices)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enrolment", "from_date"], name="one_entitlement_an_enrolment_and_start"
            ),
            _ends_after_it_begins("an_entitlement_ends_after_it_begins"),
        ]


class AidPeriod(models.Model):
    """A medical-aid category with its dates and who certified it (医疗救助身份)."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="aid_periods")
    category = models.CharField(max_length=30)
    source = models.CharField(max_length=100)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "category", "from_date"],
                name="one_aid_period_a_category_and_start",
            ),
            _ends_after_it_begins("an_aid_period_ends_after_it_begins"),
        ]


class Filing(models.Model):
    """A registered chronic or special disease (门诊慢特病备案), or something else that is filed and
    has no disease, such as care away from home (异地就医备案)."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="filings")
    kind = models.CharField(max_length=20)
    disease_code = models.CharField(max_length=20, blank=True)
    disease_name = models.CharField(max_length=60, blank=True)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "disease_code", "from_date"],
                name="one_filing_a_disease_and_start",
            ),
            _ends_after_it_begins("a_filing_ends_after_it_begins"),
        ]


class ChosenInstitution(models.Model):
    """Where a filing may be used (签约机构); a filing with none may be used anywhere."""

    filing = models.ForeignKey(Filing, on_delete=models.PROTECT, related_name="chosen")
    institution_code = models.CharField(max_length=12)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["filing", "institution_code", "from_date"],
                name="one_choice_a_filing_institution_and_start",
            ),
            _ends_after_it_begins("a_choice_ends_after_it_begins"),
        ]


class Sharing(models.Model):
    """One member's account may pay another's bills (家庭共济), as both agreed at the agency.

    Of several holders the one with the lowest rank pays first, then the one who began first.
    """

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="sharings")
    # By the area's person number, as the register names people.
    holder = models.ForeignKey(
        Member, on_delete=models.PROTECT, to_field="number", related_name="shared_with"
    )
    rank = models.PositiveSmallIntegerField(default=1)
    from_date = models.DateField()
    until_date = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "holder", "from_date"], name="one_sharing_a_holder_and_start"
            ),
            _ends_after_it_begins("a_sharing_ends_after_it_begins"),
        ]


class Voucher(models.Model):
    """A member's electronic voucher (医保电子凭证)."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")
        CLOSED = "closed", _("closed")

    member = models.OneToOneField(Member, on_delete=models.PROTECT, related_name="voucher")
    # 63 random bits: what a code's sealed handle holds. Says nothing about the member.
    number = models.BigIntegerField(unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    activated_at = models.DateTimeField()
    suspended_at = models.DateTimeField(null=True)


class SigningKey(models.Model):
    """A key that signs codes, with the handle key that seals voucher numbers in them."""

    key_id = models.PositiveIntegerField(primary_key=True)
    algorithm = models.CharField(max_length=20)
    public_key = models.BinaryField()
    private_key_cipher = models.BinaryField()
    handle_key_cipher = models.BinaryField()
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    # A leaked key: every code it signed is refused from this moment, whatever its age.
    killed_at = models.DateTimeField(null=True)


class SpentCode(models.Model):
    """A code that was presented. The primary key is the code's own 16-byte handle: one code, one
    use, decided by a unique row in the transaction that acts on it."""

    handle = models.UUIDField(primary_key=True)
    scan_id = models.UUIDField()
    spent_at = models.DateTimeField()
