"""Each guard behind stays, relatives' accounts and care away is taken out once, and a journey must
notice. That the journeys pass on the real thing is their own tests' business."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from settlement.selectors import money
from settlement.selectors.money import MoneyFacts
from settlement.services import acceptance, circumstances, posting, pricing, refunds
from settlement.services.lines import Prescribed
from tests.city import City, today
from tests.journeys import test_relatives_and_away_by_api as others
from tests.journeys import test_stays_by_api as stays

Patch = pytest.MonkeyPatch
Check = Callable[[City], None]
_legs, _frame = posting.settlement_legs, circumstances.bill_frame
_versions = pricing.catalogue_versions


def _all_to_the_member(**facts: Any) -> list[tuple[str, int]]:
    holders = [(facts["member_id"], part) for _, part in facts.pop("relatives", [])]
    return _legs(**facts, relatives=holders)


def _one_area(**facts: Any) -> list[tuple[str, int]]:
    return _legs(**{**facts, "treated_in": ""})


def _any_level(request: Any, **facts: Any) -> Any:
    return _frame(request, **{**facts, "prescribed": Prescribed()})


def _todays_catalogue(*, days: list[date], **asked: Any) -> Any:
    latest = _versions(days=days, **asked)[max(days)]
    return dict.fromkeys(days, latest)


MUTANTS: list[tuple[str, Callable[[Patch], None], Check]] = [
    (
        "what a stay counted last year is forgotten",
        lambda patch: patch.setattr(pricing, "stay_amounts", lambda **_: {}),
        stays.test_a_stay_over_the_years_end_is_one_admission_in_two_years,
    ),
    (
        "what a stay carries is written into both years",
        lambda patch: patch.setattr(
            acceptance,
            "write_year_to_date",
            lambda **facts: _real_write(
                **{**facts, "amounts": dict.fromkeys(facts["amounts"], 50000)}
            ),
        ),
        stays.test_a_stay_over_the_years_end_is_one_admission_in_two_years,
    ),
    (
        "a stay goes by the catalogue of its last day",
        lambda patch: patch.setattr(pricing, "catalogue_versions", _todays_catalogue),
        stays.test_the_lines_of_a_stay_go_by_the_catalogue_of_their_own_day,
    ),
    (
        "a quote does not notice that its stay has changed",
        lambda patch: patch.setattr(circumstances, "of_visit", lambda _visit: {}),
        stays.test_a_discharged_patient_shows_the_code_again_and_a_changed_stay_ends_a_quote,
    ),
    (
        "any kind fits any visit",
        lambda patch: patch.setattr(circumstances, "check_kind", lambda *_, **__: None),
        stays.test_a_stay_is_not_billed_as_a_visit_nor_a_visit_as_a_stay,
    ),
    (
        "holds on relatives' accounts are not looked at",
        lambda patch: patch.setattr(money, "_HELD", money._HELD.replace("'live'", "'none'")),
        others.test_what_a_relatives_quote_holds_cannot_be_spent_twice,
    ),
    (
        "relatives' holds are not looked at by the holder",
        lambda patch: patch.setattr(
            MoneyFacts, "available_fen", lambda self, **_: max(0, self.balance_fen)
        ),
        others.test_what_a_relatives_quote_holds_cannot_be_spent_twice,
    ),
    (
        "a refund leaves relatives out",
        lambda patch: patch.setattr(refunds, "_relatives_back", lambda *_: {}),
        others.test_a_relatives_account_pays_for_a_resident_and_gets_it_all_back,
    ),
    (
        "the ledger takes a relative's part from the member",
        lambda patch: patch.setattr(posting, "settlement_legs", _all_to_the_member),
        others.test_a_relatives_account_pays_for_a_resident_and_gets_it_all_back,
    ),
    (
        "relatives' accounts are not debited",
        lambda patch: patch.setattr(acceptance, "_draw_on_relatives", lambda *_, **__: None),
        others.test_a_relatives_account_pays_for_a_resident_and_gets_it_all_back,
    ),
    (
        "a quote does not notice that a sharing has ended",
        lambda patch: patch.setattr(
            "settlement.services.settlements._check_relatives", lambda *_, **__: None
        ),
        others.test_a_sharing_that_ends_takes_its_quote_with_it,
    ),
    (
        "the books know one area only",
        lambda patch: patch.setattr(posting, "settlement_legs", _one_area),
        others.test_care_away_from_home_goes_by_both_areas_and_both_are_in_the_books,
    ),
    (
        "first pay is that of the insured area",
        lambda patch: patch.setattr(pricing, "_treating_policy", lambda *_: None),
        others.test_a_groups_first_pay_is_that_of_the_place_of_treatment,
    ),
    (
        "a pharmacy's own level decides",
        lambda patch: patch.setattr(circumstances, "bill_frame", _any_level),
        others.test_a_dual_channel_drug_has_the_rate_of_the_hospital_that_prescribed_it,
    ),
]
_real_write = acceptance.write_year_to_date


@pytest.mark.parametrize(
    ("name", "mutate", "check"), MUTANTS, ids=[name.replace(" ", "-") for name, _, _ in MUTANTS]
)
def test_a_mutant_is_caught(
    db: None, monkeypatch: Patch, name: str, mutate: Callable[[Patch], None], check: Check
) -> None:
    with today(2026, 11, 10):
        city = City.made("350500")
    mutate(monkeypatch)
    try:
        check(city)
    except AssertionError:
        return
    pytest.fail(f"{check.__name__} does not notice that {name}")
