"""Rehearsal over returns: in parts, of packages, and with later bills restated; in truth, under the
draft, or both.

Figures of the hand-worked cases of the city: 500 yuan a year are the member's own, the pool pays
80 % of the rest up to 1,000 yuan a year, the account what is left as far as it goes, cash the
remainder.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement import benefits
from settlement.benefits import calculate
from settlement.benefits.following import (
    Carried,
    StandingBill,
    counted_less,
    rest_of,
    restated_after,
    same_figures,
)
from settlement.benefits.rehearsing import Became, MemberRehearsal, at_any_time
from settlement.benefits.restating import Settled
from settlement.benefits.returning import shares_back, shares_of
from settlement.models import Refund, Settlement
from settlement.selectors.standing import turns_of
from settlement.services import rehearsal as service
from settlement.services.rehearsal import Rehearsal
from settlement.services.reversals import reverse_overdue
from tests.city import RESTATES, City, item, paid, today
from tests.settlement import benefits_worlds, test_rehearse, test_restating_returns
from tests.settlement.benefits_worlds import EXAMPLES, worlds
from tests.settlement.test_partial_refunds import return_lines
from tests.settlement.test_refunds import sale
from tests.settlement.test_rehearse import all_rows, rehearsed
from tests.settlement.test_restating_returns import STEPS, buy, give_back
from tests.world import Reply, Till, World, line
from voucher.models import Member

city, till = test_restating_returns.city, test_rehearse.till

DEDUCTIBLE_300 = RESTATES.replace("amount = 500", "amount = 300")
CAP_100 = RESTATES.replace("amount = 1000", "amount = 100")
STANDS = RESTATES.replace('"restate"', '"stand"')


def no_difference(found: Rehearsal) -> None:
    """The rehearsal of the version in force, figure by figure."""
    assert (found.changed, found.other_figures, found.not_priced) == (0, 0, {})
    assert found.whole.differences() == {}
    assert found.largest == []


# --- One member, without a database -----------------------------------------------------------


@dataclass
class Truth:
    """What tills do with one member's bills of a year, by the calculator alone."""

    policy: Any
    year: dict[str, int]
    account: int
    bills: dict[int, StandingBill | None] = field(default_factory=dict)

    def settle(self, key: int, world: Any) -> dict[str, Any]:
        """Settle the world's bill; what it was calculated from."""
        arguments = {
            **world.arguments(),
            "policy": self.policy,
            "year_to_date": {name: fen for name, fen in self.year.items() if fen},
            "account_available_fen": self.account,
        }
        result = calculate(**arguments)
        inputs = {name: each for name, each in arguments.items() if name != "policy"}
        whole = {line.no: line.amount_fen for line in world.bill.lines}
        self.bills[key] = StandingBill(Settled(self.policy, inputs), whole, result, result)
        self.account -= result.account_fen
        self._count(None, result)
        return arguments

    def give_back(
        self, key: int, remaining_fen: dict[int, int], *, reversal: bool, refuses: bool
    ) -> tuple[Became, list[Became]] | None:
        """Return of a bill what does not remain; None for what a till refuses."""
        bill = self.bills[key]
        assert bill is not None
        try:
            rest = rest_of(bill, remaining_fen=remaining_fen)
        except benefits.BenefitsError:
            if refuses:
                return None
            raise
        back = shares_back(shares_of(bill.result), rest)
        if refuses and sum(back.values()) <= 0:
            return None
        moved = counted_less(bill.result, rest)
        later = [
            (number, each)
            for number, each in self.bills.items()
            if number > key and each is not None and each.result.total_fen
        ]
        results: tuple[Any, ...] = ()
        if moved and not reversal and self.policy.refund_with_later == "restate":
            results = restated_after(
                [each for _number, each in later], moved=moved, account_fen=back.get("account", 0)
            )
        restated = [
            (number, each, result)
            for (number, each), result in zip(later, results, strict=False)
            if result is not None
        ]
        more_fen = sum(result.account_fen - each.result.account_fen for _, each, result in restated)
        if refuses and self.account + back.get("account", 0) - more_fen < 0:
            return None
        self.account += back.get("account", 0) - more_fen
        self._count(bill.result, rest)
        standing = None if rest is None else replace(bill, remaining_fen=remaining_fen, result=rest)
        self.bills[key] = standing
        for number, each, result in restated:
            self._count(each.result, result)
            self.bills[number] = replace(each, result=result, gave=result)
        return Became(key, key, bill.result, rest), [
            Became(number, number, each.result, result) for number, each, result in restated
        ]

    def result(self, key: int) -> Any:
        """What stands of a bill."""
        bill = self.bills[key]
        return None if bill is None else bill.result

    def _count(self, before: Any, after: Any) -> None:
        for name, fen in counted_less(before, after).items():
            self.year[name] = self.year.get(name, 0) - fen


