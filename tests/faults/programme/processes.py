"""Processes that die, freeze, starve or are stopped: F01 to F04, F08, F12, F25."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.processes import family
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.needs import MEMORY_GROUPS, attempts_are_counted, memory_groups
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import AFTER, BEFORE, INBOX, POSTING, TILLS, System

PLACES: tuple[int | str, ...] = (2, 4, BEFORE, AFTER)
STRIKE_WITHIN_S = 20.0
# More than any settlement has; places that nobody comes to are left out as they are found.
STATEMENTS = 40


def _struck(system: System, stroke: Stroke, what: str) -> bool:
    if system.run.watch(system.run.fired, at_most_s=STRIKE_WITHIN_S):
        return True
    system.run.take_up()
    stroke.say(f"nobody came to {what}")
    return False


def _at_work(system: System, name: str) -> None:
    # A worker that is still starting has nothing to lose.
    system.run.watch(lambda: bool(system.children(name)), at_most_s=STRIKE_WITHIN_S)


@fault("F01", "worker killed in mid-task with everything it started", small=3, full=100)
def worker_killed(stage: Stage, stroke: Stroke) -> None:
    """kill -9 of the group: at a chosen statement, or at any moment."""
    system = stage.system()
    with system.load():
        for number in range(stroke.number):
            _at_work(system, "worker")
            if number % 2 == 0:
                place = stroke.chance.choice(PLACES)
                system.run.lay(POSTING, place=place)
                if not _struck(system, stroke, f"{place} of a posting"):
                    continue
            else:
                system.pause(stroke.chance.random())
            since = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                system.run.kill("worker")
            stroke.hit()
            stroke.recovered(system.recovered(since))


@fault("F02", "pool child of the worker killed", small=2, full=100)
def child_killed(stage: Stage, stroke: Stroke) -> None:
    """kill -9 of one process of the pool, whose parent lives on."""
    system = stage.system()
    with system.load():
        for _ in range(stroke.number):
            _at_work(system, "worker")
            system.pause(0.3 + stroke.chance.random() / 2)
            parent = system.run.supervisor.pid_of("worker")
            child = stroke.chance.choice(system.children("worker"))
            since = time.monotonic()
            os.kill(child, signal.SIGKILL)
            gone = system.run.watch(
                lambda child=child: child not in system.children("worker"),
                at_most_s=10,  # type: ignore[misc]
            )
            if gone and system.run.supervisor.pid_of("worker") == parent:
                stroke.hit()
            stroke.recovered(system.recovered(since))


@fault("F03", "out of memory while posting, and a row that nobody can work", small=1, full=10)
def out_of_memory(stage: Stage, stroke: Stroke) -> None:
    """A worker that asks for more memory than it is allowed: killed by the kernel where groups can
    be limited, else refused the memory."""
    system = stage.system()
    with system.load():
        for number in range(stroke.number):
            _at_work(system, "worker")
            pids = family(system.run.supervisor.pid_of("worker"))
            limited = _in_a_memory_group if memory_groups() else _with_an_address_limit
            with limited(pids, f"ybm-faults-{os.getpid()}-{number}") as was_refused:
                system.run.lay(POSTING, place=2, act="eat")
                if _struck(system, stroke, "the posting that starves") and system.run.watch(
                    was_refused, at_most_s=STRIKE_WITHIN_S
                ):
                    stroke.hit()
                since = time.monotonic()
                stroke.recovered(system.recovered(since))
                with contextlib.suppress(ProcessLookupError):
                    system.run.kill("worker")
            stroke.recovered(system.recovered(time.monotonic()))
        row = system.run.ground("poison")["id"]
        parked = system.run.watch(
            lambda: row in system.run.ground("parked")["ids"], at_most_s=STRIKE_WITHIN_S
        )
        stroke.expect(parked, "a row that nobody can work is not parked")
        stroke.recovered(system.recovered(time.monotonic()))
    system.run.ground("parked", take_away=True)
    if lacking := attempts_are_counted():
        stroke.say(f"a row that kills its workers: not exercised: {lacking}")
        return
    with stage.own(stroke, environment={"POSTING_ATTEMPTS": "2"}) as own:
        _deadly_row(own, stroke)


def _deadly_row(system: System, stroke: Stroke) -> None:
    """A settlement that kills every worker which posts it is parked after its attempts, the others
    are posted, and it can be run again once the cause is gone."""
    group = system.run.supervisor.pid_of("worker")
    os.killpg(group, signal.SIGSTOP)
    try:
        deadly = system.settle(TILLS - 1)
        system.run.lay(POSTING, place=1, param=f"post_settlement:{deadly}", again=True)
    finally:
        os.killpg(group, signal.SIGCONT)
    parked = system.run.watch(
        lambda: bool(system.run.ground("parked")["ids"]), at_most_s=3 * STRIKE_WITHIN_S
    )
    stroke.expect(parked and system.run.fired(), "a row that kills its workers is not parked")
    deaths = len(system.run.fault.with_suffix(".fired").read_text())
    stroke.say(f"a row that kills its workers was parked after {deaths} of them")
    system.run.take_up()
    system.run.ground("rerun")
    stroke.recovered(system.recovered(time.monotonic()))


@contextlib.contextmanager
def _in_a_memory_group(pids: list[int], name: str) -> Iterator[Callable[[], bool]]:
    group = MEMORY_GROUPS / name
    group.mkdir()
    try:
        # What they hold already stays with the group they come from: this is what they may add.
        (group / "memory.limit_in_bytes").write_text("60M")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid))
        yield lambda: int((group / "memory.failcnt").read_text()) > 0
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


@contextlib.contextmanager
def _with_an_address_limit(pids: list[int], _: str) -> Iterator[Callable[[], bool]]:
    for pid in pids:
        held = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        most = held + (96 << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
    # The refusal is an exception inside the process; that it came to the place is what we see.
    yield lambda: True


@fault("F04", "worker frozen in mid-post, waking late", small=2, full=20)
def frozen(stage: Stage, stroke: Stroke) -> None:
    """It stands still before its commit, its session is ended meanwhile, then it goes on."""
    system = stage.system()
    asleep_s = 90.0 if stroke.full else 2.0
    with system.load():
        for _ in range(stroke.number):
            _at_work(system, "worker")
            system.run.lay(POSTING, place=BEFORE, act="stop")
            if not _struck(system, stroke, "the posting that freezes"):
                continue
            stroke.hit()
            pid = system.run.struck()
            try:
                system.pause(asleep_s)
                # What the server does by itself after thirty seconds.
                system.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state = 'idle in transaction'"
                    " AND state_change < now() - interval '1 second'"
                )
                if pid in system.children("worker"):
                    # The sweep lives in the parent and goes on without the frozen one.
                    stroke.recovered(system.recovered(time.monotonic()))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F08", "web or worker stopped as for a deployment", small=2, full=50)
def deployed_anew(stage: Stage, stroke: Stroke) -> None:
    """TERM, after ten seconds QUIT, and started again."""
    system = stage.system()
    with system.load():
        for number in range(stroke.number):
            name = ("worker", "web")[number % 2]
            _at_work(system, name)
            pid = system.run.supervisor.pid_of(name)

            def renewed(name: str = name, pid: int = pid) -> bool:
                return system.run.supervisor.pid_of(name) != pid

            os.kill(pid, signal.SIGTERM)
            if not system.run.watch(renewed, at_most_s=10):
                os.kill(pid, signal.SIGQUIT)
                stroke.say(f"{name} needed QUIT after ten seconds")
            if system.run.watch(renewed, at_most_s=15):
                stroke.hit()
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F12", "web process killed in mid-settlement", small=6, full=400)
def web_killed(stage: Stage, stroke: Stroke) -> None:
    """Before one statement after the other, around the commit, and once all of them at once."""
    system = stage.system()
    places: list[int | str] = [BEFORE, AFTER]
    numbers = list(range(1, STATEMENTS))
    stroke.chance.shuffle(numbers)
    while len(places) < stroke.number - 1:
        places.append(numbers[len(places) % len(numbers)])
    statements = STATEMENTS
    for place in places:
        while True:
            if isinstance(place, int) and place >= statements:
                place = stroke.chance.randrange(1, statements)
            system.run.lay(INBOX, place=place, param="settle")
            since = time.monotonic()
            system.sell()
            if system.run.fired():
                stroke.hit()
                stroke.recovered(system.recovered(since, sale=False))
                break
            system.run.take_up()
            if not isinstance(place, int) or place <= 1:
                break
            # A settlement has fewer statements.
            statements = place
    with system.load():
        system.pause(stroke.chance.random())
        since = time.monotonic()
        system.run.kill("web")
        stroke.hit()
        stroke.recovered(system.recovered(since))
    stroke.say(f"a settlement has fewer than {statements} statements")


@fault("F25", "a transaction that stays open while later ones are posted", small=1, full=10)
def long_transaction(stage: Stage, stroke: Stroke) -> None:
    """The lower outbox id commits last; who looked for "greater than the last" would skip it."""
    system = stage.system()
    for _ in range(stroke.number):
        linger_s = 45 if stroke.full else 3
        system.run.lay(INBOX, place=BEFORE, param="settle", act=f"linger {linger_s}")
        with system.load():
            if not _struck(system, stroke, "a settlement that lingers"):
                continue
            until = time.monotonic() + linger_s
            ahead = len(system.run.told["settlements"])
            system.pause(linger_s * 0.8)
            if len(system.run.told["settlements"]) > ahead:
                stroke.hit()
            system.pause(max(0.0, until - time.monotonic()))
            stroke.recovered(system.recovered(time.monotonic()))
