"""The made-up area: loaded through the real imports, again and again, and never in production."""

import csv
import tomllib
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from pytest_django import Settings

from merchants.models import Agreement, Item, Merchant, Operator
from merchants.selectors import search_items
from settlement.models import (
    Account,
    CatalogueItem,
    Posting,
    Prescription,
    PrescriptionLine,
    YearToDate,
)
from settlement.services import demo
from settlement.services.catalogue import load_policy_file
from voucher.identity import is_identity_number
from voucher.models import Member, Voucher
from voucher.selectors import member_facts

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
FOLDER = Path(settings.BASE_DIR) / "demo"
POLICY = Path(settings.BASE_DIR) / "policies" / "370300-2022.toml"
RETIREE = "DM370300000001"


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def loaded(db: None) -> demo.LoadedDemo:
    load_policy_file(path=POLICY, now=NOW)
    return demo.load_demo(folder=FOLDER, now=NOW)


def counts() -> dict[str, int]:
    tables = (Member, Voucher, Account, Merchant, Agreement, Operator, Item, CatalogueItem)
    more = (Posting, Prescription, PrescriptionLine, YearToDate)
    return {table.__name__: table.objects.count() for table in (*tables, *more)}


def test_the_retiree_has_two_filings_a_balance_and_most_of_her_deductible_behind_her(
    loaded: demo.LoadedDemo,
) -> None:
    member = Member.objects.get(number=RETIREE)
    facts = member_facts(member_id=member.pk, day=NOW.date())
    assert (facts.scheme, facts.category, facts.entitlement_state) == (
        "employee",
        "retired",
        "in_force",
    )
    assert {filing.disease_code for filing in facts.filings} == {"M03900", "M01600"}
    assert all("P37030099001" in filing.institution_codes for filing in facts.filings)
    assert Account.objects.get(member=member).balance_fen == 186_040
    year = YearToDate.objects.get(member=member)
    assert (year.benefit_year, year.amounts["chronic.deductible"]) == (2026, 94_000)


def test_there_is_one_of_each_kind_of_person_who_meets_a_counter(
    loaded: demo.LoadedDemo,
) -> None:
    seen = {
        (facts.scheme, facts.entitlement_state, facts.voucher_state)
        for facts in (
            member_facts(member_id=member.pk, day=NOW.date()) for member in Member.objects.all()
        )
    }
    assert seen == {
        ("employee", "in_force", "active"),
        ("resident", "in_force", "active"),
        ("employee", "arrears", "active"),
        ("employee", "in_force", "suspended"),
    }


def test_opening_balances_are_in_the_ledger(loaded: demo.LoadedDemo) -> None:
    assert sum(Posting.objects.values_list("amount_fen", flat=True)) == 0
    opened = Posting.objects.filter(account__startswith="member:")
    assert sum(opened.values_list("amount_fen", flat=True)) == sum(
        Account.objects.values_list("balance_fen", flat=True)
    )


def test_every_login_works_with_its_printed_password(loaded: demo.LoadedDemo) -> None:
    for login in loaded.logins:
        assert authenticate(username=login.username, password=login.password) is not None
    fund = authenticate(username="fund", password="demo-fund-2022")
    assert fund is not None
    assert fund.is_staff
    assert fund.has_perm("settlement.view_settlement")
    assert not fund.has_perm("settlement.change_settlement")


def test_loading_again_changes_nothing(loaded: demo.LoadedDemo) -> None:
    before = counts()
    again = demo.load_demo(folder=FOLDER, now=NOW + timedelta(days=3))
    assert again == loaded
    assert counts() == before


def test_what_was_lived_since_is_kept(loaded: demo.LoadedDemo) -> None:
    Account.objects.filter(member__number=RETIREE).update(balance_fen=100)
    Voucher.objects.filter(member__number="DM370300000005").update(state="active")
    Item.objects.filter(code="1001").update(unit_price="1")
    demo.load_demo(folder=FOLDER, now=NOW + timedelta(days=3))
    assert Account.objects.get(member__number=RETIREE).balance_fen == 100
    assert Voucher.objects.get(member__number="DM370300000005").state == "active"
    assert set(Item.objects.filter(code="1001").values_list("unit_price", flat=True)) == {"1"}


