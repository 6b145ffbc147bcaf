"""An earlier bill comes back under `refund_with_later = "restate"`: later ones cost what they would
have cost without it, and the difference is part of the one return.

Figures of the hand-worked cases: 500 yuan a year are the member's own, the pool pays 80 % of the
rest up to 1,000 yuan a year, the account what is left as far as it goes, cash the remainder.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.days import business_date
from settlement.benefits import inputs_from
from settlement.benefits.following import StandingBill, counted_less, restated_after
from settlement.benefits.restating import Settled, restated
from settlement.models import (
    Account,
    Posting,
    Refund,
    RefundLine,
    Restatement,
    Settlement,
    YearToDate,
)
from settlement.selectors.relatives import paid_for_relatives
from settlement.selectors.rules import compiled_policy
from settlement.services.replaying import Wanted, replay
from settlement.services.reversals import reverse_overdue
from tests.city import RESTATES, City, item, load_policy, paid, share_account, today
from tests.ledger_checks import assert_sound, balances
from tests.settlement.benefits_worlds import worlds
from tests.settlement.test_benefits_restating import EXAMPLES, year_of
from tests.settlement.test_ledger_audit import guards_down
from tests.world import Reply, Till
from voucher.models import Enrolment, Entitlement, Member


@pytest.fixture
def city(db: None) -> Iterator[City]:
    with today(2026, 11, 10):
        yield City.made("370300", text=RESTATES)


def buy(city: City, till: Till, member: Member, *yuan: int, **more: Any) -> Reply:
    """Buy class-A goods at the pharmacy, or in a visit of the hospital."""
    lines = [item("XA01", each) for each in yuan]
    if till.merchant == city.pharmacy:
        scan = city.scan(till, member, use="pharmacy_purchase")
        bill = {"scan_id": scan, "benefit_kind": "pharmacy_account", "lines": lines}
    else:
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, *lines)
        bill = {"visit_id": visit, "benefit_kind": "outpatient"}
    reply = till.post("settlements", {**bill, **more})
    assert reply.status == 201, reply.text
    return reply


def give_back(till: Till, settled: Reply, *numbers: int, **more: Any) -> Reply:
    body: dict[str, Any] = {"settlement_id": settled["settlement_id"], "reason": "returned"}
    if numbers:
        body["lines"] = [{"no": number} for number in numbers]
    return till.post("refunds", {**body, **more})


def year(member: Member) -> dict[str, int]:
    """What counts this year, without zeros."""
    stored = YearToDate.objects.filter(member=member).first()
    return {name: fen for name, fen in (stored.amounts if stored else {}).items() if fen}


def replayed() -> None:
    found = replay(wanted=Wanted(), processes=1, progress=lambda *_: None)
    assert not found.differing, found.named


def test_a_later_bill_bears_the_deductible_and_the_one_return_evens_it_out(city: City) -> None:
    member = city.person(1, balance_fen=50_000)
    opening = balances()
    hospital, pharmacy = city.hospital_till(), city.pharmacy_till()
    first = buy(city, hospital, member, 600)
    # 100 above the deductible: the pool pays 80, the account its 500, cash 20.
    assert paid(first) == {"pool": 8_000, "account": 50_000, "cash": 2_000}
    later = buy(city, pharmacy, member, 300)
    assert paid(later) == {"pool": 24_000, "cash": 6_000}
    refund = give_back(hospital, first)
    # Without the first, all 300 of the later one are her own, and the account would have given it.
    assert paid(refund) == {"pool": 32_000, "account": 20_000, "cash": 8_000}
    assert refund["restated"] == {
        "settlements": 1,
        "shares": [
            {"payer": "pool", "amount_fen": 24_000},
            {"payer": "account", "amount_fen": -30_000},
            {"payer": "cash", "amount_fen": 6_000},
        ],
    }
    # Which one it was, and where, is not for this till to know.
    assert later["settlement_id"] not in refund.text
    written = Restatement.objects.values_list("settlement_id", "refund_id")
    assert [tuple(map(str, row)) for row in written] == [
        (later["settlement_id"], refund["refund_id"])
    ]
    assert (refund["total_fen"], refund["would_differ"]) == (60_000, [])
    assert year(member) == {"own.deductible": 30_000, "pool.base": 30_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    # The later one's merchant is owed what it was owed; the return is all its own till's.
    legs = dict(
        Posting.objects.filter(transaction__kind="refund").values_list("account", "amount_fen")
    )
    assert legs == {
        "fund:370300:pool": 32_000,
        f"member:{member.pk}:personal": 20_000,
        "cash:370300": 8_000,
        f"merchant:{city.hospital.pk}:due": -52_000,
        f"merchant:{city.hospital.pk}:till": -8_000,
    }
    # What stands of the later one is what it was restated to.
    rest = give_back(pharmacy, later)
    assert paid(rest) == {"account": 30_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    assert (balances(), year(member)) == (opening, {})


def test_room_under_a_cap_goes_to_the_next_bill_and_its_cash_comes_back_with_the_return(
    city: City,
) -> None:
    member = city.person(1, balance_fen=0)
    opening = balances()
    till = city.hospital_till()
    first = buy(city, till, member, 1_500)
    assert paid(first) == {"pool": 80_000, "cash": 70_000}
    later = buy(city, till, member, 1_000)
    assert paid(later) == {"pool": 20_000, "cash": 80_000}
    refund = give_back(till, first)
    # The later one alone: 500 own, 80 % of 500 from the pool.
    assert paid(refund) == {"pool": 60_000, "cash": 90_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    assert paid(give_back(till, later)) == {"pool": 40_000, "cash": 60_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()


def test_what_one_later_bill_counts_anew_goes_on_to_the_next(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first, second, third = (buy(city, till, member, 400) for _ in range(3))
    assert [paid(each) for each in (first, second, third)] == [
        {"cash": 40_000},
        {"pool": 24_000, "cash": 16_000},
        {"pool": 32_000, "cash": 8_000},
    ]
    refund = give_back(till, first)
    # The second bears 400, the third the 100 that are left of the deductible.
    assert paid(refund) == {"pool": 24_000 + 8_000, "cash": 40_000 - 24_000 - 8_000}
    assert refund["restated"]["settlements"] == 2
    ids = Restatement.objects.values_list("settlement_id", flat=True)
    assert {str(each) for each in ids} == {second["settlement_id"], third["settlement_id"]}
    replayed()


def test_a_part_returned_restates_and_a_later_bill_of_which_a_part_came_back_is_restated(
    city: City,
) -> None:
    member = city.person(1, balance_fen=0)
    opening = balances()
    till = city.hospital_till()
    first = buy(city, till, member, 400, 200)
    later = buy(city, till, member, 300, 100)
    assert paid(later) == {"pool": 32_000, "cash": 8_000}
    assert paid(give_back(till, later, 2)) == {"pool": 8_000, "cash": 2_000}
    # 200 remain of the first, so the later's 300 are her own too.
    refund = give_back(till, first, 1)
    assert paid(refund) == {"pool": 8_000 + 24_000, "cash": 32_000 - 24_000}
    assert paid(give_back(till, later)) == {"cash": 30_000}
    assert paid(give_back(till, first)) == {"cash": 20_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    assert year(member) == {}


def test_a_bill_that_nothing_concerns_is_left_alone(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first = buy(city, till, member, 400)
    last = buy(city, till, member, 400)
    refund = give_back(till, last)
    assert (refund["restated"], refund["would_differ"]) == (None, [])
    assert not Restatement.objects.exists()
    assert give_back(till, first)["restated"] is None


def test_a_later_package_of_free_goods_is_left_alone(db: None) -> None:
    package = """
