"""Rivals for one enrolment code, one page terminal, one first answer key, one item list."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from merchants import services
from merchants.models import AnswerKey, Item, Merchant, Terminal
from merchants.services import ItemInput
from messaging.refusals import Refusal
from tests.merchants.tills import NOW, public_key, register

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

RIVALS = 8


def together(act: Callable[[int], Any]) -> list[Any]:
    """What `act` gives, or the code it is refused with, for eight threads that begin as one."""
    start = Barrier(RIVALS)

    def run(number: int) -> Any:
        start.wait(timeout=10)
        try:
            return act(number)
        except Refusal as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(RIVALS) as threads:
        return list(threads.map(run, range(RIVALS)))


def test_of_eight_devices_with_one_code_one_is_enrolled() -> None:
    merchant = register()
    code = services.issue_enrolment_code(
        merchant_id=merchant.pk, name="counter", now=NOW, lifetime_s=3600
    )
    outcomes = together(
        lambda number: services.enrol_terminal(
            one_time_code=code, public_key=public_key(number + 1), name="", now=NOW
        )
    )
    assert outcomes.count("enrolment_code_used") == RIVALS - 1
    assert Terminal.objects.get().state == "active"


def test_eight_first_page_requests_make_one_page_terminal() -> None:
    merchant = register()
    user = get_user_model().objects.create_user("op")
    operator = services.add_operator(merchant_id=merchant.pk, user=user, code="01", name="店员")
    outcomes = together(lambda _: services.page_terminal(operator=operator, now=NOW).pk)
    assert len(set(outcomes)) == 1
    assert Terminal.objects.count() == 1


def test_eight_processes_without_an_answer_key_make_one_between_them() -> None:
    outcomes = together(lambda _: services.ensure_answer_key(now=NOW).key_id)
    assert set(outcomes) == {"server-1"}
    assert AnswerKey.objects.count() == 1


def test_item_lists_saved_in_opposite_orders_do_not_wait_for_each_other_for_ever() -> None:
    merchant = register()
    items = [ItemInput(code=f"{n:03}", name="药", unit_price="1") for n in range(200)]

    def save(number: int) -> int:
        ordered = items if number % 2 else items[::-1]
        return services.save_items(merchant_id=merchant.pk, items=ordered).saved

    assert together(save) == [200] * RIVALS
    assert Item.objects.filter(merchant=merchant).count() == 200


def test_eight_merchants_are_registered_at_once() -> None:
    outcomes = together(lambda number: register(code=f"P3703009900{number}").code)
    assert len(set(outcomes)) == RIVALS
    assert Merchant.objects.count() == RIVALS