def test_a_new_benefit_year_begins_with_amounts_of_its_own(loaded: demo.LoadedDemo) -> None:
    demo.load_demo(folder=FOLDER, now=datetime(2027, 2, 1, tzinfo=UTC))
    years = YearToDate.objects.filter(member__number=RETIREE).order_by("benefit_year")
    assert [year.benefit_year for year in years] == [2026, 2027]


@pytest.mark.parametrize(
    ("filled_e4", "days", "same"),
    [(0, 0, True), (100_000, 0, True), (100_001, 0, False), (0, 20, True), (0, 21, False)],
)
def test_a_prescription_is_issued_anew_when_it_has_run_out_or_nearly(
    loaded: demo.LoadedDemo, filled_e4: int, days: int, same: bool
) -> None:
    PrescriptionLine.objects.filter(national_code__startswith="XC08").update(filled_e4=filled_e4)
    number = demo.usable_prescription(folder=FOLDER, now=NOW + timedelta(days=days))
    assert (number == loaded.prescription) is same


def test_the_pharmacy_sells_forty_two_items_and_two_are_not_mapped(
    loaded: demo.LoadedDemo,
) -> None:
    pharmacy = Merchant.objects.get(kind="pharmacy")
    items = Item.objects.filter(merchant=pharmacy)
    assert (items.count(), items.filter(national_code="").count()) == (42, 2)
    found = search_items(merchant_id=pharmacy.pk, query="bhsaldpp")
    assert {item.name for item in found} == {"苯磺酸氨氯地平片", "苯磺酸氨氯地平片（大包装）"}


@pytest.mark.parametrize("name", ["items_pharmacy.csv", "items_clinic.csv"])
def test_every_mapped_demo_item_is_in_the_demo_catalogue(name: str) -> None:
    known = {row["national_code"] for row in rows_of("catalogue.csv")}
    assert {row["national_code"] for row in rows_of(name)} - known <= {""}


def test_demo_bar_codes_are_of_the_range_for_use_inside_a_shop_and_checked() -> None:
    for row in rows_of("items_pharmacy.csv"):
        digits = [int(digit) for digit in row["barcode"]]
        assert digits[0] == 2
        assert sum(d * (3 if at % 2 else 1) for at, d in enumerate(digits)) % 10 == 0


def test_demo_identity_numbers_are_well_formed_and_of_no_region() -> None:
    for row in rows_of("register/members.csv"):
        assert is_identity_number(row["identity_number"])
        assert row["identity_number"].startswith("999999")
        assert row["identity_number"][6:14] == row["birth_date"].replace("-", "")
        assert int(row["identity_number"][16]) % 2 == (row["sex"] == "male")


def test_what_the_demo_buys_is_sold_and_prescribed() -> None:
    plan = tomllib.loads((FOLDER / "purchase.toml").read_text())
    people = tomllib.loads((FOLDER / "people.toml").read_text())
    sold = {row["barcode"]: row["national_code"] for row in rows_of("items_pharmacy.csv")}
    prescribed = {line["national_code"] for line in people["prescription"]["line"]}
    assert plan["member"] == people["prescription"]["member"]
    for line in plan["line"]:
        assert line["barcode"] in sold
        assert not line.get("prescribed") or sold[line["barcode"]] in prescribed


def test_the_command_prints_the_logins(db: None) -> None:
    load_policy_file(path=POLICY, now=NOW)
    said = StringIO()
    call_command("load_demo", stdout=said)
    assert "demo-wang-2022" in said.getvalue()
    assert "RX20" in said.getvalue()


def test_a_production_deployment_refuses_published_passwords(db: None, settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        call_command("load_demo")
    assert Member.objects.count() == 0


def test_a_purchase_without_the_demo_data_says_what_to_load(db: None) -> None:
    with pytest.raises(CommandError, match="load_demo"):
        call_command("demo_purchase")
