"""Hospital stays through the signed API: interim and final bills, numbers, packages, bed-days.

Figures are worked out by hand from the published tables in the comments, 泉州 2023: a hospital of
the third level, deductible 800 yuan (70 % of it for the second stay of a year), 87 % for employees
at work. `assert_as_calculated` prices the stored inputs again.
"""

from datetime import date
from pathlib import Path

import pytest

from settlement import benefits
from settlement.models import Settlement, YearToDate
from settlement.selectors.rules import compiled_policy
from tests.city import POLICIES, City, item, load_policy, paid, today
from tests.ledger_checks import assert_sound, balances
from tests.world import Reply, Till
from voucher.models import Member

CASES = Path(__file__).parent.parent / "settlement" / "cases" / "policies"


@pytest.fixture
def city(db: None) -> City:
    with today(2026, 11, 10):
        return City.made("350500")


def settle(city: City, till: Till, member: Member, visit_id: str, **more: object) -> Reply:
    """Quote and confirm a stay's bill, with a scan of its own."""
    bill = {
        "visit_id": visit_id,
        "scan_id": city.scan(till, member),
        "benefit_kind": "inpatient",
        **more,
    }
    estimate, quote = till.post("estimates", bill), till.post("quotes", bill)
    assert quote.status == 201, quote.text
    settled = till.post("settlements", {"quote_id": quote["quote_id"]})
    assert settled.status == 201, settled.text
    assert estimate["shares"] == quote["shares"] == settled["shares"]
    assert_as_calculated(settled)
    return settled


def assert_as_calculated(settled: Reply) -> None:
    row = Settlement.objects.get(pk=settled["settlement_id"])
    again = benefits.calculate(
        policy=compiled_policy(row.policy_id), **benefits.inputs_from(row.inputs)
    )
    assert benefits.trace_hash(again) == row.trace_hash


def test_interim_and_final_bill_of_a_stay_meet_its_deductible_once(city: City) -> None:
    opening = balances()
    with today(2026, 11, 10):
        member = city.person(1)
        opening = balances()
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient", department="内科")
        city.fees(till, stay, item("XA01", 4_000))
    with today(2026, 11, 15):
        city.fees(till, stay, item("XA01", 6_000), service_date="2026-11-12")
        interim = settle(city, till, member, stay)
        # (10,000 - 800) x 87 % = 8,004; the account gives its 1,000.
        assert paid(interim) == {"pool": 800_400, "account": 100_000, "cash": 99_600}
    with today(2026, 11, 20):
        city.fees(till, stay, item("XA01", 5_000), item("XB01", 1_000))
        assert city.discharge(till, stay)["days"] == 10
        final = settle(city, till, member, stay)
        # Nothing of the deductible is left: (5,000 + 900) x 87 % = 5,133.
        assert paid(final) == {"pool": 513_300, "cash": 86_700}
        year = YearToDate.objects.get(member=member, benefit_year=2026).amounts
        assert year["inpatient.times"] == 1

        # The next stay of the year is the second: 70 % of the deductible, 560.
        again = city.visit(till, member, kind="inpatient")
        city.fees(till, again, item("XA01", 2_000))
        city.discharge(till, again)
        second = settle(city, till, member, again)
        assert paid(second) == {"pool": 125_280, "cash": 74_720}

        # Returned latest first, the year is as it was before.
        for settled in (second, final, interim):
            refund = till.post(
                "refunds", {"settlement_id": settled["settlement_id"], "reason": "test"}
            )
            assert refund.status == 201, refund.text
        city.world.post_everything()
        assert not any(YearToDate.objects.get(member=member).amounts.values())
        assert_sound(opening=opening)


def test_a_stay_over_the_years_end_is_one_admission_in_two_years(city: City) -> None:
    with today(2026, 12, 20):
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 500))
    with today(2026, 12, 31):
        interim = settle(city, till, member, stay)
        assert interim["benefit_year"] == 2026
        # All of it within the deductible of 800.
        assert paid(interim) == {"cash": 50_000}
    with today(2027, 1, 3):
        city.fees(till, stay, item("XA01", 1_300), service_date="2027-01-01")
        city.discharge(till, stay)
        final = settle(city, till, member, stay)
        assert final["benefit_year"] == 2027
        # 300 of the deductible are left: (1,300 - 300) x 87 %.
        assert paid(final) == {"pool": 87_000, "cash": 43_000}
        of_the_year = YearToDate.objects.get(member=member, benefit_year=2027).amounts
        assert of_the_year["inpatient.paid"] == 87_000
        deductible = f"inpatient.deductible.{stay}"
        assert of_the_year[deductible] == 30_000
        assert (
            YearToDate.objects.get(member=member, benefit_year=2026).amounts[deductible] == 50_000
        )
        city.world.post_everything()
        assert_sound(opening=opening)


