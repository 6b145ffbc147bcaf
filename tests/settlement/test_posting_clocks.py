"""Posting goes by what is there, not by whose clock is right."""

from datetime import UTC, datetime, timedelta

from settlement.models import Settlement
from settlement.services.posting import post_due
from tests.world import World, line


def test_a_worker_whose_clock_is_behind_posts_what_was_just_accepted(world: World) -> None:
    till = world.till()
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line("A6", "1", "9.9")],
    }
    assert till.post("settlements", bill).status == 201
    behind = datetime.now(UTC) - timedelta(minutes=5)
    assert post_due(now=behind, limit=10) == 1
    assert Settlement.objects.get().state == "posted"
