"""Networks that fall silent, one way or both, and connections that are cut: F17, F18 and C20.

The database stands behind a proxy of our own. For F17 and F18 the proxy runs in a network namespace
and speaks to PostgreSQL through its filesystem socket, so that the only way to the database is a
virtual cable that can be pulled. Tills and web process stay on the loopback.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg

from launch.serving import ROOT
from launch.supervisor import Program
from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import System
from tests.faults.programme.wire import exchanged, signed
from tests.faults.proxy import Proxy
from tests.faults.servers import end, wait_until

# tcp_user_timeout or the keep-alives end a dead connection, then one attempt to connect anew ends:
# five seconds each. Nobody hangs for longer than both, twice.
SAYS_SO_WITHIN_S = 12.0
# From TEST-NET-3 (RFC 5737), which nobody's network uses.
HERE, THERE = "203.0.113.1", "203.0.113.2"


@dataclasses.dataclass
class Cable:
    """A namespace with the way to the database in it."""

    name: str
    near: str
    far: str
    port: int

    def address(self, database: str, *, user: str) -> str:
        """The database as the web process and the worker reach it."""
        return f"postgres://{user}@{THERE}:{self.port}/{database}"

    def pull(self) -> None:
        """Nothing passes any more, in either direction, and nobody is told."""
        # The far end: with the near one down the kernel would tell at once that there is no way.
        _do("ip", "-n", self.name, "link", "set", self.far, "down")

    def plug(self) -> None:
        """As before."""
        _do("ip", "-n", self.name, "link", "set", self.far, "up")

    def deafen(self, direction: str) -> None:
        """Drop what passes one way, seen from the database: `input` or `output`."""
        inside = ("ip", "netns", "exec", self.name, "nft")
        _do(*inside, "add", "table", "ip", "faults")
        _do(*inside, "add", "chain", "ip", "faults", "way",
            f"{{ type filter hook {direction} priority 0; policy drop; }}")  # fmt: skip

    def hear(self) -> None:
        """As before."""
        _do("ip", "netns", "exec", self.name, "nft", "delete", "table", "ip", "faults")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def _cable(stage: Stage) -> Iterator[Cable]:
    mark = os.getpid() % 100_000
    far = f"yg{mark}"
    cable = Cable(f"ybmf{mark}", f"yf{mark}", far, stage.postgres.port)
    proxy = None
    _do("ip", "netns", "add", cable.name)
    try:
        _do("ip", "link", "add", cable.near, "type", "veth", "peer", "name", far, "netns",
            cable.name)  # fmt: skip
        _do("ip", "addr", "add", f"{HERE}/30", "dev", cable.near)
        _do("ip", "link", "set", cable.near, "up")
        inside = ("ip", "netns", "exec", cable.name)
        _do(*inside, "ip", "addr", "add", f"{THERE}/30", "dev", far)
        _do(*inside, "ip", "link", "set", far, "up")
        _do(*inside, "ip", "link", "set", "lo", "up")
        socket_path = stage.postgres.folder / f".s.PGSQL.{stage.postgres.port}"
        proxy = subprocess.Popen(
            [*inside, sys.executable, "-m", "tests.faults.proxy", THERE, str(cable.port),
             str(socket_path)],
            cwd=ROOT, stdin=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        wait_until(
            lambda: _listens(THERE, cable.port), what="the proxy in the namespace", within_s=20
        )
        yield cable
    finally:
        end(proxy, signal.SIGTERM)
        _do("ip", "netns", "del", cable.name)
        # The far end goes with the namespace, the near one with the far one, a moment later.
        subprocess.run(["ip", "link", "del", cable.near], capture_output=True, check=False)


def _cabled(stage: Stage) -> tuple[System, Cable]:
    """The shared deployment whose way to the database is a cable, and the cable."""

    @contextlib.contextmanager
    def start() -> Iterator[System]:
        with _cable(stage) as cable:
            change = _through(lambda name: cable.address(name, user=stage.postgres.USER))
            with stage.deployed(change=change) as system:
                cables[system.url] = cable
                yield system

    system = stage.shared("behind a cable", start)
    return system, cables[system.url]


# By the address of the database that is reached through it.
cables: dict[str, Cable] = {}


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _through(address: Callable[[str], str]) -> Callable[[Program], Program]:
    """Web and worker reach their database at this address instead."""

    def change(program: Program) -> Program:
        assert program.environment is not None
        database = program.environment["DATABASE_URL"].rpartition("/")[2]
        return dataclasses.replace(
            program, environment={**program.environment, "DATABASE_URL": address(database)}
        )

    return change


def _says_so(system: System, stroke: Stroke, *, at_once: int = 4) -> list[str]:
    """Ask while the database cannot be reached: each is answered 503 and in time.

    Answers the keys that were asked under, which are to be settled later.
    """
    till, scan_id = system.run.tills[0]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    keys = [str(uuid4()) for _ in range(at_once)]

    def ask(key: str) -> tuple[str, float]:
        began = time.monotonic()
        sent = signed(till, "/api/v1/settlements", bill, key=key)
        try:
            status, _ = exchanged(system.run.plan.port, sent, timeout_s=3 * SAYS_SO_WITHIN_S)
            return str(status), time.monotonic() - began
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__, time.monotonic() - began

    with ThreadPoolExecutor(at_once) as pool:
        answers = system.run.under_watch(lambda: list(pool.map(ask, keys)))
    worst = max(seconds for _, seconds in answers)
    stroke.say(
        f"without the database: {sorted({said for said, _ in answers})} within {worst:.1f} s"
    )
    stroke.expect(worst <= SAYS_SO_WITHIN_S, f"a request hung for {worst:.1f} s")
    stroke.expect({said for said, _ in answers} == {"503"}, f"the answers were {answers}")
    return keys


def _settled(system: System, keys: list[str]) -> None:
    """What could not be told before is told under the same keys."""
    till, scan_id = system.run.tills[0]
    for key in keys:
        settled = till.settle(
            scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()], idempotency_key=key
        )
        system.run.told["settlements"].append(settled["settlement_id"])


@fault("F17", "the network to the database cut", small=1, full=20, needs=["namespaces"])
def partition(stage: Stage, stroke: Stroke) -> None:
    """A cable is pulled while one request waits for a lock and others are about to come."""
    system, cable = _cabled(stage)
    for _ in range(stroke.number):
        system.sell(4)
        with _waiting_for_a_lock(system) as waiting:
            cable.pull()
            try:
                keys = _says_so(system, stroke)
                stroke.expect(
                    waiting(), "a request that waited for a lock when the cable was pulled hung"
                )
                stroke.hit()
            finally:
                cable.plug()
        stroke.recovered(system.recovered(time.monotonic()))
        system.run.under_watch(lambda keys=keys: _settled(system, keys))  # type: ignore[misc]


@contextlib.contextmanager
def _waiting_for_a_lock(system: System) -> Iterator[Callable[[], bool]]:
    """A request that waits for its member's lock while this begins; answers whether it ended."""
    till, _ = system.run.tills[1]
    key = str(uuid4())
    body = {
        "scan_id": system.run.tills[1][1],
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    with (
        psycopg.connect(system.url, application_name="the programme") as session,
        ThreadPoolExecutor(1) as pool,
    ):
        session.execute("SELECT id FROM voucher_member ORDER BY id FOR UPDATE")

        def ask() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = exchanged(
                    system.run.plan.port, signed(till, "/api/v1/settlements", body, key=key),
                    timeout_s=2 * SAYS_SO_WITHIN_S,
                )  # fmt: skip
                answered.append(status)

        answered: list[int] = []
        asked = pool.submit(ask)
        system.pause(0.5)
        began = time.monotonic()

        def ended() -> bool:
            # Whoever waits is given as long as anybody else.
            left_s = began + SAYS_SO_WITHIN_S - time.monotonic()
            return system.run.watch(asked.done, at_most_s=max(0.5, left_s)) and bool(answered)

        yield ended
        session.rollback()


@fault("F18", "packets lost in one direction", small=2, full=20, needs=["nft"])
def one_way_loss(stage: Stage, stroke: Stroke) -> None:
    """The database hears and is not heard, or the other way round."""
    system, cable = _cabled(stage)
    for number in range(stroke.number):
        system.sell(4)
        cable.deafen(("output", "input")[number % 2])
        try:
            keys = _says_so(system, stroke)
            stroke.hit()
        finally:
            cable.hear()
        stroke.recovered(system.recovered(time.monotonic()))
        system.run.under_watch(lambda keys=keys: _settled(system, keys))  # type: ignore[misc]


@fault("C20", "connections reset, slow, or silent and then reset", small=6, full=60)
def connections_cut(stage: Stage, stroke: Stroke) -> None:
    """To the database, to the broker, and between the tills and the web process."""
    database = Proxy(f"127.0.0.1:{stage.postgres.port}")
    broker = Proxy(f"127.0.0.1:{stage.redis.port}")
    user = stage.postgres.USER
    counter: Proxy | None = None

    def change(program: Program) -> Program:
        changed = _through(lambda name: f"postgres://{user}@127.0.0.1:{database.port}/{name}")(
            program
        )
        url = f"redis://127.0.0.1:{broker.port}/0"
        return dataclasses.replace(
            changed, environment={**(changed.environment or {}), "CELERY_BROKER_URL": url}
        )

    try:
        with stage.own(stroke, change=change) as system:
            counter = Proxy(f"127.0.0.1:{system.run.plan.port}")
            with system.load():
                for number in range(stroke.number):
                    proxy = (database, broker)[number % 2]
                    kind = ("reset", "slow", "silent")[number // 2 % 3]
                    system.pause(0.3 + stroke.chance.random() / 2)
                    if kind == "slow":
                        proxy.delay_s = 0.05
                        system.pause(1)
                        proxy.delay_s = 0.0
                    elif kind == "silent":
                        proxy.silent = True
                        system.pause(2)
                        proxy.silent = False
                    if proxy.cut():
                        stroke.hit()
                    else:
                        stroke.say(f"{kind}: there was no connection to cut")
                    stroke.recovered(system.recovered(time.monotonic()))
            _lost_answers(system, stroke, counter)
    finally:
        for proxy in (database, broker, counter):
            if proxy is not None:
                proxy.close()


def _lost_answers(system: System, stroke: Stroke, counter: Proxy) -> None:
    """The request arrives and its answer does not: the same key tells what became of it."""
    till, scan_id = system.run.tills[0]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    lost = 0
    for _ in range(5):
        sent = signed(till, "/api/v1/settlements", bill, key=str(uuid4()))
        counter.delay_s = 0.3
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(exchanged, counter.port, sent, timeout_s=5)
            time.sleep(0.45)
            counter.cut()
            try:
                asked.result()
            except (OSError, http.client.HTTPException):
                lost += 1
        counter.delay_s = 0.0
        for _ in range(20):
            status, content = exchanged(system.run.plan.port, sent)
            if status != 503:
                break
        stroke.expect(status == 201, f"the same key was answered {status}: {content!r}")
        if status == 201:
            system.run.told["settlements"].append(json.loads(content)["settlement_id"])
    stroke.expect(lost > 0, "no answer was lost on the way to the till")
