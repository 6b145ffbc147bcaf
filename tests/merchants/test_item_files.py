"""Item lists as pharmacies export them, and the commands of an institution's first day."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from merchants import services
from merchants.item_files import BadRow, FileUnreadable, items_of_rows, read_items
from merchants.models import Item, Merchant, Terminal
from tests.merchants.tills import enrol

HEAD = ["code", "name", "unit_price", "barcode", "national_code"]
ROWS = [HEAD, ["1001", "阿莫西林胶囊", "12.5", "6900000010018", "XJ01"], ["9001", "红枣茶", "29.9"]]


def as_csv(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\r\n" for row in rows)


def as_xlsx(path: Path, rows: list[list[Any]]) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_file_is_read_in_the_encodings_that_offices_write(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(as_csv(ROWS).encode(encoding))
    found = read_items(path)
    assert [(item.code, item.name, item.national_code) for item in found.items] == [
        ("1001", "阿莫西林胶囊", "XJ01"),
        ("9001", "红枣茶", ""),
    ]
    assert found.bad_rows == ()


def test_numbers_in_a_spreadsheet_are_read_as_the_codes_they_are(tmp_path: Path) -> None:
    rows = [HEAD, [1001, "阿莫西林胶囊", 12.5, 6900000010018, None], [1002, "头孢", 30.0, "", "X"]]
    found = read_items(as_xlsx(tmp_path / "items.xlsx", rows))
    assert [(item.code, item.unit_price, item.barcode) for item in found.items] == [
        ("1001", "12.5", "6900000010018"),
        ("1002", "30", ""),
    ]


def test_headings_may_be_those_of_chinese_pharmacy_software() -> None:
    found = items_of_rows([["序号", "药品编码", "药品名称", "零售价"], ["1", "A1", "头孢", "30"]])
    assert [(item.code, item.name, item.unit_price) for item in found.items] == [
        ("A1", "头孢", "30")
    ]


def test_every_bad_row_is_listed_with_its_number_and_column() -> None:
    found = items_of_rows(
        [*ROWS, [], ["", "无码", "1"], ["1002", "头孢", "三十"], ["1001", "又一次", "2"]]
    )
    assert [(row.number, row.column) for row in found.bad_rows] == [
        (5, "code"),
        (6, "unit_price"),
        (7, "code"),
    ]
    assert found.bad_rows[2] == BadRow(7, "code", "is also in row 2")
    assert len(found.items) == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "code"),
        ("a.csv", "商品名称,单价\r\n".encode(), "code"),
        ("a.csv", b"\xff\xff\xff", "neither"),
        ("a.csv", b'code,name,unit_price\r\n"1', "not a CSV"),
        ("a.xlsx", b"not a zip", "not an XLSX"),
    ],
)
def test_a_file_that_is_no_item_list_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match=says):
        read_items(path)


@given(st.lists(st.lists(st.text(max_size=8), max_size=6), max_size=6))
def test_any_table_gives_items_and_bad_rows_and_nothing_else(rows: list[list[str]]) -> None:
    found = items_of_rows([["code", "name", "unit_price"], *rows])
    filled = sum(1 for row in rows if any(cell.strip() for cell in row))
    assert len(found.items) + len(found.bad_rows) == filled


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_importing_saves_all_rows_and_names_the_unmapped(
    pharmacy: Merchant, tmp_path: Path
) -> None:
    path = tmp_path / "items.csv"
    path.write_text(as_csv(ROWS))
    said = run("import_items", pharmacy.code, str(path))
    assert "1 items have no national code: 9001" in said
    assert "2 items saved" in said
    assert Item.objects.count() == 2


def test_a_dry_run_reports_and_writes_nothing(pharmacy: Merchant, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(as_csv(ROWS))
    assert "nothing was written" in run("import_items", pharmacy.code, str(path), "--dry-run")
    assert Item.objects.count() == 0


def test_one_bad_row_and_nothing_is_imported(pharmacy: Merchant, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(as_csv([*ROWS, ["1002", "头孢", "-1"]]))
    with pytest.raises(CommandError, match="1 bad rows"):
        run("import_items", pharmacy.code, str(path))
    assert Item.objects.count() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["import_items", "P00000000000", "x.csv"],
        ["import_items", "P37030099001", "/nowhere/x.csv"],
        ["merchants", "enrolment-code", "P00000000000", "counter"],
        ["merchants", "revoke", "999"],
        ["merchants", "revoke", "t9-nobody"],
        ["merchants", "suspend", "P00000000000"],
        [
            *("merchants", "add", "P1", "x", "--kind", "clinic", "--area", "370300"),
            *("--agreement", "A", "--capabilities", "chronic"),
        ],
    ],
)
def test_a_command_about_something_unknown_ends_with_one_sentence(
    pharmacy: Merchant, arguments: list[str]
) -> None:
    with pytest.raises(CommandError):
        run(*arguments)


def test_an_institution_is_added_gets_a_terminal_and_loses_it_from_a_shell(db: None) -> None:
    run(
        *("merchants", "add", "H37030099003", "柳泉社区卫生服务站", "--kind", "clinic"),
        *("--area", "370300", "--agreement", "XY-3", "--from", "2026-01-01"),
        *("--capabilities", "registration,outpatient"),
    )
    code = run("merchants", "enrolment-code", "H37030099003", "window 1").strip()
    assert len(code) == 14
    terminal = Terminal.objects.get()
    run("merchants", "revoke", str(terminal.pk))
    run("merchants", "suspend", "H37030099003")
    listed = run("merchants", "list")
    assert "柳泉社区卫生服务站 (clinic, 370300, suspended)" in listed
    assert "revoked" in listed
    run("merchants", "resume", "H37030099003")
    assert Merchant.objects.get().state == "active"


def test_a_terminal_is_revoked_by_its_key_id_too(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    run("merchants", "revoke", str(terminal.key_id))
    terminal.refresh_from_db()
    assert terminal.state == "revoked"


def test_the_answer_key_is_rotated_from_a_shell(db: None) -> None:
    assert "server-2" in run("merchants", "rotate-answer-key")
    assert services.current_answer_key(now=timezone.now())[0] == "server-1"
    assert "server-3" in run("merchants", "rotate-answer-key", "--withdraw")
    assert services.current_answer_key(now=timezone.now())[0] == "server-3"
    services.forget_answer_key()
