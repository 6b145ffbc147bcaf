"""A deployment of its own for every fault: real web and worker processes, its own database.

The processes are those that `make run` starts, under the same supervisor, which restarts what dies.
The database is of the kind the run is on: a file, or a database on the run's PostgreSQL. A till is
the vendors' client, which repeats a request under its key until it is answered, and writes down
what it was told; that list is what the books are judged by.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from ybm_client import Terminal

from launch import supervisor as supervision
from launch.addresses import free_port
from launch.serving import ROOT, Plan, programs, wait_until_ready
from launch.supervisor import Program, Supervisor

T = TypeVar("T")

# What every acknowledged settlement has from the recovery to its posting.
RECOVERY_S = 15.0
TILLS = 4
# A broker that nobody answers for: the discard port.
NO_BROKER = "redis://127.0.0.1:9/0"


def line() -> dict[str, Any]:
    """One cheap thing, so that an account lasts."""
    return {"code": "A6", "quantity": "1", "unit_price": "9.9", "amount_fen": 990}


class Ground:
    """`tests.faults.ground` as a process that stays: a question then costs no start of Django."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """The answer. Raises AssertionError when there is none."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.ground", "serve"],
                    cwd=ROOT, env=dict(self._environment), text=True, process_group=0,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"ask": what, "with": given}) + "\n")
            self._process.stdin.flush()
            while line := self._process.stdout.readline():
                if line.startswith("{"):
                    answer: dict[str, Any] = json.loads(line)
                    assert "error" not in answer, f"{what}: {answer['error']}"
                    return answer
        raise AssertionError(f"nobody answered {what}")

    def close(self) -> None:
        """It ends when nobody can ask any more."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@dataclass
class Deployment:
    """Running processes, their tills, and what the tills were told."""

    plan: Plan
    supervisor: Supervisor
    fault: Path
    asked: Ground
    tills: list[tuple[Terminal, str]] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=lambda: {"settlements": [], "refunds": []})

    def ground(self, what: str, *, told: Any = None, **given: Any) -> dict[str, Any]:
        """Ask the database something, in a process of its own."""
        return self.asked.ask(what, **(told or {}), **given)

    def open_tills(self, number: int, *, timeout_s: float, at: str | None = None) -> None:
        """Enrol so many tills and scan one person at each."""
        enrolment = self.ground("enrolments", number=number)["enrolment"]
        codes = self.ground("codes", number=number)["codes"]
        for one_time_code, code in zip(enrolment, codes, strict=True):
            till = Terminal.enrol(
                at or self.plan.address,
                one_time_code,
                name="till",
                timeout_s=timeout_s,
                pauses_s=[0.25] * 120,
            )
            scan = till.scan(code, use="pharmacy_purchase")
            self.tills.append((till, scan["scan_id"]))

    def sell(self, number: int, *, on_till: int | None = None) -> list[str]:
        """That many purchases, one after the other; the ids of what was acknowledged."""
        sold = []
        for count in range(number):
            till, scan_id = self.tills[(on_till if on_till is not None else count) % TILLS]
            settled = till.settle(scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()])
            sold.append(settled["settlement_id"])
        self.told["settlements"] += sold
        return sold

    def sell_under_watch(self, number: int, *, at_most_s: float = 60.0) -> None:
        """The same while what dies is started again, as whoever runs the processes does."""
        self.under_watch(lambda: self.sell(number), at_most_s=at_most_s)

    def under_watch(self, act: Callable[[], T], *, at_most_s: float = 60.0) -> T:
        """Do something on a thread of its own while what dies is started again."""
        with ThreadPoolExecutor(1) as pool:
            doing = pool.submit(act)
            self.watch(doing.done, at_most_s=at_most_s)
            return doing.result()

    def refund(self, settlement_id: str) -> None:
        """Give one back."""
        refund = self.tills[0][0].refund(settlement_id, reason="returned")
        self.told["refunds"].append(refund["refund_id"])

    # -- faults

    def lay(
        self,
        statement: str,
        *,
        place: int | str,
        param: str = "",
        again: bool = False,
        act: str = "kill",
    ) -> None:
        """Have the first process that comes to the place die there, or each that does; or have it
        do what `act` says."""
        for left in (".fired", ".pid"):
            self.fault.with_suffix(left).unlink(missing_ok=True)
        half = self.fault.with_suffix(".half")
        plan = {
            "statement": statement, "place": place, "param": param, "again": again, "act": act,
        }  # fmt: skip
        half.write_text(json.dumps(plan))
        half.rename(self.fault)

    def fired(self) -> bool:
        """Whether the fault happened."""
        return self.fault.with_suffix(".fired").exists()

    def struck(self) -> int:
        """The process in which it happened."""
        return int(self.fault.with_suffix(".pid").read_text())

    def take_up(self) -> bool:
        """Take an unfired fault away. Answers whether there was one."""
        try:
            self.fault.unlink()
        except FileNotFoundError:
            return False
        return True

    def kill(self, name: str) -> None:
        """kill -9 of a program with everything it started, now."""
        os.killpg(self.supervisor.pid_of(name), signal.SIGKILL)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A program with everything it started stands still meanwhile."""
        group = self.supervisor.pid_of(name)
        os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(group, signal.SIGCONT)

    def manage(self, *arguments: str) -> str:
        """What a command of the deployment's own says."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.plan.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def ready(self) -> dict[str, Any]:
        """What `/readyz` says."""
        with urllib.request.urlopen(f"{self.plan.address}/readyz", timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    # -- waiting

    def watch(self, until: Callable[[], bool], *, at_most_s: float) -> bool:
        """Keep the processes running until then; False when the time is over."""
        return self.supervisor.watch(until=until, timeout_s=at_most_s)

    def assert_posted_soon(self, *, within_s: float = RECOVERY_S) -> float:
        """Every acknowledged settlement is posted exactly once within that time, counted from now.

        Answers the seconds it took, as seen by a look a second.
        """
        began = time.monotonic()
        wrong = ["nobody looked"]
        while True:
            looked_at = time.monotonic() - began
            wrong = self.ground("audit", told=self.told)["wrong"]
            if not wrong:
                return looked_at
            assert looked_at < within_s, f"{looked_at:.1f} s after the recovery:\n" + "\n".join(
                wrong[:20]
            )
            self.supervisor.watch(timeout_s=0.3)


def _run(environment: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


class Databases:
    """Copies of one prepared database: a file, or, with an address, a database of a PostgreSQL."""

    def __init__(self, folder: Path, postgres: str | None) -> None:
        self.folder = folder
        self.on_postgres = postgres is not None
        self._postgres = (postgres or "").rpartition("/")[0]
        self._name = f"ybm_faults_{uuid4().hex[:8]}"
        self._copies = 0
        self._made: list[str] = []
        template = self._environment_of("template")
        if self.on_postgres:
            self._create(self._name + "_template")
        _run(template, "manage.py", "migrate", "--verbosity", "0")
        _run(template, "-m", "tests.faults.ground", "make")

    def copy(self, *, tablespace: str = "pg_default") -> dict[str, str]:
        """The environment of a deployment with a database of its own."""
        self._copies += 1
        name = f"copy{self._copies}"
        environment = self._environment_of(name)
        if self.on_postgres:
            self._create(
                f"{self._name}_{name}",
                template=f"{self._name}_template",
                tablespace=tablespace,
            )
        else:
            for suffix in ("", "-wal"):
                source = self.folder / "template" / f"db.sqlite3{suffix}"
                if source.exists():
                    shutil.copy(source, self.folder / name / f"db.sqlite3{suffix}")
        return environment

    def drop(self) -> None:
        """Leave nothing behind on the server."""
        for name in self._made:
            self._maintain(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _environment_of(self, name: str) -> dict[str, str]:
        folder = self.folder / name
        folder.mkdir()
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE")
        }
        environment |= {
            "VAR_DIR": str(folder),
            "FAULT_PLAN": str(folder / "fault.json"),
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'clients/python'}",
        }
        if self.on_postgres:
            environment["DATABASE_URL"] = self._url(f"{self._name}_{name}")
        return environment

    def _url(self, name: str) -> str:
        return f"{self._postgres}/{name}"

    def _create(
        self, name: str, *, template: str = "template1", tablespace: str = "pg_default"
    ) -> None:
        self._maintain(f'CREATE DATABASE "{name}" TEMPLATE "{template}" TABLESPACE {tablespace}')
        self._made.append(name)

    def _maintain(self, statement: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running(
    environment: Mapping[str, str],
    *,
    broker: str | None = None,
    beat: bool = False,
    change: Callable[[Program], Program] = lambda program: program,
    tills: int = TILLS,
    timeout_s: float = 20.0,
) -> Iterator[Deployment]:
    """Start web and worker on that database, beat if it is asked for, and stop them afterwards.

    `change` may alter how each of them is started; a till waits `timeout_s` for an answer before it
    asks again.
    """
    kept = dict(environment)
    if broker is not None:
        kept["CELERY_BROKER_URL"] = broker
    plan = Plan(port=free_port(), environment=kept, var=Path(kept["VAR_DIR"]))
    # The tests kill more often than a healthy system dies, and a service manager starts a process
    # again after one and the same time however often it died.
    before = supervision.DEATHS_ALLOWED, supervision.LONGEST_DELAY_SECONDS
    supervision.DEATHS_ALLOWED, supervision.LONGEST_DELAY_SECONDS = 1_000_000, 1.0
    asked = Ground(kept)
    try:
        with Supervisor(patience_s=8.0) as supervisor:
            for program in programs(plan, None, beat=beat):
                supervisor.start(change(program))
            if not wait_until_ready(supervisor, plan):
                raise KeyboardInterrupt
            deployment = Deployment(plan, supervisor, Path(kept["FAULT_PLAN"]), asked)
            deployment.open_tills(tills, timeout_s=timeout_s)
            yield deployment
    finally:
        asked.close()
        supervision.DEATHS_ALLOWED, supervision.LONGEST_DELAY_SECONDS = before
