"""Random catalogues, and what must be true of loading and searching every one of them.

A property is a function of what hypothesis draws, so that the same function runs on the real thing
and on a broken one. Each undoes what it wrote.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from django.db import transaction
from hypothesis import strategies as st

from merchants.services import initials_of
from settlement.models import CatalogueItem, NameEnding
from settlement.selectors import catalogue as search
from settlement.selectors.rules import catalogue_items
from settlement.services import catalogue as service
from settlement.services.catalogue_files import COLUMNS, NEEDED, CatalogueUnreadable

AREA, ELSEWHERE = "370300", "370100"
DAY = date(2026, 1, 1)
SINCE, LATER = date(2022, 1, 1), date(2030, 1, 1)
Product = Mapping[str, str]

# Letters of both scripts, both cases, and what means something to a database's pattern.
LETTERS = st.sampled_from("阿莫西林胶囊片乐aAbBzZ019%_'\\ *(（·-,\"")
NAMES = st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool)
CODES = st.text("XZ0129", min_size=1, max_size=6)
BARCODES = st.one_of(st.just(""), st.text("69012", min_size=1, max_size=6))


@st.composite
def products(draw: st.DrawFn) -> list[Product]:
    """One to six, each with a code of its own, most of them to be found on DAY in AREA."""
    codes = draw(st.lists(CODES, min_size=1, max_size=6, unique=True))
    return [
        {
            "national_code": code,
            "name": draw(NAMES),
            "kind": draw(st.sampled_from(["drug", "service", "consumable"])),
            "item_class": draw(st.sampled_from(["A", "B", "C", "none"])),
            "first_pay": draw(st.sampled_from(["", "0%", "10%", "12.5%", "100%"])),
            "barcode": draw(BARCODES),
            "from_date": str(draw(st.sampled_from([SINCE, SINCE, SINCE, LATER]))),
        }
        for code in codes
    ]


def as_csv(rows: Sequence[Product]) -> bytes:
    """A file of these rows, which share their columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@contextmanager
