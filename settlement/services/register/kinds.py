"""The kinds of table a register has, each recognised by its header, and their rows once read.

A kind names its columns; the columns of its natural key say which row is meant, the others what is
said of it. Here a row is judged on its own: whether it fits what is stored, or other rows, is
judged in `planning`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import columns
from .columns import Column
from .sheets import LostDigits, Sheet

SCHEMES = {"employee": "职工", "resident": "居民"}
CATEGORIES = {"active": "在职", "retired": "退休", "resident": "居民", "student": "学生儿童"}
STATES = {
    "waiting": "等待期",
    "in_force": "正常",
    "arrears": "欠费",
    "suspended": "暂停",
    "deceased": "死亡",
}
SEXES = {"female": "女", "male": "男"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of table. `key` is how many of the columns, from the first, make the natural key."""

    name: str
    title: str | Promise
    columns: tuple[Column, ...]
    key: int


_PERSON = columns.text("person_number", "人员编号", longest=30)
_FROM = columns.day("from_date", "开始日期")
_UNTIL = columns.day("until_date", "结束日期", required=False)
_SCHEME = columns.word("scheme", "险种", SCHEMES)
# Empty for what is filed without a disease, such as living away from home.
_DISEASE = columns.text("disease_code", "病种编码", longest=20, required=False)

MEMBERS = Kind(
    "members",
    gettext_lazy("members"),
    (
        _PERSON,
        columns.identity("identity_number", "证件号码"),
        columns.text("name", "姓名", longest=60),
        columns.day("birth_date", "出生日期"),
        columns.word("sex", "性别", SEXES),
        columns.day("death_date", "死亡日期", required=False),
    ),
    key=1,
)
ENROLMENTS = Kind(
    "enrolments",
    gettext_lazy("enrolments"),
    (
        _PERSON,
        _SCHEME,
        _FROM,
        columns.area("area_code", "统筹区"),
        columns.word("category", "人员类别", CATEGORIES),
        _UNTIL,
    ),
    key=3,
)
ENTITLEMENTS = Kind(
    "entitlements",
    gettext_lazy("entitlements"),
    (
        _PERSON,
        _SCHEME,
        columns.day("enrolment_from_date", "参保开始日期"),
        _FROM,
        columns.word("state", "待遇状态", STATES),
        _UNTIL,
    ),
    key=4,
)
AID_PERIODS = Kind(
    "aid_periods",
    gettext_lazy("aid categories"),
    (
        _PERSON,
        columns.text("aid_category", "救助类别", longest=30),
        _FROM,
        columns.text("source", "认定来源", longest=100),
        _UNTIL,
    ),
    key=3,
)
FILINGS = Kind(
    "filings",
    gettext_lazy("filings"),
    (
        _PERSON,
        _DISEASE,
        _FROM,
        columns.text("filing_kind", "备案类别", longest=20),
        columns.text("disease_name", "病种名称", longest=60, required=False),
        _UNTIL,
    ),
    key=3,
)
CHOSEN_INSTITUTIONS = Kind(
    "chosen_institutions",
    gettext_lazy("chosen institutions"),
    (
        _PERSON,
        _DISEASE,
        columns.day("filing_from_date", "备案开始日期"),
        columns.institution("institution_code", "机构编码"),
        _FROM,
        _UNTIL,
    ),
    key=5,
)
SHARINGS = Kind(
    "sharings",
    gettext_lazy("shared accounts"),
    (
        _PERSON,
        columns.text("holder_person_number", "共济人编号", longest=30),
        _FROM,
        columns.rank("rank", "次序"),
        _UNTIL,
    ),
    key=3,
)
OPENING_BALANCES = Kind(
    "opening_balances",
    gettext_lazy("opening balances"),
    (_PERSON, columns.area("area_code", "统筹区"), columns.yuan("balance_yuan", "账户余额")),
    key=2,
)
YEARS_TO_DATE = Kind(
    "years_to_date",
    gettext_lazy("year-to-date amounts"),
    (
        _PERSON,
        columns.year("benefit_year", "年度"),
        columns.accumulator("accumulator", "累计项"),
        columns.yuan("amount_yuan", "累计金额"),
    ),
    key=3,
)
ADMISSIONS = Kind(
    "admissions",
    gettext_lazy("admissions in progress"),
    (
        _PERSON,
        columns.institution("institution_code", "机构编码"),
        columns.moment("admitted_at", "入院时间"),
        columns.text("department", "科室", longest=60, required=False),
        columns.text("doctor", "医生", longest=60, required=False),
        columns.text("diagnosis_code", "诊断编码", longest=20),
        columns.text("diagnosis_name", "诊断名称", longest=60),
    ),
    key=3,
)

