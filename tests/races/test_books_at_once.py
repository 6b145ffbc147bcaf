"""Sealers, summarisers, closings, audits and pages beside tills and posting workers."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection

from messaging.days import business_date
from settlement.models import (
    Account,
    ClosedDay,
    LedgerTransaction,
    Seal,
    SealBatch,
    Settlement,
    ToSeal,
)
from settlement.selectors.audit import audit
from settlement.selectors.overview import overview
from settlement.selectors.seals import lines
from settlement.services.closing import DayCannotClose, close_day
from settlement.services.grants import grants
from settlement.services.posting import post_due
from settlement.services.sealer import seal_all, seal_batch
from settlement.services.summariser import fold_all, fold_batch
from settlement.sweep import post_all
from tests.races.rivals import at_once, between_statements, forced, lose_connection
from tests.races.test_posting_at_once import sell
from tests.world import World, line

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def openings(world: World) -> dict[str, int]:
    """What the accounts hold from before the ledger, by account name."""
    return {f"member:{row.member_id}:personal": row.balance_fen for row in Account.objects.all()}


def assert_audited(path: Path, openings: dict[str, int]) -> None:
    report = audit(path=path, now=now(), opening=openings)
    assert report.sound, report.described()


def test_two_sealers_at_once_make_one_chain_without_gaps(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    sell(world, world.till(), 60)
    post_all(clock=now, batch=20)
    at_once([lambda: [seal_all(clock=now, path=seal_file, limit=3) for _ in range(15)]] * 4)
    seal_all(clock=now, path=seal_file)
    assert list(Seal.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, 61))
    assert not ToSeal.objects.exists()
    in_file = [root.batch if root else None for _, root, _ in lines(seal_file)]
    assert in_file == list(range(1, SealBatch.objects.count() + 1))
    fold_all()
    assert_audited(seal_file, openings)


def test_a_second_sealer_goes_home_while_the_first_is_at_work(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    sell(world, world.till(), 4)
    post_all(clock=now, batch=20)
    race = forced(
        lambda: seal_batch(now=now(), path=seal_file),
        lambda: seal_batch(now=now(), path=seal_file),
        before="DELETE FROM settlement_toseal",
    )
    assert (race.first, race.second, race.second_waited) == (4, 0, False)
    fold_all()
    assert_audited(seal_file, openings)


def test_a_second_summariser_goes_home_while_the_first_is_at_work(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    sell(world, world.till(), 4)
    post_all(clock=now, batch=20)
    seal_all(clock=now, path=seal_file)
    race = forced(fold_batch, fold_batch, before="INSERT INTO settlement_daytotal")
    assert (race.first, race.second, race.second_waited) == (4, 0, False)
    assert_audited(seal_file, openings)


def test_a_sealer_that_loses_its_connection_before_the_commit_has_sealed_nothing(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    sell(world, world.till(), 3)
    post_all(clock=now, batch=20)

    def cut(sql: str) -> None:
        if "DELETE FROM settlement_toseal" in sql:
            lose_connection()

    with pytest.raises(DatabaseError), between_statements(cut):
        seal_batch(now=now(), path=seal_file)
    connection.close()
    assert (Seal.objects.count(), ToSeal.objects.count()) == (0, 3)
    assert seal_all(clock=now, path=seal_file) == 3
    fold_all()
    assert_audited(seal_file, openings)


def test_what_is_posted_while_the_sealer_works_is_sealed_by_the_next_batch(
    world: World, seal_file: Path
) -> None:
    """The lower id commits after the higher one was sealed; nobody goes by ids, so it is found."""
    sell(world, world.till(), 4)
    race = forced(
        lambda: post_due(now=now(), limit=2),
        lambda: [post_due(now=now(), limit=2), seal_all(clock=now, path=seal_file)],
        before="DELETE FROM messaging_outboxentry",
    )
    assert race.second == [2, 2]
    assert seal_all(clock=now, path=seal_file) == 2
    late, early = (
        Seal.objects.order_by("seq").values_list("transaction_id", flat=True)[place]
        for place in (3, 0)
    )
    assert late < early


def test_page_audit_and_closing_agree_with_the_rows_while_everybody_works(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    """Pages are read in between, and each must show a whole number of whole bills."""
    tills = [world.till(name=f"till {n}") for n in range(3)]
    today = business_date(now())
    over = threading.Event()
    pages: list[dict[str, Any]] = []
    reports: list[Any] = []

    def keep_books() -> None:
        while not over.is_set():
            post_due(now=now(), limit=3)
            seal_batch(now=now(), path=seal_file, limit=2)
            fold_batch(limit=2)

    def look() -> None:
        while not over.is_set():
            pages.append(overview(day=today, now=now()))
            reports.append(audit(path=seal_file, now=now(), opening=openings))

    selling = [lambda t=t: sell(world, t, 12) for t in tills]  # type: ignore[misc]
    working = threading.Barrier(len(selling), action=over.set)

    def sell_and_stop(act: Any) -> None:
        try:
            act()
        finally:
            working.wait(60)

    at_once(
        [*[lambda a=a: sell_and_stop(a) for a in selling], keep_books, keep_books, look]  # type: ignore[misc]
    )
    assert len(pages) > 3
    for page in pages:
        assert page["settlements_total_fen"] == 990 * page["settlements"]
        assert sum(fen for _payer, fen in page["by_payer"]) == page["settlements_total_fen"]
    counted = [page["settlements"] for page in pages]
    assert counted == sorted(counted)
    for report in reports:
        assert report.sound, report.described()
    post_all(clock=now, batch=50)
    seal_all(clock=now, path=seal_file)
    fold_all()
    assert overview(day=today, now=now())["settlements"] == Settlement.objects.count() == 36
    assert_audited(seal_file, openings)


def test_closing_waits_for_a_bill_that_is_under_way_and_then_refuses(
    world: World, seal_file: Path
) -> None:
    till = world.till()
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    day = business_date(now())
    # The clock of whoever closes is a day ahead: for them the bill's day is over.
    tomorrow = now() + timedelta(days=1)

    def close() -> str:
        try:
            close_day(day=day, now=tomorrow)
        except DayCannotClose as error:
            return str(error)
        return "closed"

    race = forced(
        lambda: till.post("settlements", bill).status,
        close,
        before='INSERT INTO "settlement_settlement"',
    )
    assert race.first == 201
    assert race.second_waited
    assert "1" in race.second
    assert race.second != "closed"
    assert not ClosedDay.objects.exists()


def test_a_bill_that_comes_while_its_day_is_being_closed_waits_and_is_to_be_sent_again(
    world: World,
) -> None:
    till = world.till()
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    day, tomorrow = business_date(now()), now() + timedelta(days=1)
    race = forced(
        lambda: close_day(day=day, now=tomorrow).day,
        lambda: till.post("settlements", bill),
        before='INSERT INTO "settlement_closedday"',
    )
    assert race.first == day
    assert race.second_waited
    assert (race.second.status, race.second["code"]) == (503, "try_again")
    assert not Settlement.objects.exists()


def test_closing_yesterday_keeps_no_till_of_today_waiting(world: World) -> None:
    till = world.till()
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    yesterday = business_date(now()) - timedelta(days=1)
    race = forced(
        lambda: close_day(day=yesterday, now=now()).day,
        lambda: till.post("settlements", bill).status,
        before='INSERT INTO "settlement_closedday"',
    )
    assert (race.second, race.second_waited) == (201, False)


def test_a_bill_has_no_statement_more_for_the_days_lock(world: World) -> None:
    till = world.till()
    scan_id = world.scan(till)
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    asked: list[str] = []
    with between_statements(asked.append):
        assert till.post("settlements", bill).status == 201
    # The till's own lock, which keeps its shift, is a statement by itself.
    locking = [sql for sql in asked if "pg_advisory" in sql]
    assert len(locking) == 2
    assert "INSERT INTO messaging_inboxentry" in locking[0]


ROLE = "ledger_test_application"


def test_the_applications_role_does_its_work_and_cannot_change_the_books(
    world: World, seal_file: Path, openings: dict[str, int]
) -> None:
    sell(world, world.till(), 2)
    tables = ("settlement_posting", "settlement_seal", "settlement_share", "settlement_closedday")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE}")
        try:
            for statement in grants(ROLE):
                cursor.execute(statement)
            cursor.execute(f"SET ROLE {ROLE}")
            assert post_all(clock=now, batch=5) == 2
            assert seal_all(clock=now, path=seal_file) == 2
            assert fold_all() == 2
            assert_audited(seal_file, openings)
            for table in tables:
                for statement in (
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table} CASCADE",
                    f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                ):
                    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"):
                        cursor.execute(statement)
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute(f"DROP OWNED BY {ROLE}")
            cursor.execute(f"DROP ROLE {ROLE}")
    assert LedgerTransaction.objects.count() == 2
