"""What fund staff fill in on the page of payments: what was paid, a rule, a limit, a repayment.

A form only reads and bounds what was typed. Each carries a key that the page made for it, so that
pressing twice does once.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from messaging.ids import new_id
from settlement.models import TenderRule

MOST_YUAN = Decimal(10_000_000)


class Fen(forms.DecimalField):
    """An amount typed in yuan. Cleans to fen, and to None where it may be empty and is."""

    def __init__(self, *, least: Decimal, **more: Any) -> None:
        super().__init__(min_value=least, max_value=MOST_YUAN, decimal_places=2, **more)

    def clean(self, value: Any) -> int | None:
        """Fen."""
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)


class Act(forms.Form):
    """An act of staff. `name` is what the form is told apart by."""

    name = ""
    key = forms.RegexField("^[0-9a-f]{32}$", widget=forms.HiddenInput)

    def __init__(self, data: Any = None, **more: Any) -> None:
        initial = {"key": new_id().hex, **more.pop("initial", {})}
        super().__init__(data, initial=initial, auto_id=f"{self.name}-%s", **more)

    def asked(self) -> dict[str, Any]:
        """What is wanted, without the key. Call after `is_valid`."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}


class DebtPaidForm(Act):
    """A payment service has paid what it owed for this part."""

    name = "debt_paid"
    tender_id = forms.UUIDField(widget=forms.HiddenInput)


class RuleForm(Act):
    """What becomes of an institution's captures that fail for good."""

    name = "rule"
    merchant_code = forms.CharField(label=_("Code of the institution"), max_length=12)
    capture_failed = forms.ChoiceField(
        label=_("Where a payment cannot be collected"),
        choices=TenderRule.CaptureFailed.choices,
        widget=forms.RadioSelect,
        initial="debt",
    )


class LimitForm(Act):
    """Open a person's line of credit, or change its limit."""

    name = "limit"
    member_number = forms.CharField(max_length=30, widget=forms.HiddenInput)
    limit_fen = Fen(label=_("Limit (yuan)"), least=Decimal(0))
    # What the page showed when the form was made: what changed meanwhile is looked at again.
    shown_fen = forms.IntegerField(required=False, widget=forms.HiddenInput)


class RepaymentForm(Act):
    """A person pays back what is due."""

    name = "repayment"
    member_number = forms.CharField(max_length=30, widget=forms.HiddenInput)
    amount_fen = Fen(label=_("Paid back (yuan)"), least=Decimal("0.01"))
    shown_fen = forms.IntegerField(required=False, widget=forms.HiddenInput)


class FindForm(forms.Form):
    """Whose line of credit to look at."""

    member_number = forms.CharField(label=_("Number of the insured person"), max_length=30)
