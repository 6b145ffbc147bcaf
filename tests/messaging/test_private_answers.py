"""An answer that names a person in full is kept encrypted and still replayed word for word."""

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
