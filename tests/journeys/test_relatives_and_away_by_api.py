"""Who else pays, and where: relatives' accounts, care away from home, a prescriber's level.

Figures are worked out by hand from the shipped policies of 泉州 2023 and 淄博 2022, named in the
comments.
"""

from datetime import date
from uuid import uuid4

import pytest

from settlement.models import Account, Hold, Posting, RelativeShare, Settlement
from tests.city import SINCE, City, item, load_policy, paid, share_account, today
from tests.ledger_checks import assert_sound, balances
from tests.world import Till
from voucher.models import Enrolment, Filing, Member, Sharing


@pytest.fixture
def city(db: None) -> City:
    with today(2026, 11, 10):
        return City.made("350500")


def holder_and_resident(city: City) -> tuple[Member, Member]:
    """Somebody with 1,000 yuan on the account, and a relative with none of their own."""
    holder = city.person(1)
    resident = city.person(2, scheme="resident", category="resident", balance_fen=0)
    Account.objects.filter(member=resident).delete()
    share_account(holder, resident)
    return holder, resident


def purchase(city: City, till: Till, member: Member, *lines: object, **more: object) -> dict:
    return {
        "scan_id": city.scan(till, member, use="pharmacy_purchase"),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines),
        **more,
    }


def balance(member: Member) -> int:
    return Account.objects.get(member=member).balance_fen


# ---------------------------------------------------------------- relatives' accounts


def test_a_relatives_account_pays_for_a_resident_and_gets_it_all_back(city: City) -> None:
    with today(2026, 11, 10):
        holder, resident = holder_and_resident(city)
        opening = balances()
        till = city.pharmacy_till()
        quote = till.post("quotes", purchase(city, till, resident, item("XA01", 300)))
        assert paid(quote) == {"relative_account": 30_000}
        assert (quote["relative_fen"], quote["account_fen"], quote["cash_fen"]) == (30_000, 0, 0)
        settled = till.post("settlements", {"quote_id": quote["quote_id"]})
        assert settled.status == 201, settled.text
        assert balance(holder) == 70_000
        city.world.post_everything()
        drawn = Posting.objects.filter(account=f"member:{holder.pk}:personal")
        assert [posting.amount_fen for posting in drawn] == [-30_000]
        assert not Posting.objects.filter(account=f"member:{resident.pk}:personal").exists()
        refund = till.post(
            "refunds", {"settlement_id": settled["settlement_id"], "reason": "wrong pack"}
        )
        assert paid(refund) == {"relative_account": 30_000}
        assert balance(holder) == 100_000
        city.world.post_everything()
        assert_sound(opening=opening)


def test_the_holder_is_named_to_nobody_at_the_till(city: City) -> None:
    with today(2026, 11, 10):
        holder, resident = holder_and_resident(city)
        till = city.pharmacy_till()
        settled = till.post("settlements", purchase(city, till, resident, item("XA01", 300)))
        record = till.get(f"settlements/{settled['settlement_id']}")
        for reply in (settled, record):
            assert holder.number not in reply.text
            assert "holder" not in reply.text


def test_ones_own_account_pays_before_a_relatives_and_cash_is_the_rest(city: City) -> None:
    with today(2026, 11, 10):
        first, second = city.person(1, balance_fen=5_000), city.person(2, balance_fen=7_000)
        member = city.person(3, balance_fen=2_000)
        share_account(second, member, rank=2)
        share_account(first, member, rank=1)
        opening = balances()
        till = city.pharmacy_till()
        settled = till.post("settlements", purchase(city, till, member, item("XA01", 150)))
        assert paid(settled) == {"account": 2_000, "relative_account": 12_000, "cash": 1_000}
        parts = dict(RelativeShare.objects.values_list("account__member", "amount_fen"))
        assert parts == {first.pk: 5_000, second.pk: 7_000}
        city.world.post_everything()
        assert_sound(opening=opening)


def test_how_much_of_relatives_accounts_is_used_may_be_limited(city: City) -> None:
    with today(2026, 11, 10):
        first, second = city.person(1, balance_fen=5_000), city.person(2, balance_fen=7_000)
        member = city.person(3, balance_fen=0)
        share_account(first, member)
        share_account(second, member, rank=2)
        till = city.pharmacy_till()
        for limit, expected in ((0, 0), (4_000, 4_000), (6_000, 6_000), (99_999, 12_000)):
            bill = purchase(city, till, member, item("XA01", 150), relative_limit_fen=limit)
            assert till.post("estimates", bill)["relative_fen"] == expected