@pytest.mark.parametrize("rule", ["stand", "last_first", "restate"])
def test_an_interim_bill_that_comes_back_after_the_years_end_does_not_forget_the_final_one(
    db: None, rule: str
) -> None:
    (path,) = POLICIES.glob("350500-*.toml")
    with today(2026, 12, 20):
        city = City.made("350500", text=f'refund_with_later = "{rule}"\n{path.read_text()}')
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 500))
        interim = settle(city, till, member, stay)
    with today(2027, 1, 3):
        # Of the year of the final bill, and of no stay: nothing to it.
        other = city.visit(till, member, kind="outpatient")
        city.fees(till, other, item("XA01", 100))
        till.post("settlements", {"visit_id": other, "benefit_kind": "outpatient"})
        city.fees(till, stay, item("XA01", 1_300), service_date="2027-01-01")
        city.discharge(till, stay)
        final = settle(city, till, member, stay)
        assert (interim["benefit_year"], final["benefit_year"]) == (2026, 2027)
        back = {"settlement_id": interim["settlement_id"], "reason": "returned"}
        reply = till.post("refunds", back)
        if rule == "last_first":
            assert (reply["code"], reply["settlement_id"]) == (
                "refund_last_first",
                final["settlement_id"],
            )
        else:
            # Its year is not this return's to restate: it stands, and is named.
            assert paid(reply) == {"cash": 50_000}
            assert reply["would_differ"] == [final["settlement_id"]]
            assert reply["restated"] is None
        city.world.post_everything()
        assert_sound(opening=opening)


def test_the_lines_of_a_stay_go_by_the_catalogue_of_their_own_day(city: City) -> None:
    from settlement.models import CatalogueItem

    with today(2026, 11, 10):
        member = city.person(1, balance_fen=0)
        CatalogueItem.objects.filter(national_code="XB01").update(until_date=date(2026, 11, 12))
        CatalogueItem.objects.create(
            area_code=city.area,
            national_code="XB01",
            name="乙类药",
            kind="drug",
            item_class="B",
            first_pay_bp=2_000,
            from_date=date(2026, 11, 12),
        )
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
    with today(2026, 11, 15):
        city.fees(till, stay, item("XB01", 1_000), service_date="2026-11-11")
        city.fees(till, stay, item("XB01", 1_000), service_date="2026-11-12")
        city.discharge(till, stay)
        settled = settle(city, till, member, stay)
        assert [each["first_pay_fen"] for each in settled["lines"]] == [10_000, 20_000]
        # 1,700 in range, less 800, at 87 %.
        assert paid(settled) == {"pool": 78_300, "cash": 121_700}


def test_a_charge_package_takes_the_place_of_the_bill(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 6_000), item("XC01", 4_000))
    with today(2026, 11, 15):
        city.discharge(till, stay)
        settled = settle(city, till, member, stay, package="QZ-SAMPLE-1")
        # 8,000 for everything, also what no fund would pay for: (8,000 - 800) x 87 %.
        assert settled["total_fen"] == 800_000
        assert paid(settled) == {"pool": 626_400, "cash": 173_600}
        city.world.post_everything()
        assert_sound(opening=opening)
        unknown = till.post(
            "estimates",
            {
                "visit_id": city.visit(till, member, kind="inpatient"),
                "benefit_kind": "inpatient",
                "package": "QZ-SAMPLE-1",
            },
        )
        assert unknown["code"] == "bill_empty"


def test_a_package_that_the_policy_does_not_have_is_refused(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 6_000))
        bill = {"visit_id": stay, "benefit_kind": "inpatient", "package": "NONE-SUCH"}
        assert till.post("estimates", bill)["code"] == "package_unknown"


