"""Policies and catalogues from files: stored once, never changed, refused with every reason."""

import re
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from merchants.item_files import HEADINGS
from settlement.benefits import PolicyError
from settlement.models import CatalogueItem, Policy
from settlement.services.catalogue import (
    COLUMNS,
    CatalogueUnreadable,
    PolicyConflict,
    load_catalogue,
    load_policy_file,
    read_catalogue,
)

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
POLICY = Path(settings.BASE_DIR) / "policies" / "370300-2022.toml"
HEAD = ",".join(COLUMNS)
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
    (row, bare) = read_catalogue(table(GOOD, "S1,诊察费,service,A,,,,,,,,2022-01-01,2023-01-01"))
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
