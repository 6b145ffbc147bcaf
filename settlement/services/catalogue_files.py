"""Catalogue files: CSV in UTF-8 or the national character set, and XLSX, read into checked rows.

What may stand in each column is said once, in COLUMNS; `docs/catalogue.md` describes it. Reading
collects every bad cell instead of stopping at the first; nothing is written here.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from openpyxl import load_workbook
from openpyxl.cell.cell import Cell, MergedCell

from settlement.models import CatalogueItem

# Ten times the largest national list; more is a mistake, and memory.
MOST_ROWS = 2_000_000
MOST_BYTES = 512 * 1024 * 1024
# title, done, total
Progress = Callable[[str, int, int], None]
_ZIP = b"PK\x03\x04"
_EVERY = 5_000


class CatalogueUnreadable(ValueError):
    """Rows that cannot be loaded, or no table at all; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Row:
    """A good row: its number in the file, headings being row 1, and its values by column."""

    number: int
    values: dict[str, Any]


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


def _day(cell: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell, re.ASCII):
        raise ValueError(cell)
    return date.fromisoformat(cell)


def _codes(cell: str) -> list[str]:
    codes = cell.split()
    if not all(re.fullmatch(r"[A-Za-z0-9]{1,20}", code, re.ASCII) for code in codes):
        raise ValueError(cell)
    return codes


def _diagnoses(cell: str) -> list[str]:
    codes = cell.split()
    if not all(re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,19}", code, re.ASCII) for code in codes):
        raise ValueError(cell)
    return codes


def _years(cell: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", cell, re.ASCII) or int(cell) > 150:
        raise ValueError(cell)
    return int(cell)


def _levels(cell: str) -> list[int]:
    levels = cell.split()
    if not all(re.fullmatch(r"[0-3]", level, re.ASCII) for level in levels):
        raise ValueError(cell)
    return sorted({int(level) for level in levels})


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
    "barcode": _Column(_text(20), "a text of at most 20 characters", blank=""),
    "specification": _Column(_text(120), "a text of at most 120 characters", blank=""),
    "manufacturer": _Column(_text(120), "a text of at most 120 characters", blank=""),
    "generic_name": _Column(_text(120), "a text of at most 120 characters", blank=""),
    "negotiated": _Column(_yes_or_no, "yes or no", blank=False),
    "centrally_purchased": _Column(_yes_or_no, "yes or no", blank=False),
    "dual_channel": _Column(_yes_or_no, "yes or no", blank=False),
    "restricted_use": _Column(_text(600), "a text of at most 600 characters", blank=""),
    # All that are filled must hold, or the line is the member's own.
    "only_diagnoses": _Column(
        _diagnoses, "beginnings of diagnosis codes with spaces between", blank=[]
    ),
    "only_sex": _Column(_one_of("female", "male"), "female or male", blank=None),
    "only_age_from": _Column(_years, "whole years, 1 to 150", blank=None),
    "only_age_below": _Column(_years, "whole years, 1 to 150", blank=None),
    "only_levels": _Column(_levels, "levels of 0 to 3 with spaces between", blank=[]),
    "only_emergency": _Column(_yes_or_no, "yes or no", blank=False),
    "from_date": _Column(_day, "a day like 2026-01-31"),
    "until_date": _Column(_day, "a day like 2026-01-31", blank=None),
}


_ONLY = tuple(name for name in COLUMNS if name.startswith("only_"))
# What no row can go without; the other columns may be left out.
NEEDED = tuple(name for name, column in COLUMNS.items() if column.blank is ...)