def undone() -> Iterator[None]:
    """What is written inside is gone afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def stored() -> tuple[list[Any], list[Any]]:
    """Everything that a load writes."""
    items = CatalogueItem.objects.order_by("area_code", "national_code", "from_date")
    endings = NameEnding.objects.order_by("name", "ending")
    return list(items.values()), list(endings.values_list("name", "ending"))


# ---------------------------------------------------------------------------- what is found


def fits(product: Product, text: str) -> bool:
    """Whether what was typed may mean the product, said without an index."""
    typed = text.strip()
    if not typed or product["from_date"] > str(DAY):
        return False
    return (
        typed == product["barcode"]
        or product["national_code"].startswith(typed.upper())
        or (typed.isascii() and initials_of(product["name"]).startswith(typed.lower()))
        or typed.lower() in product["name"].lower()
    )


@st.composite
def typed(draw: st.DrawFn) -> tuple[list[Product], list[str]]:
    """Products and texts that somebody may type: parts of what they are called, or anything."""
    of = draw(products())
    parts = []
    for product in of:
        name, initials = product["name"], initials_of(product["name"])
        start = draw(st.integers(0, len(name) - 1))
        part = name[start : draw(st.integers(start + 1, len(name)))]
        parts += [
            draw(st.sampled_from([part, part.upper(), part.lower()])),
            product["barcode"],
            product["national_code"][: draw(st.integers(1, 6))].lower(),
            initials[: draw(st.integers(1, 6))],
        ]
    return of, [*parts, draw(st.text(LETTERS, max_size=3))]


def a_search_finds_what_fits_and_nothing_else(drawn: tuple[list[Product], list[str]]) -> None:
    of, texts = drawn
    with undone():
        service.load_catalogue(area_code=AREA, content=as_csv(of))
        strangers = [
            {**product, "national_code": f"Y{number}"} for number, product in enumerate(of)
        ]
        service.load_catalogue(area_code=ELSEWHERE, content=as_csv(strangers))
        for text in texts:
            found = search.search(area_code=AREA, text=text, day=DAY, limit=search.MOST_FOUND)
            expected = sorted(one["national_code"] for one in of if fits(one, text))
            assert sorted(one.national_code for one in found) == expected, text


# ------------------------------------------------------------------------ versions by date

DAYS = st.integers(0, 12).map(lambda days: SINCE + timedelta(days=days))


@st.composite
def loads(draw: st.DrawFn) -> list[list[Product]]:
    """Files that follow one another, each with versions of the same two items."""
    files = []
    for _ in range(draw(st.integers(1, 4))):
        keys = draw(
            st.lists(
                st.tuples(st.sampled_from(["X1", "X2"]), DAYS), min_size=1, max_size=4, unique=True
            )
        )
        rows = []
        for code, start in keys:
            days = draw(st.one_of(st.none(), st.none(), st.integers(1, 12)))
            rows.append(
                {
                    "national_code": code,
                    "name": "药",
                    "kind": "drug",
                    "item_class": draw(st.sampled_from("ABC")),
                    "from_date": str(start),
                    "until_date": "" if days is None else str(start + timedelta(days=days)),
                }
            )
        files.append(rows)
    return files


def no_two_versions_hold_on_one_day(files: list[list[Product]]) -> None:
    with undone():
        for rows in files:
            before = stored()
            try:
                service.load_catalogue(area_code=AREA, content=as_csv(rows))
            except CatalogueUnreadable:
                assert stored() == before
            for code in ("X1", "X2"):
                periods = CatalogueItem.objects.filter(national_code=code).order_by("from_date")
                spans = list(periods.values_list("from_date", "until_date", "item_class"))
                assert all(one[1] and one[1] <= two[0] for one, two in pairwise(spans)), spans
                for start, until, item_class in spans:
                    for day in (start, (until or LATER) - timedelta(days=1)):
                        facts = catalogue_items(area_code=AREA, national_codes=[code], day=day)
                        assert facts[code].item_class == item_class


def open_versions_make_one_history_in_any_order(drawn: tuple[list[Product], Any]) -> None:
    """Of one file: whoever sorts a spreadsheet changes nothing."""
    rows, chance = drawn
    histories = []
    for _ in range(2):
        with undone():
            service.load_catalogue(area_code=AREA, content=as_csv(rows))
            items = CatalogueItem.objects.order_by("national_code", "from_date")
            histories.append(
                list(items.values_list("national_code", "from_date", "until_date", "item_class"))
            )
        chance.shuffle(rows)
    assert histories[0] == histories[1]


@st.composite
def open_versions(draw: st.DrawFn) -> tuple[list[Product], Any]:
    """Rows without an end, and the chance that orders them."""
    files = draw(loads())
    rows = {(row["national_code"], row["from_date"]): row for file in files for row in file}
    return [{**row, "until_date": ""} for row in rows.values()], draw(st.randoms())


# ------------------------------------------------------------------------ all or nothing

# What no column takes; what is no good in one column only.
NOWHERE = ["\x07", "药" * 601]
BAD: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(COLUMNS, NOWHERE),
    **{name: [*NOWHERE, ""] for name in NEEDED},
    "kind": ["Drug", "药品", ""],
    "item_class": ["甲", "a", ""],
    "first_pay": ["10", "0.1", "101%", "-1%", "1.234%"],
    "price_limit": ["-1", "1,5", "1.2345678", "免费"],
    "covered": ["是", "true", "1"],
    "prescription_only": ["是", "Y"],
    "only_diagnoses": ["C16,C25", "胃癌"],
    "only_sex": ["女", "F"],
    "only_age_from": ["0", "十八", "18.5"],
    "only_levels": ["4", "三级"],
    "from_date": ["2022/1/1", "2022-02-30", ""],
    "until_date": ["2021-12-31", "forever"],
}


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[list[Product], int, str, list[Product]]:
    """Good rows with one bad cell: the rows, where it is, and rows that were loaded before."""
    rows = [
        {**dict.fromkeys(COLUMNS, ""), **product, "restricted_use": "限本条之用"}
        for product in draw(products())
    ]
    at = draw(st.integers(0, len(rows) - 1))
    column = draw(st.sampled_from(sorted(COLUMNS)))
    rows[at][column] = draw(st.sampled_from(BAD[column]))
    return rows, at, column, draw(products())


def one_bad_cell_and_nothing_is_written(
    drawn: tuple[list[Product], int, str, list[Product]],
) -> None:
    rows, at, column, earlier = drawn
    with undone():
        service.load_catalogue(area_code=AREA, content=as_csv(earlier))
        before = stored()
        problems = []
        try:
            service.load_catalogue(area_code=AREA, content=as_csv(rows))
        except CatalogueUnreadable as unreadable:
            problems = unreadable.problems
        assert len(problems) == 1
        assert problems[0].startswith(f"row {at + 2}: {column}: expected")
        assert stored() == before


PROPERTIES = {
    a_search_finds_what_fits_and_nothing_else: typed(),
    no_two_versions_hold_on_one_day: loads(),
    open_versions_make_one_history_in_any_order: open_versions(),
    one_bad_cell_and_nothing_is_written: spoilt(),
}
