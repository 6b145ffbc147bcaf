"""Item lists as files: CSV in UTF-8 or the national character set, and XLSX.

The first row names the columns, in English or as Chinese pharmacy software exports them. Reading
collects every bad row instead of stopping at the first; nothing is written here.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openpyxl import load_workbook

from merchants.services.items import ItemInput, check_item
from messaging.bodies import FieldInvalid

# What a column may be called, by the field it fills.
HEADINGS = {
    "code": ("code", "商品编码", "药品编码", "编码"),
    "barcode": ("barcode", "条形码", "条码", "69码"),
    "name": ("name", "商品名称", "药品名称", "通用名", "名称"),
    "spec": ("spec", "规格"),
    "unit": ("unit", "单位", "包装单位"),
    "unit_price": ("unit_price", "单价", "零售价", "价格"),
    "national_code": ("national_code", "国家医保编码", "医保编码", "国家编码"),
    "initials": ("initials", "拼音码", "助记码", "拼音简码"),
}
_NEEDED = ("code", "name", "unit_price")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be saved: its number in the file (headings are row 1), and why."""

    number: int
    column: str
    problem: str


@dataclass(frozen=True, slots=True)
class ItemFile:
    """What a file holds: items to save, and the rows that stand in the way."""

    items: tuple[ItemInput, ...]
    bad_rows: tuple[BadRow, ...]


class FileUnreadable(ValueError):
    """Not a table with the columns that are needed; the message says what is wrong."""


def _rows_of_csv(content: bytes) -> list[list[str]]:
    # GB 18030 is what Chinese office programs write where UTF-8 was not asked for; UTF-8 is tried
    # first, because almost no GB 18030 text happens to be valid UTF-8.
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise FileUnreadable(f"not a CSV file: {error}") from None
    raise FileUnreadable("the text is neither UTF-8 nor GB 18030")


def _cell(value: object) -> str:
    # A spreadsheet keeps codes that look like numbers as numbers; 2099000010015.0 is no bar code.
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6f}".rstrip("0")
    return "" if value is None else str(value)


def _rows_of_xlsx(content: bytes) -> list[list[str]]:
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:
        # openpyxl lets whatever its zip and XML readers raise through.
        raise FileUnreadable(f"not an XLSX file: {error}") from None
    try:
        return [[_cell(value) for value in row] for row in book.worksheets[0].values]
    finally:
        book.close()


def read_items(path: Path) -> ItemFile:
    """The items of a `.csv` or `.xlsx` file. Raises FileUnreadable, OSError."""
    content = path.read_bytes()
    rows = _rows_of_xlsx(content) if path.suffix.lower() == ".xlsx" else _rows_of_csv(content)
    return items_of_rows(rows)


def items_of_rows(rows: Sequence[Sequence[str]]) -> ItemFile:
    """The same from rows of text, the first being the headings. Raises FileUnreadable."""
    columns = _columns(rows[0] if rows else ())
    items: list[ItemInput] = []
    bad_rows: list[BadRow] = []
    first_seen: dict[str, int] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        item = ItemInput(
            **{
                field: row[at].strip() if at < len(row) else ""
                for field, at in ((field, columns.get(field, len(row))) for field in HEADINGS)
            }
        )
        try:
            check_item(item, at="row")
        except FieldInvalid as refusal:
            column = str(refusal.param).removeprefix("row.")
            bad_rows.append(BadRow(number, column, str(refusal.details["problem"])))
            continue
        if item.code in first_seen:
            bad_rows.append(BadRow(number, "code", f"is also in row {first_seen[item.code]}"))
            continue
        first_seen[item.code] = number
        items.append(item)
    return ItemFile(tuple(items), tuple(bad_rows))


def _columns(headings: Iterable[str]) -> dict[str, int]:
    named = {heading.strip().lower(): at for at, heading in reversed(list(enumerate(headings)))}
    found: dict[str, int] = {}
    for field, spellings in HEADINGS.items():
        for spelling in spellings:
            if spelling in named:
                found[field] = named[spelling]
                break
    if missing := [field for field in _NEEDED if field not in found]:
        spelt = "; ".join(f"{field} ({', '.join(HEADINGS[field][1:])})" for field in missing)
        raise FileUnreadable(f"the first row does not name: {spelt}")
    return found
