"""Institutions, agreements, terminals, operators and item lists in the administration.

Keys and hashes are never shown; a terminal is enrolled, rolled and revoked by the services, so its
state is read here and changed by an action, not by a form.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from merchants import services
from merchants.models import Agreement, AnswerKey, Capability, Item, Merchant, Operator, Terminal


class CapabilityInline(admin.TabularInline):
    """What an agreement covers."""

    model = Capability
    extra = 0


@admin.register(Merchant)
class MerchantAdmin(admin.ModelAdmin):
    """Institutions; suspending one takes effect at its terminals' next request."""

    list_display = ("code", "name", "kind", "level", "area_code", "state")
    list_filter = ("area_code", "kind", "state")
    search_fields = ("code", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Merchant | None = None) -> Any:
        """An institution's code, kind and area never change."""
        return ("code", "kind", "area_code") if obj else ()


@admin.register(Agreement)
class AgreementAdmin(admin.ModelAdmin):
    """Service agreements with their capabilities."""

    list_display = ("number", "merchant", "state", "from_date", "until_date")
    list_filter = ("state",)
    search_fields = ("number", "merchant__code", "merchant__name")
    autocomplete_fields = ("merchant",)
    inlines = (CapabilityInline,)


@admin.register(Terminal)
class TerminalAdmin(admin.ModelAdmin):
    """Terminals, to look at and to revoke."""

    list_display = ("id", "merchant", "name", "kind", "state", "key_id", "enrolled_at")
    list_filter = ("kind", "state")
    search_fields = ("key_id", "name", "merchant__code", "merchant__name")
    list_select_related = ("merchant",)
    fields = ("merchant", "name", "kind", "state", "key_id", "enrolled_at", "revoked_at")
    readonly_fields = fields
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A terminal begins with a one-time code."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Terminal | None = None) -> bool:
        """Scans refer to terminals for ever."""
        return False

    @admin.action(description=_("Take out of service"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        """Revoke the chosen terminals."""
        now = timezone.now()
        for terminal in queryset:
            services.revoke_terminal(terminal_id=terminal.pk, now=now)
        self.message_user(request, _("Taken out of service with effect at once."))


@admin.register(Operator)
class OperatorAdmin(admin.ModelAdmin):
    """The people at the terminals."""

    list_display = ("merchant", "code", "name", "user", "active")
    list_filter = ("active",)
    search_fields = ("code", "name", "merchant__code", "merchant__name")
    autocomplete_fields = ("merchant", "user")


@admin.register(Item)
class ItemAdmin(admin.ModelAdmin):
    """Item lists, to look at: they are the merchants' own and come by file or by the API."""

    list_display = ("merchant", "code", "name", "unit_price", "national_code")
    search_fields = ("code", "barcode", "name", "initials", "national_code")
    list_select_related = ("merchant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """By file or by the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Item | None = None) -> bool:
        """By file or by the API."""
        return False


@admin.register(AnswerKey)
class AnswerKeyAdmin(admin.ModelAdmin):
    """The keys that sign answers: ids and dates."""

    list_display = ("key_id", "not_before", "not_after")
    fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Made by the server."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AnswerKey | None = None) -> bool:
        """Never edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AnswerKey | None = None) -> bool:
        """Old answers stay verifiable."""
        return False
