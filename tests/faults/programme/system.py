"""A running deployment as the programme sees it: its tills' load, its backlog, its books."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
from ybm_client import AnswerNotTrusted, OutcomeUnknown, Terminal

from bench.processes import family
from tests.faults.deployment import Deployment, line
from tests.faults.programme.declared import FIGURES, Stroke

POSTING = "INSERT INTO settlement_ledgertransaction"
INBOX = "INSERT INTO messaging_inboxentry"
BEFORE, AFTER = "before the commit", "after the commit"
# The last till makes the sale that shows that things work again; the others make the load.
TILLS = 4
GIVE_UP_S = 60.0
_UNPOSTED = (
    "SELECT id::text FROM settlement_settlement WHERE state = 'accepted'"
    " UNION ALL SELECT id::text FROM settlement_refund WHERE state = 'accepted'"
)


class NeverRecovered(AssertionError):
    """Something acknowledged is still unposted long after it should be."""


@dataclass
class System:
    """Web, worker and tills on a database of their own at `url`."""

    run: Deployment
    url: str
    # What repeats an acknowledged request under its key, and the id that it was answered by.
    repeats: list[tuple[Callable[[], str], str]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    # -- the database, asked directly

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement in a session of its own, which the faults on sessions do not concern."""
        with psycopg.connect(
            self.url, autocommit=True, connect_timeout=3, application_name="the programme"
        ) as session:
            cursor = session.execute(statement, values)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    def unposted(self) -> set[str] | None:
        """Ids of what is accepted and not posted; None while the database does not answer."""
        try:
            return {row[0] for row in self.sql(_UNPOSTED)}
        except psycopg.Error:
            return None

    # -- tills

    def settle(self, till: int, **more: Any) -> str:
        """One sale, repeated under its key until it is answered."""
        terminal, scan_id = self.run.tills[till]
        key = str(uuid4())

        def ask() -> str:
            settled = terminal.settle(
                scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()],
                idempotency_key=key, **more,
            )  # fmt: skip
            return str(settled["settlement_id"])

        return self._acknowledged("settlements", ask)

    def refund(self, till: int, settlement_id: str) -> str:
        """One refund, the same way."""
        terminal, _ = self.run.tills[till]
        key = str(uuid4())

        def ask() -> str:
            refund = terminal.refund(settlement_id, reason="returned", idempotency_key=key)
            return str(refund["refund_id"])

        return self._acknowledged("refunds", ask)

    def _acknowledged(self, name: str, ask: Callable[[], str]) -> str:
        identifier = answered(ask)
        self.run.told[name].append(identifier)
        self.repeats.append((ask, identifier))
        return identifier

    @contextlib.contextmanager
    def load(self, *, pause_s: float = 0.15, seed: int = 0) -> Iterator["System"]:
        """Tills that sell, and now and then take back, as long as this lasts.

        What a till could not find out is asked again until it can: an unknown outcome is no loss.
        """
        stop = threading.Event()
        trouble: list[BaseException] = []

        def trade(till: int) -> None:
            chance = Random(f"{seed}:{till}")
            try:
                while not stop.is_set():
                    sold = self.settle(till)
                    if chance.random() < 0.15:
                        self.refund(till, sold)
                    stop.wait(pause_s)
            except BaseException as error:
                trouble.append(error)

        threads = [threading.Thread(target=trade, args=(n,)) for n in range(TILLS - 1)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            # The processes must be looked after until the last till is answered.
            self.run.watch(
                lambda: not any(thread.is_alive() for thread in threads), at_most_s=2 * GIVE_UP_S
            )
            for thread in threads:
                thread.join()
        if trouble:
            raise trouble[0]

    # -- recovery

    def sell(self, number: int = 1) -> list[str]:
        """Sales by the last till while what dies is started again."""
        return self.run.under_watch(
            lambda: [self.settle(TILLS - 1) for _ in range(number)], at_most_s=2 * GIVE_UP_S
        )

    def recovered(self, since: float, *, sale: bool = True) -> float:
        """Seconds since then until one more sale, and all that was accepted before it, are posted.

        Raises NeverRecovered.
        """
        sold = self.sell() if sale else []
        while (pending := self.unposted()) is None:
            self.run.watch(lambda: False, at_most_s=0.1)
        pending |= set(sold)

        def posted() -> bool:
            left = self.unposted()
            return left is not None and not pending & left

        if not self.run.watch(posted, at_most_s=GIVE_UP_S):
            raise NeverRecovered(f"{len(pending & (self.unposted() or set()))} are unposted")
        return time.monotonic() - since

    def pause(self, seconds: float) -> None:
        """Let time pass while what dies is started again."""
        self.run.watch(lambda: False, at_most_s=seconds)

    def children(self, name: str) -> list[int]:
        """The processes that a program has started."""
        return family(self.run.supervisor.pid_of(name))[1:]

    # -- the books

    def judge(self, stroke: Stroke, *, repeated: int = 10) -> bool:
        """Drain, audit, repeat some requests under their keys. Whether all is well."""
        before = len(stroke.wrong)
        try:
            self.recovered(time.monotonic(), sale=False)
        except NeverRecovered as error:
            stroke.wrong.append(str(error))
        audit = self.run.ground("audit", told=self.run.told)
        # The books grow from fault to fault; each reports what it added.
        grown = {name: audit[name] - self.counted[name] for name in FIGURES}
        self.counted = Counter({name: audit[name] for name in FIGURES})
        stroke.count({**grown, "wrong": audit["wrong"]})
        late = self.run.ground("overdue")
        stroke.expect(not late, f"open beyond the stated time: {late}")
        chosen = stroke.chance.sample(self.repeats, min(repeated, len(self.repeats)))
        self.repeats.clear()

        def differing() -> int:
            return sum(answered(ask) != identifier for ask, identifier in chosen)

        differ = self.run.under_watch(differing)
        stroke.expect(differ == 0, f"{differ} requests got another answer under the same key")
        return len(stroke.wrong) == before


def answered(ask: Callable[[], str]) -> str:
    """The answer, however often it takes. Raises OutcomeUnknown after a minute."""
    deadline = time.monotonic() + GIVE_UP_S
    while True:
        try:
            return ask()
        except AnswerNotTrusted:
            # Nobody stands between: this is the server, and it failed within.
            raise
        except OutcomeUnknown:
            if time.monotonic() > deadline:
                raise


def enrolled(
    system: System, number: int, *, whose: int | None = None
) -> list[tuple[Terminal, str]]:
    """More tills, each with a scan: of one member each, or all of the same one."""
    return [_enrolled(system, n if whose is None else whose) for n in range(number)]


def _enrolled(system: System, whose: int) -> tuple[Terminal, str]:
    while True:
        (one_time_code,) = system.run.ground("enrolments", number=1)["enrolment"]
        try:
            till = Terminal.enrol(
                system.run.plan.address, one_time_code, name="till", timeout_s=10,
                pauses_s=[0.25] * 40,
            )  # fmt: skip
        except OutcomeUnknown:
            # A one-time code is for one attempt: the next one takes another.
            continue
        (code,) = system.run.ground("codes", number=1, whose=whose)["codes"]
        return till, till.scan(code, use="pharmacy_purchase")["scan_id"]