def test_bed_days_say_what_the_hospital_is_paid_and_leave_the_shares_alone(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("001", 2_800))
    with today(2026, 12, 20):
        city.discharge(till, stay)
        settled = settle(city, till, member, stay, package="BED-DAY-PSY")
        # Forty days: 30 x 260 + 10 x 220 = 10,000. The patient's bill: (2,800 - 800) x 87 %.
        assert settled["hospital_payment_fen"] == 1_000_000
        assert paid(settled) == {"pool": 174_000, "cash": 106_000}


def test_an_interim_bill_by_bed_days_has_to_say_how_many(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
    with today(2026, 11, 20):
        city.fees(till, stay, item("001", 2_800))
        bill = {
            "visit_id": stay,
            "scan_id": city.scan(till, member),
            "benefit_kind": "inpatient",
            "package": "BED-DAY-PSY",
        }
        refused = till.post("estimates", bill)
        assert (refused["code"], refused["param"]) == ("field_invalid", "days")
        assert till.post("estimates", {**bill, "days": 11})["hospital_payment_fen"] == 286_000
        too_many = till.post("estimates", {**bill, "days": 12})
        assert (too_many["code"], too_many["param"]) == ("field_invalid", "days")


def test_day_care_counts_towards_the_admissions_deductible_and_charges_a_part(db: None) -> None:
    with today(2026, 11, 10):
        city = City.made("370300", text=(CASES / "SD-15.toml").read_text())
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        day_care = city.visit(till, member, kind="inpatient")
        city.fees(till, day_care, item("001", 200), item("002", 100))
        city.discharge(till, day_care)
        # Bed and nursing are charged at 30 %: 90, all within the deductible of 500.
        first = settle(city, till, member, day_care, benefit_kind="tcm_day")
        assert first["total_fen"] == 9_000
        assert paid(first) == {"cash": 9_000}
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 1_000))
        city.discharge(till, stay)
        # (1,000 - 410) x 85 %.
        assert paid(settle(city, till, member, stay)) == {"pool": 50_150, "cash": 49_850}
        city.world.post_everything()
        assert_sound(opening=opening)


def test_a_declared_public_emergency_lifts_catalogue_deductible_and_cap(db: None) -> None:
    with today(2026, 11, 10):
        city = City.made("210100")
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient", emergency=True)
        city.fees(till, stay, item("XC01", 1_000))
        bill = {"visit_id": stay, "benefit_kind": "inpatient"}
        assert paid(till.post("estimates", bill)) == {"cash": 100_000}
        # It turns out to be the disease that the emergency is about.
        city.fees(till, stay, item("XA01", 1_000), public_emergency=True)
        assert paid(till.post("estimates", bill))["pool"] >= 2_000_00 * 85 // 100
        record = till.get(f"visits/{stay}")
        assert (record["emergency"], record["public_emergency"]) == (True, True)


def test_a_stay_is_not_billed_as_a_visit_nor_a_visit_as_a_stay(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        visit = city.visit(till, member, kind="outpatient")
        for visit_id, kind in ((stay, "outpatient"), (visit, "inpatient")):
            city.fees(till, visit_id, item("XA01", 10))
            refused = till.post("estimates", {"visit_id": visit_id, "benefit_kind": kind})
            assert refused.body.get("code") == "benefit_kind_not_for_visit"


def test_a_discharged_patient_shows_the_code_again_and_a_changed_stay_ends_a_quote(
    city: City,
) -> None:
    with today(2026, 11, 10):
        member = city.person(1)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 5_000))
        bill = {"visit_id": stay, "benefit_kind": "inpatient"}
        quote = till.post("quotes", bill)
        city.discharge(till, stay)
        answer = till.post("settlements", {"quote_id": quote["quote_id"]})
        assert answer.body.get("code") == "quote_not_live"
        assert till.post("quotes", bill)["code"] == "scan_not_for_this_use"
        assert settle(city, till, member, stay)["total_fen"] == 500_000


