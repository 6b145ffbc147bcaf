"""Where the register's kinds are kept: which model, by which lookups, under which parent.

Seven kinds of the ten are plain rows of the voucher app with a natural key; this table lets one
piece of code compare and write them all. Balances, year-to-date amounts and admissions have rules
of their own and are not here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.db import models

from voucher.models import (
    AidPeriod,
    ChosenInstitution,
    Enrolment,
    Entitlement,
    Filing,
    Member,
    Sharing,
)

from .kinds import (
    AID_PERIODS,
    CHOSEN_INSTITUTIONS,
    ENROLMENTS,
    ENTITLEMENTS,
    FILINGS,
    MEMBERS,
    SHARINGS,
    Kind,
)

# Rows a statement: long enough to be quick, short enough for every database's limits.
SLICE = 2_000

Key = tuple[Any, ...]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Table:
    """`paths` are lookups for the kind's columns in their order; `fields` the model's own names of
    those that are written, None for what belongs to the parent. The parent's key is the first
    `parent_key` columns."""

    kind: Kind
    model: type[models.Model]
    paths: tuple[str, ...]
    fields: tuple[str | None, ...]
    parent: Kind | None = None
    parent_key: int = 0
    parent_field: str = ""

    @property
    def has_periods(self) -> bool:
        """Whether rows that differ in their first day only may not overlap."""
        return self.kind is not MEMBERS


TABLES = (
    Table(
        MEMBERS,
        Member,
        ("number", "identity_hash", "name", "birth_date", "sex", "death_date"),
        ("number", "identity_hash", "name", "birth_date", "sex", "death_date"),
    ),
    Table(
        ENROLMENTS,
        Enrolment,
        ("member__number", "scheme", "from_date", "area_code", "category", "until_date"),
        (None, "scheme", "from_date", "area_code", "category", "until_date"),
        MEMBERS,
        1,
        "member_id",
    ),
    Table(
        ENTITLEMENTS,
        Entitlement,
        (
            "enrolment__member__number",
            "enrolment__scheme",
            "enrolment__from_date",
            "from_date",
            "state",
            "until_date",
        ),
        (None, None, None, "from_date", "state", "until_date"),
        ENROLMENTS,
        3,
        "enrolment_id",
    ),
    Table(
        AID_PERIODS,
        AidPeriod,
        ("member__number", "category", "from_date", "source", "until_date"),
        (None, "category", "from_date", "source", "until_date"),
        MEMBERS,
        1,
        "member_id",
    ),
    Table(
        FILINGS,
        Filing,
        ("member__number", "disease_code", "from_date", "kind", "disease_name", "until_date"),
        (None, "disease_code", "from_date", "kind", "disease_name", "until_date"),
        MEMBERS,
        1,
        "member_id",
    ),
    Table(
        CHOSEN_INSTITUTIONS,
        ChosenInstitution,
        (
            "filing__member__number",
            "filing__disease_code",
            "filing__from_date",
            "institution_code",
            "from_date",
            "until_date",
        ),
        (None, None, None, "institution_code", "from_date", "until_date"),
        FILINGS,
        3,
        "filing_id",
    ),
    Table(
        SHARINGS,
        Sharing,
        ("member__number", "holder_id", "from_date", "rank", "until_date"),
        (None, "holder_id", "from_date", "rank", "until_date"),
        MEMBERS,
        1,
        "member_id",
    ),
)


def stored_rows(table: Table, numbers: Sequence[str]) -> dict[Key, tuple[int, Key]]:
    """What is stored for these person numbers, by natural key: row id and other values."""
    found: dict[Key, tuple[int, Key]] = {}
    for part in slices(numbers):
        rows = table.model._default_manager.filter(**{f"{table.paths[0]}__in": part}).values_list(
            *table.paths, "id"
        )
        for row in rows.iterator(chunk_size=SLICE):
            found[row[: table.kind.key]] = (row[-1], row[table.kind.key : -1])
    return found


def slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of at most SLICE."""
    rest = iter(items)
    while part := list(islice(rest, SLICE)):
        yield part
