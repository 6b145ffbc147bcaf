"""Policies and catalogues as files: how the rules and the price of things get into the tables.

A policy is stored whole and never changed: what it says goes under a new version. A catalogue is a
table of what one area pays for, brought up to date row by row. What a policy means is
`settlement.benefits`' business; what stands in a catalogue file is `catalogue_files`'.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from django.db import transaction

from merchants.services import initials_of
from messaging import sql
from settlement import benefits
from settlement.models import CatalogueItem, NameEnding, Policy
from settlement.services.catalogue_files import CatalogueUnreadable, Progress, Row, read_catalogue

_SLICE = 5_000
_KEY = ("area_code", "national_code", "from_date")
_STORED = tuple(
    field.name for field in CatalogueItem._meta.concrete_fields if not field.primary_key
)


class PolicyConflict(ValueError):
    """Another text is stored under this version already; the message names both."""


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A stored policy, and whether this call stored it."""

    policy: Policy
    is_new: bool


def load_policy_file(*, path: Path, now: datetime) -> LoadedPolicy:
    """Store a policy file, or find it stored already.

    Raises benefits.PolicyError for a file that is no valid policy, PolicyConflict when its version
    is stored with another text, OSError.
    """
    text = path.read_text(encoding="utf-8")
    compiled = benefits.load_policy(text, name=path.name)
    with transaction.atomic():
        row, is_new = Policy.objects.get_or_create(
            version=compiled.version,
            defaults={
                "area_code": compiled.area,
                "from_date": compiled.effective_from,
                "until_date": compiled.effective_until,
                "text": text,
                "sha256": compiled.sha256,
                "loaded_at": now,
            },
        )
    if row.sha256 != compiled.sha256:
        raise PolicyConflict(
            f"{path.name}: version {compiled.version} is stored with another text (SHA-256"
            f" {row.sha256[:12]}…, the file has {compiled.sha256[:12]}…). A policy in use never"
            " changes: give the new text a new version."
        )
    return LoadedPolicy(row, is_new)


def check_catalogue(*, area_code: str, content: bytes, progress: Progress | None = None) -> int:
    """What `load_catalogue` would find in the way, without writing; how many rows there are.

    Raises CatalogueUnreadable with every problem.
    """
    rows = read_catalogue(content, progress=progress)
    _check_versions(area_code, rows)
    return len(rows)


def load_catalogue(*, area_code: str, content: bytes, progress: Progress | None = None) -> int:
    """Add a catalogue's rows to an area, or replace those of the same code and first day.

    All or nothing; what the file does not name stays, but a row without an end ends where the next
    one of its code begins. Answers how many rows the file has. Raises CatalogueUnreadable.
    """
    rows = read_catalogue(content, progress=progress)
    with transaction.atomic():
        _check_versions(area_code, rows)
        for at in range(0, len(rows), _SLICE):
            part = [_stored(area_code, row) for row in rows[at : at + _SLICE]]
            sql.insert_rows(CatalogueItem, _STORED, part, replacing=_KEY)
            if progress is not None:
                progress("storing", at + len(part), len(rows))
        _end_earlier_versions(area_code)
        remember_names({row.values["name"] for row in rows})
    return len(rows)


def remember_names(names: Collection[str]) -> None:
    """Let catalogue names be found by any part of them."""
    known = {name for (name,) in sql.fetch("SELECT DISTINCT name FROM settlement_nameending")}
    endings = [
        (ending, name)
        for name in sorted(set(names) - known)
        for ending in sorted({name[at:].lower()[:120] for at in range(len(name))})
    ]
    # Another load may store the same name meanwhile.
    for at in range(0, len(endings), _SLICE):
        sql.insert_rows(
            NameEnding,
            ("ending", "name"),
            endings[at : at + _SLICE],
            replacing=("name", "ending"),
        )


# Brands and pack sizes of one drug share its name.
_initials = lru_cache(maxsize=50_000)(initials_of)


def _stored(area_code: str, row: Row) -> list[object]:
    values = row.values | {
        "area_code": area_code,
        "initials": _initials(row.values["name"]),
        "first_pay_bp": row.values["first_pay"],
        "disease_codes": msgspec.json.encode(row.values["disease_codes"]).decode(),
        "restriction": _restriction(row.values),
    }
    return [values[name] for name in _STORED]


def _restriction(values: Mapping[str, Any]) -> str | None:
    """The restriction of a row's cells as it is stored, None for a row that states none."""
    restriction = benefits.UseRestriction(
        diagnoses=tuple(values["only_diagnoses"]),
        sex=values["only_sex"],
        age_from=values["only_age_from"],
        age_below=values["only_age_below"],
        levels=tuple(values["only_levels"]),
        emergency=values["only_emergency"],
    )
    if restriction == benefits.UseRestriction():
        return None
    stated = replace(restriction, text=values["restricted_use"])
    return msgspec.json.encode(benefits.restriction_to_dict(stated)).decode()


def _check_versions(area_code: str, rows: Sequence[Row]) -> None:
    """Refuse rows with an end after the next version's beginning, in the file and what is stored.

    Two versions on one day would leave it to chance what a line costs. Raises CatalogueUnreadable.
    """
    versions: dict[str, dict[date, tuple[date | None, int]]] = defaultdict(dict)
    for code, start, until in sql.fetch(
        "SELECT national_code, from_date, until_date FROM settlement_catalogueitem"
        " WHERE area_code = %s",
        (area_code,),
        kinds=(None, "date", "date"),
    ):
        versions[code][start] = (until, 0)
    named: set[str] = set()
    for row in rows:
        code = row.values["national_code"]
        named.add(code)
        versions[code][row.values["from_date"]] = (row.values["until_date"], row.number)
    clashes: list[tuple[int, str]] = []
    for code in named:
        of_code = sorted(versions[code].items())
        for (start, (until, number)), (following, (_until, other)) in pairwise(of_code):
            if until is None or until <= following:
                continue
            clashes.append(
                (
                    number or other,
                    f"until_date: {code} from {start} holds until {until}, but from {following}"
                    " another row holds; expected at most that day",
                )
            )
    if clashes:
        raise CatalogueUnreadable([f"row {number}: {text}" for number, text in sorted(clashes)])


def _end_earlier_versions(area_code: str) -> None:
    later = (
        " FROM settlement_catalogueitem later WHERE later.area_code = %s"
        " AND later.national_code = settlement_catalogueitem.national_code"
        " AND later.from_date > settlement_catalogueitem.from_date"
    )
    sql.run(
        f"UPDATE settlement_catalogueitem SET until_date = (SELECT MIN(later.from_date){later})"
        f" WHERE area_code = %s AND until_date IS NULL AND EXISTS (SELECT 1{later})",
        (area_code, area_code, area_code),
    )
