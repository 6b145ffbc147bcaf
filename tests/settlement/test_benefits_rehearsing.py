"""One member's bills and returns under a draft, by the calculator alone, without a database.

What tills would have made of the same purchases and returns is worked out beside it, bill by bill.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
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
from tests.city import RESTATES
from tests.settlement import benefits_worlds
from tests.settlement.benefits_worlds import EXAMPLES, worlds


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
    benefits.load_policy(RESTATES.replace(*change), name="city.toml")
    for change in (
        ("amount = 500", "amount = 500"),
        ("amount = 500", "amount = 300"),
        ("amount = 1000", "amount = 100"),
    )
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


def test_a_rehearsal_that_forgets_what_was_not_fed_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("settlement.benefits.rehearsing._of_year", lambda *_: None)
    with pytest.raises(AssertionError):
        test_a_bill_in_between_that_was_not_fed_passes_on_what_it_did_in_truth()
