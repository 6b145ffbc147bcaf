"""The certainty clock: everything is final within its stated time, and called overdue exactly where
whoever should have finished it did not."""

import contextlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import OutboxEntry
from messaging.outbox import until_parked_s
from settlement import certainty
from settlement.certainty import CONFIRM_AT_MOST_S, TABLE, Clocks, Kind, promise
from settlement.models import Quote, Scan, Settlement, Tender
from settlement.selectors import certainty as selector
from settlement.selectors.certainty import Reading, board, clocks
from settlement.services.posting import post_due
from settlement.services.reversals import reverse_overdue
from settlement.services.tender.simulator import Lie
from settlement.states import Entity, states_of
from tests.settlement.tender_world import (
    bill,
    connect,
    lying,
    part,
    pay,
    quoted,
    run_out,
    settle,
    states,
    work,
)
from tests.settlement.test_tenders import _fresh_services, clock, till, world
from tests.world import Reply, Till, World, line

# Fixtures: a simulated service and a clock of the test's own.
__all__ = ["_fresh_services", "clock", "till", "world"]


def after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def read(kind: Kind, at: datetime) -> Reading:
    (found,) = [each for each in board(now=at) if each.kind == kind]
    return found


def assert_overdue_after(kind: Kind, now: datetime, seconds: float) -> None:
    """One is open, not late until then, and late from then on."""
    before, later = (read(kind, after(now, seconds + step)) for step in (-1, 1))
    assert (before.open, before.overdue) == (1, 0), before
    assert (later.open, later.overdue) == (1, 1), later
    assert later.oldest_s >= seconds


def assert_final(kind: Kind, at: datetime) -> Reading:
    found = read(kind, at)
    assert (found.open, found.oldest_s, found.overdue) == (0, 0.0, 0), found
    return found


def sold(world: World, till: Till, **more: Any) -> Reply:
    reply = till.post(
        "settlements",
        {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [line()],
            **more,
        },
    )
    assert reply.status == 201, reply.text
    return reply


def paid(world: World, till: Till) -> Reply:
    """A quote whose cash was authorised."""
    quote = quoted(world, till)
    pay(till, quote, part())
    assert states(quote) == ["authorised"]
    return quote


# -- each kind, its finisher taken away


