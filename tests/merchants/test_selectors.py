"""Whose terminal a key is, and what a merchant's list answers to what is typed."""

from datetime import date, timedelta
from typing import Any

import pytest

from merchants import selectors, services
from merchants.models import Agreement, Merchant
from merchants.services import ItemInput
from tests.merchants.tills import DAY, NOW, enrol, public_key, register


def facts_of(merchant: Merchant, *, day: date = DAY) -> selectors.TerminalFacts:
    terminal = merchant.terminals.get()
    return selectors.terminal_facts(terminal_id=terminal.pk, day=day)


def test_a_terminal_is_known_by_its_key_with_its_merchant_and_capabilities(
    pharmacy: Merchant,
) -> None:
    terminal = enrol(pharmacy)

    facts = selectors.terminal_by_key(key_id=str(terminal.key_id), day=DAY)

    assert facts == selectors.TerminalFacts(
        terminal_id=terminal.pk,
        terminal_kind="api",
        terminal_state="active",
        key_id=str(terminal.key_id),
        public_key=public_key(),
        merchant_id=pharmacy.pk,
        merchant_code="P37030099001",
        merchant_name="康和大药房",
        merchant_kind="pharmacy",
        merchant_level=0,
        merchant_state="active",
        area_code="370300",
        agreement_in_force=True,
        capabilities=frozenset({"chronic", "pharmacy_account"}),
    )
    assert facts_of(pharmacy) == facts


def test_looking_up_a_terminal_takes_one_statement(
    pharmacy: Merchant, django_assert_num_queries: Any
) -> None:
    key_id = str(enrol(pharmacy).key_id)
    with django_assert_num_queries(1):
        selectors.terminal_by_key(key_id=key_id, day=DAY)


@pytest.mark.parametrize("key_id", ["t1-nobody", "", "' OR 1=1 --"])
def test_a_key_that_nobody_has_is_no_terminal(pharmacy: Merchant, key_id: str) -> None:
    enrol(pharmacy)
    with pytest.raises(selectors.TerminalUnknown):
        selectors.terminal_by_key(key_id=key_id, day=DAY)


def test_a_terminal_that_awaits_its_key_is_not_found_by_an_empty_one(pharmacy: Merchant) -> None:
    services.issue_enrolment_code(merchant_id=pharmacy.pk, name="x", now=NOW, lifetime_s=60)
    with pytest.raises(selectors.TerminalUnknown):
        selectors.terminal_by_key(key_id="", day=DAY)


@pytest.mark.parametrize(
    ("changes", "day", "in_force"),
    [
        ({}, date(2025, 12, 31), False),
        ({}, date(2026, 1, 1), True),
        ({"agreement_until": date(2026, 3, 3)}, DAY, True),
        ({"agreement_until": date(2026, 3, 2)}, DAY, False),
        ({"capabilities": []}, DAY, True),
    ],
)
def test_an_agreement_is_in_force_from_its_first_day_until_before_its_last(
    db: None, changes: dict[str, Any], day: date, in_force: bool
) -> None:
    merchant = register(**changes)
    enrol(merchant)
    assert facts_of(merchant, day=day).agreement_in_force is in_force


@pytest.mark.parametrize("state", ["paused", "ended"])
def test_an_agreement_that_is_not_running_covers_nothing(pharmacy: Merchant, state: str) -> None:
    enrol(pharmacy)
    Agreement.objects.update(state=state)
    facts = facts_of(pharmacy)
    assert (facts.agreement_in_force, facts.capabilities) == (False, frozenset())


def test_capabilities_of_two_agreements_add_up(pharmacy: Merchant) -> None:
    register(agreement_number="XY-2", capabilities=["chronic", "outpatient"])
    enrol(pharmacy)
    assert facts_of(pharmacy).capabilities == {"chronic", "outpatient", "pharmacy_account"}


ITEMS = [
    ItemInput("1001", "阿莫西林胶囊", "12.5", barcode="6900000010018", national_code="XJ01CAA040"),
    ItemInput("1002", "阿莫西林克拉维酸钾片", "33", barcode="6900000010025"),
    ItemInput("1003", "维生素C片", "3.2", barcode="1001", national_code="XA11GAW050"),
    ItemInput("1004", "75%酒精", "5", barcode="6900000010049"),
    ItemInput("1005", "750ml酒精", "6", barcode="6900000010056"),
]


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("1002", ["1002"]),
        ("6900000010025", ["1002"]),
        # The merchant's own code before a bar code that happens to read the same.
        ("1001", ["1001", "1003"]),
        ("amxl", ["1001", "1002"]),
        ("AMXLJ", ["1001"]),
        ("amxlklwsjp", ["1002"]),
        ("mxl", []),
        ("克拉维酸", ["1002"]),
        ("维生素c", ["1003"]),
        ("  amxlj ", ["1001"]),
        ("75%", ["1004"]),
        ("75_", []),
        ("%", ["1004"]),
        ("!", []),
        ("", []),
        ("   ", []),
        ("a\x00mxlj", ["1001"]),
        ("没有", []),
        ("XJ01CAA040", ["1001"]),
        ("XJ01CAA", []),
    ],
)
def test_items_are_found_as_they_are_typed(
    pharmacy: Merchant, query: str, codes: list[str]
) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=ITEMS)
    found = selectors.search_items(merchant_id=pharmacy.pk, query=query)
    assert [item.code for item in found] == codes


def test_a_search_stops_at_its_limit_and_stays_within_the_merchant(pharmacy: Merchant) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=ITEMS)
    other = register(code="P37030099002")
    assert len(selectors.search_items(merchant_id=pharmacy.pk, query="酒精", limit=1)) == 1
    assert selectors.search_items(merchant_id=pharmacy.pk, query="酒精", limit=0) == []
    assert selectors.search_items(merchant_id=other.pk, query="酒精") == []


def test_items_by_code_leaves_out_what_is_not_listed(
    pharmacy: Merchant, django_assert_num_queries: Any
) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=ITEMS)
    with django_assert_num_queries(1):
        found = selectors.items_by_code(merchant_id=pharmacy.pk, codes=["1002", "nope", "1001"])
    assert set(found) == {"1001", "1002"}
    assert (found["1001"].mapped, found["1002"].mapped) == (True, False)
    assert found["1001"].unit_price == "12.5"
    with django_assert_num_queries(0):
        assert selectors.items_by_code(merchant_id=pharmacy.pk, codes=[]) == {}


def test_unmapped_items_are_listed_by_code(pharmacy: Merchant) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=ITEMS)
    unmapped = selectors.unmapped_items(merchant_id=pharmacy.pk)
    assert [item.code for item in unmapped] == ["1002", "1004", "1005"]


def test_a_revoked_terminal_is_still_known_so_that_it_can_be_told(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    services.revoke_terminal(terminal_id=terminal.pk, now=NOW + timedelta(hours=1))
    facts = selectors.terminal_by_key(key_id=str(terminal.key_id), day=DAY)
    assert facts.terminal_state == "revoked"