# In the order they are written: what another refers to comes first.
KINDS = (
    MEMBERS,
    ENROLMENTS,
    ENTITLEMENTS,
    AID_PERIODS,
    FILINGS,
    CHOSEN_INSTITUTIONS,
    SHARINGS,
    OPENING_BALANCES,
    YEARS_TO_DATE,
    ADMISSIONS,
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is wrong where. Row 0 is the file itself; `found` is empty for a secret column."""

    file: str
    sheet: str
    row: int
    column: str
    expected: str
    found: str = ""


class Record(NamedTuple):
    """A row that is right in itself; `key` and `values` follow the kind's columns."""

    sheet: Sheet
    row: int
    key: tuple[Any, ...]
    values: tuple[Any, ...]

    def bad(self, column: str, expected: str, found: str = "") -> BadRow:
        """Say what is wrong with this row."""
        return BadRow(self.sheet.file, self.sheet.name, self.row, column, expected, found)


class BrokenRow(NamedTuple):
    """A row that is wrong in itself: whose it is, where that can be read, and everything wrong."""

    person_number: str
    bad_rows: list[BadRow]


def kind_of(sheet: Sheet) -> tuple[Kind, list[int | None]] | BadRow:
    """The kind a header stands for, with the place of each of its columns in the sheet.

    A column that no kind has is an error, not a remark: it may be a misspelt `until_date`.
    """
    names = [_plain(cell) for cell in sheet.header]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return BadRow(sheet.file, sheet.name, 1, twice, _("each column once"), twice)
    nearest: tuple[int, Kind, list[str], list[str]] | None = None
    for kind in KINDS:
        places = [_place(column, names) for column in kind.columns]
        missing = [
            column.name
            for column, place in zip(kind.columns, places, strict=True)
            if place is None and column.required
        ]
        known = {place for place in places if place is not None}
        foreign = [name for place, name in enumerate(names) if place not in known]
        if not missing and not foreign:
            return kind, places
        wrong = len(missing) + len(foreign)
        if nearest is None or wrong < nearest[0]:
            nearest = (wrong, kind, missing, foreign)
    assert nearest is not None
    _wrong, kind, missing, foreign = nearest
    if missing:
        expected = _("the header of a table; nearest is %(kind)s, which also needs %(columns)s") % {
            "kind": kind.name,
            "columns": ", ".join(missing),
        }
    else:
        expected = _("the header of a table; nearest is %(kind)s, which has no such column") % {
            "kind": kind.name
        }
    return BadRow(sheet.file, sheet.name, 1, "", expected, ", ".join(foreign))


def _plain(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_")


def _place(column: Column, names: Sequence[str]) -> int | None:
    for name in (column.name, column.alias):
        if name in names:
            return names.index(name)
    return None


def records_of(
    sheet: Sheet, kind: Kind, places: Sequence[int | None]
) -> Iterable[Record | BrokenRow]:
    """Each row as a record, or as everything that is wrong with it."""
    width = len(sheet.header)
    until = next((i for i, c in enumerate(kind.columns) if c.name == "until_date"), None)
    begin = next((i for i, c in enumerate(kind.columns) if c.name == "from_date"), None)
    for number, cells in sheet.rows:
        bad: list[BadRow] = []
        if len(cells) > width:
            expected = _("%(width)s cells, as the header has") % {"width": width}
            bad.append(BadRow(sheet.file, sheet.name, number, "", expected, str(len(cells))))
            yield BrokenRow("", bad)
            continue
        values: list[Any] = []
        for column, place in zip(kind.columns, places, strict=True):
            cell = cells[place] if place is not None and place < len(cells) else ""
            value, problem = _value(column, cell)
            values.append(value)
            if problem:
                found = "" if column.secret else cell[:60]
                bad.append(BadRow(sheet.file, sheet.name, number, column.name, problem, found))
        if until is not None and begin is not None and not bad:
            first, end = values[begin], values[until]
            if isinstance(end, date) and end <= first:
                expected = _("a day after from_date, or nothing")
                bad.append(BadRow(sheet.file, sheet.name, number, "until_date", expected, str(end)))
        if bad:
            yield BrokenRow(values[0] or "", bad)
        else:
            yield Record(sheet, number, tuple(values[: kind.key]), tuple(values[kind.key :]))


def _value(column: Column, cell: str) -> tuple[Any, str]:
    """The value of a cell, or what was expected of it."""
    if isinstance(cell, LostDigits):
        return None, _("a text cell: a number cell keeps only its first 15 digits")
    if not cell:
        if column.required:
            return None, str(column.expected)
        return column.blank, ""
    try:
        return column.parse(cell), ""
    except ValueError:
        return None, str(column.expected)
