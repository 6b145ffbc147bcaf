"""Try before buying: the calculator's own figures, one fact changed at a time, nothing written."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.refusals import Refusal
from settlement.models import CatalogueItem
from settlement.services.catalogue import load_catalogue
from settlement.services.trying import PLACES, Tried, Wish, try_bill
from tests.rows import counts
from tests.settlement.test_refunds import sale
from tests.world import AREA, SINCE, World, line
from voucher.models import Filing

PATH = "/me/try/"


def tried(world: World, *wishes: tuple[str, str, str], **changes: Any) -> Tried:
    return try_bill(
        **{
            "member_id": world.retiree.pk,
            "wishes": [Wish(*wish) for wish in wishes or [("XJ01CAA004", "60", "18.6")]],
            "kind": "chronic",
            "place": PLACES[0],
            "prescribed": True,
            "now": timezone.now(),
            **changes,
        }
    )


def by_what(found: Tried) -> dict[str, int]:
    return {change.what: change.difference_fen for change in found.changes}


def test_a_list_costs_what_the_till_would_take(world: World) -> None:
    found = tried(world)
    # 1,116.00 less 1,000.00 at 80 %; the account has 1,000.00.
    assert found.result.share("pool") == 9_280
    assert found.result.personal_fen == 111_600 - 9_280
    settled = sale(world, world.till(), line("A4", "60", "18.6"))
    assert settled["pool_fen"] == found.result.share("pool")
    assert settled["account_fen"] == found.result.share("account")


def test_what_was_used_of_the_year_counts(world: World) -> None:
    sale(world, world.till(), line("A4", "60", "18.6"))
    assert tried(world).result.share("pool") == 111_600 * 80 // 100


def test_a_prescription_that_would_help_is_told_with_its_difference(world: World) -> None:
    without = tried(world, ("XC01AAA001", "60", "25"), prescribed=False)
    assert without.result.share("pool") == 0
    assert by_what(without)["prescription"] == -(150_000 - 100_000) * 80 // 100
    assert "prescription" not in by_what(tried(world, ("XC01AAA001", "60", "25")))


def test_a_filing_that_would_help_is_told(world: World) -> None:
    Filing.objects.all().delete()
    found = tried(world, ("XC01AAA001", "60", "25"))
    assert found.result.share("pool") == 0
    assert by_what(found)["filing"] == -40_000


def test_the_chosen_institution_is_told(world: World) -> None:
    world.choose_institution("P37030099001")
    found = tried(world)
    assert found.result.share("pool") == 0
    (change,) = [one for one in found.changes if one.what == "chosen_institution"]
    assert (change.which, change.difference_fen) == ("P37030099001", -9_280)


def test_a_place_within_an_item_s_restriction_is_told(world: World) -> None:
    rows = [
        "national_code,name,kind,item_class,restricted_use,only_levels,from_date",
        f"XJ01CAA004,阿莫西林胶囊,drug,A,限二级及以上医疗机构,2 3,{SINCE}",
    ]
    load_catalogue(area_code=AREA, content="\n".join(rows).encode())
    found = tried(world)
    assert found.result.line_splits[0].reason == "restricted_use"
    places = {one.which: one.difference_fen for one in found.changes if one.what == "place"}
    assert places["hospital_2"] < 0
    assert "clinic" not in places


def test_another_kind_of_place_is_told_where_it_makes_a_difference(world: World) -> None:
    at_pharmacy = tried(world, ("XJ01CAA004", "100", "18.6"), kind="outpatient")
    places = {one.which: one.personal_fen for one in at_pharmacy.changes if one.what == "place"}
    # A retired person's own deductible of 600.00, then 85 %, 75 % and 65 % by level.
    over = 186_000 - 60_000
    assert places == {
        "clinic": 186_000 - over * 85 // 100,
        "hospital_2": 186_000 - over * 75 // 100,
        "hospital_3": 186_000 - over * 65 // 100,
    }
    chronic = tried(world)
    assert not [one for one in chronic.changes if one.what == "place"]


def test_the_centrally_purchased_equivalent_is_told_at_its_price(world: World) -> None:
    CatalogueItem.objects.filter(national_code="XJ01CAA004").update(generic_name="阿莫西林胶囊剂")
    CatalogueItem.objects.create(
        area_code=AREA, national_code="XJ01CAA104", name="阿莫西林胶囊（集采）", kind="drug",
        item_class="A", price_limit="2.5", generic_name="阿莫西林胶囊剂",
        centrally_purchased=True, from_date=SINCE,
    )  # fmt: skip
    found = tried(world)
    (change,) = [one for one in found.changes if one.what == "equivalent"]
    assert change.which == "阿莫西林胶囊（集采）"
    # 60 × 2.50 stays below the deductible: all of it is the member's.
    assert change.personal_fen == 15_000
    again = tried(world, ("XJ01CAA104", "60", "2.5"))
    assert again.result.personal_fen == change.personal_fen
    assert "equivalent" not in by_what(again)


CODES = st.sampled_from(["XC01AAA001", "XC01AAA002", "XA10BAA003", "XJ01CAA004", "ZZ00ZZZ005"])
WISHES = st.lists(
    st.tuples(CODES, st.integers(1, 90).map(str), st.decimals(0, 300, places=2).map(str)),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    wishes=WISHES,
    kind=st.sampled_from(["chronic", "outpatient", "pharmacy_account"]),
    place=st.sampled_from(PLACES),
    prescribed=st.booleans(),
)
def test_each_change_is_what_the_changed_list_costs_and_nothing_is_written(
    world: World, wishes: Any, kind: str, place: Any, prescribed: bool
) -> None:
    before = counts()
    arguments: dict[str, Any] = {"kind": kind, "place": place, "prescribed": prescribed}
    found = tried(world, *wishes, **arguments)
    assert counts() == before
    assert sum(share.amount_fen for share in found.result.shares) == found.result.total_fen
    for change in found.changes:
        assert change.difference_fen == change.personal_fen - found.result.personal_fen != 0
        other = dict(arguments)
        if change.what == "prescription":
            other["prescribed"] = True
        elif change.what == "place":
            other["place"] = next(one for one in PLACES if one.name == change.which)
        else:
            continue
        assert tried(world, *wishes, **other).result.personal_fen == change.personal_fen


@pytest.mark.parametrize(
    ("wishes", "code", "param"),
    [
        ([], "bill_empty", "lines"),
        ([("XJ01CAA004", "1", "1")] * 51, "too_many_lines", "lines"),
        ([("XJ01CAA004", "0", "1")], "field_invalid", "lines[0].quantity"),
        ([("XJ01CAA004", "-1", "1")], "field_invalid", "lines[0].quantity"),
        ([("XJ01CAA004", "1", "-1")], "field_invalid", "lines[0].unit_price"),
        ([("XJ01CAA004", "1", "a")], "field_invalid", "lines[0].unit_price"),
        ([("XJ01CAA004", "99999999", "99999999")], "field_invalid", "lines[0].quantity"),
        ([("XJ01CAA004", "1", "1"), ("X", "1", "1")], "item_unknown", "lines[1].national_code"),
    ],
)
def test_what_cannot_be_priced_is_named(
    world: World, wishes: list[tuple[str, str, str]], code: str, param: str
) -> None:
    with pytest.raises(Refusal) as refused:
        try_bill(
            member_id=world.retiree.pk,
            wishes=[Wish(*wish) for wish in wishes],
            kind="chronic",
            place=PLACES[0],
            prescribed=False,
            now=timezone.now(),
        )
    assert (refused.value.code, refused.value.param) == (code, param)


def test_the_page_finds_takes_in_and_prices(
    signed_in: Callable[[str], Client], world: World
) -> None:
    citizen = signed_in("citizen")
    before = counts()
    found = citizen.post(PATH, {"query": "阿莫西林"})
    assert "XJ01CAA004|阿莫西林胶囊" in found.content.decode()
    added = citizen.post(PATH, {"add": "XJ01CAA004|阿莫西林胶囊"})
    assert [entry.code for entry in added.context["basket"]] == ["XJ01CAA004"]
    basket = {"code": "XJ01CAA004", "name": "阿莫西林胶囊", "quantity": "60", "price": "18.6"}
    priced = citizen.post(PATH, {**basket, "kind": "chronic", "place": "pharmacy"})
    text = priced.content.decode()
    assert "¥1,023.20" in text
    assert "370300-2022.1" in text
    assert " style=" not in text
    removed = citizen.post(PATH, {**basket, "remove": "0"})
    assert removed.context["basket"] == []
    assert counts() == before


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"query": "x" * 10_000},
        {"query": "\x00%_'\""},
        {"add": "|"},
        {"code": "XJ01CAA004", "name": "a", "quantity": "0", "price": "1"},
        {"code": "XJ01CAA004", "name": "a", "quantity": "1", "price": "one"},
        {"code": "nothing", "name": "a", "quantity": "1", "price": "1"},
        {"code": ["XJ01CAA004"] * 200, "name": ["a"] * 200, "quantity": ["1"] * 200,
         "price": ["1"] * 200},
        {"kind": "nothing", "place": "nowhere", "remove": "x"},
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_a_page(
    signed_in: Callable[[str], Client], world: World, data: dict[str, Any]
) -> None:
    assert signed_in("citizen").post(PATH, data).status_code == 200


@pytest.mark.parametrize("name", ["pharmacist", "fund", "nobody"])
def test_only_a_member_tries(signed_in: Callable[[str], Client], name: str) -> None:
    assert signed_in(name).get(PATH).status_code == 403
