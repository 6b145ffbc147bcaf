"""Rivals for one code, one voucher, one key: real threads, real row locks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction

from messaging.ids import new_id
from tests.voucher import people
from voucher import selectors, services, tokens
from voucher.models import SigningKey, SpentCode, Voucher

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
RIVALS = 8


def at_once(act: Callable[[], Any], rivals: int = RIVALS) -> list[Any]:
    """What each of the rivals got, value or exception, all started at one moment."""
    gate = Barrier(rivals)

    def one(_number: int) -> Any:
        try:
            gate.wait(10)
            return act()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(rivals) as pool:
        return list(pool.map(one, range(rivals)))


def test_of_eight_tills_that_present_one_code_exactly_one_is_served() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    for _round in range(20):
        text = services.mint_code(
            member_id=made.pk, scope=tokens.ANYWHERE, now=NOW, lifetime_s=60
        ).text

        def present(text: str = text) -> services.Presented:
            with transaction.atomic(durable=True):
                return services.present_code(text=text, scan_id=new_id(), now=NOW)

        outcomes = at_once(present)
        served = [one for one in outcomes if isinstance(one, services.Presented)]
        refused = [one for one in outcomes if isinstance(one, services.CodeUsed)]
        assert (len(served), len(refused)) == (1, RIVALS - 1), outcomes
    assert SpentCode.objects.count() == 20


def test_a_code_whose_first_presentation_rolls_back_serves_the_rival_that_waited() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)
    text = services.mint_code(member_id=made.pk, scope=tokens.ANYWHERE, now=NOW, lifetime_s=60).text

    def present() -> services.Presented:
        with transaction.atomic(durable=True):
            return services.present_code(text=text, scan_id=new_id(), now=NOW)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(durable=True):
            services.present_code(text=text, scan_id=new_id(), now=NOW)
            rival = pool.submit(present)
            _wait_for_one_blocked_session()
            transaction.set_rollback(True)
        assert isinstance(rival.result(10), services.Presented)
        pool.submit(connections.close_all).result(10)


def _wait_for_one_blocked_session() -> None:
    """Until the rival really waits for this session: a fact of the database, not a pause."""
    with connection.cursor() as cursor:
        for _attempt in range(10_000):
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return
    pytest.fail("the rival never waited")


def test_eight_activations_at_once_make_one_voucher() -> None:
    made = people.member()
    outcomes = at_once(lambda: services.activate_voucher(member_id=made.pk, now=NOW))
    assert Voucher.objects.count() == 1
    assert sum(isinstance(one, services.VoucherExists) for one in outcomes) == RIVALS - 1


def test_eight_processes_that_start_at_once_make_one_key() -> None:
    outcomes = at_once(lambda: services.ensure_signing_key(now=NOW))
    assert {getattr(one, "key_id", one) for one in outcomes} == {1}
    assert SigningKey.objects.count() == 1


def test_whoever_waited_for_a_member_reads_what_the_other_wrote() -> None:
    made = people.member()
    services.activate_voucher(member_id=made.pk, now=NOW)

    def locked_state() -> str:
        with transaction.atomic(durable=True):
            selectors.lock_member(member_id=made.pk)
            return selectors.member_facts(member_id=made.pk, day=NOW.date()).voucher_state

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(durable=True):
            services.suspend_voucher(member_id=made.pk, now=NOW)
            rival = pool.submit(locked_state)
            _wait_for_one_blocked_session()
        assert rival.result(10) == "suspended"
        pool.submit(connections.close_all).result(10)
