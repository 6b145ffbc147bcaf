"""What staff may look up about members, vouchers and keys.

Looking only: the register import and the services write these rows. Identity numbers are masked
here, key material and the handles inside codes are never shown.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from messaging import vault
from voucher.identity import is_identity_number, masked_identity_number, normal_identity_number
from voucher.models import (
    AidPeriod,
    ChosenInstitution,
    Enrolment,
    Entitlement,
    Filing,
    Member,
    SigningKey,
    Voucher,
)
from voucher.services import identity_columns


class LookOnly:
    """Neither adds, changes nor deletes, whatever permissions a person has."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class EnrolmentInline(LookOnly, admin.TabularInline):
    model = Enrolment
    extra = 0
    show_change_link = True


class EntitlementInline(LookOnly, admin.TabularInline):
    model = Entitlement
    extra = 0


class FilingInline(LookOnly, admin.TabularInline):
    model = Filing
    extra = 0
    show_change_link = True


class ChosenInstitutionInline(LookOnly, admin.TabularInline):
    model = ChosenInstitution
    extra = 0


class AidPeriodInline(LookOnly, admin.TabularInline):
    model = AidPeriod
    extra = 0


class VoucherInline(LookOnly, admin.TabularInline):
    model = Voucher
    extra = 0
    fields = ("state", "activated_at", "suspended_at")


@admin.register(Member)
class MemberAdmin(LookOnly, admin.ModelAdmin):
    """A member with everything the register says of them."""

    list_display = ("number", "name", "masked_identity", "birth_date", "sex", "death_date")
    list_filter = ("sex", "enrolments__area_code", "enrolments__scheme", "voucher__state")
    search_fields = ("number", "name")
    search_help_text = _("Person number, name, or a whole identity number.")
    fields = ("number", "name", "masked_identity", "birth_date", "sex", "death_date", "user")
    readonly_fields = ("masked_identity",)
    inlines = (VoucherInline, EnrolmentInline, FilingInline, AidPeriodInline)
    show_full_result_count = False

    @admin.display(description=_("identity number"))
    def masked_identity(self, member: Member) -> str:
        """First three and last four characters."""
        return masked_identity_number(
            vault.unseal(
                bytes(member.identity_cipher),
                purpose="identity",
                data_key=vault.data_key_from_settings(),
            ).decode()
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A whole identity number is looked up by its keyed hash, anything else as usual."""
        number = normal_identity_number(search_term)
        if is_identity_number(number):
            return queryset.filter(identity_hash=identity_columns(number)[1]), False
        return super().get_search_results(request, queryset, search_term)


@admin.register(Enrolment)
class EnrolmentAdmin(LookOnly, admin.ModelAdmin):
    """An enrolment with its periods of entitlement."""

    list_display = ("member_number", "scheme", "area_code", "category", "from_date", "until_date")
    list_filter = ("scheme", "area_code", "category")
    list_select_related = ("member",)
    search_fields = ("member__number",)
    fields = ("member_number", "scheme", "area_code", "category", "from_date", "until_date")
    readonly_fields = ("member_number",)
    inlines = (EntitlementInline,)
    show_full_result_count = False

    @admin.display(description=_("person number"))
    def member_number(self, enrolment: Enrolment) -> str:
        return enrolment.member.number


@admin.register(Filing)
class FilingAdmin(LookOnly, admin.ModelAdmin):
    """A chronic-disease filing with the institutions chosen for it."""

    list_display = ("member_number", "kind", "disease_code", "disease_name", "from_date")
    list_filter = ("kind", "disease_code")
    list_select_related = ("member",)
    search_fields = ("member__number",)
    fields = ("member_number", "kind", "disease_code", "disease_name", "from_date", "until_date")
    readonly_fields = ("member_number",)
    inlines = (ChosenInstitutionInline,)
    show_full_result_count = False

    @admin.display(description=_("person number"))
    def member_number(self, filing: Filing) -> str:
        return filing.member.number


@admin.register(SigningKey)
class SigningKeyAdmin(LookOnly, admin.ModelAdmin):
    """Which keys there are; `manage.py voucher_keys` makes, rotates and kills them."""

    list_display = ("key_id", "algorithm", "not_before", "not_after", "killed_at")
    fields = ("key_id", "algorithm", "not_before", "not_after", "killed_at")