def traded(
    data: st.DataObject, world: Any, truth: Truth, rehearsal: MemberRehearsal, *others: Truth
) -> None:
    """Three bills like the world's, then more of them, or parts of them come back; `others` are
    worlds in which the same is bought and comes back."""
    fed = st.just(True) if others else st.sampled_from([True, True, True, False])
    more = data.draw(st.lists(st.sampled_from(["return", "return", "buy"]), min_size=2, max_size=5))
    for key, event in enumerate(["buy"] * 3 + more, start=1):
        if event == "buy":
            divisor = data.draw(st.integers(1, 3), label="divisor")
            lines = tuple(
                replace(each, amount_fen=each.amount_fen // divisor, over_limit_fen=0)
                for each in world.bill.lines
            )
            bought = replace(world, bill=replace(world.bill, lines=lines))
            arguments = truth.settle(key, bought)
            for other in others:
                other.settle(key, bought)
            if data.draw(fed, label="fed"):
                inputs = json.loads(json.dumps(benefits.canonical_inputs(**arguments)))
                rehearsal.settle(key, seq=key, inputs=inputs, stored=truth.result(key))
            continue
        left = [number for number, each in truth.bills.items() if each and each.result.total_fen]
        if not left:
            continue
        number = data.draw(st.sampled_from(left), label="returned")
        bill = truth.bills[number]
        assert bill is not None
        kept = data.draw(st.sampled_from([0, 1, 2]), label="kept")
        remaining = {
            no: 0 if no <= 2 - kept else fen // 2 if no % 2 else fen
            for no, fen in bill.remaining_fen.items()
        }
        if kept == 0:
            remaining = dict.fromkeys(remaining, 0)
        reversal = data.draw(st.booleans(), label="reversal") and kept == 0
        became = truth.give_back(number, remaining, reversal=reversal, refuses=True)
        if became is None:
            continue
        for other in others:
            if other.bills[number] is not None:
                other.give_back(number, remaining, reversal=reversal, refuses=False)
        rules = rehearsal.policy if number in rehearsal.bills else truth.policy
        refused = rehearsal.refund(
            became[0],
            remaining_fen=remaining,
            restated=became[1],
            restates=rules.refund_with_later == "restate" and not reversal,
        )
        assert refused == {}


POLICIES = [
    benefits.load_policy(text, name="city.toml") for text in (RESTATES, DEDUCTIBLE_300, CAP_100)
]


def of_the_city(policy: Any, account_fen: int, *yuan: int) -> benefits_worlds.World:
    """A bill at the city's hospital, of class-A lines of so many yuan."""
    return benefits_worlds.World(
        text="",
        policy=policy,
        member=benefits.Member("employee", "active", 50, None, True, True),
        site=benefits.Site("hospital", 3, "H1", "370300"),
        bill=benefits.Bill(
            "outpatient",
            None,
            date(2026, 11, 10),
            tuple(
                benefits.Line(number, "", "", each * 100, "A", 0, 0, True, True, True, False)
                for number, each in enumerate(yuan, start=1)
            ),
        ),
        year_to_date={},
        account=account_fen,
        seed=0,
    )


# Any policy, and some of which every bill reads and moves the year.
CITIES = st.builds(
    lambda policy, account_fen, yuan: of_the_city(policy, account_fen, *yuan),
    st.sampled_from(POLICIES),
    st.integers(0, 120_000),
    st.lists(st.integers(1, 900), min_size=1, max_size=3),
)
RULES = st.sampled_from(["restate", "restate", "stand"])
MANY = settings(
    max_examples=max(50, EXAMPLES // 5),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(world=CITIES | worlds(), data=st.data(), rule=RULES)
@MANY
def test_the_policy_that_priced_a_year_prices_it_so_again_whatever_parts_came_back(
    world: Any, data: st.DataObject, rule: Any
) -> None:
    policy = replace(world.policy, refund_with_later=rule)
    truth = Truth(policy, dict(world.year_to_date), world.account)
    rehearsal = MemberRehearsal(at_any_time(policy))
    traded(data, world, truth, rehearsal)
    for key, bill in rehearsal.bills.items():
        assert same_figures(bill.stored, truth.result(key))
        assert same_figures(bill.rehearsed, truth.result(key))


@given(
    pair=st.tuples(CITIES, CITIES) | st.tuples(worlds(), worlds()),
    data=st.data(),
    rule=RULES,
    drafts=RULES,
)
@MANY
def test_a_draft_comes_to_what_tills_would_have_made_of_it(
    pair: Any, data: st.DataObject, rule: Any, drafts: Any
) -> None:
    world, other = pair
    truth = Truth(replace(world.policy, refund_with_later=rule), {}, world.account)
    draft = replace(other.policy, refund_with_later=drafts)
    under_draft = Truth(draft, {}, world.account)
    rehearsal = MemberRehearsal(at_any_time(draft))
    try:
        traded(data, world, truth, rehearsal, under_draft)
    except benefits.BenefitsError:
        return
    for key, bill in rehearsal.bills.items():
        assert same_figures(bill.stored, truth.result(key))
        assert same_figures(bill.rehearsed, under_draft.result(key))


def test_a_bill_in_between_that_was_not_fed_passes_on_what_it_did_in_truth() -> None:
    truth, rehearsal = Truth(POLICIES[0], {}, 0), MemberRehearsal(at_any_time(POLICIES[0]))
    for key, yuan in enumerate((600, 400, 200), start=1):
        arguments = truth.settle(key, of_the_city(POLICIES[0], 0, yuan))
        # The second one was settled in another area.
        if key != 2:
            inputs = benefits.canonical_inputs(**arguments)
            rehearsal.settle(key, seq=key, inputs=inputs, stored=truth.result(key))
    became = truth.give_back(1, {1: 0}, reversal=False, refuses=True)
    assert became is not None
    rehearsal.refund(became[0], remaining_fen={1: 0}, restated=became[1], restates=True)
    # All of its 400 are the member's own now, so 100 of the last one are.
    assert truth.result(3).share("pool") == 8_000
    assert same_figures(rehearsal.bills[3].rehearsed, truth.result(3))


def test_a_later_bill_that_the_draft_can_no_longer_price_goes_on_as_in_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = POLICIES[0]
    truth, rehearsal = Truth(policy, {}, 0), MemberRehearsal(at_any_time(policy))
    for key, yuan in enumerate((600, 400, 200), start=1):
        inputs = benefits.canonical_inputs(**truth.settle(key, of_the_city(policy, 0, yuan)))
        rehearsal.settle(key, seq=key, inputs=inputs, stored=truth.result(key))
    real, refusal = Carried.restate, benefits.BenefitsError("stated_too_much", "x", "x")

    def restate(self: Carried, bill: StandingBill) -> Any:
        if bill.result.total_fen == 40_000 and len(inspected) < 1:
            inspected.append(bill)
            raise refusal
        return real(self, bill)

    became = truth.give_back(1, {1: 0}, reversal=False, refuses=True)
    assert became is not None
    inspected: list[StandingBill] = []
    monkeypatch.setattr(Carried, "restate", restate)
    refused = rehearsal.refund(became[0], remaining_fen={1: 0}, restated=became[1], restates=True)
    assert refused == {2: refusal}
    assert list(rehearsal.bills) == [1, 3]
    # 400 are the member's own, so 100 of the 200 are.
    assert rehearsal.bills[3].rehearsed is not None
    assert rehearsal.bills[3].rehearsed.share("pool") == 8_000
    assert same_figures(rehearsal.bills[3].rehearsed, truth.result(3))


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
        "settlement.services.rehearsal._restates",
        lambda rules, _kind: rules.refund_with_later == "restate",
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


def test_a_rehearsal_that_forgets_what_was_not_fed_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("settlement.benefits.rehearsing._of_year", lambda *_: None)
    with pytest.raises(AssertionError):
        test_a_bill_in_between_that_was_not_fed_passes_on_what_it_did_in_truth()
