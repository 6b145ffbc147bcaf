"""Quotes: confirmed exactly or refused with what changed, one at a time where they must be."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from settlement.models import Account, Hold, Quote, Settlement
from tests.ledger_checks import assert_sound, balances
from tests.rows import added, counts
from tests.world import SINCE, Reply, Till, World, line
from voucher.models import AidPeriod, Entitlement


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


@pytest.fixture
def other(world: World) -> Till:
    return world.till(name="till 2")


def chronic(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A bill that reads the year to date."""
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": list(lines) or [line()],
        **more,
    }


def account_only(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A bill that draws on the account alone."""
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [line()],
        **more,
    }


def run_out(quote: Reply) -> None:
    """Let its time pass, as far as the row is concerned."""
    row = Quote.objects.get(pk=quote["quote_id"])
    Quote.objects.filter(pk=row.pk).update(
        quoted_at=row.quoted_at - timedelta(hours=1),
        expires_at=row.quoted_at - timedelta(minutes=1),
    )


def refused(reply: Reply, code: str, status: int) -> Reply:
    assert (reply.body.get("code"), reply.status) == (code, status), reply.text
    return reply


def test_a_quote_is_confirmed_to_the_fen(world: World, till: Till) -> None:
    opening = balances()
    bill = chronic(world, till, line("A1", "4", "25", prescription=world.prescription()), line())
    quote = till.post("quotes", bill)
    assert quote.status == 201
    assert 0 < quote["seconds_left"] <= 120
    settled = till.post("settlements", {"quote_id": quote["quote_id"]})
    assert settled.status == 201
    for part in ("total_fen", "shares", "pool_fen", "account_fen", "cash_fen", "lines"):
        assert settled[part] == quote[part]
    assert Quote.objects.get().state == "confirmed"
    world.post_everything()
    assert_sound(opening=opening)


def test_estimate_quote_and_settlement_say_the_same(world: World, till: Till) -> None:
    bill = chronic(world, till)
    estimate = till.post("estimates", bill)
    quote = till.post("quotes", bill)
    settled = till.post("settlements", bill)
    for part in ("total_fen", "shares", "lines", "explanation"):
        assert estimate[part] == quote[part] == settled[part]


def test_an_estimate_leaves_nothing_but_its_answer(world: World, till: Till) -> None:
    bill = chronic(world, till)
    before = counts()
    for _ in range(3):
        assert till.post("estimates", bill).status == 200
    assert added(before) == {"InboxEntry": 3}


def test_a_quote_holds_what_it_takes_from_the_account(
    world: World, till: Till, other: Till
) -> None:
    first = till.post("quotes", account_only(world, till, line("A4", "40", "18.6")))
    assert first["account_fen"] == 74_400
    second = other.post("quotes", account_only(world, other, line("A4", "40", "18.6")))
    assert second["account_fen"] == 100_000 - 74_400
    assert second["cash_fen"] == 74_400 - second["account_fen"]
    assert sum(Hold.objects.values_list("amount_fen", flat=True)) == 100_000
    # Nothing has left the account yet.
    assert Account.objects.get(member=world.retiree).balance_fen == 100_000


def test_quotes_on_the_account_alone_coexist_and_are_all_confirmed(
    world: World, till: Till, other: Till
) -> None:
    opening = balances()
    quotes = [
        one.post("quotes", account_only(world, one, line("A4", "30", "18.6")))
        for one in (till, other, world.till(name="till 3"))
    ]
    assert [quote.status for quote in quotes] == [201, 201, 201]
    for quote in reversed(quotes):
        assert till.post("settlements", {"quote_id": quote["quote_id"]}).status == 201
    assert Account.objects.get(member=world.retiree).balance_fen == 0
    world.post_everything()
    assert_sound(opening=opening)


def test_a_quote_that_reads_the_year_to_date_keeps_other_tills_out_with_the_seconds_left(
    world: World, till: Till, other: Till
) -> None:
    assert till.post("quotes", chronic(world, till)).status == 201
    bill = chronic(world, other)
    # An estimate reserves nothing and may be asked for any number of times, by anyone.
    assert other.post("estimates", bill).status == 200
    for address in ("quotes", "settlements"):
        reply = refused(other.post(address, bill), "open_quote_elsewhere", 409)
        assert 1 <= reply["seconds_left"] <= 120
        assert reply["held_by"] == world.pharmacy.name
    # What does not read the year to date is free to go on.
    assert other.post("settlements", account_only(world, other)).status == 201


def test_the_same_till_replaces_its_own_quote(world: World, till: Till) -> None:
    first = till.post("quotes", chronic(world, till))
    second = till.post("quotes", chronic(world, till, line("A4", "2", "18.6")))
    assert second.status == 201
    assert Quote.objects.get(pk=first["quote_id"]).state == "replaced"
    refused(till.post("settlements", {"quote_id": first["quote_id"]}), "quote_not_live", 409)
    assert till.post("settlements", {"quote_id": second["quote_id"]}).status == 201


def test_a_settlement_without_a_quote_replaces_the_tills_own_quote(
    world: World, till: Till
) -> None:
    quote = till.post("quotes", chronic(world, till))
    assert till.post("settlements", chronic(world, till)).status == 201
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
    assert Settlement.objects.count() == 1


def test_a_quote_ends_by_time_alone(world: World, till: Till, other: Till) -> None:
    quote = till.post("quotes", chronic(world, till, line("A4", "40", "18.6")))
    run_out(quote)
    before = counts()
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_expired", 410)
    assert added(before) == {"InboxEntry": 1}
    # Another till is free at once, and the whole account with it.
    again = other.post("quotes", chronic(world, other, line("A4", "60", "18.6")))
    assert again.status == 201
    assert again["account_fen"] == 100_000
    assert Quote.objects.get(pk=quote["quote_id"]).state == "expired"
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_expired", 410)


def test_a_quote_is_confirmed_once(world: World, till: Till) -> None:
    quote = till.post("quotes", chronic(world, till))
    assert till.post("settlements", {"quote_id": quote["quote_id"]}).status == 201
    before = counts()
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
    assert added(before) == {"InboxEntry": 1}


@pytest.mark.parametrize(
    ("lines", "param"),
    [
        ([line("A4", "2", "18.6"), line("A6", "1", "9.9")], "lines[0]"),
        ([line(), line("A6", "2", "9.9")], "lines[1]"),
        ([line()], "lines[1]"),
        ([line(), line("A6", "1", "9.9"), line()], "lines[2]"),
        ([line("A6", "1", "9.9"), line()], "lines[0]"),
        ([line(trace_codes=["T1"]), line("A6", "1", "9.9")], "lines[0]"),
        ([], "lines[0]"),
    ],
    ids=["quantity", "second line", "one less", "one more", "order", "a pack's code", "none"],
)
def test_a_bill_that_is_not_as_quoted_is_refused_with_the_line_named(
    world: World, till: Till, lines: list[dict[str, Any]], param: str
) -> None:
    quote = till.post("quotes", chronic(world, till, line(), line("A6", "1", "9.9")))
    reply = refused(
        till.post("settlements", {"quote_id": quote["quote_id"], "lines": lines}),
        "line_changed",
        409,
    )
    assert reply["param"] == param
    # The quote is as good as before.
    same = [line(), line("A6", "1", "9.9")]
    settled = till.post("settlements", {"quote_id": quote["quote_id"], "lines": same})
    assert settled.status == 201


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account_limit_fen", 0),
        ("scan_id", "01900000-0000-7000-8000-000000000000"),
        ("visit_id", "01900000-0000-7000-8000-000000000000"),
        ("disease_code", "M01600"),
        ("benefit_kind", "chronic"),
        ("fee_batch_ids", []),
    ],
)
def test_a_confirmation_that_asks_for_something_else_is_not_read_as_if_it_did_not(
    world: World, till: Till, name: str, value: object
) -> None:
    """A member who changed their mind about the account is not charged as quoted all the same."""
    quote = till.post("quotes", account_only(world, till))
    reply = till.post("settlements", {"quote_id": quote["quote_id"], name: value})
    refused(reply, "field_invalid", 422)
    assert reply["param"] == name
    assert till.post("settlements", {"quote_id": quote["quote_id"]}).status == 201


def test_the_cash_part_is_confirmed_exactly(world: World, till: Till) -> None:
    quote = till.post("quotes", chronic(world, till, account_limit_fen=1_000))
    assert quote["cash_fen"] == 860
    for wrong in (859, 861, 0):
        reply = refused(
            till.post("settlements", {"quote_id": quote["quote_id"], "cash_fen": wrong}),
            "cash_differs",
            409,
        )
        assert reply["cash_fen"] == 860
    confirmed = {"quote_id": quote["quote_id"], "cash_fen": 860}
    assert till.post("settlements", confirmed).status == 201


def test_a_released_quote_holds_nothing_and_cannot_be_confirmed(
    world: World, till: Till, other: Till
) -> None:
    quote = till.post("quotes", chronic(world, till, line("A4", "60", "18.6")))
    released = till.post(f"quotes/{quote['quote_id']}/release", {})
    assert (released.status, released["state"]) == (200, "released")
    again = till.post(f"quotes/{quote['quote_id']}/release", {})
    assert (again.status, again["state"]) == (200, "released")
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
    freed = other.post("quotes", chronic(world, other, line("A4", "60", "18.6")))
    assert (freed.status, freed["account_fen"]) == (201, 100_000)


def test_a_confirmed_or_replaced_quote_is_not_released(world: World, till: Till) -> None:
    first = till.post("quotes", chronic(world, till))
    second = till.post("quotes", chronic(world, till))
    refused(till.post(f"quotes/{first['quote_id']}/release", {}), "quote_not_live", 409)
    till.post("settlements", {"quote_id": second["quote_id"]})
    refused(till.post(f"quotes/{second['quote_id']}/release", {}), "quote_not_live", 409)
    assert Quote.objects.get(pk=second["quote_id"]).state == "confirmed"


def test_every_check_is_made_again_at_the_confirmation(world: World, till: Till) -> None:
    quote = till.post("quotes", chronic(world, till))
    Entitlement.objects.filter(enrolment__member=world.retiree).update(state="suspended")
    before = counts()
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "entitlement_suspended", 403)
    assert added(before) == {"InboxEntry": 1}


def _arrears(world: World) -> None:
    Entitlement.objects.filter(enrolment__member=world.retiree).update(state="arrears")


def _filing_ended(world: World) -> None:
    world.retiree.filings.update(until_date=SINCE + timedelta(days=1))


def _another_institution_chosen(world: World) -> None:
    world.choose_institution(world.clinic.code)


def _aid_granted(world: World) -> None:
    AidPeriod.objects.create(
        member=world.retiree, category="extreme_poverty", source="test", from_date=SINCE
    )


@pytest.mark.parametrize(
    "change", [_arrears, _filing_ended, _another_institution_chosen, _aid_granted]
)
def test_a_quote_is_not_confirmed_once_the_person_is_covered_otherwise(
    world: World, till: Till, change: Callable[[World], None]
) -> None:
    """The figures are the quote's: they stand only as long as what they were worked out from."""
    quote = till.post("quotes", chronic(world, till, line("A4", "60", "18.6")))
    assert quote["pool_fen"] > 0
    change(world)
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
    assert not Settlement.objects.exists()


def test_a_quote_beyond_what_a_correction_left_on_the_account_is_refused(
    world: World, till: Till
) -> None:
    quote = till.post("quotes", account_only(world, till, line("A4", "10", "18.6")))
    Account.objects.filter(member=world.retiree).update(balance_fen=1000)
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
    assert Account.objects.get(member=world.retiree).balance_fen == 1000


def test_a_prescription_filled_meanwhile_is_found_at_the_confirmation(
    world: World, till: Till, other: Till
) -> None:
    number = world.prescription(quantity="4")
    quote = till.post(
        "quotes", account_only(world, till, line("A1", "4", "25", prescription=number))
    )
    taken = other.post(
        "settlements", account_only(world, other, line("A1", "1", "25", prescription=number))
    )
    assert taken.status == 201
    reply = refused(
        till.post("settlements", {"quote_id": quote["quote_id"]}), "prescription_exhausted", 409
    )
    assert reply["param"] == "lines[0].prescription"


def test_a_refund_that_changes_the_year_to_date_ends_the_quote_that_read_it(
    world: World, till: Till, other: Till
) -> None:
    earlier = till.post("settlements", chronic(world, till, line("A4", "10", "18.6")))
    quote = till.post("quotes", chronic(world, till))
    other.post("refunds", {"settlement_id": earlier["settlement_id"], "reason": "returned"})
    refused(till.post("settlements", {"quote_id": quote["quote_id"]}), "quote_not_live", 409)
