"""What is true of every catalogue that is loaded, and proof that each property can fail."""

import csv
import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError
from hypothesis import HealthCheck, Phase, given, settings

from settlement.selectors import catalogue as search
from settlement.services import catalogue as service
from settlement.services import catalogue_files as files
from tests.settlement.catalogue_properties import (
    PROPERTIES,
    a_search_finds_what_fits_and_nothing_else,
    as_csv,
    no_two_versions_hold_on_one_day,
    one_bad_cell_and_nothing_is_written,
    open_versions_make_one_history_in_any_order,
)

EXAMPLES = int(os.environ.get("CATALOGUE_EXAMPLES", "60"))
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
def test_always_true_of_random_catalogues(holds: Callable[[Any], None]) -> None:
    @given(drawn=PROPERTIES[holds])
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def search_for_a_counterexample(drawn: Any) -> None:
        holds(drawn)

    search_for_a_counterexample()


# ---------------------------------------------------------------------------------- the mutants


def names_are_found_by_their_beginning_only(patch: Patch) -> None:
    patch.setattr(service, "remember_names", lambda names: None)


def endings_keep_their_capitals(patch: Patch) -> None:
    def remember(names: set[str]) -> None:
        endings = [(name[at:], name) for name in names for at in range(len(name))]
        known = ("name", "ending")
        service.sql.insert_rows(
            service.NameEnding, ("ending", "name"), sorted(set(endings)), replacing=known
        )

    patch.setattr(service, "remember_names", remember)


def a_pattern_is_taken_as_typed(patch: Patch) -> None:
    patch.setattr(search.sql, "start", lambda text: (text + "%",))
    patch.setattr(search.sql, "begins", lambda column: f"{column} LIKE %s")


def initials_are_not_looked_at(patch: Patch) -> None:
    steps = search._steps
    patch.setattr(
        search, "_steps", lambda wanted: (s for s in steps(wanted) if "initials" not in s[0])
    )


def every_area_is_searched(patch: Patch) -> None:
    patch.setattr(search, "_OF_THE_DAY", search._OF_THE_DAY.replace("area_code =", "'x' <>"))


def earlier_versions_go_on(patch: Patch) -> None:
    patch.setattr(service, "_end_earlier_versions", lambda area_code: None)


def a_row_depends_on_the_one_above(patch: Patch) -> None:
    real = service._stored
    before: list[service.Row] = []

    def stored(area_code: str, row: service.Row) -> list[object]:
        if before and before[-1].values["national_code"] == row.values["national_code"]:
            row.values["item_class"] = before[-1].values["item_class"]
        before.append(row)
        return real(area_code, row)

    patch.setattr(service, "_stored", stored)


def overlaps_are_let_through(patch: Patch) -> None:
    patch.setattr(service, "_check_versions", lambda area_code, rows: None)


def each_row_is_loaded_by_itself(patch: Patch) -> None:
    real = service.load_catalogue

    def load(*, area_code: str, content: bytes) -> None:
        table = list(csv.DictReader(io.StringIO(content.decode())))
        for number, row in enumerate(table, start=2):
            try:
                real(area_code=area_code, content=as_csv([row]))
            except files.CatalogueUnreadable as unreadable:
                problems = [each.replace("row 2", f"row {number}") for each in unreadable.problems]
                raise files.CatalogueUnreadable(problems) from None

    patch.setattr(service, "load_catalogue", load)


def whatever_is_not_yes_is_no(patch: Patch) -> None:
    lenient = files._Column(lambda cell: cell == "yes", "yes or no", blank=True)
    patch.setitem(files.COLUMNS, "covered", lenient)  # type: ignore[arg-type]


def an_end_may_come_before_the_beginning(patch: Patch) -> None:
    patch.setattr(files, "_contradictions", lambda values: [])


MUTANTS = [
    (a_search_finds_what_fits_and_nothing_else, names_are_found_by_their_beginning_only),
    (a_search_finds_what_fits_and_nothing_else, endings_keep_their_capitals),
    (a_search_finds_what_fits_and_nothing_else, a_pattern_is_taken_as_typed),
    (a_search_finds_what_fits_and_nothing_else, initials_are_not_looked_at),
    (a_search_finds_what_fits_and_nothing_else, every_area_is_searched),
    (no_two_versions_hold_on_one_day, earlier_versions_go_on),
    (no_two_versions_hold_on_one_day, overlaps_are_let_through),
    (one_bad_cell_and_nothing_is_written, each_row_is_loaded_by_itself),
    (one_bad_cell_and_nothing_is_written, whatever_is_not_yes_is_no),
    (one_bad_cell_and_nothing_is_written, an_end_may_come_before_the_beginning),
    (open_versions_make_one_history_in_any_order, a_row_depends_on_the_one_above),
]


@pytest.mark.parametrize(
    ("holds", "mutate"), MUTANTS, ids=[mutate.__name__ for _, mutate in MUTANTS]
)
def test_a_broken_catalogue_is_caught_by_its_property(
    holds: Callable[[Any], None], mutate: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    mutate(monkeypatch)

    @given(drawn=PROPERTIES[holds])
    @settings(
        max_examples=1_000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def search_for_a_counterexample(drawn: Any) -> None:
        holds(drawn)

    # What the import lets through, the table's own constraint may still refuse.
    with pytest.raises((AssertionError, IntegrityError)):
        search_for_a_counterexample()
