"""What fund staff fill in on the policy workbench: which rules, for whom, which bill.

The form reads and bounds what was typed; what it comes to is the calculator's business.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from portal import bill_lines
from settlement.benefits import Line
from settlement.benefits.trials import Trial
from settlement.money import fen
from voucher.models import Enrolment

MOST_YUAN = Decimal(10_000_000)
# A city's rules are some tens of thousands of characters.
DRAFT_CHARACTERS = 200_000
# A key of thousands of parts would take minutes to read; no rule needs a line of this length.
DRAFT_LINE_CHARACTERS = 2_000
_YEAR_CHARACTERS = 4_000
_LINES_CHARACTERS = 40_000

_SITES = [("pharmacy", _("Pharmacy")), ("clinic", _("Clinic")), ("hospital", _("Hospital"))]
_LEVELS = [(0, _("unrated")), (1, _("level 1")), (2, _("level 2")), (3, _("level 3"))]
_CARE = [("", _("in the insured area")), ("away", _("in another area"))]


class Yuan(forms.DecimalField):
    """An amount of money that is not negative; empty is nothing. Cleans to fen."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=0, max_value=MOST_YUAN, decimal_places=2, required=False, **more)

    def clean(self, value: Any) -> int:
        """Fen."""
        return int((super().clean(value) or Decimal(0)) * 100)


class WorkbenchForm(forms.Form):
    """`versions` are the loaded policies as choices, `kinds` those of the policy on the left."""

    left = forms.TypedChoiceField(label=_("Rules"), coerce=int)
    right = forms.TypedChoiceField(
        label=_("Compare with"), coerce=int, empty_value=None, required=False
    )
    draft = forms.CharField(
        label=_("or with a draft"),
        required=False,
        strip=False,
        max_length=DRAFT_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    kind = forms.ChoiceField(label=_("Kind of benefit"))
    disease_code = forms.CharField(label=_("Disease code"), max_length=20, required=False)
    filed = forms.BooleanField(label=_("with the filings that the rules ask for"), required=False)
    scheme = forms.ChoiceField(label=_("Scheme"), choices=Enrolment.Scheme.choices)
    category = forms.ChoiceField(label=_("Category"), choices=Enrolment.Category.choices)
    age = forms.IntegerField(label=_("Age"), min_value=0, max_value=130)
    aid = forms.CharField(label=_("Aid category"), max_length=40, required=False)
    site_kind = forms.ChoiceField(label=_("Institution"), choices=_SITES)
    level = forms.TypedChoiceField(label=_("Level"), choices=_LEVELS, coerce=int)
    care = forms.ChoiceField(label=_("Treated"), choices=_CARE, required=False)
    class_a = Yuan(label=_("Class A (yuan)"))
    class_b = Yuan(label=_("Class B (yuan)"))
    first_pay = forms.DecimalField(
        label=_("First pay of class B (%)"),
        min_value=0,
        max_value=100,
        decimal_places=2,
        required=False,
    )
    over_limit = Yuan(label=_("Over the price limit (yuan)"))
    out_of_scope = Yuan(label=_("Out of scope (yuan)"))
    lines = forms.CharField(
        label=_("The bill by its lines"),
        required=False,
        strip=False,
        max_length=_LINES_CHARACTERS,
        widget=forms.Textarea(
            attrs={"rows": 5, "spellcheck": "false", "aria-describedby": "lines-help"}
        ),
    )
    account = Yuan(label=_("On the account (yuan)"))
    year_to_date = forms.CharField(
        label=_("Year to date"),
        required=False,
        max_length=_YEAR_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    up_to = Yuan(label=_("Curve up to (yuan)"))

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        versions: list[tuple[int, str]],
        kinds: list[tuple[str, str]],
        initial: Mapping[str, Any],
    ) -> None:
        super().__init__(data, initial=dict(initial))
        self.fields["left"].choices = versions  # type: ignore[attr-defined]
        self.fields["right"].choices = [("", "—"), *versions]  # type: ignore[attr-defined]
        self.fields["kind"].choices = kinds  # type: ignore[attr-defined]

    def clean_draft(self) -> str:
        """The text, none of whose lines is longer than a rule could be."""
        draft: str = self.cleaned_data["draft"]
        for number, line in enumerate(draft.splitlines(), start=1):
            if len(line) > DRAFT_LINE_CHARACTERS:
                raise ValidationError(
                    _("Line %(number)s is too long: at most %(most)s characters"),
                    params={"number": number, "most": DRAFT_LINE_CHARACTERS},
                )
        return draft

    def clean_up_to(self) -> int:
        """Fen; a curve to nothing is a curve to the default."""
        return int(self.cleaned_data["up_to"]) or 2_000_000

    def clean_year_to_date(self) -> dict[str, int]:
        """A figure a line, such as `chronic.deductible = 300`, in yuan; fen by accumulator."""
        found: dict[str, int] = {}
        for number, line in enumerate(self.cleaned_data["year_to_date"].splitlines(), start=1):
            if not line.strip():
                continue
            name, _mark, amount = line.replace("＝", "=").partition("=")
            try:
                found[name.strip()] = fen(amount.strip())
                if found[name.strip()] < 0 or not name.strip():
                    raise ValueError
            except ValueError:
                raise ValidationError(
                    _(
                        "Line %(number)s: expected a name and an amount in yuan, such as"
                        " chronic.deductible = 300"
                    ),
                    params={"number": number},
                ) from None
        return found

    def clean_lines(self) -> tuple[bill_lines.TypedLine, ...]:
        """The lines, none for a bill typed by its totals."""
        return bill_lines.read(self.cleaned_data["lines"])

    def has_totals(self) -> bool:
        """Whether any amount was typed as a total. Call after `is_valid`."""
        names = ("class_a", "class_b", "over_limit", "out_of_scope")
        return any(self.cleaned_data[name] for name in names)

    def trial(self, *, service_date: date, away_area: str, lines: tuple[Line, ...] = ()) -> Trial:
        """What was typed, for the calculator: its `lines`, or else the totals. Call after
        `is_valid`."""
        data = self.cleaned_data
        return Trial(
            kind=data["kind"],
            service_date=service_date,
            scheme=data["scheme"],
            category=data["category"],
            age=data["age"],
            aid=data["aid"],
            filed=data["filed"],
            disease_code=data["disease_code"],
            site_kind=data["site_kind"],
            level=data["level"],
            area=away_area if data["care"] else "",
            class_a_fen=data["class_a"],
            class_b_fen=data["class_b"],
            first_pay_bp=int((data["first_pay"] or 0) * 100),
            over_limit_fen=data["over_limit"],
            out_of_scope_fen=data["out_of_scope"],
            lines=lines,
            account_fen=data["account"],
            year_to_date=data["year_to_date"],
        )
