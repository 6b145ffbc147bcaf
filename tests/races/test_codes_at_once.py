"""One code, one use, however many terminals present it at one moment."""

import threading
from collections import Counter
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from merchants.selectors import terminal_facts
from messaging.bodies import to_json
from messaging.days import business_date
from settlement import operations
from settlement.models import Scan
from tests.races.rivals import at_once, between_statements, forced, lose_connection
from tests.world import Till, World
from voucher.models import SpentCode

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

CODES = 1_000
TERMINALS = 8


def scan_body(code: str) -> bytes:
    return to_json(
        {"evidence": {"type": "voucher_code", "value": code}, "use": "pharmacy_purchase"}
    ).encode()


def test_eight_terminals_present_each_of_a_thousand_codes_and_one_is_accepted(
    world: World,
) -> None:
    day = business_date(timezone.now())
    facts = [
        terminal_facts(terminal_id=world.till(name=f"till {n}").terminal_id, day=day)
        for n in range(TERMINALS)
    ]
    codes: list[bytes] = []
    answers: list[list[str]] = [[] for _ in range(CODES)]
    # Before each code all eight stand at the line together; the first to arrive makes the codes,
    # a hundred at a time, because a code lives a minute.
    turn = iter(range(CODES))

    def lay_out_the_next() -> None:
        number = next(turn)
        if number % 100 == 0:
            codes.extend(scan_body(world.code()) for _ in range(100))

    line = threading.Barrier(TERMINALS, action=lay_out_the_next)

    def present_all(terminal: int) -> None:
        for number in range(CODES):
            line.wait(30)
            answer = operations.perform(
                "scan",
                terminal=facts[terminal],
                operator="",
                body=codes[number],
                key=str(uuid4()),
                request_id="race",
                now=timezone.now(),
            )
            answers[number].append(answer.code or "accepted")

    at_once([lambda n=n: present_all(n) for n in range(TERMINALS)])  # type: ignore[misc]

    expected = Counter({"accepted": 1, "code_used": TERMINALS - 1})
    assert [n for n, got in enumerate(answers) if Counter(got) != expected] == []
    assert SpentCode.objects.count() == CODES
    assert Scan.objects.filter(code="").count() == CODES
    assert Scan.objects.filter(code="code_used").count() == CODES * (TERMINALS - 1)
    accepted = set(Scan.objects.filter(code="").values_list("pk", flat=True))
    assert accepted == set(SpentCode.objects.values_list("scan_id", flat=True))


def test_eight_tills_present_the_same_code_over_the_whole_application(world: World) -> None:
    tills = [world.till(name=f"till {n}") for n in range(TERMINALS)]
    for _ in range(10):
        body = scan_body(world.code())
        replies = at_once([lambda t=t, b=body: t.post("scans", b) for t in tills])  # type: ignore[misc]
        assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}
        assert {reply["code"] for reply in replies if reply.status == 409} == {"code_used"}


def test_a_rival_waits_for_the_commit_that_spends_the_code(world: World) -> None:
    one, two = world.till(), world.till(name="till 2")
    body = scan_body(world.code())

    race = forced(
        lambda: one.post("scans", body),
        lambda: two.post("scans", body),
        before="UPDATE messaging_inboxentry",
    )

    assert race.second_waited
    assert (race.first.status, race.second.status) == (201, 409)


def test_a_code_whose_scan_was_rolled_back_is_unspent(world: World) -> None:
    """The terminal's connection is lost before the commit: same key, try again."""
    till: Till = world.till()
    body = scan_body(world.code())

    def cut(sql: str) -> None:
        if "UPDATE messaging_inboxentry" in sql:
            lose_connection()

    with between_statements(cut):
        lost = till.post("scans", body, key="scan-1")
    connection.close()
    assert (lost.status, lost["code"]) == (503, "try_again")
    assert lost.headers["retry-after"]
    assert not SpentCode.objects.exists()
    assert not Scan.objects.exists()
    assert till.post("scans", body, key="scan-1").status == 201
