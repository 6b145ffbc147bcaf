"""Which policy is in force, and what the catalogue says, on a day in an area."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.refusals import Refusal
from settlement import benefits
from settlement.benefits.floors import Authority, load_authority
from settlement.models import Policy


class PolicyMissing(Refusal):
    """No rules for that area on that day."""

    code = "policy_missing"
    text = _("There is no policy in force for this area on the service date.")


@dataclass(frozen=True, slots=True)
class CatalogueFacts:
    """A catalogue entry as it stood on the service date.

    `drug_group` is the entry's own, or else the one that the policy in force gives its marks.
    """

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
    restriction: benefits.UseRestriction | None


_COLUMNS = (
    "c.national_code, c.name, c.item_class, c.first_pay_bp, c.price_limit, c.covered, c.account_ok,"
    " c.prescription_only, c.negotiated, c.dual_channel, c.drug_group, c.disease_codes,"
    " c.restriction"
)
_KINDS = (*(None,) * 5, *("bool",) * 5, *(None,) * 3)


def _facts(row: tuple[Any, ...], policy: benefits.Policy | None) -> CatalogueFacts:
    *_, negotiated, dual_channel, group, diseases, restriction = row
    if policy is not None and not group and (negotiated or dual_channel):
        marks = (("negotiated", negotiated), ("dual_channel", dual_channel))
        group = policy.group_of([mark for mark, is_set in marks if is_set])
    values: list[Any] = [*row[:8], group, tuple(msgspec.json.decode(diseases))]
    values.append(
        benefits.restriction_from_dict(msgspec.json.decode(restriction)) if restriction else None
    )
    return CatalogueFacts(*values)


def catalogue_items(
    *, area_code: str, national_codes: Sequence[str], day: date
) -> dict[str, CatalogueFacts]:
    """Entries by national code; a code that has none on that day is left out.

    No policy is asked, so that an entry has the group that the catalogue states and no other.
    """
    if not national_codes:
        return {}
    rows = sql.fetch(
        f"SELECT {_COLUMNS} FROM settlement_catalogueitem c"
        f" WHERE c.area_code = %s AND {sql.among('c.national_code')}"
        " AND c.from_date <= %s AND (c.until_date IS NULL OR c.until_date > %s)",
        [area_code, sql.values(national_codes), day, day],
        kinds=_KINDS,
    )
    return {row[0]: _facts(row, None) for row in rows}


def catalogue_versions(
    *,
    area_code: str,
    national_codes: Sequence[str],
    days: Sequence[date],
    policy: benefits.Policy | None,
) -> dict[date, dict[str, CatalogueFacts]]:
    """Entries by day and national code, for a bill whose lines are of several days, or of another
    area than its rules. One statement. `policy` gives an entry's marks their group."""
    found: dict[date, dict[str, CatalogueFacts]] = {day: {} for day in days}
    rows = sql.fetch(
        f"SELECT c.from_date, c.until_date, {_COLUMNS} FROM settlement_catalogueitem c"
        f" WHERE c.area_code = %s AND {sql.among('c.national_code')}"
        " AND c.from_date <= %s AND (c.until_date IS NULL OR c.until_date > %s)",
        [area_code, sql.values(national_codes), max(days), min(days)],
        kinds=("date", "date", *_KINDS),
    )
    for from_date, until_date, *entry in rows:
        facts = _facts(tuple(entry), policy)
        for day, entries in found.items():
            if from_date <= day and (until_date is None or day < until_date):
                entries[facts.national_code] = facts
    return found


def area_is_connected(area_code: str, *, day: date) -> bool:
    """Whether a policy of the area is in force in this deployment on the day."""
    return bool(
        sql.fetch(
            "SELECT id FROM settlement_policy WHERE area_code = %s AND from_date <= %s"
            " AND (until_date IS NULL OR until_date > %s) LIMIT 1",
            (area_code, day, day),
        )
    )


def policy_in_force(*, area_code: str, day: date) -> tuple[int, benefits.Policy]:
    """Policy row and compiled policy of an area on a day. Raises PolicyMissing."""
    policy_id, policy, _entries = rules_in_force(area_code=area_code, national_codes=(), day=day)
    return policy_id, policy


def rules_in_force(
    *, area_code: str, national_codes: Sequence[str], day: date
) -> tuple[int, benefits.Policy, dict[str, CatalogueFacts]]:
    """Policy row, compiled policy and catalogue entries of an area on a day, in one statement.

    Raises PolicyMissing.
    """
    rows = sql.fetch(
        f"SELECT p.id, {_COLUMNS}"
        " FROM (SELECT id, area_code FROM settlement_policy WHERE area_code = %s"
        " AND from_date <= %s AND (until_date IS NULL OR until_date > %s)"
        " ORDER BY from_date DESC, id DESC LIMIT 1) p"
        " LEFT JOIN settlement_catalogueitem c ON c.area_code = p.area_code"
        f" AND {sql.among('c.national_code')}"
        " AND c.from_date <= %s AND (c.until_date IS NULL OR c.until_date > %s)",
        [area_code, day, day, sql.values(national_codes), day, day],
        kinds=(None, *_KINDS),
    )
    if not rows:
        raise PolicyMissing
    policy_id = rows[0][0]
    policy = compiled_policy(policy_id)
    return (
        policy_id,
        policy,
        {row[1]: _facts(row[1:], policy) for row in rows if row[1] is not None},
    )


def stay_rules(*, area_code: str, covered: frozenset[str], day: date) -> dict[str, Any]:
    """What a counter may choose from for a stay under the area's rules of a day: the kinds of
    benefit among those `covered`, and the codes of charge packages, each with its titles by
    language. Nothing where the area has no rules."""
    try:
        _id, policy = policy_in_force(area_code=area_code, day=day)
    except PolicyMissing:
        return {"kinds": [], "packages": []}
    return {
        "kinds": [
            {"kind": kind, "title": dict(title)}
            for kind, title in policy.kinds.items()
            if kind in covered and policy.may_be_a_stay(kind)
        ],
        "packages": [
            {"code": code, "title": dict(package.title)}
            for package in policy.packages
            for code in package.codes()
        ],
    }


@lru_cache(maxsize=256)
def compiled_policy(policy_id: int) -> benefits.Policy:
    """The policy of a row, ready to calculate. Rows are immutable, so it is kept for good."""
    row = Policy.objects.get(pk=policy_id)
    return benefits.load_policy(row.text, name=row.version)


@lru_cache(maxsize=1)
def authorities() -> tuple[Authority, ...]:
    """The authorities above the areas, from the files that the product ships."""
    folder = Path(settings.BASE_DIR) / "policies" / "authorities"
    return tuple(
        load_authority(path.read_text(encoding="utf-8"), name=path.name)
        for path in sorted(folder.glob("*.toml"))
    )
