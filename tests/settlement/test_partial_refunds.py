"""Parts returned: by line, by quantity, by amount; what remains is what it would have cost alone.

Figures: a retiree's chronic disease under the shipped 淄博 policy: 1,000 yuan a year are her own,
then 80 % of what is in range; the account gives what is left of the rest.
"""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement import benefits
from settlement.benefits.returning import remaining_amount
from settlement.models import Account, Policy, PrescriptionLine, Refund, Settlement, TraceCode
from settlement.selectors.rules import compiled_policy
from tests.city import City, item, paid, share_account, today
from tests.ledger_checks import assert_sound, balances
from tests.settlement.test_refunds import figures, give_back, sale
from tests.world import Reply, Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def return_lines(till: Till, settled: Reply, *lines: dict[str, Any], **more: Any) -> Reply:
    return till.post(
        "refunds",
        {
            "settlement_id": settled["settlement_id"],
            "reason": "returned",
            "lines": list(lines),
            **more,
        },
    )


def test_one_line_of_two_comes_back_and_the_other_costs_what_it_would_have_alone(
    world: World, till: Till
) -> None:
    opening = balances()
    settled = sale(world, till, line("A4", "100", "18.6"), line("A4", "50", "10"))
    # 2,360 in range: 1,360 x 80 %; the account pays its 1,000 of the rest, cash is 272.
    assert paid(settled) == {"pool": 108_800, "account": 100_000, "cash": 27_200}
    refund = return_lines(till, settled, {"no": 2})
    # 1,860 alone: 860 x 80 % = 688; account 1,000; cash 172.
    assert paid(refund) == {"pool": 40_000, "cash": 10_000}
    assert refund["lines"] == [{"no": 2, "quantity": "50", "amount_fen": 50_000}]
    assert refund["remaining_fen"] == 186_000
    world.post_everything()
    assert_sound(opening=opening)
    assert figures(world)[1]["chronic.paid"] == 68_800
    rest = give_back(till, settled)
    assert paid(rest) == {"pool": 68_800, "account": 100_000, "cash": 17_200}
    assert give_back(till, settled)["code"] == "already_refunded"
    world.post_everything()
    assert_sound(opening=opening)
    assert figures(world) == (100_000, {})


def test_a_quantity_comes_back_and_the_rest_of_the_line_later(world: World, till: Till) -> None:
    opening = balances()
    settled = sale(world, till, line("A4", "3", "33.33", amount_fen=9_999))
    first = return_lines(till, settled, {"no": 1, "quantity": "1"})
    assert (first["total_fen"], first["lines"][0]["quantity"]) == (3_333, "1")
    second = return_lines(till, settled, {"no": 1, "quantity": "1.5"})
    # Half a piece is left: 16.665, which rounds up.
    assert second["total_fen"] == 9_999 - 3_333 - 1_667
    too_much = return_lines(till, settled, {"no": 1, "quantity": "0.6"})
    assert (too_much["code"], too_much["param"]) == ("refund_too_much", "lines[0]")
    rest = return_lines(till, settled, {"no": 1})
    assert rest["remaining_fen"] == 0
    world.post_everything()
    assert_sound(opening=opening)


def test_an_amount_comes_back_without_goods(world: World, till: Till) -> None:
    opening = balances()
    settled = sale(world, till, line("A4", "2", "50"))
    discount = return_lines(till, settled, {"no": 1, "amount_fen": 1_000})
    assert (discount["total_fen"], discount["lines"][0]["quantity"]) == (1_000, "0")
    goods = return_lines(till, settled, {"no": 1, "quantity": "1"})
    assert goods["total_fen"] == 5_000
    assert return_lines(till, settled, {"no": 1, "amount_fen": 4_001})["code"] == "refund_too_much"
    assert return_lines(till, settled, {"no": 1, "amount_fen": 4_000})["remaining_fen"] == 0
    world.post_everything()
    assert_sound(opening=opening)


@pytest.mark.parametrize(
    ("lines", "param"),
    [
        ([{"no": 9}], "lines[0].no"),
        ([{"no": 1}, {"no": 1}], "lines[1].no"),
        ([{"no": 1, "quantity": "1", "amount_fen": 1}], "lines[0].amount_fen"),
        ([{"no": 1, "quantity": "x"}], "lines[0].quantity"),
        ([{"no": 1, "trace_codes": ["810"]}], "lines[0].trace_codes"),
    ],
)
def test_a_return_that_cannot_be_is_refused_by_field(
    world: World, till: Till, lines: list[dict[str, Any]], param: str
) -> None:
    settled = sale(world, till, line("A4", "2", "50"))
    refused = return_lines(till, settled, *lines)
    assert (refused["code"], refused["param"]) == ("field_invalid", param)
    assert not Refund.objects.exists()


def test_nothing_of_a_line_is_too_much_or_too_little(world: World, till: Till) -> None:
    settled = sale(world, till, line("A4", "2", "50"))
    assert return_lines(till, settled, {"no": 1, "quantity": "0"})["code"] == "refund_too_much"
    assert return_lines(till, settled, {"no": 1, "quantity": "3"})["code"] == "refund_too_much"


