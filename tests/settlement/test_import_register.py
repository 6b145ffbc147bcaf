"""An area's register, from files to rows: judged whole, written whole, and only once."""

import csv
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.models import Sum
from django.utils import translation
from openpyxl import Workbook

from merchants.models import Merchant
from messaging.days import business_date
from settlement.models import Account, LedgerTransaction, Posting, Visit, YearToDate
from settlement.services import register
from settlement.services.register import BadRow, RegisterMoved, Report, import_register
from settlement.services.register.writing import lock_register, write_plan
from tests.races.rivals import forced
from tests.world import World
from voucher.identity import check_character
from voucher.models import (
    AidPeriod,
    ChosenInstitution,
    Enrolment,
    Entitlement,
    Filing,
    Member,
)
from voucher.selectors import identity_number, member_facts

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
DAY = date(2026, 11, 20)
EXAMPLES = sorted((Path(__file__).parents[2] / "docs/examples/register").glob("*.csv"))
HOSPITAL = "H37030099901"
TABLES = (
    Member,
    Enrolment,
    Entitlement,
    AidPeriod,
    Filing,
    ChosenInstitution,
    Account,
    LedgerTransaction,
    Posting,
    YearToDate,
    Visit,
)


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def hospital(db: None) -> Merchant:
    return Merchant.objects.create(
        code=HOSPITAL, name="例医院", kind="hospital", level=2, area_code="370300"
    )


def run(*paths: Path, dry_run: bool = False) -> Report:
    return import_register(paths=paths, now=NOW, dry_run=dry_run)


def rows() -> dict[str, int]:
    """How many rows each table that an import writes has."""
    return {table.__name__: table._default_manager.count() for table in TABLES}


def counts(report: Report) -> dict[str, tuple[int, int, int]]:
    return {kind.kind: (kind.new, kind.changed, kind.unchanged) for kind in report.kinds}