def test_what_a_relatives_quote_holds_cannot_be_spent_twice(city: City) -> None:
    with today(2026, 11, 10):
        holder, resident = holder_and_resident(city)
        opening = balances()
        one, two = city.pharmacy_till(), city.hospital_till()
        quote = one.post("quotes", purchase(city, one, resident, item("XA01", 800)))
        assert Hold.objects.get().relative
        own = two.post("quotes", purchase(city, two, holder, item("XA01", 500)))
        assert paid(own) == {"account": 20_000, "cash": 30_000}
        # And the other way round: what the holder's quote holds is not the relative's.
        other = city.person(3, balance_fen=0)
        share_account(holder, other)
        third = one.post("estimates", purchase(city, one, other, item("XA01", 500)))
        assert paid(third) == {"cash": 50_000}
        for till, held in ((one, quote), (two, own)):
            assert till.post("settlements", {"quote_id": held["quote_id"]}).status == 201
        assert balance(holder) == 0
        city.world.post_everything()
        assert_sound(opening=opening)


def test_a_sharing_that_ends_takes_its_quote_with_it(city: City) -> None:
    with today(2026, 11, 10):
        _holder, resident = holder_and_resident(city)
        till = city.pharmacy_till()
        quote = till.post("quotes", purchase(city, till, resident, item("XA01", 300)))
        Sharing.objects.update(until_date=date(2026, 11, 10))
        refused = till.post("settlements", {"quote_id": quote["quote_id"]})
        assert refused.body.get("code") == "quote_not_live"
        assert paid(till.post("estimates", purchase(city, till, resident, item("XA01", 300)))) == {
            "cash": 30_000
        }


@pytest.mark.parametrize("state", ["suspended", "deceased", "gone"])
def test_an_account_that_its_holder_could_not_use_pays_for_nobody(city: City, state: str) -> None:
    with today(2026, 11, 10):
        holder, resident = holder_and_resident(city)
        if state == "gone":
            Member.objects.filter(pk=holder.pk).update(death_date=date(2026, 11, 1))
        else:
            Enrolment.objects.get(member=holder).entitlements.update(state=state)
        till = city.pharmacy_till()
        assert paid(till.post("estimates", purchase(city, till, resident, item("XA01", 300)))) == {
            "cash": 30_000
        }


def test_a_pools_frozen_pool_leaves_a_relatives_account_usable(city: City) -> None:
    with today(2026, 11, 10):
        holder = city.person(1)
        member = city.person(2, state="arrears", balance_fen=0)
        share_account(holder, member)
        till = city.pharmacy_till()
        reply = till.post("estimates", purchase(city, till, member, item("XA01", 300)))
        assert paid(reply) == {"relative_account": 30_000}


# ---------------------------------------------------------------- away from home


def away(city: City) -> Member:
    """Somebody insured in 淄博, whose rules this server has too."""
    from tests.city import POLICIES

    load_policy((POLICIES / "370300-2022.toml").read_text(), area="370300")
    member = city.person(9, balance_fen=0)
    Enrolment.objects.filter(member=member).update(area_code="370300")
    return member


def test_care_away_from_home_goes_by_both_areas_and_both_are_in_the_books(city: City) -> None:
    with today(2026, 11, 10):
        member = away(city)
        opening = balances()
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XA01", 2_000))
        settled = till.post("settlements", {"visit_id": visit, "benefit_kind": "outpatient"})
        # 淄博: temporarily away 10 % first pay, deductible 800, 60 % at the third level.
        assert paid(settled) == {"pool": 60_000, "cash": 140_000}
        city.world.post_everything()
        legs = dict(Posting.objects.values_list("account", "amount_fen"))
        assert legs == {
            "fund:370300:pool": -60_000,
            "between:370300:350500": 60_000,
            "agency:350500:advanced": -60_000,
            f"merchant:{city.hospital.pk}:due": 60_000,
            "cash:370300": -140_000,
            f"merchant:{city.hospital.pk}:till": 140_000,
        }
        refund = till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
        assert refund.status == 201
        city.world.post_everything()
        assert_sound(opening=opening)


def test_a_filing_for_living_away_takes_the_extra_first_pay_off(city: City) -> None:
    with today(2026, 11, 10):
        member = away(city)
        Filing.objects.create(member=member, kind="long_term_away", from_date=SINCE)
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XA01", 2_000))
        reply = till.post("estimates", {"visit_id": visit, "benefit_kind": "outpatient"})
        # (2,000 - 800) x 60 %.
        assert paid(reply) == {"pool": 72_000, "cash": 128_000}