def read_catalogue(content: bytes, *, progress: Progress | None = None) -> list[Row]:
    """The rows of a CSV or XLSX file, told apart by their first bytes; `first_pay` becomes basis
    points. Raises CatalogueUnreadable with every problem there is.
    """
    if len(content) > MOST_BYTES:
        raise CatalogueUnreadable([f"larger than {MOST_BYTES // 1024**2} MiB"])
    is_book = content.startswith(_ZIP)
    table = (_table_of_xlsx if is_book else _table_of_csv)(content, progress)
    headings = [heading.strip() for heading in table[0]] if table else []
    _check_headings(headings)
    # In a spreadsheet a formula is not its value, and nothing here calculates it.
    formula = "=" if is_book else ""
    rows: list[Row] = []
    problems: list[str] = []
    starts: dict[tuple[str, date], int] = {}
    for number, cells in enumerate(table[1:], start=2):
        if progress is not None and number % _EVERY == 0:
            progress("checking", number, len(table))
        if not any(map(str.strip, cells)):
            continue
        values, wrong = _row(dict(zip(headings, cells, strict=False)), formula)
        if any(map(str.strip, cells[len(headings) :])):
            wrong.append("more cells than columns")
        if not wrong:
            wrong += _contradictions(values)
            start = (values["national_code"], values["from_date"])
            if (first := starts.setdefault(start, number)) != number:
                wrong.append(f"national_code and from_date are those of an earlier row, {first}")
        problems += [f"row {number}: {problem}" for problem in wrong]
        rows.append(Row(number, values))
    if problems:
        raise CatalogueUnreadable(problems)
    if not rows:
        raise CatalogueUnreadable(["no row under the headings"])
    return rows


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with cells that are good each by itself."""
    wrong = []
    until, low, high = (values[name] for name in ("until_date", "only_age_from", "only_age_below"))
    if until is not None and until <= values["from_date"]:
        wrong.append("until_date: expected a day after from_date")
    if low is not None and high is not None and high <= low:
        wrong.append("only_age_below: expected an age above only_age_from")
    if not values["restricted_use"] and any(values[name] for name in _ONLY):
        # The member is told these words and nothing else.
        wrong.append("restricted_use: expected the words of what the only_ columns state")
    return wrong


def _check_headings(headings: list[str]) -> None:
    problems = [f"the first row must name {name}" for name in NEEDED if name not in headings]
    problems += [
        f"the first row names {name[:60]!r}; expected one of {', '.join(COLUMNS)}"
        for name in sorted(set(headings) - COLUMNS.keys())
    ]
    problems += [
        f"the first row names {name} twice"
        for name in sorted(set(headings) & COLUMNS.keys())
        if headings.count(name) > 1
    ]
    if problems:
        raise CatalogueUnreadable(problems)


def _counted(rows: Iterable[list[str]], total: int, progress: Progress | None) -> list[list[str]]:
    table: list[list[str]] = []
    for row in rows:
        if progress is not None and len(table) % _EVERY == 0:
            progress("reading", len(table), total)
        if len(table) > MOST_ROWS:
            raise CatalogueUnreadable([f"more than {MOST_ROWS} rows"])
        table.append(row)
    return table


def _table_of_csv(content: bytes, progress: Progress | None) -> list[list[str]]:
    # Almost no GB 18030 text happens to be valid UTF-8, so UTF-8 is tried first.
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            rows = csv.reader(io.StringIO(text, newline=""), strict=True)
            return _counted(rows, text.count("\n"), progress)
        except csv.Error as error:
            raise CatalogueUnreadable([f"not a CSV file: {error}"]) from None
    raise CatalogueUnreadable(["not a CSV file in UTF-8 or GB 18030"])


def _table_of_xlsx(content: bytes, progress: Progress | None) -> list[list[str]]:
    try:
        book = load_workbook(io.BytesIO(content), read_only=True)
        try:
            sheet = book.worksheets[0]
            rows = ([_cell(cell) for cell in row] for row in sheet.iter_rows())
            return _counted(rows, sheet.max_row or 0, progress)
        finally:
            book.close()
    except CatalogueUnreadable:
        raise
    except Exception as error:
        # openpyxl lets whatever its zip and XML readers raise through, also from later rows.
        raise CatalogueUnreadable([f"not an XLSX file: {error}"]) from None


def _cell(cell: Cell | MergedCell) -> str:
    # A spreadsheet keeps days as moments, and codes that look like numbers as numbers.
    value: object = cell.value
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float) and _is_percentage(cell.number_format):
        return _percentage(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6f}".rstrip("0")
    return str(value)


@lru_cache(maxsize=1_000)
def _is_percentage(number_format: str) -> bool:
    """Whether the cell shows its value a hundredfold, by the format of positive numbers.

    A quoted or escaped sign is written beside the number and does nothing to it.
    """
    bare = re.sub(r'"[^"]*"|\\[^"]|[_*][^"]|\[[^]]*\]', "", number_format)
    return "%" in bare.partition(";")[0]


def _percentage(value: float) -> str:
    # Fifteen digits are what a spreadsheet shows of a double: 0.07 is 7% exactly, and so is the
    # 0.07000000000000001 that a formula left behind. What is too fine is refused, never rounded.
    hundredfold = Decimal(f"{value:.15g}").scaleb(2)
    text = f"{hundredfold:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def _row(cells: Mapping[str, str], formula: str) -> tuple[dict[str, Any], list[str]]:
    row: dict[str, Any] = {}
    wrong: list[str] = []
    for name, column in COLUMNS.items():
        cell = cells.get(name, "").strip()
        if not cell and column.blank is not ...:
            row[name] = column.blank
            continue
        try:
            if not cell or (formula and cell.startswith(formula)):
                raise ValueError(cell)
            row[name] = column.read(cell)
        except (ValueError, KeyError):
            wrong.append(f"{name}: expected {column.expected}, found {cell[:60]!r}")
    return row, wrong