def test_a_scan_that_lives_longer_than_stated_is_overdue_until_its_time_is_over(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    world.scan(till)
    settings.SCAN_LIFETIME_S = 600
    assert_overdue_after("scan", now, 600)
    assert_final("scan", after(now, 1801))


def test_a_quote_that_lives_longer_than_stated_is_overdue_until_it_runs_out(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    settings.QUOTE_LIFETIME_S = 900
    quoted(world, till)
    settings.QUOTE_LIFETIME_S = 120
    assert_overdue_after("quote", now, settings.TENDER_CERTAINTY_S)
    assert_final("quote", after(now, 901))


def test_a_settlement_that_no_worker_posts_is_overdue(
    world: World, till: Till, now: datetime
) -> None:
    sold(world, till)
    assert_overdue_after("settlement", now, clocks().worker_s)
    work(after(now, 900))
    assert assert_final("settlement", after(now, 900)).worst_s == pytest.approx(900, abs=0.01)


def test_a_two_step_settlement_that_no_sweep_reverses_is_overdue(
    world: World, till: Till, now: datetime
) -> None:
    sold(world, till, confirm_within_s=60)
    assert_overdue_after("two_step", now, 60 + clocks().worker_s)
    reverse_overdue(now=after(now, 400), limit=10)
    found = assert_final("two_step", after(now, 400))
    assert (found.finished, found.worst_s) == (1, pytest.approx(400, abs=0.01))


def test_a_refund_that_no_worker_posts_is_overdue(world: World, till: Till, now: datetime) -> None:
    given = sold(world, till)
    till.post("refunds", {"settlement_id": given["settlement_id"], "reason": "returned"})
    assert_overdue_after("refund", now, clocks().worker_s)
    work(after(now, 500))
    assert assert_final("refund", after(now, 500)).finished == 1


def test_a_payment_that_no_worker_asks_after_is_overdue(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    connect(lying(authorise=Lie.LOST_ANSWER, query=Lie.LOST_ANSWER))
    quote = quoted(world, till)
    pay(till, quote, part())
    assert states(quote) == ["unknown"]
    due_s = settings.TENDER_CERTAINTY_S + clocks().worker_s
    assert_overdue_after("payment", now, due_s)
    assert_overdue_after("tender", now, due_s)
    # The worker cannot learn what became of it either: then it goes back, and that is certain.
    work(after(now, due_s + 2))
    assert states(quote) == ["returning"]
    found = assert_final("payment", after(now, due_s + 2))
    assert (found.finished, found.worst_s) == (1, pytest.approx(due_s + 2, abs=0.01))


def test_a_payment_without_a_settlement_that_no_worker_returns_is_overdue(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    quote = paid(world, till)
    assert_final("payment", after(now, 10_000))
    assert_overdue_after("tender", now, settings.TENDER_CERTAINTY_S + clocks().worker_s)
    assert_final("tender", run_out(after(now, 700)))
    assert states(quote) == ["returned"]


def test_a_capture_that_no_worker_makes_certain_is_overdue(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    quote = paid(world, till)
    settle(till, quote)
    post_due(now=now, limit=50)
    assert states(quote) == ["capturing"]
    grace_s = certainty._LOOK_S + clocks().worker_s
    assert_overdue_after("tender", now, settings.TENDER_CAPTURE_S + grace_s)
    # Too late for the capture, and certain all the same.
    assert_final("tender", run_out(after(now, 90_000)))
    assert states(quote) == ["debt"]


def test_a_payment_that_no_worker_gives_back_is_overdue(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    quote = paid(world, till)
    till.post(f"quotes/{quote['quote_id']}/release", {})
    post_due(now=now, limit=50)
    assert states(quote) == ["returning"]
    grace_s = certainty._LOOK_S + clocks().worker_s
    assert_overdue_after("tender", now, settings.TENDER_CAPTURE_S + grace_s)
    assert_final("tender", run_out(after(now, 90_000)))


def test_a_refund_of_a_payment_that_no_worker_sends_is_overdue(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    quote = paid(world, till)
    given = settle(till, quote)
    work(now)
    till.post("refunds", {"settlement_id": given["settlement_id"], "reason": "returned"})
    post_due(now=now, limit=50)
    grace_s = certainty._LOOK_S + clocks().worker_s
    assert_overdue_after("tender_refund", now, settings.TENDER_CAPTURE_S + grace_s)
    found = assert_final("tender_refund", run_out(after(now, 90_000)))
    assert found.finished == 1


# -- who is not overdue


def test_a_scan_never_billed_and_a_quote_never_confirmed_are_final_by_time_alone(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    till.post("quotes", bill(world, till))
    assert (read("scan", now).open, read("quote", now).open) == (1, 1)
    # No worker ran, and no row says that it is over.
    assert Quote.objects.get().state == "live"
    assert Scan.objects.get().expires_at == after(now, settings.SCAN_LIFETIME_S)
    for kind, lifetime_s in (("scan", 1800), ("quote", 120)):
        assert read(kind, after(now, lifetime_s - 1)).overdue == 0
        found = assert_final(kind, after(now, lifetime_s + 1))
        assert (found.finished, found.worst_s) == (1, pytest.approx(lifetime_s, abs=0.01))
    assert all(each.overdue == 0 for each in board(now=after(now, 80_000)))


def test_a_refused_scan_is_final_when_it_is_answered(
    world: World, till: Till, now: datetime
) -> None:
    evidence = {"type": "voucher_code", "value": "1"}
    assert till.post("scans", {"evidence": evidence, "use": "pharmacy_purchase"}).status != 201
    assert Scan.objects.exclude(code="").count() == 1
    assert assert_final("scan", now).finished == 0


def test_a_quote_that_a_payment_keeps_alive_is_not_overdue(
    world: World, till: Till, now: datetime, clock: Any
) -> None:
    connect(lying(authorise=Lie.LOST_ANSWER, query=Lie.LOST_ANSWER))
    quoted_at = now
    pay(till, quoted(world, till), part())
    for _ in range(200):
        now = after(now, 3)
        clock.move_to(now)
        work(now)
        found = read("quote", now)
        assert found.overdue == 0
        if found.open == 0:
            break
    # It lived on beyond its two minutes, and not beyond the clock of payments.
    assert 120 < (now - quoted_at).total_seconds() <= 363


def test_a_confirmed_settlement_is_final_when_it_is_confirmed(
    world: World, till: Till, now: datetime, clock: Any
) -> None:
    given = sold(world, till, confirm_within_s=60)
    clock.shift(7)
    till.post(f"settlements/{given['settlement_id']}/confirm", {})
    found = assert_final("two_step", after(now, 5_000))
    assert (found.finished, found.worst_s) == (1, pytest.approx(7, abs=0.01))


def test_a_debt_by_name_is_final(world: World, till: Till, now: datetime) -> None:
    quote = quoted(world, till)
    pay(till, quote, part(payment_code="134567890123450054"))
    settle(till, quote)
    ended = run_out(now)
    assert states(quote) == ["debt"]
    assert assert_final("tender", ended).finished == 1
    assert all(each.overdue == 0 for each in board(now=after(now, 10**6)))


def test_a_refund_before_the_capture_waits_and_is_not_overdue_by_itself(
    world: World, till: Till, now: datetime
) -> None:
    quote = paid(world, till)
    given = settle(till, quote)
    till.post("refunds", {"settlement_id": given["settlement_id"], "reason": "returned"})
    post_due(now=now, limit=50)
    found = read("tender_refund", after(now, 88_000))
    assert (found.open, found.overdue) == (1, 0)
    # It is the capture that is late then.
    assert read("tender", after(now, 88_000)).overdue == 1


def test_a_payment_received_for_a_long_quote_waits_as_long_as_the_quote(
    world: World, till: Till, now: datetime, settings: Any
) -> None:
    settings.QUOTE_LIFETIME_S = 3_000
    paid(world, till)
    assert_overdue_after("tender", now, 3_000 + clocks().worker_s)


# -- what must not be missed


def test_a_settlement_that_lost_its_outbox_row_is_overdue_all_the_same(
    world: World, till: Till, now: datetime
) -> None:
    sold(world, till)
    OutboxEntry.objects.all().delete()
    assert_overdue_after("settlement", now, clocks().worker_s)


def test_a_settlement_that_was_parked_is_overdue_however_old_it_is(
    world: World, till: Till, now: datetime
) -> None:
    sold(world, till)
    OutboxEntry.objects.update(parked_at=now, attempts=5)
    work(after(now, 900))
    found = read("settlement", after(now, 40 * 86_400))
    assert (found.open, found.overdue, found.oldest_s) == (1, 1, pytest.approx(40 * 86_400))


def test_a_payment_that_no_worker_will_look_at_any_more_is_overdue(
    world: World, till: Till, now: datetime
) -> None:
    paid(world, till)
    Tender.objects.update(due_at=None)
    work(after(now, 5_000))
    assert read("tender", after(now, 5_000)).overdue == 1


# -- the figures


def test_times_are_of_the_last_day_and_in_their_order(
    world: World, till: Till, now: datetime
) -> None:
    ids = [sold(world, till)["settlement_id"] for _ in range(4)]
    work(now)
    for pk, seconds in zip(ids, (1, 2, 3, 40), strict=True):
        Settlement.objects.filter(pk=pk).update(posted_at=after(now, seconds))
    found = assert_final("settlement", after(now, 60))
    assert (found.finished, found.in_part) == (4, False)
    assert [found.p50_s, found.p99_s, found.worst_s] == pytest.approx([2, 40, 40], abs=0.01)
    # Of those that were posted more than a day ago nothing is said.
    later = assert_final("settlement", after(now, 86_400 + 10))
    assert (later.finished, later.p50_s) == (1, pytest.approx(40, abs=0.01))
    gone = assert_final("settlement", after(now, 86_400 + 60))
    assert (gone.finished, gone.p50_s, gone.p99_s, gone.worst_s) == (0, None, None, None)


def test_one_slow_in_a_hundred_is_the_worst_and_not_the_99th(
    world: World, till: Till, now: datetime
) -> None:
    scan_id = world.scan(till)
    Scan.objects.all().update(expires_at=after(now, 5))
    template = Scan.objects.get(pk=scan_id)
    for _ in range(99):
        template.pk = selector.ids.new_id()
        template._state.adding = True
        template.save()
    Scan.objects.filter(pk=scan_id).update(expires_at=after(now, 50))
    found = read("scan", after(now, 60))
    assert (found.finished, found.p99_s, found.worst_s) == (
        100,
        pytest.approx(5, abs=0.01),
        pytest.approx(50, abs=0.01),
    )


def test_where_there_are_more_rows_than_are_looked_at_the_board_says_so(
    world: World, till: Till, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        world.scan(till)
    assert read("scan", now).in_part is False
    monkeypatch.setattr(selector, "LOOKED_AT_MOST", 2)
    found = read("scan", now)
    assert (found.in_part, found.open) == (True, 2)


# -- the table


def test_every_kind_has_one_line(now: datetime) -> None:
    assert [each.kind for each in TABLE] == list(get_args(Kind))
    with pytest.raises(KeyError):
        promise("nothing")  # type: ignore[arg-type]


@pytest.mark.parametrize("entity", ["quote", "settlement", "refund", "tender"])
def test_every_state_is_final_or_on_the_clock(entity: Entity) -> None:
    written = promise(entity)  # type: ignore[arg-type]
    timed = [state for stage in written.stages for state in stage.states]
    assert sorted([*timed, *written.final]) == sorted(states_of(entity))


def test_stated_times_follow_from_the_settings() -> None:
    figures = Clocks(scan_s=10, quote_s=20, payment_s=30, capture_s=40, worker_s=5)
    assert {each.kind: each.limit_s(figures) for each in TABLE} == {
        "scan": 10,
        "quote": 30,
        "settlement": 5,
        "two_step": CONFIRM_AT_MOST_S + 5,
        "refund": 5,
        "payment": 35,
        "tender": 30 + 40 + 10 + 360,
        "tender_refund": 40 + 360 + 5,
    }


def test_the_guide_tells_every_line_of_the_table() -> None:
    guide = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    section = guide.partition("## The certainty clock")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \| [^|]+ \|$", section, re.M)
    assert told == list(get_args(Kind))


def test_the_worker_has_the_time_that_the_outbox_takes_to_park_a_row_that_kills_it() -> None:
    # Five deaths, each a look, five seconds and a look, and 0, 30, 60 and 120 between them.
    assert until_parked_s(attempts=5, every_s=3) == 5 * 11 + 210
    assert until_parked_s(attempts=1, every_s=3) == 11


def test_a_row_that_kills_its_worker_is_parked_within_the_time_that_is_stated(
    world: World, till: Till, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(world, till)

    def die(rows: list[Any], work: Any) -> int:
        if rows:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr("messaging.outbox._in_one_commit", die)
    moment = now
    while not OutboxEntry.objects.exclude(parked_at=None).exists():
        with contextlib.suppress(KeyboardInterrupt):
            post_due(now=moment, limit=10)
        assert moment <= after(now, clocks().worker_s)
        moment = after(moment, 3)


# -- what it costs

# Ids are in the order of time, as those of `messaging/ids.py` are.
_ID = (
    "(lpad(to_hex((extract(epoch FROM x.at) * 1000)::bigint), 12, '0')"
    " || '7' || substr(md5(x.n::text), 1, 19))::uuid"
)
_PAST = "(SELECT n, now() - n * interval '30 minutes' AS at FROM generate_series(1, 20000) n) AS x"


def _copies(table: str, changed: dict[str, str]) -> str:
    fields = [
        field.column for field in {"scan": Scan, "settlement": Settlement}[table]._meta.fields
    ]
    chosen = ", ".join(changed.get(name, f"t.{name}") for name in fields)
    return (
        f"INSERT INTO settlement_{table} ({', '.join(fields)})"
        f" SELECT {chosen} FROM (SELECT * FROM settlement_{table} LIMIT 1) AS t, {_PAST}"
    )


@pytest.mark.postgres
def test_a_long_past_is_not_read(world: World, till: Till) -> None:
    sold(world, till)
    work(timezone.now())
    with connection.cursor() as cursor:
        changed = {"id": _ID, "scanned_at": "x.at", "expires_at": "x.at"}
        cursor.execute(_copies("scan", changed))
        changed = {"id": _ID, "accepted_at": "x.at", "posted_at": "x.at", "member_seq": "10 + x.n"}
        cursor.execute(_copies("settlement", changed))
        cursor.execute("ANALYZE settlement_scan, settlement_settlement")
        with CaptureQueriesContext(connection) as sent:
            board(now=timezone.now())
        for query in sent.captured_queries:
            if query["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "Seq Scan on settlement_settlement" not in plan, plan
                assert "Seq Scan on settlement_scan" not in plan, plan


# -- for whoever watches


def test_the_command_prints_the_table_and_fails_when_something_is_overdue(
    world: World, till: Till, now: datetime, clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sold(world, till)
    call_command("certainty")
    shown = capsys.readouterr().out
    assert [row.split()[0] for row in shown.splitlines()[1:-1]] == list(get_args(Kind))
    assert "265" in shown.splitlines()[3]
    clock.shift(266)
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            call_command("certainty", *arguments)
        assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out.partition("overdue: 1")[2] or "{}")
    assert told["overdue"] == 1
    assert told["kinds"][2] == {
        "kind": "settlement",
        "limit_s": 265.0,
        "open": 1,
        "oldest_s": 266.0,
        "overdue": 1,
        "finished": 0,
        "p50_s": None,
        "p99_s": None,
        "worst_s": None,
        "in_part": False,
    }


OVERDUE: dict[tuple[Kind, int], Callable[..., None]] = {
    ("scan", 0): test_a_scan_that_lives_longer_than_stated_is_overdue_until_its_time_is_over,
    ("quote", 0): test_a_quote_that_lives_longer_than_stated_is_overdue_until_it_runs_out,
    ("settlement", 0): test_a_settlement_that_no_worker_posts_is_overdue,
    ("two_step", 0): test_a_two_step_settlement_that_no_sweep_reverses_is_overdue,
    ("refund", 0): test_a_refund_that_no_worker_posts_is_overdue,
    ("payment", 0): test_a_payment_that_no_worker_asks_after_is_overdue,
    ("tender", 0): test_a_payment_without_a_settlement_that_no_worker_returns_is_overdue,
    ("tender", 1): test_a_capture_that_no_worker_makes_certain_is_overdue,
    ("tender", 2): test_a_payment_that_no_worker_gives_back_is_overdue,
    ("tender_refund", 0): test_a_refund_of_a_payment_that_no_worker_sends_is_overdue,
}
