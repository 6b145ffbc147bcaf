"""The dashboard's figures, and the task that clears old sessions."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from portal.tasks import clear_sessions
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


def test_an_operator_does_not_see_the_figures(signed_in: Callable[[str], Client]) -> None:
    assert signed_in("pharmacist").get("/fund/overview.json").json()["code"] == "not_found"


@pytest.mark.django_db
def test_sessions_whose_time_has_passed_are_cleared() -> None:
    now = timezone.now()
    for key, days in (("old", -1), ("young", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now + timedelta(days=days)
        )
    clear_sessions()
    assert [row.session_key for row in Session.objects.all()] == ["young"]
