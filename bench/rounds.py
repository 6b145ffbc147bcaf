"""The rounds of the benchmark: each figure with its floor, in turn, so that both see one machine.

A round goes through everything once: scans beside the bare view and pgbench's durable scan,
settlements with a long and with a short past beside pgbench's settlement, quotes, codes, postings.
Then requests come in at 70 % of the rate reached, and last the statements are counted.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import django
import psycopg

from bench import floors, generator, report
from bench.generator import Load
from bench.measuring import Cost, Figures, Server
from bench.processes import cpu_seconds, family
from bench.seed import connect
from bench.stack import Postgres, Running
from bench.terminals import get
from launch.console import Step, Trouble

django.setup()

from bench.workload import Scanned, Workload  # noqa: E402  (needs Django set up)

LOAD_SHARE = 0.7
# Until a queue of some hundred settlements is posted; the sweep looks every few seconds anyway.
POSTED_WITHIN_S = 60.0


@dataclass
class Bench:
    """One run. `webs` is by size of the past; its first is the one that all figures are of."""

    cluster: Postgres
    database: str
    redis: int
    worker: Running
    webs: dict[str, Running]
    bare: Running
    quick: bool
    figures: Figures = field(default_factory=Figures)
    statements: dict[str, float] = field(default_factory=dict)
    _servers: dict[str, Server] = field(default_factory=dict)

    def connect(self, stack: contextlib.ExitStack) -> None:
        """Open the terminals' connections and warm everything up."""
        self._workload = Workload(seed=time.time_ns())
        with Step("warming up") as step:
            parts = {"postgres": self.cluster.pid, "worker": self.worker.pid, "redis": self.redis}
            for name, web in {**self.webs, "bare": self.bare}.items():
                server = Server(web, parts if name != "bare" else {"postgres": self.cluster.pid})
                stack.callback(server.hang_up)
                self._servers[name] = server
            self.main = self._servers[next(iter(self.webs))]
            self._server = stack.enter_context(connect(self.cluster, self.database))
            for name in self.webs:
                step.progress(name)
                self._settle(name, self._scanned(400, name), "warm")
            # What the first requests wrote into empty tables must not be planned for as empty.
            for name in self.webs:
                with connect(self.cluster, f"run_{name}") as server:
                    server.execute("ANALYZE")
                self._settle(name, self._scanned(400, name), "warm")
            self._drain()
            self._variables = floors.prepare(self._server)

    def run(self, rounds: int) -> None:
        """All rounds, then latencies, then counts. Raises Trouble when a settlement was lost."""
        for number in range(1, rounds + 1):
            with Step(f"round {number} of {rounds}") as step:
                self._round(step.progress)
        for number in range(1, rounds + 1):
            with Step(f"latencies at {LOAD_SHARE:.0%} of that, {number} of {rounds}") as step:
                self._latencies(step.progress, seed=number)
        with Step("counting statements"):
            self._count_statements()
        self._drain()
        lost = self._number("SELECT count(*) FROM settlement_settlement WHERE state = 'accepted'")
        if lost:
            raise Trouble(f"{lost} settlements were accepted and not posted.")

    def report(self, *, settlements: int) -> None:
        """Print the tables."""
        report.show(
            self.figures, self.statements, settlements=settlements, compared="small" in self.webs
            and len(self.webs) > 1,
        )  # fmt: skip

    # --- one round -------------------------------------------------------------------------------

    def _round(self, progress: Callable[[str], None]) -> None:
        note = self.figures.note
        seconds = 1.5 if self.quick else 3.0
        begin = self._size("scans", 300)
        progress("scans")
        cost = self._scan_cost(int(begin * seconds))
        self._note_cost("scans", cost, "web", "postgres")
        scanned = self._workload.scanned(cost.load)
        progress("the bare view")
        bare = self._servers["bare"]
        requests = [
            get(f"/member/{1 + number * 7919 % 90_000}", port=bare.port)
            for number in range(int(self._size("bare view", 1_500) * seconds))
        ]
        self._note_cost(
            "bare view",
            bare.under(lambda lines: generator.closed(lines, requests).only(200)),
            "web",
            "postgres",
        )
        progress("pgbench scans")
        self._floor("scan", seconds)

        progress("settlements")
        count = int(self._size("settlements", 150) * seconds)
        scanned = self._enough(scanned, count)
        names = list(self.webs)
        if len(self.figures.rounds.get("settlements", [])) % 2:
            # Whoever comes second meets the other's dirty pages: they take turns.
            names.reverse()
        for name in names:
            rows = scanned if name == names[0] and names[0] == next(iter(self.webs)) else None
            if rows is None:
                rows = self._scanned(count, name)
            self._settle(
                name,
                rows[:count],
                "settlements" if name == next(iter(self.webs)) else f"settlements {name}",
            )
        progress("pgbench settlements")
        self._floor("settle", seconds)

        progress("quotes")
        count = int(count / 2)
        rows = self._scanned(count, next(iter(self.webs)))
        quotes = self._workload.quotes(rows, port=self.main.port)
        quoted = self.main.under(lambda lines: generator.closed(lines, quotes, keep=True).only(201))
        confirmations = self._workload.confirmations(rows, quoted.load, port=self.main.port)
        confirmed = self.main.under(lambda lines: generator.closed(lines, confirmations).only(201))
        note(
            "quoted and settled",
            confirmed.load.done / (quoted.load.seconds + confirmed.load.seconds),
        )
        progress("codes")
        pages = self._workload.code_pages(
            int(self._size("codes", 300) * seconds), port=self.main.port
        )
        self._note_cost(
            "codes",
            self.main.under(lambda lines: generator.closed(lines, pages).only(200)),
            "web",
            "postgres",
        )
        note("codes in process", self._workload.mint_in_process(1_000))
        progress("postings")
        self._postings()

    def _size(self, name: str, guess: int) -> float:
        """A second's worth of requests: the last rate that was reached, else a guess."""
        known = self.figures.rounds.get(name)
        return known[-1] if known else guess

    def _note_cost(self, name: str, cost: Cost, *parts: str) -> None:
        self.figures.note(name, cost.load.rate)
        for part in parts:
            self.figures.note(f"{name}: {part} µs", cost.micros(part))
        self.figures.note(f"{name}: all µs", cost.micros())
        self.figures.note("generator share", cost.generator_share)
        self.figures.note("others", cost.others_share)

    def _scan_cost(self, count: int) -> Cost:
        requests = self._workload.scans(count, port=self.main.port)
        return self.main.under(lambda lines: generator.closed(lines, requests, keep=True).only(201))

    def _scanned(self, count: int, name: str) -> list[Scanned]:
        server = self._servers[name]
        requests = self._workload.scans(count, port=server.port)
        load = generator.closed(server.lines(), requests, keep=True).only(201)
        return self._workload.scanned(load)

    def _enough(self, rows: list[Scanned], count: int) -> list[Scanned]:
        missing = count - len(rows)
        return rows + (self._scanned(missing, next(iter(self.webs))) if missing > 0 else [])

    def _settle(self, name: str, rows: list[Scanned], figure: str) -> None:
        server = self._servers[name]
        requests = self._workload.settlements(rows, port=server.port)
        posted = self._posted()
        cost = server.under(lambda lines: generator.closed(lines, requests).only(201))
        if figure == "warm":
            return
        self._note_cost(figure, cost, "web", "postgres", "worker")
        if figure == "settlements":
            self.figures.note("posted meanwhile", (self._posted() - posted) / cost.load.seconds)
            self._drain()

    def _floor(self, script: str, seconds: float) -> None:
        name = {"scan": "pgbench scan", "settle": "pgbench settlement"}[script]
        cpu = cpu_seconds(self.cluster.pid)
        floor = floors.run(
            script,
            self._variables,
            pgbench=self.cluster.binaries / "pgbench",
            environment={**self.cluster.environment(), "PGDATABASE": self.database},
            seconds=round(seconds + 0.5),
        )
        self.figures.note(name, floor.rate)
        spent = cpu_seconds(self.cluster.pid) - cpu
        self.figures.note(f"{name}: postgres µs", spent * 1e6 / floor.done)

    # --- posting ---------------------------------------------------------------------------------

    def _waiting(self) -> int:
        return self._number("SELECT count(*) FROM messaging_outboxentry WHERE due_at < 'infinity'")

    def _posted(self) -> int:
        """Ledger transactions so far: from the sequence, since counting a million takes a while."""
        return self._number("SELECT last_value FROM settlement_ledgertransaction_id_seq")

    def _number(self, statement: str) -> int:
        row = self._server.execute(statement).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(str(row[0]))

    def _drain(self) -> None:
        until = time.monotonic() + POSTED_WITHIN_S
        while self._waiting():
            if time.monotonic() > until:
                raise Trouble(f"{self._waiting()} settlements were not posted in time.")
            time.sleep(0.05)

    def _hold_worker(self, number: int) -> None:
        for pid in family(self.worker.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _postings(self) -> None:
        """Let the worker post what pgbench has settled, and time the queue's end.

        The clock starts when the first batches are done and those do not count, so what is timed
        is posting and not the worker's waking up.
        """
        self._drain()
        cpu = self._posting_cpu()
        full = floors.hand_over(self._server)
        until = time.monotonic() + POSTED_WITHIN_S
        while (left := self._waiting()) == full:
            if time.monotonic() > until:
                raise Trouble("The worker did not begin to post.")
            time.sleep(0.002)
        begin = time.perf_counter()
        while self._waiting():
            if time.monotonic() > until:
                raise Trouble(f"{self._waiting()} settlements were not posted in time.")
            time.sleep(0.02)
        self.figures.note("postings", left / (time.perf_counter() - begin))
        self.figures.note("postings: all µs", (self._posting_cpu() - cpu) * 1e6 / full)

    def _posting_cpu(self) -> float:
        return cpu_seconds(self.worker.pid) + cpu_seconds(self.cluster.pid)

    # --- latencies -------------------------------------------------------------------------------

    def _latencies(self, progress: Callable[[str], None], *, seed: int) -> None:
        seconds = 2.0 if self.quick else 4.0
        name = next(iter(self.webs))
        progress("scans")
        rate = self.figures.median("scans") * LOAD_SHARE
        requests = self._workload.scans(int(rate * seconds), port=self.main.port)
        self._note_latency("scans", requests, rate, seed)
        progress("the bare view")
        bare = self._servers["bare"]
        rate = self.figures.median("bare view") * LOAD_SHARE
        requests = [
            get(f"/member/{1 + number * 7919 % 90_000}", port=bare.port)
            for number in range(int(rate * seconds))
        ]
        self._note_latency("bare view", requests, rate, seed, server=bare, status=200)
        progress("settlements")
        rate = self.figures.median("settlements") * LOAD_SHARE
        rows = self._scanned(int(rate * seconds), name)
        requests = self._workload.settlements(rows, port=self.main.port)
        self._note_latency("settlements", requests, rate, seed)
        progress("codes")
        rate = self.figures.median("codes") * LOAD_SHARE
        pages = self._workload.code_pages(int(rate * seconds), port=self.main.port)
        self._note_latency("codes", pages, rate, seed, status=200)

    def _note_latency(
        self,
        name: str,
        requests: list[bytes],
        rate: float,
        seed: int,
        *,
        server: Server | None = None,
        status: int = 201,
    ) -> None:
        lines = (server or self.main).lines()
        load: Load = generator.opened(lines, requests, rate=rate, seed=seed).only(status)
        for share in (0.5, 0.99):
            self.figures.note(
                f"{name}: p{share * 100:.0f} ms",
                generator.percentile(load.latencies_s, share) * 1e3,
            )

    # --- statements ------------------------------------------------------------------------------

    def _count_statements(self) -> None:
        """What the server was sent for a scan, a settlement and a posting, by its own count.

        Only what came from a client counts, not what foreign keys ask inside PostgreSQL; BEGIN and
        COMMIT count, because they too are sent.
        """
        server = self._server
        server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self._drain()
        self._hold_worker(signal.SIGSTOP)
        try:
            _track(server, "top")
            count = 200
            rows = self._counted("scan", count, lambda: self._scanned(count, next(iter(self.webs))))
            requests = self._workload.settlements(rows, port=self.main.port)
            self._counted(
                "settlement",
                count,
                lambda: generator.closed(self.main.lines(), requests).only(201),
            )
        finally:
            self._hold_worker(signal.SIGCONT)
        server.execute("SELECT pg_stat_statements_reset()")
        self._drain()
        self.statements["posting"] = self._calls() / count
        _track(server, "none")

    def _counted(self, name: str, count: int, work: Callable[[], Any]) -> Any:
        self._server.execute("SELECT pg_stat_statements_reset()")
        done = work()
        self.statements[name] = self._calls() / count
        return done

    def _calls(self) -> int:
        return self._number(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d"
            " ON d.oid = s.dbid WHERE d.datname = current_database()"
            " AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%infinity%'"
            # Foreign keys checked at COMMIT.
            " AND query NOT LIKE '%FROM ONLY \"public\".%'"
        )


def _track(server: psycopg.Connection[Any], what: str) -> None:
    # A session takes the change over at its next statement.
    server.execute(f"ALTER SYSTEM SET pg_stat_statements.track = '{what}'")  # type: ignore[arg-type]
    server.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)