def test_packs_that_come_back_in_part_are_named_and_may_be_sold_again(
    world: World, till: Till
) -> None:
    opening = balances()
    packs = [f"81000000000{n}" for n in range(3)]
    number = world.prescription(quantity="3")
    settled = sale(world, till, line("A1", "3", "25", prescription=number, trace_codes=packs))
    unnamed = return_lines(till, settled, {"no": 1, "quantity": "1"})
    assert (unnamed["code"], unnamed["param"]) == ("field_invalid", "lines[0].trace_codes")
    two = return_lines(till, settled, {"no": 1, "quantity": "1", "trace_codes": packs[1:]})
    assert (two["code"], two["param"]) == ("field_invalid", "lines[0].trace_codes")
    back = return_lines(till, settled, {"no": 1, "quantity": "1", "trace_codes": packs[1:2]})
    assert back.status == 201, back.text
    again = return_lines(till, settled, {"no": 1, "quantity": "1", "trace_codes": packs[1:2]})
    assert (again["code"], again["param"]) == ("field_invalid", "lines[0].trace_codes")
    assert set(TraceCode.objects.values_list("code", flat=True)) == {packs[0], packs[2]}
    assert PrescriptionLine.objects.get().filled_e4 == 20_000
    again = line("A1", "1", "25", prescription=number, trace_codes=packs[1:2])
    assert sale(world, till, again).status == 201
    world.post_everything()
    assert_sound(opening=opening)


def test_a_rest_that_is_dearer_needs_a_payment_that_the_caller_accepts(db: None) -> None:
    """A deductible that falls away once the bill reaches it: with less on the bill it is back."""
    text = _CITY.replace("amount = 500", 'amount = 500\ntaken_off = "nothing_once_reached"')
    with today(2026, 11, 10):
        city = City.made("370300", text=text)
        member = city.person(1, balance_fen=0)
        opening = balances()
        till = city.hospital_till()
        visit = city.visit(till, member, kind="outpatient")
        city.fees(till, visit, item("XA01", 300), item("XA01", 210))
        settled = till.post("settlements", {"visit_id": visit, "benefit_kind": "outpatient"})
        # 510 reach 500, so all of it counts: 80 %.
        assert paid(settled) == {"pool": 40_800, "cash": 10_200}
        refused = return_lines(till, settled, {"no": 2})
        # 300 alone do not: cash 300, which is 198 more than was paid.
        assert (refused["code"], refused["payment_fen"]) == ("refund_needs_payment", 19_800)
        assert refused["payers"] == [{"payer": "cash", "amount_fen": 19_800}]
        less = return_lines(till, settled, {"no": 2}, accept_payment_fen=19_799)
        assert less["code"] == "refund_needs_payment"
        accepted = return_lines(till, settled, {"no": 2}, accept_payment_fen=19_800)
        assert paid(accepted) == {"pool": 40_800, "cash": -19_800}
        assert accepted["total_fen"] == 21_000
        city.world.post_everything()
        assert_sound(opening=opening)
        rest = till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
        assert paid(rest) == {"cash": 30_000}
        city.world.post_everything()
        assert_sound(opening=opening)


_CITY = """
format = 1
version = "RETURNS"
area = "370300"
title = { zh = "退费", en = "Returns" }
effective_from = 2010-01-01
rounding = "half_up"

[benefit_year]
starts = "01-01"
source = "assumption"

[kinds]
outpatient = { zh = "门诊", en = "outpatient" }

[catalogue]
order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
source = "assumption"

[[layer]]
name = "pool"
title = { zh = "统筹", en = "Pool" }
payer = "pool"
base = ["in_range"]
source = "assumption"

[[layer.deductible]]
amount = 500
per = "bill"
source = "assumption"

[[layer.rate]]
rate = "80%"
source = "assumption"
"""


def test_a_package_is_returned_whole_or_not_at_all(db: None) -> None:
    with today(2026, 11, 10):
        city = City.made("350500")
        member = city.person(1, balance_fen=0)
        till = city.hospital_till()
        stay = city.visit(till, member, kind="inpatient")
        city.fees(till, stay, item("XA01", 6_000), item("XA01", 4_000))
        settled = till.post(
            "settlements",
            {"visit_id": stay, "benefit_kind": "inpatient", "package": "QZ-SAMPLE-1"},
        )
        assert return_lines(till, settled, {"no": 2})["code"] == "refund_whole_only"
        assert give_back(till, settled)["total_fen"] == 800_000