class Files:
    """CSV files of one folder, each given as a header line and rows of words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, header: str, *lines: Sequence[str]) -> Path:
        path = self.folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header.split())
            writer.writerows(lines)
        return path

    def members(self, *numbers: str, **changes: str) -> Path:
        """A file of members who are alike but for their numbers."""
        plain = {"name": "例某", "birth_date": "1958-04-12", "sex": "female", "death_date": ""}
        values = {**plain, **changes}
        return self.write(
            "members",
            "person_number identity_number name birth_date sex death_date",
            *(
                [
                    number,
                    values.get("identity_number") or identity(index),
                    *list(values.values())[:4],
                ]
                for index, number in enumerate(numbers)
            ),
        )

    def enrolments(self, *lines: Sequence[str]) -> Path:
        """Person, scheme, area, category, from, until."""
        header = "person_number scheme area_code category from_date until_date"
        return self.write("enrolments", header, *lines)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def identity(index: int) -> str:
    digits = f"99999919580412{index + 1:03d}"
    return digits + check_character(digits)


ENROLLED = ("A1", "employee", "370300", "retired", "2018-05-01", "")


# --- The documented example ---------------------------------------------------------------------


def test_the_examples_of_the_documentation_are_imported_whole() -> None:
    report = run(*EXAMPLES)
    assert report.bad_rows == ()
    assert report.written
    assert counts(report) == {
        "members": (4, 0, 0),
        "enrolments": (5, 0, 0),
        "entitlements": (5, 0, 0),
        "aid_periods": (1, 0, 0),
        "filings": (3, 0, 0),
        "chosen_institutions": (2, 0, 0),
        "sharings": (1, 0, 0),
        "opening_balances": (2, 0, 0),
        "years_to_date": (2, 0, 0),
        "admissions": (1, 0, 0),
    }
    shared = Member.objects.get(number="EX370300000003")
    assert member_facts(member_id=shared.pk, day=DAY).has_sharings
    member = Member.objects.get(number="EX370300000001")
    facts = member_facts(member_id=member.pk, day=DAY)
    assert (facts.area_code, facts.scheme, facts.category) == ("370300", "employee", "retired")
    assert [filing.disease_code for filing in facts.filings] == ["M03900", "M01600"]
    assert facts.filings[0].institution_codes == (HOSPITAL, "P37030099902")
    assert identity_number(member.pk) == "999999195804120026"
    assert YearToDate.objects.get(member=member, benefit_year=2026).amounts == {
        "chronic.deductible": 100_000,
        "chronic.base": 312_055,
        "chronic.paid": 169_644,
    }
    poor = member_facts(member_id=Member.objects.get(number="EX370300000004").pk, day=DAY)
    assert poor.aid_category == "low_income"
    owing = member_facts(member_id=Member.objects.get(number="EX370300000002").pk, day=DAY)
    assert (owing.entitlement_state, owing.pool_in_force) == ("arrears", False)


def test_an_opening_balance_is_posted_from_the_opening_account_and_stands_on_the_members() -> None:
    run(*EXAMPLES)
    member = Member.objects.get(number="EX370300000001")
    entry = LedgerTransaction.objects.get(key="opening:370300:EX370300000001")
    assert (entry.kind, entry.area_code, entry.business_date) == ("opening", "370300", DAY)
    assert entry.accounting_month == date(2026, 11, 1)
    assert set(entry.postings.values_list("account", "amount_fen")) == {
        ("opening:370300", -186_040),
        (f"member:{member.pk}:personal", 186_040),
    }
    assert Account.objects.get(member=member).balance_fen == 186_040
    assert Posting.objects.aggregate(total=Sum("amount_fen"))["total"] == 0


def test_an_admission_in_progress_is_an_open_visit_without_a_scan(hospital: Merchant) -> None:
    run(*EXAMPLES)
    visit = Visit.objects.get()
    assert (visit.kind, visit.scan, visit.closed_at) == ("inpatient", None, None)
    assert visit.merchant == hospital
    assert visit.opened_at == datetime(2026, 11, 18, 1, 40, tzinfo=UTC)
    assert visit.business_date == date(2026, 11, 18)
    assert visit.diagnoses == [{"code": "J44.900", "name": "慢性阻塞性肺疾病", "main": True}]


def test_the_same_files_again_change_nothing_and_say_so() -> None:
    run(*EXAMPLES)
    before = rows()
    again = run(*EXAMPLES)
    assert again.changes == 0
    assert counts(again)["members"] == (0, 0, 4)
    assert rows() == before
    assert "nothing changes" in told(*EXAMPLES)


def test_a_dry_run_says_what_would_change_and_writes_nothing() -> None:
    before = rows()
    report = run(*EXAMPLES, dry_run=True)
    assert (report.written, counts(report)["members"]) == (False, (4, 0, 0))
    assert rows() == before
    said = told(*EXAMPLES, "--dry-run")
    assert "members: 4 new, 0 changed, 0 unchanged" in said
    assert "nothing was written" in said


def test_one_bad_row_and_nothing_is_written(tmp_path: Path) -> None:
    for path in EXAMPLES:
        shutil.copy(path, tmp_path)
    spoilt = tmp_path / "filings.csv"
    spoilt.write_text(spoilt.read_text("utf-8").replace("2023-06-01", "2023-06-31"), "utf-8")
    before = rows()
    report = run(*sorted(tmp_path.iterdir()))
    assert report.bad_rows == (
        BadRow(
            "filings.csv",
            "",
            3,
            "from_date",
            "a day such as 2026-01-31 or 20260131",
            "2023-06-31",
        ),
    )
    assert not report.written
    assert rows() == before


# --- Encodings and spreadsheets -----------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_each_encoding_gives_the_same_names(tmp_path: Path, encoding: str) -> None:
    text = EXAMPLES[[path.stem for path in EXAMPLES].index("members")].read_text("utf-8")
    path = tmp_path / "members.csv"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert run(path).written
    assert Member.objects.get(number="EX370300000001").name == "例秀兰"


def test_a_workbook_with_a_sheet_a_kind_and_chinese_headers_is_the_same(tmp_path: Path) -> None:
    book = Workbook()
    people = book.active
    people.title = "人员"
    people.append(["人员编号", "证件号码", "姓名", "出生日期", "性别"])
    # A spreadsheet's days are midnights of no zone.
    born = datetime(1958, 4, 12)  # noqa: DTZ001
    people.append([370300000001, identity(0), "例秀兰", born, "女"])
    insured = book.create_sheet("参保")
    insured.append(["人员编号", "险种", "统筹区", "人员类别", "开始日期", "结束日期"])
    insured.append([370300000001, "职工", 370300, "退休", date(2018, 5, 1), None])
    money = book.create_sheet("余额")
    money.append(["人员编号", "统筹区", "账户余额"])
    money.append([370300000001, 370300, 0.1 + 0.2])
    book.create_sheet("空白")
    path = tmp_path / "register.xlsx"
    book.save(path)
    report = run(path)
    assert report.bad_rows == ()
    assert Member.objects.get().number == "370300000001"
    assert Member.objects.get().sex == "female"
    assert Enrolment.objects.get().category == "retired"
    assert Account.objects.get().balance_fen == 30


def test_a_number_cell_that_lost_digits_is_refused_not_guessed(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet.append(["person_number", "identity_number", "name", "birth_date", "sex"])
    sheet.append(["A1", 999999195804120026, "例秀兰", "1958-04-12", "female"])
    path = tmp_path / "members.xlsx"
    book.save(path)
    (bad,) = run(path).bad_rows
    assert (bad.sheet, bad.row, bad.column, bad.found) == ("Sheet", 2, "identity_number", "")
    assert "15 digits" in bad.expected


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", b"\xff\xfe\xff\xff", "neither UTF-8 nor GB 18030"),
        ("a.csv", b"person_number\x00", "this is not a text file"),
        ("a.csv", b'a,"b\n', "unexpected end of data"),
        ("a.xlsx", b"PK\x03\x04 but not much more", "this is not an XLSX workbook"),
        ("a.xlsx", b"person_number", "this is not an XLSX workbook"),
        ("a.csv", b"", ""),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (bad,) = run(path).bad_rows
    assert (bad.file, bad.row, bad.found) == (name, 0, found)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (bad,) = run(tmp_path / "absent.csv").bad_rows
    assert (bad.file, bad.found) == ("absent.csv", "No such file or directory")


# --- Headers and cells --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("person_number scheme area_code category", ["enrolments", "from_date"]),
        ("person_number identity_number name birth_date sex untill", ["members", "no such column"]),
        ("person_number person_number", ["each column once"]),
        ("something else entirely", ["nearest"]),
    ],
)
def test_a_header_of_no_kind_names_the_nearest_and_what_is_wrong(
    files: Files, header: str, words: list[str]
) -> None:
    (bad,) = run(files.write("x", header)).bad_rows
    assert bad.row == 1
    assert all(word in bad.expected for word in words), bad.expected


# Column and cell, in an otherwise good row of members.
BAD_CELLS = [
    ("identity_number", "99999919580412002"),
    ("identity_number", "999999195804120027"),
    ("identity_number", "999999195813120026"),
    ("name", ""),
    ("name", "例" * 61),
    ("name", "例\x07某"),
    ("birth_date", "1958-02-30"),
    ("birth_date", "12/04/1958"),
    ("birth_date", "１９５８-04-12"),
    ("sex", "f"),
    ("death_date", "soon"),
]


@pytest.mark.parametrize(("column", "cell"), BAD_CELLS)
def test_a_bad_cell_is_named_by_row_and_column_and_a_secret_one_is_not_repeated(
    files: Files, column: str, cell: str
) -> None:
    path = files.members("A1", **{column: cell or " "})
    (bad,) = run(path).bad_rows
    assert (bad.file, bad.row, bad.column) == ("members.csv", 2, column)
    assert bad.found == ("" if column == "identity_number" else cell[:60])


def test_every_bad_cell_is_listed_not_only_the_first(files: Files) -> None:
    members = files.members("A1", "A2", sex="x", birth_date="y")
    assert [(bad.row, bad.column) for bad in run(members).bad_rows] == [
        (2, "birth_date"),
        (2, "sex"),
        (3, "birth_date"),
        (3, "sex"),
    ]


@pytest.mark.parametrize("amount", ["-1", "1.234", "1,000.00", "1e3", "", "一百", "99999999999999"])
def test_an_amount_is_plain_yuan(files: Files, amount: str) -> None:
    balances = files.write(
        "balances", "person_number area_code balance_yuan", ["A1", "370300", amount]
    )
    bad_rows = run(files.members("A1"), files.enrolments(ENROLLED), balances).bad_rows
    assert [bad.column for bad in bad_rows] == ["balance_yuan"]


def test_a_row_with_more_cells_than_the_header_is_bad(files: Files) -> None:
    path = files.write("balances", "person_number area_code balance_yuan", ["A", "1", "2", "3"])
    (bad,) = run(path).bad_rows
    assert (bad.row, bad.found) == (2, "4")


def test_blank_rows_are_passed_over_and_row_numbers_stay_the_spreadsheets(files: Files) -> None:
    path = files.members("A1")
    path.write_text(path.read_text("utf-8") + "\n,,\nA2,bad,例某,1958-04-12,female,\n", "utf-8")
    (bad,) = run(path).bad_rows
    assert bad.row == 5


# --- Rows against each other and against what is stored -----------------------------------------


def test_an_account_is_shared_by_somebody_in_the_files_or_the_register_and_somebody_else(
    files: Files,
) -> None:
    header = "person_number holder_person_number from_date rank until_date"
    rows_ = [
        ["A1", "A2", "2026-01-01", "", ""],
        ["A1", "A9", "2026-01-01", "2", ""],
        ["A1", "A1", "2026-01-01", "3", ""],
        ["A1", "A2", "2026-06-01", "1", ""],
        ["A3", "A1", "2026-01-01", "0", ""],
    ]
    bad_rows = run(files.members("A1", "A2", "A3"), files.write("s", header, *rows_)).bad_rows
    assert sorted((bad.row, bad.column, bad.found) for bad in bad_rows) == [
        (2, "until_date", ""),
        (3, "holder_person_number", "A9"),
        (4, "holder_person_number", "A1"),
        (6, "rank", "0"),
    ]


def test_what_is_filed_without_a_disease_has_none(files: Files) -> None:
    filing = files.write(
        "f",
        "person_number filing_kind from_date",
        ["A1", "long_term_away", "2026-01-01"],
    )
    report = run(files.members("A1"), files.enrolments(ENROLLED), filing)
    assert report.written, report.bad_rows
    facts = member_facts(member_id=Member.objects.get(number="A1").pk, day=DAY)
    assert [(each.kind, each.disease_code) for each in facts.filings] == [("long_term_away", "")]


def test_whoever_is_in_no_file_and_not_in_the_register_is_named(files: Files) -> None:
    balances = files.write("b", "person_number area_code balance_yuan", ["A9", "370300", "1"])
    years = files.write(
        "y", "person_number benefit_year accumulator amount_yuan", ["A9", "2026", "x", "1"]
    )
    bad_rows = run(files.enrolments(("A9", *ENROLLED[1:])), balances, years).bad_rows
    assert [(bad.file, bad.column, bad.found) for bad in bad_rows] == [
        ("b.csv", "person_number", "A9"),
        ("enrolments.csv", "person_number", "A9"),
        ("y.csv", "person_number", "A9"),
    ]


def test_what_refers_to_a_bad_row_is_not_called_an_orphan(files: Files) -> None:
    bad_rows = run(files.members("A1", sex="?"), files.enrolments(ENROLLED)).bad_rows
    assert [(bad.file, bad.column) for bad in bad_rows] == [("members.csv", "sex")]


def test_an_entry_given_twice_is_named_with_the_row_that_has_it_already(files: Files) -> None:
    (bad,) = run(files.members("A1"), files.enrolments(ENROLLED, ENROLLED)).bad_rows
    assert (bad.file, bad.row) == ("enrolments.csv", 3)
    assert "row 2" in bad.expected


def test_an_identity_number_is_one_members_in_the_files_and_in_the_register(files: Files) -> None:
    one = identity(7)
    (bad,) = run(files.members("A1", "A2", identity_number=one)).bad_rows
    assert (bad.row, bad.column, bad.found) == (3, "identity_number", "")
    assert run(files.members("A1", identity_number=one)).written
    (bad,) = run(files.members("A2", identity_number=one)).bad_rows
    assert (bad.row, bad.column) == (2, "identity_number")


# From and until of a stored enrolment, of one in the file, and whether they share a day.
@pytest.mark.parametrize(
    ("stored", "given", "overlap"),
    [
        (("2020-01-01", "2021-01-01"), ("2021-01-01", ""), False),
        (("2020-01-01", "2021-01-02"), ("2021-01-01", ""), True),
        (("2020-01-01", ""), ("2021-01-01", ""), True),
        (("2021-01-01", ""), ("2020-01-01", "2021-01-01"), False),
        (("2021-01-01", ""), ("2020-01-01", ""), True),
    ],
)
def test_two_periods_of_one_thing_may_touch_and_not_overlap(
    files: Files, stored: tuple[str, str], given: tuple[str, str], overlap: bool
) -> None:
    assert run(files.members("A1"), files.enrolments((*ENROLLED[:4], *stored))).written
    report = run(files.enrolments((*ENROLLED[:4], *given)))
    assert [bad.column for bad in report.bad_rows] == (["until_date"] if overlap else [])
    assert report.written is not overlap


def test_a_period_ends_after_it_begins(files: Files) -> None:
    line = (*ENROLLED[:4], "2020-01-01", "2020-01-01")
    (bad,) = run(files.members("A1"), files.enrolments(line)).bad_rows
    assert bad.column == "until_date"


def test_a_correction_is_written_over_and_listed_with_old_and_new(files: Files) -> None:
    run(files.members("A1"), files.enrolments(ENROLLED))
    report = run(files.members("A1", name="例新"), files.enrolments((*ENROLLED[:5], "2027-01-01")))
    assert counts(report) == {"members": (0, 1, 0), "enrolments": (0, 1, 0)}
    listed = {
        (one.kind, one.person_number, one.column, one.old, one.new) for one in report.differences
    }
    assert listed == {
        ("members", "A1", "name", "例某", "例新"),
        ("enrolments", "A1", "until_date", "-", "2027-01-01"),
    }
    assert Member.objects.get().name == "例新"
    assert Enrolment.objects.get().until_date == date(2027, 1, 1)


def test_a_corrected_identity_number_is_found_and_read_back_and_not_listed(files: Files) -> None:
    run(files.members("A1"))
    report = run(files.members("A1", identity_number=identity(8)))
    (difference,) = report.differences
    assert (difference.column, difference.old, difference.new) == ("identity_number", "", "")
    assert identity_number(Member.objects.get().pk) == identity(8)


def test_what_is_stored_and_in_no_file_stays(files: Files) -> None:
    run(files.members("A1", "A2"))
    run(files.members("A1", name="例新"))
    assert Member.objects.count() == 2


# --- Openings -----------------------------------------------------------------------------------


def balances(files: Files, amount: str, area: str = "370300") -> Path:
    return files.write("balances", "person_number area_code balance_yuan", ["A1", area, amount])


def test_a_changed_opening_balance_is_refused_not_posted_again(files: Files) -> None:
    base = (files.members("A1"), files.enrolments(ENROLLED))
    run(*base, balances(files, "100"))
    (bad,) = run(balances(files, "100.01")).bad_rows
    assert (bad.column, bad.found) == ("balance_yuan", "100.01")
    assert "100.00" in bad.expected
    assert Account.objects.get().balance_fen == 10_000
    assert LedgerTransaction.objects.count() == 1


def test_an_opening_is_compared_with_what_was_posted_not_with_what_is_left(files: Files) -> None:
    run(files.members("A1"), files.enrolments(ENROLLED), balances(files, "100"))
    Account.objects.update(balance_fen=1)
    assert run(balances(files, "100.00")).changes == 0
    assert Account.objects.get().balance_fen == 1


def test_a_balance_of_nothing_opens_an_account_and_posts_nothing(files: Files) -> None:
    base = (files.members("A1"), files.enrolments(ENROLLED), balances(files, "0"))
    assert counts(run(*base))["opening_balances"] == (1, 0, 0)
    assert Account.objects.get().balance_fen == 0
    assert not LedgerTransaction.objects.exists()
    assert run(*base).changes == 0


def test_an_opening_comes_on_top_of_an_account_that_is_there(files: Files) -> None:
    run(files.members("A1"), files.enrolments(ENROLLED))
    Account.objects.create(member=Member.objects.get(), balance_fen=5)
    run(balances(files, "1"))
    assert Account.objects.get().balance_fen == 105


def test_an_opening_belongs_to_an_area_in_which_the_member_is_enrolled(files: Files) -> None:
    base = (files.members("A1"), files.enrolments(ENROLLED))
    (bad,) = run(*base, balances(files, "1", area="370100")).bad_rows
    assert (bad.column, bad.found) == ("area_code", "370100")


def years(files: Files, *amounts: tuple[str, str], person: str = "A1") -> Path:
    return files.write(
        "years",
        "person_number benefit_year accumulator amount_yuan",
        *([person, "2026", name, amount] for name, amount in amounts),
    )


def test_a_years_amounts_may_be_corrected_one_by_one_while_nothing_has_counted_on_them(
    files: Files,
) -> None:
    run(files.members("A1"), years(files, ("chronic.base", "10"), ("chronic.paid", "7")))
    report = run(years(files, ("chronic.paid", "8"), ("chronic.deductible", "0")))
    assert counts(report) == {"years_to_date": (0, 1, 0)}
    assert YearToDate.objects.get().amounts == {"chronic.base": 1_000, "chronic.paid": 800}
    (difference,) = report.differences
    assert (difference.column, difference.old, difference.new) == (
        "2026 chronic.paid",
        "7.00",
        "8.00",
    )


def test_an_admission_is_corrected_while_it_is_open_and_left_when_it_is_closed(
    files: Files,
) -> None:
    def admission(doctor: str) -> Path:
        return files.write(
            "admissions",
            "person_number institution_code admitted_at doctor diagnosis_code diagnosis_name",
            ["A1", HOSPITAL, "2026-11-18T09:40+08:00", doctor, "J44.900", "肺病"],
        )

    run(files.members("A1"), admission("甲"))
    assert counts(run(admission("乙"))) == {"admissions": (0, 1, 0)}
    assert Visit.objects.get().doctor == "乙"
    Visit.objects.update(closed_at=NOW)
    assert run(admission("乙")).changes == 0
    (bad,) = run(admission("丙")).bad_rows
    assert "not closed" in bad.expected
    assert Visit.objects.get().doctor == "乙"


def test_an_admission_is_in_an_institution_that_is_registered(files: Files) -> None:
    path = files.write(
        "admissions",
        "person_number institution_code admitted_at diagnosis_code diagnosis_name",
        ["A1", "H37030099909", "2026-11-18 09:40", "J44.900", "肺病"],
    )
    (bad,) = run(files.members("A1"), path).bad_rows
    assert (bad.column, bad.found) == ("institution_code", "H37030099909")


def test_a_year_that_moves_between_comparing_and_writing_rolls_everything_back(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(files.members("A1"), years(files, ("chronic.base", "10")))

    def write_after_a_rival(*args: object, **kwargs: object) -> None:
        YearToDate.objects.update(amounts={"chronic.base": 2_000})
        write_plan(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(register, "write_plan", write_after_a_rival)
    with pytest.raises(RegisterMoved):
        run(files.members("A1", name="例新"), years(files, ("chronic.base", "11")))
    assert YearToDate.objects.get().amounts == {"chronic.base": 1_000}
    assert Member.objects.get().name == "例某"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_second_import_beside_the_first_is_told_so_and_writes_nothing(files: Files) -> None:
    def import_beside() -> Report:
        try:
            # The language is a thread's own.
            with translation.override("en"):
                return run(files.members("A1"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic(durable=True):
        lock_register()
        with pytest.raises(RegisterMoved, match="another import"):
            pool.submit(import_beside).result(10)
    assert not Member.objects.exists()
    assert run(files.members("A1")).written


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_opening_that_arrives_while_a_settlement_is_under_way_is_not_lost(
    world: World, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settlement has read that nothing was used yet and is about to write what it adds."""
    monkeypatch.setattr("settlement.operations._wake_worker", lambda: None)
    path = files.write(
        "opening",
        "person_number benefit_year accumulator amount_yuan",
        [world.retiree.number, str(business_date(datetime.now(UTC)).year), "chronic.base", "10"],
    )

    def bring() -> str:
        with translation.override("en"):
            try:
                run(path)
            except RegisterMoved:
                return "moved"
        return "written"

    race = forced(lambda: settle(world), bring, before="INSERT INTO settlement_yeartodate")
    assert race.second_waited
    assert race.second == "moved"
    # Tried again, the files meet a year that a settlement has counted on, and are told so.
    assert run(path).bad_rows


