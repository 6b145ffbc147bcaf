"""Rehearsal over returns: in parts, of packages, and with later bills restated; in truth, under the
draft, or both.

Figures of the hand-worked cases of the city: 500 yuan a year are the member's own, the pool pays
80 % of the rest up to 1,000 yuan a year, the account what is left as far as it goes, cash the
remainder.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement import benefits
from settlement.benefits.following import Carried, counted_less
from settlement.benefits.rehearsing import Became
from settlement.models import Policy, Refund, Settlement
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import turns_of
from settlement.services import rehearsal as service
from settlement.services.rehearsal import Rehearsal
from settlement.services.reversals import reverse_overdue
from tests.city import RESTATES, City, item, paid, today
from tests.settlement import test_rehearse, test_restating_returns
from tests.settlement.test_partial_refunds import return_lines
from tests.settlement.test_refunds import sale
from tests.settlement.test_rehearse import all_rows, rehearsed
from tests.settlement.test_restating_returns import STEPS, buy, give_back
from tests.world import Reply, Till, World, line
from voucher.models import Member

city, till = test_restating_returns.city, test_rehearse.till

DEDUCTIBLE_300 = RESTATES.replace("amount = 500", "amount = 300")
STANDS = RESTATES.replace('"restate"', '"stand"')


def no_difference(found: Rehearsal) -> None:
    """The rehearsal of the version in force, figure by figure."""
    assert (found.changed, found.other_figures, found.not_priced) == (0, 0, {})
    assert found.whole.differences() == {}
    assert found.largest == []


# --- Stored settlements -----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_part_that_came_back_is_a_part_under_the_draft(world: World, till: Till) -> None:
    settled = sale(world, till, line("A4", "100", "18.6"), line("A4", "50", "10"))
    assert return_lines(till, settled, {"no": 2}).status == 201
    sale(world, till, line("A4", "50", "18.6"))
    no_difference(rehearsed())
    # 1,000 own. Of 1,860: 860 x 80 %, the account's 1,000, cash. Of 930: 80 %, cash.
    stored = {"pool": 68_800 + 74_400, "account": 100_000, "cash": 17_200 + 18_600}
    # 2,000 own: all of 1,860; of 930 the 140 that are left.
    found = rehearsed(test_rehearse.TEXT.replace("amount = 1000", "amount = 2000", 1))
    assert found.whole.stored == stored
    assert found.whole.rehearsed == {"pool": 63_200, "account": 100_000, "cash": 86_000 + 29_800}
    assert (found.whole.bills, found.whole.total_fen) == (2, 186_000 + 93_000)
    assert (found.returned, found.changed, found.dearer, found.cheaper) == (0, 2, 2, 0)
    for rows in (found.by_group, found.by_kind, found.by_merchant):
        assert [each.differences() for each in rows.values()] == [found.whole.differences()]
    assert [(change.fund_fen, change.personal_fen) for change in found.largest] == [
        (-68_800, 68_800),
        (-11_200, 11_200),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_bill_that_came_back_in_two_parts_is_returned_and_costs_nothing(
    world: World, till: Till
) -> None:
    settled = sale(world, till, line("A4", "100", "18.6"), line("A4", "50", "10"))
    sale(world, till, line("A4", "50", "18.6"))
    for number in (2, 1):
        assert return_lines(till, settled, {"no": number}).status == 201
    found = rehearsed(test_rehearse.DRAFT)
    assert (found.returned, found.whole.bills, found.whole.total_fen) == (1, 1, 93_000)
    # What it had met of the deductible stands in the later one.
    assert found.whole.stored["pool"] == 93_000 * 80 // 100
    assert found.whole.rehearsed["pool"] == 93_000 * 90 // 100


def bought_and_returned(city: City) -> None:
    """600, then 400; the 600 come back; then 200."""
    member, till = city.person(1, balance_fen=0), city.hospital_till()
    first = buy(city, till, member, 600)
    buy(city, till, member, 400)
    give_back(till, first)
    buy(city, till, member, 200)


# Restated, 400 are all her own and 100 of 200; otherwise 400 are paid at 80 % and 200 are her own,
# because the deductible came back.
RESTATED_500 = {"pool": 8_000, "cash": 40_000 + 12_000}
STANDING = {"pool": 32_000, "cash": 8_000 + 20_000}
# With a deductible of 300: 300 of 400 are her own, and nothing of 200.
RESTATED_300 = {"pool": 8_000 + 16_000, "cash": 32_000 + 4_000}


@pytest.mark.parametrize(
    ("in_force", "stored"), [(RESTATES, RESTATED_500), (STANDS, STANDING)], ids=["restate", "stand"]
)
@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (RESTATES, RESTATED_500),
        (DEDUCTIBLE_300, RESTATED_300),
        (STANDS, STANDING),
        (DEDUCTIBLE_300.replace('"restate"', '"last_first"'), STANDING),
    ],
    ids=["restate", "restate with 300", "stand", "last first"],
)
def test_the_draft_says_whether_later_bills_are_restated(
    db: None, in_force: str, stored: dict[str, int], draft: str, expected: dict[str, int]
) -> None:
    with today(2026, 11, 10):
        city = City.made("370300", text=in_force)
        bought_and_returned(city)
        found = rehearsed(draft)
    assert (found.whole.stored, found.whole.rehearsed) == (stored, expected)
    assert (found.whole.bills, found.returned, found.not_priced) == (2, 1, {})
    assert (found.changed == 0) == (stored == expected)


def test_a_draft_restates_what_was_restated_in_truth(city: City) -> None:
    bought_and_returned(city)
    no_difference(rehearsed(RESTATES))
    found = rehearsed(DEDUCTIBLE_300)
    assert (found.whole.stored, found.whole.rehearsed) == (RESTATED_500, RESTATED_300)
    assert (found.changed, found.cheaper, found.dearer) == (2, 2, 0)
    assert [change.fund_fen for change in found.largest] == [8_000, 8_000]


def test_a_rehearsal_reads_on_from_chunk_to_chunk(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CHUNK", 1)
    test_a_draft_restates_what_was_restated_in_truth(city)


def test_the_account_gives_a_restated_bill_what_the_return_gave_back(city: City) -> None:
    member, hospital = city.person(1, balance_fen=50_000), city.hospital_till()
    first = buy(city, hospital, member, 600)
    later = buy(city, hospital, member, 200, 100)
    give_back(hospital, first)
    found = rehearsed(RESTATES)
    no_difference(found)
    assert found.whole.stored == {"account": 30_000}
    # What stands of it may take again what it then took.
    assert paid(give_back(hospital, later, 2)) == {"account": 10_000}
    no_difference(rehearsed(RESTATES))


def test_a_later_bill_of_which_a_part_came_back_is_restated_by_what_remains(city: City) -> None:
    member, hospital = city.person(1, balance_fen=0), city.hospital_till()
    first = buy(city, hospital, member, 400, 200)
    later = buy(city, hospital, member, 300, 100)
    give_back(hospital, later, 2)
    give_back(hospital, first, 1)
    no_difference(rehearsed(RESTATES))
    # 200 remain, all her own; of 300, 100 are, and 80 % of 200 are paid.
    found = rehearsed(DEDUCTIBLE_300)
    assert found.whole.rehearsed == {"pool": 16_000, "cash": 20_000 + 14_000}
    assert found.whole.stored == {"cash": 50_000}


def test_a_reversal_restates_nothing_under_the_draft_either(city: City) -> None:
    member, hospital = city.person(1, balance_fen=0), city.hospital_till()
    first = buy(city, hospital, member, 600, confirm_within_s=600)
    buy(city, hospital, member, 300)
    Settlement.objects.filter(pk=first["settlement_id"]).update(confirm_by="2026-11-10T02:00:00Z")
    assert reverse_overdue(now=timezone.now(), limit=10) == 1
    found = rehearsed(RESTATES)
    no_difference(found)
    assert found.whole.stored == {"pool": 24_000, "cash": 6_000}


def test_what_was_settled_before_the_window_is_returned_and_restates_as_in_truth(
    db: None,
) -> None:
    with today(2026, 11, 9):
        city = City.made("370300", text=RESTATES)
        member, hospital = city.person(1, balance_fen=0), city.hospital_till()
        first = buy(city, hospital, member, 600)
    with today(2026, 11, 10):
        buy(city, hospital, member, 400)
        give_back(hospital, first)
        buy(city, hospital, member, 200)
        window = {"from_date": date(2026, 11, 10)}
        no_difference(rehearsed(RESTATES, **window))
        found = rehearsed(DEDUCTIBLE_300, **window)
    assert (found.whole.stored, found.whole.rehearsed) == (RESTATED_500, RESTATED_300)
    assert (found.whole.bills, found.returned) == (2, 0)


def test_what_was_settled_before_the_window_restates_nothing_where_its_own_rules_did_not(
    db: None,
) -> None:
    with today(2026, 11, 9):
        city = City.made("370300", text=STANDS)
        member, hospital = city.person(1, balance_fen=0), city.hospital_till()
        first = buy(city, hospital, member, 600)
    with today(2026, 11, 10):
        buy(city, hospital, member, 400)
        give_back(hospital, first)
        no_difference(rehearsed(RESTATES, from_date=date(2026, 11, 10)))


def test_the_return_of_a_bill_that_another_area_insured_leaves_bills_as_they_are(db: None) -> None:
    with today(2026, 11, 9):
        city = City.made("370300", text=RESTATES)
        member, hospital = city.person(1, balance_fen=0), city.hospital_till()
        first = buy(city, hospital, member, 600)
    with today(2026, 11, 10):
        test_restating_returns.moves_to(member, "370100")
        buy(city, hospital, member, 400)
        give_back(hospital, first)
        text = RESTATES.replace("370300", "370100")
        no_difference(rehearsed(text, area_code="370100", from_date=date(2026, 11, 10)))


def test_rules_that_are_needed_and_cannot_be_read_are_told(db: None) -> None:
    with today(2026, 11, 9):
        city = City.made("370300", text=STANDS)
        member, hospital = city.person(1, balance_fen=0), city.hospital_till()
        first = buy(city, hospital, member, 600)
    with today(2026, 11, 10):
        buy(city, hospital, member, 400)
        give_back(hospital, first)
        Policy.objects.filter(pk=city.policy.pk).update(text="format = 7")
        compiled_policy.cache_clear()
        with pytest.raises(benefits.PolicyError, match="format"):
            rehearsed(RESTATES, from_date=date(2026, 11, 10))


def test_a_return_after_the_window_counts_for_the_bills_in_it(db: None) -> None:
    with today(2026, 11, 9):
        city = City.made("370300", text=RESTATES)
        member, hospital = city.person(1, balance_fen=0), city.hospital_till()
        first, later = buy(city, hospital, member, 600), buy(city, hospital, member, 400)
    with today(2026, 11, 20):
        buy(city, hospital, member, 200)
        give_back(hospital, first)
    window = {"from_date": date(2026, 11, 9), "until_date": date(2026, 11, 10)}
    no_difference(rehearsed(RESTATES, **window))
    found = rehearsed(DEDUCTIBLE_300, **window)
    assert (found.whole.bills, found.returned) == (1, 1)
    assert [str(change.settlement_id) for change in found.largest] == [later["settlement_id"]]
    assert found.whole.rehearsed == {"pool": 8_000, "cash": 32_000}


PACKAGE = """
[[package]]
name = "visit"
title = { zh = "按次", en = "Visit" }
kinds = ["outpatient"]
sets = "charge"
price = 100
beside = ["bed"]
source = "assumption"
"""


def test_a_rest_that_the_draft_cannot_price_is_named_and_goes_on_as_in_truth(city: City) -> None:
    member, hospital, pharmacy = city.person(1, balance_fen=0), *_tills(city)
    visit = city.visit(hospital, member, kind="outpatient")
    city.fees(hospital, visit, item("XA01", 300), item("001", 100))
    settled = hospital.post("settlements", {"visit_id": visit, "benefit_kind": "outpatient"})
    give_back(hospital, settled, 1)
    # 100 of 600 are met: 80 % of 200 are paid.
    assert paid(buy(city, pharmacy, member, 600)) == {"pool": 16_000, "cash": 44_000}
    draft = RESTATES.replace("[[layer]]", PACKAGE + "\n[[layer]]", 1)
    found = rehearsed(draft)
    # A bed alone has no line that could carry the price of the visit.
    assert found.not_priced == {"package_without_lines": [UUID(settled["settlement_id"])]}
    assert (found.whole.bills, found.returned, found.changed) == (1, 0, 0)
    assert found.whole.rehearsed == {"pool": 16_000, "cash": 44_000}
    give_back(hospital, settled)
    found = rehearsed(draft)
    assert [len(named) for named in found.not_priced.values()] == [1]
    assert (found.whole.bills, found.returned) == (1, 0)


def _tills(city: City) -> tuple[Till, Till]:
    return city.hospital_till(), city.pharmacy_till()


# --- Any run of them --------------------------------------------------------------------------

WITH_PACKAGES = RESTATES.replace(
    "[[layer]]",
    PACKAGE.replace('kinds = ["outpatient"]', 'packages = ["P1"]\nat_most_the_bill = true')
    + "\n[[layer]]",
    1,
)


@pytest.fixture(params=["restate", "stand"])
def packaged(db: None, request: pytest.FixtureRequest) -> Iterator[City]:
    with today(2026, 11, 10):
        text = WITH_PACKAGES.replace('"restate"', f'"{request.param}"')
        yield City.made("370300", text=text)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=STEPS, packages=st.lists(st.booleans(), min_size=9), balance_fen=st.integers(0, 120_000)
)
def test_the_version_in_force_gives_no_difference_whatever_parts_came_back(
    packaged: City, steps: Any, packages: list[bool], balance_fen: int
) -> None:
    city = packaged
    member = city.person(Member.objects.count() + 1, balance_fen=balance_fen)
    tills = getattr(city, "tills", None) or _tills(city)
    city.tills = tills  # type: ignore[attr-defined]
    bought: list[tuple[Till, Reply]] = []
    for step, package in zip(steps, packages, strict=False):
        if step[0] == "buy":
            more = {"package": "P1"} if package and not step[1] else {}
            bought.append((tills[step[1]], buy(city, tills[step[1]], member, *step[2], **more)))
        elif bought:
            till, settled = bought[step[1] % len(bought)]
            # Of a package, of nothing and twice it is refused, and the bill stands.
            give_back(till, settled, *([step[2]] if step[2] else []))
    before = all_rows()
    found = rehearsed(city.policy.text)
    assert all_rows() == before
    no_difference(found)
    # What the latest turn of each bill comes to, from the rows.
    rows = {row.pk: row for row in Settlement.objects.exclude(refunded_fen=F("total_fen"))}
    stored: Counter[str] = Counter()
    turns = turns_of(list(rows))
    for identifier, row in rows.items():
        result = turns[identifier].result if identifier in turns else row.result
        assert result is not None
        stored.update({share["payer"]: share["amount_fen"] for share in result["shares"]})
    assert found.whole.stored == stored
    assert found.whole.bills == len(rows)
    assert found.whole.bills + found.returned == Settlement.objects.count()


# --- Checks are checked -----------------------------------------------------------------------

_real_became, _real_replace = service._became, replace


def _as_nothing(*facts: Any) -> Became:
    return replace(_real_became(*facts), before=None, after=None)


def _without(name: str) -> Callable[..., Any]:
    """Bills under the draft keep what they had there."""
    return lambda bill, **changes: _real_replace(
        bill, **{key: each for key, each in changes.items() if key != name}
    )


MUTANTS: list[tuple[str, str, Any, Any]] = [
    (
        "a part is taken for the whole",
        "settlement.benefits.rehearsing.rest_of",
        lambda *_, **__: None,
        test_a_later_bill_of_which_a_part_came_back_is_restated_by_what_remains,
    ),
    (
        "the draft restates nothing",
        "settlement.benefits.rehearsing._may_be_restated",
        lambda *_: False,
        test_a_draft_restates_what_was_restated_in_truth,
    ),
    (
        "what was restated in truth is not looked at",
        "settlement.services.rehearsal._restated",
        lambda *_: [],
        test_a_draft_restates_what_was_restated_in_truth,
    ),
    (
        "a return changes nothing that is carried",
        "settlement.benefits.rehearsing.MemberRehearsal._become",
        lambda self, bill, stored, standing: (
            setattr(bill, "stored", stored),
            setattr(bill, "standing", standing),
        ),
        test_a_draft_restates_what_was_restated_in_truth,
    ),
    (
        "what the account gets back is not there to give",
        "settlement.benefits.rehearsing.Carried.from_return",
        lambda before, after: Carried(counted_less(before, after), 0),
        test_the_account_gives_a_restated_bill_what_the_return_gave_back,
    ),
    (
        "accounts give what they first gave",
        "settlement.benefits.rehearsing.replace",
        _without("gave"),
        test_the_account_gives_a_restated_bill_what_the_return_gave_back,
    ),
    (
        "what came back before is restated too",
        "settlement.benefits.rehearsing.replace",
        _without("remaining_fen"),
        test_a_later_bill_of_which_a_part_came_back_is_restated_by_what_remains,
    ),
    (
        "a reversal restates too",
        "settlement.services.rehearsal.rule_of",
        lambda rules, _kind: rules.refund_with_later,
        test_a_reversal_restates_nothing_under_the_draft_either,
    ),
    (
        "a rest that cannot be priced leaves its difference",
        "settlement.benefits.rehearsing.MemberRehearsal._leave_out",
        lambda self, key, error, refused: refused.update({key: error}),
        test_a_rest_that_the_draft_cannot_price_is_named_and_goes_on_as_in_truth,
    ),
]

# Of those that set the clock by themselves.
APART: list[tuple[str, str, Any, Any]] = [
    (
        "what was settled before the window moves nothing",
        "settlement.services.rehearsal._became",
        _as_nothing,
        test_what_was_settled_before_the_window_is_returned_and_restates_as_in_truth,
    ),
    (
        "the draft says what an earlier bill restates",
        "settlement.services.rehearsal.compiled_policy",
        lambda _: benefits.load_policy(RESTATES, name="restates.toml"),
        test_what_was_settled_before_the_window_restates_nothing_where_its_own_rules_did_not,
    ),
    (
        "a return after the window is not looked at",
        "settlement.services.rehearsal._refunds",
        lambda wanted: Refund.objects.filter(business_date=wanted.first().business_date),
        test_a_return_after_the_window_counts_for_the_bills_in_it,
    ),
    (
        "only returns of what is in the window are looked at",
        "settlement.services.rehearsal._refunds",
        lambda wanted: Refund.objects.filter(settlement__in=wanted),
        test_what_was_settled_before_the_window_is_returned_and_restates_as_in_truth,
    ),
]


@pytest.mark.parametrize(
    ("target", "broken", "check"),
    [mutant[1:] for mutant in MUTANTS],
    ids=[mutant[0].replace(" ", "-") for mutant in MUTANTS],
)
def test_a_broken_rehearsal_is_noticed(
    city: City, monkeypatch: pytest.MonkeyPatch, target: str, broken: Any, check: Any
) -> None:
    monkeypatch.setattr(target, broken)
    with pytest.raises(AssertionError):
        check(city)


@pytest.mark.parametrize(
    ("target", "broken", "check"),
    [mutant[1:] for mutant in APART],
    ids=[mutant[0].replace(" ", "-") for mutant in APART],
)
def test_a_broken_rehearsal_of_a_window_is_noticed(
    db: None, monkeypatch: pytest.MonkeyPatch, target: str, broken: Any, check: Any
) -> None:
    monkeypatch.setattr(target, broken)
    with pytest.raises(AssertionError):
        check(None)