def test_relatives_get_their_parts_back_in_parts(db: None) -> None:
    with today(2026, 11, 10):
        city = City.made("350500")
        first, second = city.person(1, balance_fen=5_000), city.person(2, balance_fen=7_000)
        member = city.person(3, balance_fen=0)
        share_account(first, member)
        share_account(second, member, rank=2)
        opening = balances()
        till = city.pharmacy_till()
        settled = till.post(
            "settlements",
            {
                "scan_id": city.scan(till, member, use="pharmacy_purchase"),
                "benefit_kind": "pharmacy_account",
                "lines": [item("XA01", 60), item("XA01", 40)],
            },
        )
        assert paid(settled) == {"relative_account": 10_000}
        assert paid(return_lines(till, settled, {"no": 1})) == {"relative_account": 6_000}
        # The one who pays last gets back first: 40 remain, from the first alone.
        assert Account.objects.get(member=second).balance_fen == 7_000
        assert Account.objects.get(member=first).balance_fen == 1_000
        city.world.post_everything()
        assert_sound(opening=opening)
        assert paid(give_back(till, settled)) == {"relative_account": 4_000}
        city.world.post_everything()
        assert_sound(opening=opening)
        assert balances() == opening


def test_later_settlements_stand_and_the_answer_names_those_that_would_differ(
    world: World, till: Till
) -> None:
    opening = balances()
    first = sale(world, till, line("A4", "50", "18.6"))
    counted = sale(world, till, line("A4", "50", "18.6"))
    sale(world, till, benefit_kind="pharmacy_account", disease_code=None)
    gone = sale(world, till, line("A4", "5", "18.6"))
    give_back(till, gone)
    refund = return_lines(till, first, {"no": 1, "quantity": "10"})
    assert refund["would_differ"] == [counted["settlement_id"]]
    world.post_everything()
    assert_sound(opening=opening)


def test_under_last_first_a_later_one_that_counted_on_it_is_returned_first(
    world: World, till: Till
) -> None:
    text = 'refund_with_later = "last_first"\n' + world.policy.text
    Policy.objects.filter(pk=world.policy.pk).update(text=text)
    compiled_policy.cache_clear()
    first = sale(world, till, line("A4", "50", "18.6"))
    later = sale(world, till, line("A4", "50", "18.6"))
    refused = give_back(till, first)
    assert (refused["code"], refused["settlement_id"]) == (
        "refund_last_first",
        later["settlement_id"],
    )
    assert give_back(till, later).status == 201
    assert give_back(till, first).status == 201


_SALE = st.lists(
    st.tuples(st.sampled_from(["A4", "A5", "A6"]), st.integers(1, 30), st.integers(1, 6_000)),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=_SALE, data=st.data())
def test_parts_in_any_order_leave_sound_books_and_the_same_rest(
    world: World, rows: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    if not hasattr(world, "_opening"):
        world._opening = balances()  # type: ignore[attr-defined]
    lines = [
        line(code, str(quantity), f"{price // 100}.{price % 100:02d}", amount_fen=quantity * price)
        for code, quantity, price in rows
    ]
    parts = []
    for number, (_code, quantity, _price) in enumerate(rows, start=1):
        left = quantity
        while left and data.draw(st.booleans()):
            some = data.draw(st.integers(1, left))
            parts.append({"no": number, "quantity": str(some)})
            left -= some
    ends = []
    before = figures(world)
    for order in ([*parts], [*reversed(parts)]):
        settled = sale(world, till, *lines)
        for part in order:
            assert return_lines(till, settled, part).status == 201
        row = Settlement.objects.get(pk=settled["settlement_id"])
        latest = row.refunds.order_by("-member_seq").first()
        ends.append((row.total_fen - row.refunded_fen, latest and latest.result, figures(world)))
        assert_sound(opening=world._opening, drained=False)  # type: ignore[attr-defined]
        if row.refunded_fen < row.total_fen:
            assert give_back(till, settled).status == 201
        assert figures(world) == before
    assert ends[0] == ends[1]
    world.post_everything()
    assert_sound(opening=world._opening)  # type: ignore[attr-defined]


@settings(max_examples=500)
@given(
    amount=st.integers(0, 10**9),
    quantity=st.integers(1, 10**7),
    cuts=st.lists(st.integers(1, 10**7), max_size=3),
)
def test_what_is_left_of_a_line_does_not_depend_on_the_order_of_its_parts(
    amount: int, quantity: int, cuts: list[int]
) -> None:
    cuts = [cut for cut in cuts if cut <= quantity]
    ends = set()
    for order in permutations(cuts):
        returned = 0
        left = amount
        for cut in order:
            if returned + cut > quantity:
                continue
            returned += cut
            now = remaining_amount(amount, quantity, returned_e4=returned, returned_fen=0)
            assert 0 <= now <= left
            left = now
        if returned == sum(cuts):
            ends.add(left)
    assert len(ends) <= 1
    assert remaining_amount(amount, quantity, returned_e4=quantity, returned_fen=0) == 0


def test_the_rest_is_priced_by_the_year_it_was_settled_with(world: World, till: Till) -> None:
    settled = sale(world, till, line("A4", "100", "18.6"), line("A4", "50", "10"))
    sale(world, till, line("A4", "100", "18.6"))
    return_lines(till, settled, {"no": 2})
    row = Settlement.objects.get(pk=settled["settlement_id"])
    rest = Refund.objects.get().result
    inputs = benefits.inputs_from(row.inputs)
    assert inputs["year_to_date"] == {}
    assert {share["payer"]: share["amount_fen"] for share in rest["shares"]}["pool"] == 68_800
