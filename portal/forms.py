"""The forms of the pages: how a citizen narrows a code before showing it, what the fund's staff
say of a return.

A form only reads what a person chose; what a code may be narrowed to is `voucher.tokens.Scope`.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from voucher.tokens import Scope, Use

# The uses a citizen would think of; the others are declared by hospitals and cannot be chosen here.
_USES = [
    (Use.ANY.word, _("Anything")),
    (Use.PHARMACY_PURCHASE.word, _("Buying medicine in a pharmacy")),
    (Use.REGISTRATION.word, _("Registering at a hospital or clinic")),
    (Use.SETTLEMENT.word, _("Paying a hospital or clinic bill")),
    (Use.DRUG_PICKUP.word, _("Collecting medicine")),
]
# Three bytes of the code hold the ceiling: 167,772.15 yuan.
_MOST_YUAN = Decimal("167772.15")


class ScopeForm(forms.Form):
    """What the code on the screen may be used for, and how much it may settle at most."""

    use = forms.ChoiceField(label=_("May be used for"), choices=_USES, required=False)
    ceiling = forms.DecimalField(
        label=_("At most (yuan)"),
        min_value=Decimal("0.01"),
        max_value=_MOST_YUAN,
        decimal_places=2,
        required=False,
    )

    def scope(self) -> Scope:
        """The scope that was chosen. Call after `is_valid`."""
        ceiling = self.cleaned_data["ceiling"]
        return Scope(
            use=Use.from_word(self.cleaned_data["use"] or Use.ANY.word),
            ceiling_fen=None if ceiling is None else int(ceiling * 100),
        )


class DecisionForm(forms.Form):
    """Approve or decline a return, with a note for the till; declining needs one."""

    decision = forms.ChoiceField(choices=[("approve", ""), ("decline", "")])
    note = forms.CharField(max_length=200, required=False)

    def clean_note(self) -> str:
        """On one line."""
        return " ".join(self.cleaned_data["note"].split())

    def clean(self) -> dict[str, Any]:
        """Whoever is declined is told why."""
        found: dict[str, Any] = super().clean() or {}
        if found.get("decision") == "decline" and "note" in found and not found["note"]:
            self.add_error("note", _("Say why it is declined: the till shows it."))
        return found