[[package]]
name = "visit"
title = { zh = "按次", en = "Visit" }
packages = ["P1"]
sets = "charge"
price = 100
source = "assumption"
"""
    with today(2026, 11, 10):
        text = RESTATES.replace("[[layer]]", package + "\n[[layer]]", 1)
        city = City.made("370300", text=text)
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        first = buy(city, till, member, 600)
        assert paid(buy(city, till, member, 0, package="P1")) == {"pool": 8_000, "cash": 2_000}
        refund = give_back(till, first)
        assert paid(refund) == {"pool": 8_000, "cash": 52_000}
        assert refund["restated"] is None
        replayed()


def test_a_record_says_what_became_of_a_restated_settlement(city: City) -> None:
    member = city.person(1, balance_fen=0)
    hospital, pharmacy = city.hospital_till(), city.pharmacy_till()
    first = buy(city, hospital, member, 600)
    later = buy(city, pharmacy, member, 300)
    give_back(hospital, first)
    record = pharmacy.get(f"settlements/{later['settlement_id']}")
    (restated_,) = record["restated"]
    assert restated_["shares"] == [{"payer": "cash", "amount_fen": 30_000}]
    assert record["refunds"] == []
    # Whose return it was is nobody's business there.
    assert set(restated_) == {"restated_at", "shares"}
    assert hospital.get(f"settlements/{first['settlement_id']}")["restated"] == []


def test_a_relative_who_paid_a_later_bill_gets_the_difference(city: City) -> None:
    member, holder = city.person(1, balance_fen=0), city.person(2, balance_fen=100_000)
    opening = balances()
    till = city.hospital_till()
    # All out of the member's own pocket; only then the relative shares.
    first = buy(city, till, member, 1_750)
    assert paid(first) == {"pool": 100_000, "cash": 75_000}
    share_account(holder, member)
    later = buy(city, till, member, 600)
    assert paid(later) == {"relative_account": 60_000}
    refund = give_back(till, first)
    # The later one alone: 80 from the pool, 520 from the relative.
    assert paid(refund) == {"pool": 92_000, "relative_account": 8_000, "cash": 75_000}
    assert Account.objects.get(member=holder).balance_fen == 48_000
    (told,) = paid_for_relatives(holder.pk, limit=5)
    assert (told["amount_fen"], told["returned_fen"]) == (60_000, 8_000)
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    assert paid(give_back(till, later)) == {"pool": 8_000, "relative_account": 52_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    assert balances() == opening


def test_a_reversal_is_never_held_up_by_later_bills(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first = buy(city, till, member, 600, confirm_within_s=600)
    later = buy(city, till, member, 300)
    assert paid(later) == {"pool": 24_000, "cash": 6_000}
    Settlement.objects.filter(pk=first["settlement_id"]).update(confirm_by="2026-11-10T02:00:00Z")
    assert reverse_overdue(now=timezone.now(), limit=10) == 1
    refund = Refund.objects.get()
    assert (refund.kind, refund.fund_fen, refund.cash_fen) == ("reversal", 8_000, 52_000)
    assert not Restatement.objects.exists()


def test_a_reversal_waits_for_no_relative_who_paid_a_later_bill(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first = buy(city, till, member, 600, confirm_within_s=600)
    Settlement.objects.filter(pk=first["settlement_id"]).update(confirm_by="2026-11-10T02:00:00Z")
    # Between the look and the lock another relative always pays for one more bill.
    paying: list[int] = []

    def one_more(**_: Any) -> frozenset[int]:
        paying.append(city.person(2 + len(paying)).pk)
        return frozenset(paying)

    monkeypatch.setattr("settlement.services.refunds.holders_of", one_more)
    assert give_back(till, first).status == 503
    assert reverse_overdue(now=timezone.now(), limit=10) == 1
    assert Refund.objects.get().kind == "reversal"


def moves_to(member: Member, area: str) -> None:
    """From today on the member is insured in another area, whose rules are alike."""
    version = f"RESTATES-{area}"
    text = RESTATES.replace('"RESTATES"', f'"{version}"').replace("370300", area)
    load_policy(text, area=area)
    today_ = business_date(timezone.now())
    Enrolment.objects.filter(member=member).update(until_date=today_)
    enrolment = Enrolment.objects.create(
        member=member, scheme="employee", area_code=area, category="active", from_date=today_
    )
    Entitlement.objects.create(enrolment=enrolment, state="in_force", from_date=today_)


def test_a_later_bill_that_another_area_insured_stands(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first = buy(city, till, member, 600)
    own = buy(city, till, member, 100)
    with today(2026, 11, 11):
        moves_to(member, "370100")
        other = buy(city, till, member, 300)
        assert paid(other) == {"pool": 24_000, "cash": 6_000}
        refund = give_back(till, first)
        # The 80 of the second come back to the pool that paid them; the third's pool is another.
        assert paid(refund) == {"pool": 16_000, "cash": 44_000}
        assert refund["restated"]["settlements"] == 1
        assert str(Restatement.objects.get().settlement_id) == own["settlement_id"]
        assert refund["would_differ"] == [other["settlement_id"]]
        give_back(till, other)
        give_back(till, own)
        city.world.post_everything()
        replayed()
        left: Counter[str] = Counter()
        for account, fen in Posting.objects.values_list("account", "amount_fen"):
            left[account] += fen
        assert not any(left.values()), left


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("buy"), st.booleans(), st.lists(st.integers(1, 900), min_size=1, max_size=3)
        ),
        st.tuples(st.just("return"), st.integers(0, 5), st.integers(0, 3)),
    ),
    min_size=3,
    max_size=9,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, balance_fen=st.integers(0, 120_000))
def test_whatever_comes_back_the_year_is_as_if_it_had_never_been_bought(
    city: City, steps: list[tuple[Any, ...]], balance_fen: int
) -> None:
    member = city.person(Member.objects.count() + 1, balance_fen=balance_fen)
    opening = {**getattr(city, "opening", {}), **balances_of(member)}
    city.opening = opening  # type: ignore[attr-defined]
    tills = getattr(city, "tills", None) or (city.hospital_till(), city.pharmacy_till())
    city.tills = tills  # type: ignore[attr-defined]
    bought: list[tuple[Till, Reply, set[int]]] = []
    for step in steps:
        if step[0] == "buy":
            till = tills[step[1]]
            bought.append((till, buy(city, till, member, *step[2]), set(range(len(step[2])))))
        elif bought:
            till, settled, left = bought[step[1] % len(bought)]
            number = step[2] % 3
            if number in left:
                reply = give_back(till, settled, number + 1)
                assert reply.status == 201, reply.text
                left.discard(number)
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    # The same bills without what came back, priced one after the other by the calculator alone.
    standing = []
    for _till, settled, left in bought:
        if left:
            row = Settlement.objects.get(pk=settled["settlement_id"])
            inputs = inputs_from(row.inputs)
            lines = tuple(each for each in inputs["bill"].lines if each.no - 1 in left)
            inputs["bill"] = replace(inputs["bill"], lines=lines)
            standing.append((row, Settled(compiled_policy(row.policy_id), inputs)))
    results = restated([each for _row, each in standing], year_to_date={})
    for (row, _settled), result in zip(standing, results, strict=True):
        now = latest(row)
        assert pool_of(now) == result.share("pool")
        assert sum(share["amount_fen"] for share in now["shares"]) == result.total_fen
    counted: Counter[str] = Counter()
    for result in results:
        counted.update(result.year_to_date_delta)
    assert year(member) == {name: fen for name, fen in counted.items() if fen}


def balances_of(member: Member) -> dict[int, int]:
    return dict(Account.objects.filter(member=member).values_list("pk", "balance_fen"))


def latest(row: Settlement) -> dict[str, Any]:
    turns = [
        *row.refunds.values_list("member_seq", "result"),
        *row.restatements.values_list("refund__member_seq", "result"),
    ]
    result = max(turns, key=lambda turn: turn[0])[1] if turns else row.result
    assert isinstance(result, dict)
    return result


def pool_of(result: dict[str, Any]) -> int:
    return sum(share["amount_fen"] for share in result["shares"] if share["payer"] == "pool")


@given(world=worlds())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_under_any_policy_later_bills_restated_are_the_year_without_the_first(world: Any) -> None:
    first, *others = year_of(world)
    # Accounts pay what they paid, which is no question of the year to date.
    bare = [
        Settled(
            each.policy,
            {
                **each.inputs,
                "account_available_fen": 0,
                "bill": replace(each.inputs["bill"], relative_accounts=()),
            },
        )
        for each in (first, *others)
    ]
    if not all(line.amount_fen > 1 for line in world.bill.lines) or not world.bill.lines:
        return
    whole = restated(bare, year_to_date=world.year_to_date)
    without = restated(bare[1:], year_to_date=world.year_to_date)
    later = restated_after(
        [
            StandingBill.whole(settled, result)
            for settled, result in zip(bare[1:], whole[1:], strict=True)
        ],
        moved=whole[0].year_to_date_delta,
        account_fen=0,
    )
    for result, old, wanted in zip(later, whole[1:], without, strict=True):
        found = result or old
        assert found.shares == wanted.shares
        assert found.year_to_date_delta == wanted.year_to_date_delta


def test_a_part_of_a_restated_bill_comes_back_from_what_it_was_restated_to(city: City) -> None:
    member = city.person(1, balance_fen=50_000)
    opening = balances()
    till = city.hospital_till()
    first = buy(city, till, member, 600)
    later = buy(city, till, member, 200, 100)
    assert paid(later) == {"pool": 24_000, "cash": 6_000}
    # The account gives all 300 of the later one now.
    assert paid(give_back(till, first))["account"] == 20_000
    assert paid(give_back(till, later, 2)) == {"account": 10_000}
    assert paid(give_back(till, later)) == {"account": 20_000}
    city.world.post_everything()
    assert_sound(opening=opening)
    replayed()
    assert balances() == opening


# ------------------------------------------------------------------ what a replay finds


def test_a_replay_names_a_restatement_that_somebody_changed(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    first, later = buy(city, till, member, 600), buy(city, till, member, 300)
    refund = give_back(till, first)
    replayed()
    row = Restatement.objects.get(settlement=later["settlement_id"])
    with guards_down():
        Restatement.objects.filter(pk=row.pk).update(
            result={**row.result, "year_to_date_after": {"own.deductible": 1}}
        )
    found = replay(wanted=Wanted(), processes=1, progress=lambda *_: None)
    assert [each.row for each in found.named if each.kind == "refund"] == [refund["refund_id"]]


def test_a_replay_names_a_rest_that_is_not_what_remains(city: City) -> None:
    member = city.person(1, balance_fen=0)
    till = city.hospital_till()
    settled = buy(city, till, member, 600, 100)
    refund = give_back(till, settled, 2)
    (part,) = Refund.objects.get().lines.all()
    with guards_down():
        RefundLine.objects.filter(pk=part.pk).update(quantity_e4=0, amount_fen=9_999)
    found = replay(wanted=Wanted(), processes=1, progress=lambda *_: None)
    told = [(named.row, [each.name for each in named.figures]) for named in found.named]
    assert told == [(refund["refund_id"], ["rest"])]


# ------------------------------------------------------------------ checks are checked


def _each_by_itself(bills: Any, *, moved: Any, account_fen: int) -> Any:
    return [
        result
        for bill in bills
        for result in restated_after([bill], moved=moved, account_fen=account_fen)
    ]


def _nothing_spare(bills: Any, *, moved: Any, account_fen: int) -> Any:
    return restated_after(bills, moved=moved, account_fen=0)


MUTANTS: list[tuple[str, str, Any, Any]] = [
    (
        "nothing is restated",
        "settlement.services.refunds._restated",
        lambda *_, **__: (),
        test_a_later_bill_bears_the_deductible_and_the_one_return_evens_it_out,
    ),
    (
        "each later bill by itself",
        "settlement.services.refunds.restated_after",
        _each_by_itself,
        test_what_one_later_bill_counts_anew_goes_on_to_the_next,
    ),
    (
        "what the account gets back is not there to give",
        "settlement.services.refunds.restated_after",
        _nothing_spare,
        test_a_later_bill_bears_the_deductible_and_the_one_return_evens_it_out,
    ),
    (
        "a restatement is not written",
        "settlement.services.returning._write_restated",
        lambda *_: None,
        test_a_later_bill_bears_the_deductible_and_the_one_return_evens_it_out,
    ),
    (
        "what is restated leaves the year alone",
        "settlement.services.refunds.counted_less",
        lambda before, after: counted_less(before, after) if after is None else {},
        test_a_later_bill_bears_the_deductible_and_the_one_return_evens_it_out,
    ),
    (
        "accounts give what they first gave",
        "settlement.selectors.standing._gave",
        lambda turn, result: result,
        test_a_part_of_a_restated_bill_comes_back_from_what_it_was_restated_to,
    ),
    (
        "a reversal restates too",
        "settlement.services.refunds.rule_of",
        lambda policy, kind: policy.refund_with_later,
        test_a_reversal_is_never_held_up_by_later_bills,
    ),
    (
        "a return moves the funds of another area",
        "settlement.services.refunds._is_of",
        lambda *_: True,
        test_a_later_bill_that_another_area_insured_stands,
    ),
    (
        "a replay prices no rest again",
        "settlement.services.replaying_returns._priced",
        lambda *_: [],
        test_a_replay_names_a_rest_that_is_not_what_remains,
    ),
    (
        "a replay prices nothing restated again",
        "settlement.services.replaying_returns._followed",
        lambda *_, **__: [],
        test_a_replay_names_a_restatement_that_somebody_changed,
    ),
]


@pytest.mark.parametrize(
    ("target", "broken", "check"),
    [mutant[1:] for mutant in MUTANTS],
    ids=[mutant[0].replace(" ", "-") for mutant in MUTANTS],
)
def test_a_broken_return_is_noticed(
    city: City, monkeypatch: pytest.MonkeyPatch, target: str, broken: Any, check: Any
) -> None:
    monkeypatch.setattr(target, broken)
    with pytest.raises(AssertionError):
        check(city)
