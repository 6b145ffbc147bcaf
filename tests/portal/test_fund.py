"""The dashboard's figures, and the task that clears old sessions."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from messaging import outbox
from messaging.heartbeats import beat
from messaging.ids import new_id
from messaging.models import OutboxEntry
from portal.tasks import clear_sessions
from settlement.certainty import TABLE
from tests.world import World, line


@pytest.mark.django_db(transaction=True)
def test_the_figures_show_a_purchase_and_a_refused_scan(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("fund")
    till = world.till()
    code = world.code()
    for _ in range(2):
        till.post(
            "scans",
            {"evidence": {"type": "voucher_code", "value": code}, "use": "pharmacy_purchase"},
        )
    till.post(
        "settlements",
        {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [line()],
        },
    )
    figures = client.get("/fund/overview.json").json()
    assert figures["scans_accepted"] == 2
    assert figures["refused_by_code"] == [["code_used", 1]]
    assert figures["settlements_total_fen"] == sum(fen for _payer, fen in figures["by_payer"])
    assert figures["unposted"] == 1
    world.post_everything()
    assert client.get("/fund/overview.json").json()["unposted"] == 0


@pytest.mark.django_db(transaction=True)
def test_the_figures_show_what_is_parked_and_how_long_nobody_has_heard_of_the_workers(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("fund")
    figures = client.get("/fund/overview.json").json()
    assert (figures["parked"], figures["parked_rows"]) == (0, [])
    # Never heard of is late too.
    assert figures["heartbeats"] == [
        [name, None, True] for name in ("posting sweep", "queue", "tender sweep")
    ]
    now = timezone.now()
    beat("posting sweep", now=now - timedelta(seconds=5))
    beat("queue", now=now - timedelta(seconds=settings.HEARTBEATS_LATE_S["queue"] + 1))
    subject = new_id()
    outbox.put(topic="post_settlement", subject=subject, now=now)
    OutboxEntry.objects.update(parked_at=now, attempts=5, last_error="ValueError at a.py:1 (b)")
    figures = client.get("/fund/overview.json").json()
    row = OutboxEntry.objects.get()
    assert figures["parked_rows"] == [
        [row.pk, "post_settlement", str(subject), 5, "ValueError at a.py:1 (b)"]
    ]
    assert [(name, late) for name, _age, late in figures["heartbeats"]] == [
        ("posting sweep", False),
        ("queue", True),
        ("tender sweep", True),
    ]
    ready = client.get("/readyz")
    # Settlements are accepted without a worker, so the process stays in service.
    assert (ready.status_code, ready.json()["parked"]) == (200, 1)
    assert ready.json()["heartbeats"]["queue"]["late"] is True
    assert 5 <= ready.json()["heartbeats"]["posting sweep"]["age_s"] < 60


@pytest.mark.django_db(transaction=True)
def test_the_certainty_board_names_what_is_overdue(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("fund")
    till = world.till()
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    till.post("settlements", bill)

    def shown() -> dict[str, dict[str, Any]]:
        told = client.get("/fund/certainty.json").json()
        assert told["measured_over_s"] == 86_400
        return {row["kind"]: row for row in told["kinds"]}

    before = shown()
    assert list(before) == [row.kind for row in TABLE]
    assert before["scan"] | {"oldest_s": 0} == {
        "kind": "scan",
        "limit_s": settings.SCAN_LIFETIME_S,
        "open": 1,
        "oldest_s": 0,
        "overdue": 0,
        "finished": 0,
        "p50_s": None,
        "p99_s": None,
        "worst_s": None,
        "in_part": False,
    }
    assert (before["settlement"]["open"], before["settlement"]["overdue"]) == (1, 0)
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        late = shown()
        assert {kind: row["overdue"] for kind, row in late.items() if row["overdue"]} == {
            "settlement": 1
        }
        assert late["scan"]["open"] == 0
    world.post_everything()
    assert shown()["settlement"]["finished"] == 1


@pytest.mark.parametrize("name", ["overview", "certainty"])
def test_an_operator_does_not_see_the_figures(
    signed_in: Callable[[str], Client], name: str
) -> None:
    path = f"/fund/{name}.json"
    assert signed_in("pharmacist").get(path).json()["code"] == "not_found"
    assert Client().get(path).json()["code"] == "not_signed_in"


@pytest.mark.django_db
def test_sessions_whose_time_has_passed_are_cleared() -> None:
    now = timezone.now()
    for key, days in (("old", -1), ("young", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now + timedelta(days=days)
        )
    clear_sessions()
    assert [row.session_key for row in Session.objects.all()] == ["young"]
