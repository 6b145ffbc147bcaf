"""Operations as any edge may ask for them: what a careless one leaves out is refused by name."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from merchants.endpoint import IdempotencyKeyMalformed
from merchants.selectors import terminal_facts
from messaging.days import business_date
from messaging.inbox import Answer
from messaging.models import InboxEntry
from settlement import operations
from tests.rows import added, counts
from tests.world import Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till(world.clinic)


def perform(till: Till, name: str, body: bytes, **more: Any) -> Answer:
    moment = timezone.now()
    asked: dict[str, Any] = {"key": str(uuid4()), "params": {}, **more}
    return operations.perform(
        name,
        terminal=terminal_facts(terminal_id=till.terminal_id, day=business_date(moment)),
        body=body,
        request_id="a-request",
        now=moment,
        **{"operator": "", **asked},
    )


@pytest.mark.parametrize(
    ("name", "param", "body"),
    [
        ("add_fees", "visit_id", b'{"lines": []}'),
        (
            "prescribe",
            "visit_id",
            b'{"prescriber": "a", "diagnosis": "b",'
            b' "lines": [{"national_code": "c", "quantity": "1"}]}',
        ),
        (
            "pick_up",
            "visit_id",
            b'{"scan_id": "01900000-0000-7000-8000-000000000000",'
            b' "settlement_id": "01900000-0000-7000-8000-000000000000"}',
        ),
        ("release", "quote_id", b"{}"),
    ],
)
def test_an_operation_without_the_id_of_its_address_is_refused_by_name(
    till: Till, name: str, param: str, body: bytes
) -> None:
    answer = perform(till, name, body)
    assert (answer.status, answer.code, answer.param) == (422, "field_invalid", param)


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "schlüssel", "a\x00b", "a\nb"])
def test_a_key_of_another_form_is_refused_whichever_edge_it_comes_from(
    till: Till, key: str
) -> None:
    before = counts()
    with pytest.raises(IdempotencyKeyMalformed):
        perform(till, "estimate", b"{}", key=key)
    assert added(before) == {}


@pytest.mark.parametrize("query", ["now=1", "terminal=1", "name=slip", "merchant_id=1", "x=1"])
def test_a_read_is_not_confused_by_what_else_its_address_says(
    world: World, till: Till, query: str
) -> None:
    visit_id = till.post("visits", {"scan_id": world.scan(till, use="registration")})["visit_id"]
    reply = till.get(f"visits/{visit_id}?{query}")
    assert (reply.status, reply.body.get("visit_id")) == (200, visit_id), reply.text


def test_a_terminal_that_asks_for_its_own_key_gets_its_own_outcome(world: World) -> None:
    """A till that numbers its sales from one must not take a colleague's sale for its own."""
    till, colleague = world.till(), world.till(name="till 2")
    settled = [
        one.post(
            "settlements",
            {
                "scan_id": world.scan(one),
                "benefit_kind": "pharmacy_account",
                "lines": [line()],
            },
            key="sale-1",
        )["settlement_id"]
        for one in (till, colleague)
    ]
    assert InboxEntry.objects.filter(key="sale-1").count() == 2
    for asking, own in zip((till, colleague), settled, strict=True):
        assert asking.get("outcomes/sale-1")["answer"]["settlement_id"] == own


def test_the_log_of_an_unmasking_names_the_operator_and_not_only_the_shared_page(
    world: World, till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    body = f'{{"scan_id": "{world.scan(till, use="registration")}"}}'.encode()
    caplog.clear()
    with caplog.at_level("INFO"):
        for _ in range(2):
            assert perform(till, "open_visit", body, key="open-1", operator="0007").status == 201
    reader = f"terminal {till.terminal_id}, operator 0007"
    shown = [row.getMessage() for row in caplog.records if "shown" in row.getMessage()]
    assert len(shown) == 2
    assert all(reader in message for message in shown)
