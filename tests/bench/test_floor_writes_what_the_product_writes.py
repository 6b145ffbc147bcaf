"""The database floors are honest: pgbench's scripts write the rows that the product writes.

Both are run on one database and the tables' own counters are compared, so a column or a table that
is added to the product and not to the script fails here.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from bench import floors
from bench.stack import find_postgres
from launch.console import Trouble
from tests.world import Till, World, line

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

Counts = dict[str, tuple[int, int, int]]


def _counts(server: psycopg.Connection[Any]) -> Counts:
    """Rows inserted, updated and deleted so far, by table."""
    with connection.cursor() as cursor:
        # A session reports what it did once a second at most, unless it is told to.
        cursor.execute("SELECT pg_stat_force_next_flush()")
    # pgbench is gone before its session is, and the session reports at its very end.
    until = time.monotonic() + 10
    while server.execute(
        "SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pgbench'"
    ).fetchone():
        assert time.monotonic() < until, "pgbench's session does not end"
    rows = server.execute(
        "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables"
    ).fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _written(server: psycopg.Connection[Any], work: Callable[[], object]) -> Counts:
    before = _counts(server)
    work()
    after = _counts(server)
    changed = {
        table: tuple(now - then for now, then in zip(after[table], before[table], strict=True))
        for table in after
    }
    return {table: counts for table, counts in changed.items() if any(counts)}  # type: ignore[misc]


@pytest.fixture
def pgbench() -> Path:
    try:
        return find_postgres() / "pgbench"
    except Trouble as trouble:
        pytest.skip(str(trouble))


@pytest.fixture
def place() -> dict[str, str]:
    """Where the test database is, in libpq's variables."""
    given = connection.get_connection_params()
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    found = {names[name]: str(given[name]) for name in names if given.get(name)}
    return {**found, "PGDATABASE": str(given["dbname"])}


@pytest.fixture
def server(place: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    """A session beside the test's own."""
    words = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    given: dict[str, Any] = {words[name]: text for name, text in place.items() if name in words}
    with psycopg.connect(dbname=place["PGDATABASE"], autocommit=True, **given) as session:
        yield session
        session.execute("DROP TABLE IF EXISTS bench_scan")


def _settle(till: Till, scan_id: str) -> None:
    reply = till.post(
        "settlements",
        {
            "scan_id": scan_id,
            "benefit_kind": "chronic",
            "disease_code": "M03900",
            "account_limit_fen": 1_000,
            "lines": [line("A4", "10", "18.6") for _ in range(10)],
        },
    )
    assert reply.status == 201, reply.text
    assert {share["payer"] for share in reply["shares"]} == {"pool", "account", "cash"}


@pytest.mark.parametrize("script", ["scan", "settle"])
def test_the_floor_writes_as_many_rows_to_the_same_tables_as_the_product(
    script: str,
    world: World,
    server: psycopg.Connection[Any],
    place: dict[str, str],
    pgbench: Path,
) -> None:
    till = world.till()
    # The first settlement makes the year to date, which all later ones update.
    _settle(till, world.scan(till))
    scan_id = world.scan(till)
    product = {
        "scan": lambda: world.scan(till),
        "settle": lambda: _settle(till, scan_id),
    }[script]
    by_product = _written(server, product)
    variables = floors.prepare(server)
    times = 3
    by_floor = _written(
        server,
        lambda: floors.run(
            script,
            variables,
            pgbench=pgbench,
            environment={**os.environ, **place},
            transactions=times,
            clients=1,
        ),
    )
    assert by_product
    assert by_floor == {
        table: tuple(times * count for count in counts) for table, counts in by_product.items()
    }
