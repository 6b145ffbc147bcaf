"""Policies and catalogues from files: stored once, never changed, refused with every reason."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import quote

import pytest
import time_machine
from django.conf import settings
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from merchants.item_files import HEADINGS
from settlement.benefits import PolicyError
from settlement.models import CatalogueItem, Policy
from settlement.selectors.catalogue import equivalents, search
from settlement.selectors.rules import catalogue_items
from settlement.services.catalogue import PolicyConflict, load_catalogue, load_policy_file
from settlement.services.catalogue_files import (
    COLUMNS,
    CatalogueUnreadable,
    _percentage,
    read_catalogue,
)
from tests.world import World

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
POLICY = Path(settings.BASE_DIR) / "policies" / "370300-2022.toml"
# The columns before marks and bar code came: files that have no more are still catalogues.
HEAD = (
    "national_code,name,kind,item_class,first_pay,price_limit,covered,account_ok,"
    "prescription_only,drug_group,disease_codes,from_date,until_date"
)
GOOD = "XA01,阿莫西林胶囊,drug,B,10%,12.5,yes,yes,no,,M01600 M03900,2022-01-01,"


def table(*rows: str) -> bytes:
    return "\n".join([HEAD, *rows, ""]).encode()


def test_a_policy_is_stored_whole_with_its_dates_and_its_hash(db: None) -> None:
    loaded = load_policy_file(path=POLICY, now=NOW)
    row = Policy.objects.get()
    assert loaded.is_new
    assert (row.version, row.area_code, row.from_date, row.until_date) == (
        "370300-2022.1",
        "370300",
        date(2022, 1, 1),
        None,
    )
    assert row.text == POLICY.read_text()
    assert len(row.sha256) == 64


def test_the_same_policy_again_changes_nothing(db: None) -> None:
    first = load_policy_file(path=POLICY, now=NOW)
    again = load_policy_file(path=POLICY, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert (again.policy.pk, again.is_new) == (first.policy.pk, False)
    assert Policy.objects.get().loaded_at == NOW


def test_a_stored_version_never_takes_another_text(db: None, tmp_path: Path) -> None:
    load_policy_file(path=POLICY, now=NOW)
    changed = tmp_path / "changed.toml"
    changed.write_text(POLICY.read_text().replace('rate = "80%"', 'rate = "81%"', 1))
    with pytest.raises(PolicyConflict, match=r"370300-2022\.1 is stored with another text"):
        load_policy_file(path=changed, now=NOW)
    assert 'rate = "81%"' not in Policy.objects.get().text


def test_a_file_that_is_no_policy_is_not_stored(db: None, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("format = 1\n")
    with pytest.raises(PolicyError):
        load_policy_file(path=broken, now=NOW)
    with pytest.raises(CommandError):
        call_command("load_policies", str(broken))
    assert Policy.objects.count() == 0


def test_a_catalogue_row_is_read_with_its_rate_in_basis_points_and_blanks_as_defaults() -> None:
    (row, bare) = (
        row.values
        for row in read_catalogue(table(GOOD, "S1,诊察费,service,A,,,,,,,,2022-01-01,2023-01-01"))
    )
    assert (row["first_pay"], row["price_limit"]) == (1000, "12.5")
    assert row["disease_codes"] == ["M01600", "M03900"]
    assert (bare["first_pay"], bare["covered"], bare["account_ok"]) == (0, True, True)
    assert (bare["prescription_only"], bare["disease_codes"]) == (False, [])
    assert bare["until_date"] == date(2023, 1, 1)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("XA01", "", "national_code"),
        ("XA01", "X" * 41, "national_code"),
        ("阿莫西林胶囊", "", "name"),
        ("drug", "medicine", "kind"),
        (",B,", ",D,", "item_class"),
        ("10%", "10", "first_pay"),
        ("10%", "101%", "first_pay"),
        ("10%", "1.234%", "first_pay"),
        ("12.5", "12,5", None),
        ("12.5", "-1", "price_limit"),
        ("yes,yes", "maybe,yes", "covered"),
        ("M03900", "M/3", "disease_codes"),
        ("2022-01-01", "2022-13-01", "from_date"),
        ("2022-01-01,", "2022-01-01,2022-01-01", "until_date"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(old: str, new: str, column: str | None) -> None:
    with pytest.raises(CatalogueUnreadable) as unreadable:
        read_catalogue(table("S1,诊察费,service,A,,,,,,,,2022-01-01,", GOOD.replace(old, new)))
    (problem, *more) = unreadable.value.problems
    assert problem.startswith("row 3: ")
    if column is not None:
        assert problem.startswith(f"row 3: {column}")
        assert not more


def test_the_same_item_and_day_twice_is_refused() -> None:
    with pytest.raises(CatalogueUnreadable, match="earlier row"):
        read_catalogue(table(GOOD, GOOD))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", HEAD.encode() + b'\n"x'])
def test_what_is_no_catalogue_is_refused(content: bytes) -> None:
    with pytest.raises(CatalogueUnreadable):
        read_catalogue(content)


def test_loading_again_replaces_rows_of_the_same_day_and_leaves_the_rest(db: None) -> None:
    later = GOOD.replace("2022-01-01", "2023-01-01")
    assert load_catalogue(area_code="370300", content=table(GOOD, later)) == 2
    load_catalogue(area_code="370100", content=table(GOOD))
    load_catalogue(area_code="370300", content=table(GOOD.replace("10%", "5%")))
    rows = CatalogueItem.objects.order_by("area_code", "from_date")
    assert [(row.area_code, row.first_pay_bp) for row in rows] == [
        ("370100", 1000),
        ("370300", 500),
        ("370300", 1000),
    ]
    assert {row.initials for row in rows} == {"amxljn"}


def test_the_document_describes_every_column_and_the_example_loads() -> None:
    text = (Path(settings.BASE_DIR) / "docs" / "catalogue.md").read_text()
    catalogue, _, items = text.partition("## Item list")
    assert set(re.findall(r"^\| `(\w+)`", catalogue, re.MULTILINE)) == set(COLUMNS)
    described = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", items, re.MULTILINE)
    assert {name: tuple(also.strip().split(", ")) for name, also in described} == {
        name: spellings[1:] for name, spellings in HEADINGS.items()
    }
    example = Path(settings.BASE_DIR) / "demo" / "catalogue.csv"
    assert len(read_catalogue(example.read_bytes())) == 53


def test_the_command_lists_what_is_wrong_and_writes_nothing(db: None, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(table(GOOD, GOOD.replace("drug", "x").replace("XA01", "XA02")))
    said = StringIO()
    with pytest.raises(CommandError, match="1 problems"):
        call_command("load_catalogue", "370300", str(path), stderr=said)
    assert "row 3: kind" in said.getvalue()
    assert CatalogueItem.objects.count() == 0
    with pytest.raises(CommandError, match="six digits"):
        call_command("load_catalogue", "3703", str(path))


def test_the_command_loads_unless_it_is_a_dry_run(db: None, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(table(GOOD))
    call_command("load_catalogue", "370300", str(path), "--dry-run", stdout=StringIO())
    assert CatalogueItem.objects.count() == 0
    call_command("load_catalogue", "370300", str(path), stdout=StringIO())
    assert CatalogueItem.objects.count() == 1


FULL = [
    "national_code",
    "name",
    "kind",
    "item_class",
    "barcode",
    "generic_name",
    "centrally_purchased",
    "negotiated",
    "from_date",
]
PRODUCTS: list[list[object]] = [
    ["XA01", "阿莫西林胶囊", "drug", "A", "6901", "阿莫西林", "yes", "no", "2022-01-01"],
    ["XA02", "再林 阿莫西林颗粒", "drug", "B", "6902", "阿莫西林", "no", "no", "2022-01-01"],
    ["XB01", "Bayer阿司匹林片", "drug", "A", "6903", "阿司匹林", "no", "yes", "2022-01-01"],
    ["XZ99", "明日药", "drug", "A", "6904", "", "no", "no", "2030-01-01"],
]


def as_csv(rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> bytes:
    return "\n".join(",".join(map(str, row)) for row in [FULL, *rows]).encode(encoding)


def as_book(*rows: Sequence[object]) -> bytes:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    kept = BytesIO()
    book.save(kept)
    return kept.getvalue()


def codes_found(text: str, **more: int) -> list[str]:
    found = search(area_code="370300", text=text, day=date(2026, 1, 1), **more)
    return [item.national_code for item in found]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("6902", ["XA02"]),
        ("690", []),
        ("xa", ["XA01", "XA02"]),
        ("XA02", ["XA02"]),
        ("amxl", ["XA01"]),
        ("zlamxl", ["XA02"]),
        ("阿莫", ["XA01", "XA02"]),
        ("西林", ["XA02", "XA01"]),
        ("司匹林片", ["XB01"]),
        ("bayer", ["XB01"]),
        ("AYER阿", ["XB01"]),
        ("明日", []),
        ("%", []),
        ("_", []),
        ("'", []),
        ("\x00", []),
        ("", []),
        ("西" * 121, []),
    ],
)
def test_a_product_is_found_by_what_is_typed(db: None, text: str, codes: list[str]) -> None:
    load_catalogue(area_code="370300", content=as_csv(PRODUCTS))
    assert sorted(codes_found(text)) == sorted(codes)


def test_what_begins_with_the_text_comes_before_what_holds_it(db: None) -> None:
    load_catalogue(area_code="370300", content=as_csv(PRODUCTS))
    assert codes_found("阿莫") == ["XA01", "XA02"]
    assert codes_found("阿莫", limit=1) == ["XA01"]
    assert codes_found("阿莫", limit=0) == []


def test_a_search_tells_marks_and_keeps_to_its_area_and_day(db: None) -> None:
    load_catalogue(area_code="370300", content=as_csv(PRODUCTS))
    day = date(2026, 1, 1)
    marks = {
        item.national_code: item.marks for item in search(area_code="370300", text="x", day=day)
    }
    assert marks == {"XA01": ("centrally_purchased",), "XA02": (), "XB01": ("negotiated",)}
    assert search(area_code="370100", text="xa", day=day) == []
    assert search(area_code="370300", text="xa", day=date(2021, 12, 31)) == []


def test_the_centrally_purchased_equivalent_shares_the_generic_name(db: None) -> None:
    load_catalogue(area_code="370300", content=as_csv(PRODUCTS))
    day = date(2026, 1, 1)
    alike = equivalents(area_code="370300", generic_name="阿莫西林", day=day)
    assert [item.national_code for item in alike] == ["XA01"]
    assert equivalents(area_code="370300", generic_name="", day=day) == []


def test_a_new_version_ends_the_open_one_and_each_day_has_its_own(db: None) -> None:
    load_catalogue(area_code="370300", content=table(GOOD))
    later = GOOD.replace("2022-01-01", "2023-01-01").replace("10%", "5%")
    load_catalogue(area_code="370300", content=table(later))
    for day, rate_bp in ((date(2022, 12, 31), 1000), (date(2023, 1, 1), 500)):
        facts = catalogue_items(area_code="370300", national_codes=["XA01"], day=day)
        assert facts["XA01"].first_pay_bp == rate_bp
        (found,) = search(area_code="370300", text="XA01", day=day)
        assert found.first_pay_bp == rate_bp


@pytest.mark.parametrize("dry_run", [False, True])
def test_two_versions_on_one_day_are_refused(db: None, tmp_path: Path, dry_run: bool) -> None:
    load_catalogue(area_code="370300", content=table(GOOD.replace("2022", "2023")))
    path = tmp_path / "catalogue.csv"
    path.write_bytes(table(GOOD + "2023-01-02"))
    said = StringIO()
    with pytest.raises(CommandError, match="1 problems"):
        call_command("load_catalogue", "370300", str(path), dry_run=dry_run, stderr=said)
    assert said.getvalue().startswith("row 2: until_date: XA01 from 2022-01-01")
    assert CatalogueItem.objects.count() == 1
    path.write_bytes(table(GOOD + "2023-01-01"))
    call_command("load_catalogue", "370300", str(path), dry_run=dry_run, stdout=StringIO())


def test_csv_in_either_character_set_and_a_book_say_the_same() -> None:
    of_utf8 = read_catalogue(as_csv(PRODUCTS))
    assert len(of_utf8) == len(PRODUCTS)
    assert read_catalogue(as_csv(PRODUCTS, "utf-8-sig")) == of_utf8
    assert read_catalogue(as_csv(PRODUCTS, "gb18030")) == of_utf8
    with_days = [[*row[:-1], datetime.fromisoformat(str(row[-1]))] for row in PRODUCTS]
    assert read_catalogue(as_book(FULL, *with_days)) == of_utf8


def test_a_formula_in_a_book_is_no_value() -> None:
    rows = [list(row) for row in PRODUCTS]
    rows[1][1] = '=A2&"胶囊"'
    with pytest.raises(CatalogueUnreadable) as unreadable:
        read_catalogue(as_book(FULL, *rows))
    (problem,) = unreadable.value.problems
    assert problem.startswith("row 3: name: expected")


def book_with_first_pay(value: object, number_format: str) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append([*FULL, "first_pay"])
    sheet.append([*PRODUCTS[0], value])
    sheet.cell(2, len(FULL) + 1).number_format = number_format
    kept = BytesIO()
    book.save(kept)
    return kept.getvalue()


@pytest.mark.parametrize(
    ("value", "number_format", "rate_bp"),
    [
        (0.1, "0%", 1000),
        (0.1, "0.00%", 1000),
        (0.1, '0.00%;[Red]"minus "0.00%', 1000),
        (0.125, "0%", 1250),
        (0, "0%", 0),
        (1, "0%", 10_000),
        # What a formula leaves behind, pasted as a value.
        (0.1 + 0.2, "0%", 3000),
        ("10%", "General", 1000),
        ("10%", "0%", 1000),
    ],
)
def test_a_percentage_in_a_book_is_what_the_cell_shows(
    value: object, number_format: str, rate_bp: int
) -> None:
    (row,) = read_catalogue(book_with_first_pay(value, number_format))
    assert row.values["first_pay"] == rate_bp


def test_every_rate_of_a_percentage_cell_is_exact() -> None:
    # Multiplied as a double, 0.07 would be 7.000000000000001 %.
    for rate_bp in range(10_001):
        whole, part = divmod(rate_bp, 100)
        assert _percentage(rate_bp / 10_000) == f"{whole}.{part:02d}".rstrip("0").rstrip(".") + "%"


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        (0.1, "General"),
        (10, "General"),
        (10, "0"),
        (10, '0"%"'),
        (10, "0\\%"),
        (10, '0;"% "0%'),
        (1.01, "0%"),
        (-0.1, "0%"),
        (0.00125, "0.0%"),
        (True, "0%"),
    ],
)
def test_a_number_that_is_no_percentage_of_two_decimals_is_refused(
    value: object, number_format: str
) -> None:
    with pytest.raises(CatalogueUnreadable) as unreadable:
        read_catalogue(book_with_first_pay(value, number_format))
    (problem,) = unreadable.value.problems
    assert problem.startswith("row 2: first_pay: expected a percentage like 10%, found")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04 no book", "not an XLSX file"),
        (as_book(FULL), "no row under the headings"),
        (as_book(), "must name national_code"),
        (as_csv([]), "no row under the headings"),
        (HEAD.replace("name", "nam").encode(), "names 'nam'"),
        (HEAD.replace("covered", "name").encode(), "names name twice"),
        (as_csv([[*PRODUCTS[0], "more"]]), "row 2: more cells than columns"),
        (b'name\n"' + b"x" * 200_000 + b'"', "field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(
    content: bytes, problem: str
) -> None:
    with pytest.raises(CatalogueUnreadable, match=problem):
        read_catalogue(content)


def test_more_rows_than_any_catalogue_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.services.catalogue_files.MOST_ROWS", 3)
    read_catalogue(as_csv(PRODUCTS[:3]))
    with pytest.raises(CatalogueUnreadable, match="more than 3 rows"):
        read_catalogue(as_csv(PRODUCTS))
    monkeypatch.setattr("settlement.services.catalogue_files.MOST_BYTES", 10)
    with pytest.raises(CatalogueUnreadable, match="larger than"):
        read_catalogue(as_csv(PRODUCTS))


def test_progress_is_told_of_a_book_and_reaches_the_end(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.services.catalogue_files._EVERY", 2)
    told: list[tuple[str, int, int]] = []
    load_catalogue(
        area_code="370300",
        content=as_book(FULL, *PRODUCTS),
        progress=lambda *step: told.append(step),
    )
    assert told[:2] == [("reading", 0, 5), ("reading", 2, 5)]
    assert told[-1] == ("storing", len(PRODUCTS), len(PRODUCTS))


def test_a_till_searches_the_catalogue_of_its_area_by_day(db: None, now: datetime) -> None:
    with time_machine.travel(now, tick=False):
        world = World.made()
        till = world.till(world.pharmacy)
        area_code = world.pharmacy.area_code
        later = [[*row[:-1], "2026-11-21"] for row in PRODUCTS]
        load_catalogue(area_code=area_code, content=as_csv(later))
        load_catalogue(area_code="990000", content=as_csv(PRODUCTS))
        assert till.get("catalogue?query=6902").body == {"items": []}
        (item,) = till.get("catalogue?query=6902&day=2026-11-21").body["items"]
        assert (item["national_code"], item["barcode"]) == ("XA02", "6902")
        assert len(till.get("catalogue?query=XA0&day=2026-11-21&limit=1").body["items"]) == 1
        assert till.get("catalogue").body == {"items": []}


@pytest.mark.parametrize("query", ["苯磺酸氨", "氨氯地平", "bhsaldpp", "XC01AAA001"])
def test_a_till_finds_an_item_of_the_test_world_by_whatever_it_is_called(
    db: None, now: datetime, query: str
) -> None:
    with time_machine.travel(now, tick=False):
        found = World.made().till().get(f"catalogue?query={quote(query)}").body["items"]
    assert [item["national_code"] for item in found] == ["XC01AAA001"]


@pytest.mark.parametrize(("query", "param"), [("day=today", "day"), ("limit=many", "limit")])
def test_a_search_that_cannot_be_read_is_refused_by_its_member(
    db: None, now: datetime, query: str, param: str
) -> None:
    with time_machine.travel(now, tick=False):
        world = World.made()
        refused = world.till(world.pharmacy).get(f"catalogue?query=x&{query}")
    assert (refused.status, refused.body["code"], refused.body["param"]) == (
        422,
        "field_invalid",
        param,
    )