def test_what_is_covered_away_is_what_the_place_of_treatment_covers(city: City) -> None:
    from settlement.models import CatalogueItem

    with today(2026, 11, 10):
        member = away(city)
        # At home the item is free of first pay; here it has 10 %.
        CatalogueItem.objects.create(
            area_code="370300",
            national_code="XB01",
            name="乙类药",
            kind="drug",
            item_class="A",
            from_date=SINCE,
        )
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XB01", 1_000), item("XC01", 100))
        reply = till.post("estimates", {"visit_id": visit, "benefit_kind": "outpatient"})
        # 10 % of the item, then 10 % of what is left for being away.
        assert [each["first_pay_fen"] for each in reply["lines"]] == [19_000, 0]
        assert reply["lines"][1]["out_of_scope_fen"] == 10_000


def test_a_groups_first_pay_is_that_of_the_place_of_treatment(city: City) -> None:
    from settlement.models import CatalogueItem

    with today(2026, 11, 10):
        member = away(city)
        # 淄博 asks 20 % of negotiated drugs; 泉州 has no such rule, and its list says 5 %.
        CatalogueItem.objects.filter(national_code="XA01").update(
            item_class="B", first_pay_bp=500, drug_group="negotiated"
        )
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XA01", 1_000))
        reply = till.post("estimates", {"visit_id": visit, "benefit_kind": "outpatient"})
        assert reply["lines"][0]["first_pay_fen"] == 5_000 + 9_500


def test_whoever_is_insured_elsewhere_needs_their_areas_rules_and_an_agreement_for_it(
    city: City,
) -> None:
    with today(2026, 11, 10):
        stranger = city.person(8)
        Enrolment.objects.filter(member=stranger).update(area_code="110000")
        body = {
            "evidence": {"type": "voucher_code", "value": city.world.code(stranger)},
            "use": "registration",
        }
        till = city.hospital_till()
        assert till.post("scans", body)["code"] == "out_of_area_not_connected"
        member = away(city)
        city.hospital.agreements.get().capabilities.filter(kind="out_of_area").delete()
        body["evidence"] = {"type": "voucher_code", "value": city.world.code(member)}
        assert till.post("scans", body)["code"] == "capability_missing"


# ---------------------------------------------------------------- the prescriber's level


def prescription(city: City, member: Member, *, level_of: str, code: str = "XD01") -> str:
    from settlement.models import Prescription, PrescriptionLine

    row = Prescription.objects.create(
        number=f"RX-{uuid4().hex[:12]}",
        member=member,
        institution_code=level_of,
        prescriber="测试医师",
        diagnosis="肿瘤",
        diagnosis_code="C34.900",
        issued_date=date(2026, 11, 10),
        until_date=date(2026, 11, 20),
    )
    PrescriptionLine.objects.create(prescription=row, national_code=code, quantity_e4=50_000)
    return row.number


def test_a_dual_channel_drug_has_the_rate_of_the_hospital_that_prescribed_it(city: City) -> None:
    from merchants import services as merchants

    with today(2026, 11, 10):
        member = city.person(1, balance_fen=0)
        small = merchants.register_merchant(
            code="H35050099002",
            name="测试卫生院",
            kind="hospital",
            level=1,
            area_code=city.area,
            agreement_number="T-SMALL",
            agreement_from=SINCE,
            capabilities=["dual_channel"],
        )
        till = city.pharmacy_till()
        # 泉州, employee: 87 % by a hospital of the third level, else 90 %; the pharmacy has none.
        for code, pool in ((city.hospital.code, 87_000), (small.code, 90_000)):
            number = prescription(city, member, level_of=code)
            bill = purchase(
                city,
                till,
                member,
                item("XD01", 1_000, prescription=number),
                benefit_kind="dual_channel",
            )
            settled = till.post("settlements", bill)
            assert paid(settled) == {"pool": pool, "cash": 100_000 - pool}
            stored = Settlement.objects.get(pk=settled["settlement_id"]).inputs["bill"]
            assert stored["diagnoses"] == ["C34.900"]
        mixed = [
            item("XD01", 1_000, prescription=prescription(city, member, level_of=code))
            for code in (city.hospital.code, small.code)
        ]
        refused = till.post(
            "estimates", purchase(city, till, member, *mixed, benefit_kind="dual_channel")
        )
        assert refused["code"] == "prescribers_differ"
        assert refused["param"] in ("lines[0].prescription", "lines[1].prescription")


def test_a_pharmacys_bill_has_no_package_and_no_days(city: City) -> None:
    with today(2026, 11, 10):
        member = city.person(1)
        till = city.pharmacy_till()
        for more in ({"package": "QZ-SAMPLE-1"}, {"days": 3}):
            refused = till.post("estimates", purchase(city, till, member, item("XA01", 10), **more))
            assert (refused["code"], refused["param"]) == ("field_invalid", *more)
