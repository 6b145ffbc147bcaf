"""An answer that names a person in full is kept encrypted and still replayed word for word."""

import pytest

from messaging.models import InboxEntry
from tests.world import World


def test_an_opened_visit_is_stored_sealed_and_replayed_word_for_word(world: World) -> None:
    till = world.till(world.clinic)
    scan_id = world.scan(till, use="registration")
    body = {"scan_id": scan_id, "department": "internal"}
    first = till.post("visits", body, key="open-1")
    assert first.status == 201, first.text
    identity_number = first["member"]["identity_number"]
    stored = InboxEntry.objects.get(key="open-1").body
    assert identity_number not in stored
    assert world.retiree.name not in stored
    again = till.post("visits", body, key="open-1")
    assert again.text == first.text
    assert again.headers["idempotent-replay"] == "true"
    asked = world.till(world.clinic, name="till 2").get("outcomes/open-1")
    assert asked["answer"] == first.body


def test_whoever_is_shown_a_name_in_full_again_is_in_the_log_without_the_name(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    till, colleague = world.till(world.clinic), world.till(world.clinic, name="till 2")
    body = {"scan_id": world.scan(till, use="registration")}
    first = till.post("visits", body, key="open-1")
    caplog.clear()
    with caplog.at_level("INFO", logger="settlement.operations"):
        till.post("visits", body, key="open-1")
        colleague.get("outcomes/open-1")
    shown = [row.getMessage() for row in caplog.records if row.name == "settlement.operations"]
    visit_id = first["visit_id"]
    assert shown == [
        f"identity in visit {visit_id} shown again to terminal {till.terminal_id}",
        f"identity in visit {visit_id} shown again to terminal {colleague.terminal_id}",
    ]
    assert first["member"]["identity_number"] not in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", logger="settlement.operations"):
        refused = till.post("visits", {"scan_id": first["visit_id"]}, key="open-2")
        assert till.get("outcomes/open-2")["answer"] == refused.body
    assert not [row for row in caplog.records if row.name == "settlement.operations"]