def test_days_of_a_stay_that_cannot_be_are_refused_by_name(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1)
        till = city.hospital_till()
        scan_id = city.scan(till, member, use="admission")
        for kind, day in (
            ("inpatient", "2026-11-06"),
            ("inpatient", "2026-11-11"),
            ("outpatient", "2026-11-10"),
        ):
            refused = till.post("visits", {"scan_id": scan_id, "kind": kind, "admission_date": day})
            assert (refused["code"], refused["param"]) == ("field_invalid", "admission_date")
        stay = city.visit(till, member, kind="inpatient", admission_date="2026-11-08")
        city.fees(till, stay, item("XA01", 100), service_date="2026-11-09")
        for day in ("2026-11-08", "2026-11-11"):
            refused = till.post(f"visits/{stay}/discharge", {"discharge_date": day})
            assert (refused["code"], refused["param"]) == ("field_invalid", "discharge_date")
        ended = till.post(f"visits/{stay}/discharge", {"discharge_date": "2026-11-09"})
        assert (ended["admission_date"], ended["days"]) == ("2026-11-08", 1)
        late = till.post(f"visits/{stay}/fee-batches", {"lines": [item("XA01", 1)]})
        assert late["service_date"] == "2026-11-09"
        after = till.post(
            f"visits/{stay}/fee-batches",
            {"lines": [item("XA01", 1)], "service_date": "2026-11-10"},
        )
        assert (after["code"], after["param"]) == ("field_invalid", "service_date")
        # No bill has gone by it yet: it was the tenth after all.
        assert till.post(f"visits/{stay}/discharge", {})["discharge_date"] == "2026-11-10"
        settle(city, till, member, stay)
        moved = till.post(f"visits/{stay}/discharge", {"discharge_date": "2026-11-09"})
        assert moved["code"] == "already_discharged"


def test_a_stay_under_the_rules_of_its_first_day_takes_the_earlier_version(db: None) -> None:
    text = (
        (CASES / "SD-15.toml")
        .read_text()
        .replace('rules_by = "discharge"', 'rules_by = "admission"')
    )
    with today(2026, 12, 30):
        before = text.replace(
            "effective_from = 2010-01-01",
            "effective_from = 2010-01-01\neffective_until = 2027-01-01",
        )
        city = City.made("370300", text=before)
        after = text.replace('version = "SD-15"', 'version = "SD-15-2027"')
        load_policy(
            after.replace("effective_from = 2010-01-01", "effective_from = 2027-01-01").replace(
                'rate = "85%"', 'rate = "50%"'
            ),
            area="370300",
        )
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
    with today(2027, 1, 2):
        city.fees(till, stay, item("XA01", 1_500))
        city.discharge(till, stay)
        # (1,500 - 500) x 85 %: admitted under the old rules.
        assert paid(settle(city, till, member, stay)) == {"pool": 85_000, "cash": 65_000}
        new = city.visit(till, member, kind="inpatient")
        city.fees(till, new, item("XA01", 1_000))
        city.discharge(till, new)
        # The new ones: the year's deductible of 500 is met, 50 %.
        assert paid(settle(city, till, member, new)) == {"pool": 50_000, "cash": 50_000}


@pytest.mark.django_db(transaction=True)
def test_rehearsing_the_version_in_force_over_stays_and_relatives_changes_nothing() -> None:
    from settlement.services.rehearsal import rehearse
    from tests.city import share_account

    with today(2026, 12, 20):
        city = City.made("350500")
        member, holder = city.person(1, balance_fen=0), city.person(2)
        share_account(holder, member)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 4_000), item("XB01", 500))
        settle(city, till, member, stay)
    with today(2027, 1, 3):
        city.fees(till, stay, item("XA01", 1_300), item("XC01", 100))
        city.discharge(till, stay)
        final = settle(city, till, member, stay)
        part = {"settlement_id": final["settlement_id"], "reason": "x", "lines": [{"no": 1}]}
        assert till.post("refunds", part).status == 201
        again = city.visit(till, member, kind="inpatient")
        city.fees(till, again, item("XA01", 9_000))
        city.discharge(till, again)
        settle(city, till, member, again, package="QZ-SAMPLE-1")
    found = rehearse(
        policy=compiled_policy(city.policy.pk),
        area_code=city.area,
        from_date=date(2026, 12, 1),
        until_date=date(2027, 2, 1),
        progress=lambda *_: None,
    )
    assert found.whole.bills == 3
    assert (found.changed, found.other_figures, found.not_priced) == (0, 0, {})
    assert found.whole.differences() == {}
