"""A database that cuts sessions, crashes, cannot write or is full, and one restored: F13 to F16,
F24, F26 to F28."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from bench.processes import family
from launch.serving import ROOT
from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import System, answered, enrolled
from tests.faults.programme.wire import exchanged, signed
from tests.faults.servers import PrivatePostgres, end, spawn, wait_until

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND application_name <> 'the programme'"
)
CLIENTS = 20
# The design's lock_timeout: nobody at a counter waits longer for a lock.
LOCK_WAIT_S = 2.0


@fault("F13", "all sessions of the database cut at once", small=3, full=100)
def sessions_cut(stage: Stage, stroke: Stroke) -> None:
    """Under load: some transactions roll back, and some tills cannot know."""
    system = stage.system()
    with system.load(pause_s=0.04):
        for _ in range(stroke.number):
            system.pause(0.2 + stroke.chance.random())
            cut = system.sql(CUT)
            if cut:
                stroke.hit()
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F14", "database crashed and started again", small=2, full=50)
def database_crashes(stage: Stage, stroke: Stroke) -> None:
    """No checkpoint, no goodbye; what was acknowledged was on the disk."""
    system = stage.system()
    for setting in ("synchronous_commit", "fsync", "full_page_writes"):
        ((value,),) = system.sql(f"SHOW {setting}")
        stroke.expect(value == "on", f"{setting} is {value}")
    with system.load(pause_s=0.04):
        for _ in range(stroke.number):
            system.pause(0.3 + stroke.chance.random())
            stage.postgres.crash()
            stroke.hit()
            stage.postgres.start()
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F15", "the disk refuses to confirm a write", small=1, full=10, needs=["strace"])
def fsync_fails(stage: Stage, stroke: Stroke) -> None:
    """The server must believe nothing from then on: it panics and replays what it has."""
    system = stage.system()
    for _ in range(stroke.number):
        with system.load(pause_s=0.04):
            assert stage.postgres.process is not None
            said = stage.postgres.log.stat().st_size
            backends = family(stage.postgres.process.pid)[1:]
            tracer = spawn(
                [
                    "strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e",
                    "inject=fsync,fdatasync:error=EIO:when=1", "-o", "/dev/null",
                    *(word for pid in backends for word in ("-p", str(pid))),
                ],
                log=stage.folder / "strace.log",
            )  # fmt: skip

            def panicked(said: int = said) -> bool:
                return b"PANIC" in stage.postgres.log.read_bytes()[said:]

            try:
                if system.run.watch(panicked, at_most_s=20):
                    stroke.hit()
            finally:
                end(tracer)
            wait_until(stage.postgres.answers, what="PostgreSQL after its panic")
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F16", "disk of the database full", small=1, full=5, needs=["tmpfs"])
def disk_full(stage: Stage, stroke: Stroke) -> None:
    """Tables on a small file system are filled up; then it gets room."""
    place = stage.folder / "small-disk"
    place.mkdir(exist_ok=True)
    for number in range(stroke.number):
        with (
            _mounted(place, "72m"),
            _tablespace(stage, place, f"small{number}") as tablespace,
            stage.own(stroke, tablespace=tablespace) as system,
        ):
            system.sell(3)
            with contextlib.suppress(psycopg.errors.DiskFull):
                system.sql("CREATE TABLE ballast (content text)")
                for size in (1_000_000, 10_000, 100) * 2:
                    with contextlib.suppress(psycopg.errors.DiskFull):
                        for _ in range(200):
                            # Stored as it is: nothing to compress.
                            system.sql(
                                "INSERT INTO ballast SELECT string_agg(md5(random()::text), '')"
                                f" FROM generate_series(1, {max(1, size // 32)})"
                            )
            refused = _tries(system, 20)
            if refused.get("try_again"):
                stroke.hit()
            else:
                stroke.say(f"with a full disk: {refused}")
            said = set(refused) - {"try_again", "accepted"}
            stroke.expect(not said, f"with a full disk the answer was {said}")
            subprocess.run(
                ["mount", "-o", "remount,size=300m", str(place)], check=True, capture_output=True
            )
            stroke.recovered(system.recovered(time.monotonic()))


def _tries(system: System, number: int) -> dict[str, int]:
    """What one attempt each of so many large sales is answered, by code."""
    counts: Counter[str] = Counter()
    till, scan_id = system.run.tills[0]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()] * 30}
    for n in range(number):
        sent = signed(till, "/api/v1/settlements", bill, key=f"full-{n}")
        status, content = exchanged(system.run.plan.port, sent)
        body = json.loads(content)
        if status == 201:
            system.run.told["settlements"].append(body["settlement_id"])
        counts["accepted" if status == 201 else str(body.get("code", status))] += 1
    return dict(counts)


@contextlib.contextmanager
def _mounted(place: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(place)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


@contextlib.contextmanager
def _tablespace(stage: Stage, place: Path, name: str) -> Iterator[str]:
    stage.postgres.own(place)
    stage.postgres.run(f"CREATE TABLESPACE {name} LOCATION '{place}'")
    try:
        yield name
    finally:
        for (database,) in stage.postgres.run(
            "SELECT d.datname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace"
            f" WHERE t.spcname = '{name}'"
        ):
            stage.postgres.run(f'DROP DATABASE "{database}" WITH (FORCE)')
        stage.postgres.run(f"DROP TABLESPACE {name}")


@fault("F24", "one account that everybody draws on", small=100, full=5_000)
def hot_account(stage: Stage, stroke: Stroke) -> None:
    """Twenty tills, one person: no deadlock, no refusal, every fen drawn once."""
    system = stage.system()
    dead = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ((before,),) = system.sql(dead)
    tills = enrolled(system, CLIENTS, whose=5)
    share = -(-stroke.number // CLIENTS)

    def draw(till: int) -> list[str]:
        terminal, scan_id = tills[till]
        sold = []
        for n in range(share):
            key = f"hot-{till}-{n}"
            sold.append(
                answered(
                    lambda key=key: str(  # type: ignore[misc]
                        terminal.settle(
                            scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()],
                            idempotency_key=key,
                        )["settlement_id"]
                    )
                )
            )  # fmt: skip
        return sold

    with ThreadPoolExecutor(CLIENTS) as pool:
        for sold in system.run.under_watch(
            lambda: list(pool.map(draw, range(CLIENTS))), at_most_s=3_600
        ):
            system.run.told["settlements"] += sold
            stroke.hit(len(sold))
    stroke.recovered(system.recovered(time.monotonic()))
    ((after,),) = system.sql(dead)
    stroke.expect(after == before, f"{after - before} deadlocks")


@fault("F26", "schema changed under load", small=3, full=20)
def migrated_under_load(stage: Stage, stroke: Stroke) -> None:
    """What a migration of a running system consists of: the command itself, a column more, an
    index more. No till waits longer than for a lock."""
    system = stage.system()
    slowest = [0.0]
    with system.load(pause_s=0.04), ThreadPoolExecutor(1) as pool:
        for number in range(stroke.number):
            column = f"more_{number // 3}"
            steps = [
                lambda: _manage(system, "migrate", "--verbosity", "0"),
                lambda column=column: _briefly_locked(  # type: ignore[misc]
                    system, f"ALTER TABLE settlement_settlement ADD COLUMN {column} integer NULL"
                ),
                lambda column=column: system.sql(  # type: ignore[misc]
                    f"CREATE INDEX CONCURRENTLY {column}_index ON settlement_settlement ({column})"
                ),
            ]
            step = pool.submit(steps[number % 3])
            while not step.done():
                began = time.monotonic()
                system.sell()
                slowest[0] = max(slowest[0], time.monotonic() - began)
            step.result()
            stroke.hit()
        stroke.recovered(system.recovered(time.monotonic()))
    stroke.say(f"the slowest sale meanwhile took {slowest[0]:.1f} s")
    stroke.expect(
        slowest[0] <= 2 * LOCK_WAIT_S + 1, f"a sale took {slowest[0]:.1f} s during a migration"
    )


def _manage(system: System, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT,
        env={**os.environ, **system.run.plan.environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]


def _briefly_locked(system: System, statement: str) -> None:
    # A migration that waits for its lock keeps everybody behind it waiting: it gives up and
    # comes again.
    with psycopg.connect(system.url, autocommit=True, application_name="the programme") as session:
        session.execute("SET lock_timeout = '500ms'")
        for _ in range(50):
            try:
                session.execute(statement)
                return
            except psycopg.errors.LockNotAvailable:
                time.sleep(0.2)
    raise AssertionError(f"never got its lock: {statement}")


@fault("F27", "restored to a moment from a base backup and the log", small=1, full=5)
def restored(stage: Stage, stroke: Stroke) -> None:
    """A second cluster, brought to a named moment, holds exactly what the first held then."""
    system = stage.system()
    for number in range(stroke.number):
        folder = stage.folder / f"restore{number}"
        again = PrivatePostgres(folder)
        folder.mkdir()
        again.own(folder)
        system.sell(3)
        done = subprocess.run(
            [
                str(again.binaries / "pg_basebackup"), "-D", str(again.data), "-X", "none",
                "--checkpoint", "fast", "--no-sync", "-h", "127.0.0.1",
                "-p", str(stage.postgres.port), "-U", stage.postgres.USER,
            ],
            cwd="/", user=again.owner, group=again.owner, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-1000:]
        system.sell(5)
        system.recovered(time.monotonic(), sale=False)
        held = _hashes(system.url)
        moment = f"moment{number}"
        stage.postgres.run(f"SELECT pg_create_restore_point('{moment}')")
        system.sell(5)
        stage.postgres.run("SELECT pg_switch_wal()")
        began = time.monotonic()
        (again.data / "recovery.signal").touch()
        again.archive.mkdir()
        again.log.touch()
        again.own(again.data / "recovery.signal", again.archive, again.log)
        try:
            again.start(
                restore_command=f"cp {stage.postgres.archive}/%f %p",
                recovery_target_name=moment, recovery_target_action="promote",
                archive_mode="off",
            )  # fmt: skip
            name = system.url.rpartition("/")[2]
            wait_until(
                lambda: again.run("SELECT pg_is_in_recovery()") == [(False,)],  # noqa: B023
                what="the restored cluster",
            )
            stroke.say(f"restored in {time.monotonic() - began:.1f} s")
            differing = {
                table
                for table, content in _hashes(again.url(name)).items()
                if content != held[table]
            }
            stroke.expect(not differing, f"restored with differences in {sorted(differing)}")
            stroke.hit()
        finally:
            again.stop()
            shutil.rmtree(folder, ignore_errors=True)


# They change by themselves: heartbeats, and counts of refusals.
_RESTLESS = ("messaging_heartbeat",)


def _hashes(url: str) -> dict[str, str]:
    """A hash over every row of every table."""
    found = {}
    with psycopg.connect(url) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        tables = session.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        ).fetchall()
        for (table,) in tables:
            if table not in _RESTLESS:
                rows = session.execute(
                    f'SELECT t::text FROM "{table}" t ORDER BY t::text'  # type: ignore[arg-type]
                ).fetchall()
                found[table] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


@fault(
    "F28", "rows changed behind the application's back", small=2, full=20, needs=["audit_ledger"]
)
def tampered(stage: Stage, stroke: Stroke) -> None:
    """As superuser, past every trigger: the product's own audit names what was changed."""
    changes = (
        "UPDATE settlement_posting SET amount_fen = amount_fen + 1 WHERE id ="
        " (SELECT min(id) FROM settlement_posting)",
        "UPDATE settlement_account SET balance_fen = balance_fen + 1 WHERE id ="
        " (SELECT min(id) FROM settlement_account)",
    )
    for number in range(stroke.number):
        with stage.own(stroke, judged=False) as system:
            system.sell(3)
            system.recovered(time.monotonic(), sale=False)
            stroke.expect(not _audited(system), f"the audit complains of {_audited(system)}")
            with psycopg.connect(system.url, autocommit=True) as session:
                session.execute("SET session_replication_role = replica")
                session.execute(changes[number % len(changes)])
            if _audited(system):
                stroke.hit()
            else:
                stroke.wrong.append(f"the audit did not find: {changes[number % len(changes)]}")


def _audited(system: System) -> list[str]:
    """What the product's own audit says, given what the accounts of this world began with."""
    wrong = system.run.ground("audit", told=system.run.told)["wrong"]
    return [said for said in wrong if said.startswith("audit, ")]
