"""Beijing days, benefit years, stays across their end, interim bills, and bills taken back."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from messaging.days import business_date
from settlement.benefits import (
    Bill,
    Filing,
    Line,
    Member,
    Site,
    calculate,
    canonical_inputs,
    inputs_from,
    load_policy,
)

FOLDER = Path(__file__).resolve().parents[2] / "policies"
QUANZHOU = (FOLDER / "350500-2023.toml").read_text(encoding="utf-8")
POLICY = load_policy(QUANZHOU, name="350500-2023.toml")
MEMBER = Member("employee", "active", 40, None, True, True)
SITE = Site("hospital", 2, "H1", "350500")
LINE = Line(1, "X1", "care", 10_000_00, "A", 0, 0, True, True, False, False)
BILL = Bill("inpatient", None, date(2023, 12, 31), (LINE,))


def price(bill, *, policy=POLICY, year_to_date=(), member=MEMBER):
    return calculate(
        policy=policy,
        member=member,
        site=SITE,
        bill=bill,
        year_to_date=dict(year_to_date),
        account_available_fen=0,
    )


@pytest.mark.parametrize(
    ("moment", "year"),
    [
        # Midnight in Beijing is 16:00 the day before in UTC.
        (datetime(2023, 12, 31, 15, 59, 59, tzinfo=UTC), 2023),
        (datetime(2023, 12, 31, 16, 0, 0, tzinfo=UTC), 2024),
    ],
)
def test_the_year_ends_at_midnight_in_beijing(moment, year):
    bill = replace(BILL, kind="outpatient", service_date=business_date(moment))
    assert price(bill).benefit_year == year


@pytest.mark.parametrize(("by", "year"), [("discharge", 2024), ("admission", 2023)])
def test_a_stay_across_the_year_end_belongs_to_the_year_the_policy_says(by, year):
    policy = load_policy(
        QUANZHOU.replace('year_by = "discharge"', f'year_by = "{by}"'), name="x.toml"
    )
    bill = replace(
        BILL,
        service_date=date(2024, 1, 2),
        admission_date=date(2023, 12, 30),
        discharge_date=date(2024, 1, 2),
    )
    assert price(bill, policy=policy).benefit_year == year


@pytest.mark.parametrize(("by", "rate_bp"), [("admission", 90_00), ("discharge", 91_00)])
def test_a_stay_across_a_change_is_priced_by_the_day_the_policy_says(by, rate_bp):
    changed = QUANZHOU.replace('rules_by = "discharge"', f'rules_by = "{by}"').replace(
        '[[layer.rate]]\nlevels = [2]\nrate = "90%"',
        '[[layer.rate]]\nlevels = [2]\nfrom = 2023-07-01\nrate = "91%"\nsource = "assumption"\n'
        '[[layer.rate]]\nlevels = [2]\nrate = "90%"',
        1,
    )
    bill = replace(
        BILL,
        service_date=date(2023, 7, 2),
        admission_date=date(2023, 6, 30),
        discharge_date=date(2023, 7, 2),
    )
    result = price(bill, policy=load_policy(changed, name="x.toml"))
    assert result.layers[0].tiers[0].rate_bp == rate_bp


def test_an_interim_and_a_final_bill_of_one_stay_are_one_admission():
    half = replace(BILL, lines=(replace(LINE, amount_fen=5_000_00),), stay="S1")
    interim = price(half)
    final = price(half, year_to_date=interim.year_to_date_after)
    whole = price(replace(BILL, stay="S1"))
    assert interim.fund_fen + final.fund_fen == whole.fund_fen
    assert final.layers[0].deductible_fen == 0
    assert final.year_to_date_after == whole.year_to_date_after
    assert final.year_to_date_after["inpatient.times"] == 1


def test_the_next_stay_is_the_second_admission():
    first = price(replace(BILL, stay="S1"))
    second = price(replace(BILL, stay="S2"), year_to_date=first.year_to_date_after)
    assert first.layers[0].deductible_left_fen == 500_00
    assert second.layers[0].deductible_left_fen == 350_00
    assert second.year_to_date_after["inpatient.times"] == 2


def test_returning_the_latest_bill_equals_never_having_had_it():
    first = price(BILL)
    second = price(BILL, year_to_date=first.year_to_date_after)
    after = dict(second.year_to_date_after)
    for name, amount in second.year_to_date_delta.items():
        after[name] -= amount
    after = {name: amount for name, amount in after.items() if amount}
    assert after == first.year_to_date_after
    assert price(BILL, year_to_date=after) == second


def test_returning_an_earlier_bill_under_stand_takes_exactly_what_it_added():
    first = price(BILL)
    second = price(BILL, year_to_date=first.year_to_date_after)
    after = {
        name: amount - first.year_to_date_delta.get(name, 0)
        for name, amount in second.year_to_date_after.items()
    }
    assert {name: amount for name, amount in after.items() if amount} == (second.year_to_date_delta)


@pytest.mark.parametrize(
    ("day", "filed"),
    [("2023-02-28", False), ("2023-03-01", True), ("2023-05-31", True), ("2023-06-01", False)],
)
def test_a_referral_counts_only_within_its_days(day, filed):
    text = QUANZHOU.replace("[kinds]", "[kinds]", 1) + (
        '\n[[layer]]\nname = "away"\ntitle = { zh = "异地", en = "away" }\npayer = "commercial"\n'
        'filed = true\nbase = ["unpaid"]\nsource = "assumption"\n'
        '[[layer.rate]]\nrate = "100%"\nsource = "assumption"\n'
    )
    referral = Filing("referral", "", (), date(2023, 3, 1), date(2023, 6, 1))
    member = replace(MEMBER, filings=(referral,))
    bill = replace(BILL, service_date=date.fromisoformat(day))
    result = price(bill, policy=load_policy(text, name="x.toml"), member=member)
    assert bool(result.share("commercial")) is filed


def test_an_emergency_counts_as_filed_unless_the_policy_says_otherwise():
    layer = (
        '\n[[layer]]\nname = "away"\ntitle = { zh = "异地", en = "away" }\npayer = "commercial"\n'
        'filed = true\nbase = ["unpaid"]\nsource = "assumption"\n'
        '[[layer.rate]]\nrate = "100%"\nsource = "assumption"\n'
    )
    strict = '[away]\nemergency_counts_as_filed = false\nsource = "assumption"\n'
    bill = replace(BILL, emergency=True)
    for text, filed in ((QUANZHOU + layer, True), (QUANZHOU + strict + layer, False)):
        result = price(bill, policy=load_policy(text, name="x.toml"))
        assert bool(result.share("commercial")) is filed


def test_inputs_stored_before_the_format_grew_are_read_as_they_were():
    arguments = {
        "policy": POLICY,
        "member": MEMBER,
        "site": SITE,
        "bill": BILL,
        "year_to_date": {},
        "account_available_fen": 0,
    }
    stored = canonical_inputs(**arguments)
    assert set(stored["bill"]) == {
        "kind",
        "disease_code",
        "service_date",
        "account_limit_fen",
        "lines",
    }
    assert set(stored["site"]) == {"kind", "level", "institution_code", "area"}
    assert inputs_from(stored)["bill"] == BILL