# --- The command --------------------------------------------------------------------------------


def told(*arguments: Path | str) -> str:
    out = StringIO()
    call_command("import_register", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_says_each_bad_row_in_a_sentence_and_fails(files: Files) -> None:
    errors = StringIO()
    with pytest.raises(CommandError, match="Nothing was written: 1 problems"):
        call_command(
            "import_register", str(files.members("A1", sex="?")), stdout=StringIO(), stderr=errors
        )
    assert errors.getvalue().strip() == (
        "members.csv, row 2, sex: expected one of: female (女), male (男), found ?"
    )


def test_the_command_never_prints_an_identity_number(files: Files) -> None:
    out = told(files.members("A1"))
    assert "All of it was written" in out
    out += told(files.members("A1", identity_number=identity(8)))
    assert "999999" not in out


def test_a_settlement_since_the_opening_neither_makes_the_files_differ_nor_lets_them_change(
    world: World, files: Files
) -> None:
    person = world.retiree.number
    opening = (("chronic.deductible", "1000"), ("chronic.base", "1200"))
    assert run(years(files, *opening, person=person)).written
    year = business_date(datetime.now(UTC)).year
    if year != 2026:
        YearToDate.objects.update(benefit_year=year)
    settle(world)
    amounts = YearToDate.objects.get(member=world.retiree).amounts
    assert amounts["chronic.base"] > 120_000
    again = files.write(
        "again",
        "person_number benefit_year accumulator amount_yuan",
        *([person, str(year), name, amount] for name, amount in opening),
    )
    assert run(again).changes == 0
    changed = files.write(
        "changed",
        "person_number benefit_year accumulator amount_yuan",
        [person, str(year), "chronic.base", "1201"],
    )
    (bad,) = run(changed).bad_rows
    assert "1200.00" in bad.expected
    assert YearToDate.objects.get(member=world.retiree).amounts == amounts


def settle(world: World) -> None:
    """One chronic purchase at the pharmacy, by the terminal's API."""
    till = world.till()
    scan = till.post(
        "scans",
        {
            "evidence": {"type": "voucher_code", "value": world.code()},
            "use": "pharmacy_purchase",
        },
    )
    reply = till.post(
        "settlements",
        {
            "scan_id": scan["scan_id"],
            "benefit_kind": "chronic",
            "disease_code": "M03900",
            "lines": [
                {
                    "code": "A4",
                    "quantity": "1",
                    "unit_price": "18.6",
                    "amount_fen": 1860,
                }
            ],
        },
    )
    assert reply.status == 201, reply.text
