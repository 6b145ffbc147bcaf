"""Prescriptions: filled at most to their quantity, by their own person, while they are good."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from messaging.days import business_date
from settlement.models import Prescription, PrescriptionLine
from tests.rows import added, counts
from tests.world import Reply, Till, World, line


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


def buy(world: World, till: Till, *lines: dict[str, Any], **who: Any) -> Reply:
    return till.post(
        "settlements",
        {
            "scan_id": world.scan(till, **who),
            "benefit_kind": "pharmacy_account",
            "lines": list(lines),
        },
    )


def tablets(number: str, quantity: str = "1") -> dict[str, Any]:
    return line("A1", quantity, "25", prescription=number)


def filled() -> int:
    return PrescriptionLine.objects.get().filled_e4


def test_a_prescription_is_filled_in_parts_up_to_its_quantity(world: World, till: Till) -> None:
    number = world.prescription(quantity="4")
    assert buy(world, till, tablets(number, "1.5")).status == 201
    assert buy(world, till, tablets(number, "2.5")).status == 201
    assert filled() == 40_000
    before = counts()
    reply = buy(world, till, tablets(number, "0.0004"))
    assert (reply["code"], reply.status) == ("prescription_exhausted", 409)
    assert added(before).keys() == {"InboxEntry", "Scan", "SpentCode"}
    assert filled() == 40_000


def test_two_lines_of_one_bill_draw_on_the_same_prescription(world: World, till: Till) -> None:
    number = world.prescription(quantity="4")
    reply = buy(world, till, tablets(number, "3"), tablets(number, "2"))
    assert (reply["code"], reply["param"]) == ("prescription_exhausted", "lines[1].prescription")
    assert buy(world, till, tablets(number, "3"), tablets(number, "1")).status == 201
    assert filled() == 40_000


def test_a_prescription_is_its_own_persons(world: World, till: Till) -> None:
    number = world.prescription()
    reply = buy(world, till, tablets(number), member=world.worker)
    assert (reply["code"], reply.status) == ("prescription_unknown", 422)
    assert filled() == 0


def test_a_prescription_does_not_cover_another_drug(world: World, till: Till) -> None:
    number = world.prescription()
    reply = buy(world, till, line("A2", "1", "36.8", prescription=number))
    assert (reply["code"], reply["param"]) == ("prescription_unknown", "lines[0].prescription")


@pytest.mark.parametrize(("days", "status"), [(1, 201), (0, 422), (-1, 422)])
def test_a_prescription_is_good_until_its_last_day(
    world: World, till: Till, days: int, status: int
) -> None:
    number = world.prescription()
    today = business_date(timezone.now())
    Prescription.objects.update(until_date=today + timedelta(days=days))
    reply = buy(world, till, tablets(number))
    assert reply.status == status
    assert status == 201 or reply["code"] == "prescription_expired"


def test_a_drug_that_needs_a_prescription_is_the_members_own_to_pay_without_one(
    world: World, till: Till
) -> None:
    with_one = buy(world, till, tablets(world.prescription()))
    without = buy(world, till, line("A1", "1", "25"))
    assert with_one["lines"][0]["out_of_scope_fen"] == 0
    assert without["lines"][0]["out_of_scope_fen"] == 2_500
    assert without["lines"][0]["reason"]
