"""Policies and catalogues as files: how the rules and the price of things get into the tables.

A policy is stored whole and never changed: what it says goes under a new version. A catalogue is a
table of what one area pays for, brought up to date row by row. What a policy means is
`settlement.benefits`' business, what the columns of a catalogue mean is described in
`docs/catalogue.md`.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from merchants.services import initials_of
from settlement import benefits
from settlement.models import CatalogueItem, Policy


class PolicyConflict(ValueError):
    """Another text is stored under this version already; the message names both."""


class CatalogueUnreadable(ValueError):
    """Rows that cannot be loaded, or no table at all; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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


@dataclass(frozen=True, slots=True)
class _Column:
    read: Callable[[str], Any]
    expected: str
    # What an empty cell means; a column without it must be filled.
    blank: Any = ...


def _text(longest: int) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if len(cell) > longest or not cell.isprintable():
            raise ValueError(cell)
        return cell

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell not in words:
            raise ValueError(cell)
        return cell

    return read


def _yes_or_no(cell: str) -> bool:
    return {"yes": True, "no": False}[cell]


def _rate_bp(cell: str) -> int:
    percent = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%", cell, re.ASCII)
    if percent is None:
        raise ValueError(cell)
    rate_bp = int(percent[1]) * 100 + int((percent[2] or "").ljust(2, "0"))
    if rate_bp > 10_000:
        raise ValueError(cell)
    return rate_bp


def _price(cell: str) -> str:
    if not re.fullmatch(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?", cell, re.ASCII):
        raise ValueError(cell)
    return cell


def _codes(cell: str) -> list[str]:
    codes = cell.split()
    if not all(re.fullmatch(r"[A-Za-z0-9]{1,20}", code, re.ASCII) for code in codes):
        raise ValueError(cell)
    return codes


COLUMNS: Mapping[str, _Column] = {
    "national_code": _Column(_text(40), "a text of at most 40 characters"),
    "name": _Column(_text(120), "a text of at most 120 characters"),
    "kind": _Column(_one_of(*CatalogueItem.Kind.values), "drug, service or consumable"),
    "item_class": _Column(_one_of("A", "B", "C", "none"), "A, B, C or none"),
    "first_pay": _Column(_rate_bp, "a percentage like 10%", blank=0),
    "price_limit": _Column(_price, "yuan with at most six decimals", blank=""),
    "covered": _Column(_yes_or_no, "yes or no", blank=True),
    "account_ok": _Column(_yes_or_no, "yes or no", blank=True),
    "prescription_only": _Column(_yes_or_no, "yes or no", blank=False),
    "drug_group": _Column(_text(30), "a group that the policy names", blank=""),
    # A word that is no disease, such as `none`, keeps an item out of every disease's scope.
    "disease_codes": _Column(_codes, "disease codes with spaces between", blank=[]),
    "from_date": _Column(date.fromisoformat, "a day like 2026-01-31"),
    "until_date": _Column(date.fromisoformat, "a day like 2026-01-31", blank=None),
}


def read_catalogue(content: bytes) -> list[dict[str, Any]]:
    """The rows of a catalogue CSV in UTF-8, by column; `first_pay` becomes basis points.

    Raises CatalogueUnreadable with every problem there is.
    """
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        table = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogueUnreadable([f"not a CSV file in UTF-8: {error}"]) from None
    headings = table[0] if table else []
    if sorted(headings) != sorted(COLUMNS):
        raise CatalogueUnreadable([f"the first row must name: {', '.join(COLUMNS)}"])
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    starts: set[tuple[str, date]] = set()
    for number, cells in enumerate(table[1:], start=2):
        if not cells:
            continue
        row, wrong = _row(dict(zip(headings, cells, strict=False)))
        if not wrong and (start := (row["national_code"], row["from_date"])) in starts:
            wrong.append("national_code and from_date are those of an earlier row")
        elif not wrong:
            starts.add(start)
            if row["until_date"] is not None and row["until_date"] <= row["from_date"]:
                wrong.append("until_date: expected a day after from_date")
        problems += [f"row {number}: {problem}" for problem in wrong]
        rows.append(row)
    if problems:
        raise CatalogueUnreadable(problems)
    return rows


def _row(cells: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    row: dict[str, Any] = {}
    wrong: list[str] = []
    for name, column in COLUMNS.items():
        cell = cells.get(name, "").strip()
        if not cell and column.blank is not ...:
            row[name] = column.blank
            continue
        try:
            if not cell:
                raise ValueError(cell)
            row[name] = column.read(cell)
        except (ValueError, KeyError):
            wrong.append(f"{name}: expected {column.expected}, found {cell!r}")
    return row, wrong


def load_catalogue(*, area_code: str, content: bytes) -> int:
    """Add a catalogue's rows to an area, or replace those of the same code and first day.

    All or nothing; what the file does not name stays. Answers how many rows the file has. Raises
    CatalogueUnreadable.
    """
    rows = read_catalogue(content)
    items = [
        CatalogueItem(
            area_code=area_code,
            national_code=row["national_code"],
            name=row["name"],
            initials=initials_of(row["name"]),
            kind=row["kind"],
            item_class=row["item_class"],
            first_pay_bp=row["first_pay"],
            price_limit=row["price_limit"],
            covered=row["covered"],
            account_ok=row["account_ok"],
            prescription_only=row["prescription_only"],
            drug_group=row["drug_group"],
            disease_codes=row["disease_codes"],
            from_date=row["from_date"],
            until_date=row["until_date"],
        )
        for row in rows
    ]
    keys = ("area_code", "national_code", "from_date")
    with transaction.atomic():
        CatalogueItem.objects.bulk_create(
            items,
            batch_size=500,
            update_conflicts=True,
            unique_fields=keys,
            update_fields=[
                field.name
                for field in CatalogueItem._meta.concrete_fields
                if field.name not in (*keys, "id")
            ],
        )
    return len(items)
