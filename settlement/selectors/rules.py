"""Which policy is in force, and what the catalogue says, on a day in an area."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import msgspec
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.refusals import Refusal
from settlement import benefits
from settlement.models import Policy


class PolicyMissing(Refusal):
    """No rules for that area on that day."""

    code = "policy_missing"
    text = _("There is no policy in force for this area on the service date.")


@dataclass(frozen=True, slots=True)
class CatalogueFacts:
    """A catalogue entry as it stood on the service date."""

    national_code: str
    name: str
    item_class: str
    first_pay_bp: int
    price_limit: str
    covered: bool
    account_ok: bool
    prescription_only: bool
    drug_group: str
    disease_codes: tuple[str, ...]


def catalogue_items(
    *, area_code: str, national_codes: Sequence[str], day: date
) -> dict[str, CatalogueFacts]:
    """Entries by national code; a code that has none on that day is left out."""
    if not national_codes:
        return {}
    rows = sql.fetch(
        "SELECT national_code, name, item_class, first_pay_bp, price_limit, covered, account_ok,"
        " prescription_only, drug_group, disease_codes FROM settlement_catalogueitem"
        f" WHERE area_code = %s AND national_code IN ({sql.marks(national_codes)})"
        " AND from_date <= %s AND (until_date IS NULL OR until_date > %s)",
        [area_code, *national_codes, day, day],
        kinds=(None, None, None, None, None, "bool", "bool", "bool", None, None),
    )
    return {
        row[0]: CatalogueFacts(*row[:9], disease_codes=tuple(msgspec.json.decode(row[9])))
        for row in rows
    }


def policy_in_force(*, area_code: str, day: date) -> tuple[int, benefits.Policy]:
    """Row id and compiled policy for an area and day. Raises PolicyMissing."""
    row = sql.fetch_one(
        "SELECT id FROM settlement_policy WHERE area_code = %s AND from_date <= %s"
        " AND (until_date IS NULL OR until_date > %s) ORDER BY from_date DESC, id DESC LIMIT 1",
        (area_code, day, day),
    )
    if row is None:
        raise PolicyMissing
    return row[0], compiled_policy(row[0])


@lru_cache(maxsize=256)
def compiled_policy(policy_id: int) -> benefits.Policy:
    """The policy of a row, ready to calculate. Rows are immutable, so it is kept for good."""
    row = Policy.objects.get(pk=policy_id)
    return benefits.load_policy(row.text, name=row.version)
