"""A mixture of faults drawn by seed while tills sell: F32."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from random import Random

from tests.faults.programme.database import CUT
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import AFTER, BEFORE, INBOX, POSTING, System

# How much of the draw each has; a crash of the database takes longer than the others.
MIXTURE = {
    "worker killed": 4,
    "web killed": 2,
    "child killed": 4,
    "killed in mid-post": 3,
    "killed in mid-settlement": 3,
    "sessions cut": 4,
    "Redis forgets": 3,
    "worker frozen": 2,
    "database crashes": 1,
}


def drawn(chance: Random, number: int) -> list[tuple[str, float]]:
    """So many faults, each with the seconds of peace before it. A seed gives the same list."""
    names = chance.choices(list(MIXTURE), weights=list(MIXTURE.values()), k=number)
    return [(name, round(0.2 + chance.random() * 1.5, 2)) for name in names]


@fault("F32", "a mixture of faults, drawn by the seed", small=4, full=900)
def soak(stage: Stage, stroke: Stroke) -> None:
    """One after the other under load, whatever comes after what."""
    system = stage.system()
    acts: dict[str, Callable[[], object]] = {
        "worker killed": lambda: system.run.kill("worker"),
        "web killed": lambda: system.run.kill("web"),
        "child killed": lambda: _kill_a_child(system, stroke.chance),
        "killed in mid-post": lambda: _lay(system, POSTING, stroke.chance),
        "killed in mid-settlement": lambda: _lay(system, INBOX, stroke.chance),
        "sessions cut": lambda: system.sql(CUT),
        "Redis forgets": lambda: (stage.redis.kill(), system.pause(0.5), stage.redis.start()),
        "worker frozen": lambda: _freeze(system),
        "database crashes": lambda: (stage.postgres.crash(), stage.postgres.start()),
    }
    faults = drawn(stroke.chance, stroke.number)
    stroke.say(", ".join(name for name, _ in faults[:20]))
    with system.load(pause_s=0.05):
        for name, peace_s in faults:
            system.pause(peace_s)
            since = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                acts[name]()
            stroke.hit()
            stroke.recovered(system.recovered(since))


def _kill_a_child(system: System, chance: Random) -> None:
    system.run.watch(lambda: bool(system.children("worker")), at_most_s=15)
    if children := system.children("worker"):
        os.kill(chance.choice(children), signal.SIGKILL)


def _lay(system: System, statement: str, chance: Random) -> None:
    system.run.lay(
        statement,
        place=chance.choice((2, BEFORE, AFTER)),
        param="settle" if statement == INBOX else "",
    )
    if not system.run.watch(system.run.fired, at_most_s=20):
        system.run.take_up()
        raise AssertionError(f"nobody came to {statement}")


def _freeze(system: System) -> None:
    group = system.run.supervisor.pid_of("worker")
    os.killpg(group, signal.SIGSTOP)
    time.sleep(1.5)
    os.killpg(group, signal.SIGCONT)
