"""Files as they come from an area's old system, read into sheets of text cells.

CSV in UTF-8 (with or without its mark) or GB 18030, and XLSX with any number of sheets. Nothing is
judged here but whether a file can be read at all; what a header or a cell means is `columns`' and
`kinds`' business.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from zipfile import BadZipFile

from django.utils.translation import gettext as _
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

# A spreadsheet keeps 15 digits of a number: what had more has lost its last ones.
KEPT_DIGITS = 15


class Unreadable(Exception):
    """The file is not what its name says, or is written in an unknown encoding."""


class LostDigits(str):
    """The text of a number cell that was longer than a spreadsheet keeps."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: a header, and rows with their numbers as a spreadsheet shows them (header 1)."""

    file: str
    name: str
    header: tuple[str, ...]
    rows: list[tuple[int, tuple[str, ...]]] = field(repr=False)


def read_sheets(path: Path) -> list[Sheet]:
    """Every table of a file that is not blank. Raises Unreadable with a sentence why."""
    try:
        if path.suffix.lower() == ".xlsx":
            return _read_xlsx(path)
        return _read_csv(path)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _read_csv(path: Path) -> list[Sheet]:
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Unreadable(_("neither UTF-8 nor GB 18030"))
    if "\0" in text:
        raise Unreadable(_("this is not a text file"))
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        return _sheets(path, "", ([cell.strip() for cell in row] for row in rows))
    except csv.Error as error:
        raise Unreadable(str(error)) from None


def _read_xlsx(path: Path) -> list[Sheet]:
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError):
        raise Unreadable(_("this is not an XLSX workbook")) from None
    try:
        found: list[Sheet] = []
        for sheet in book.worksheets:
            # Some writers state wrong dimensions; without them openpyxl counts for itself.
            sheet.reset_dimensions()
            rows = ([_cell(value) for value in row] for row in sheet.iter_rows(values_only=True))
            found.extend(_sheets(path, sheet.title, rows))
        return found
    finally:
        book.close()


def _sheets(path: Path, name: str, rows: Iterable[list[str]]) -> list[Sheet]:
    """The table as a list of one, or an empty list when it has no row at all."""
    header: tuple[str, ...] | None = None
    found: list[tuple[int, tuple[str, ...]]] = []
    for number, row in enumerate(rows, start=1):
        cells = list(row)
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if header is None:
            header = tuple(cells)
        else:
            found.append((number, tuple(cells)))
    return [] if header is None else [Sheet(path.name, name, header, found)]


def _cell(value: object) -> str:
    """A spreadsheet's value as the text a person sees in the cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).strip()
    if abs(value) >= 10**KEPT_DIGITS:
        return LostDigits(value)
    return format(value, f".{KEPT_DIGITS}g")
