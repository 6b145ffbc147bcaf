"""One server under measurement: its processes, what a load costs them, and repeated figures.

A `Server` is a web server over one database with eight terminals connected. Every load that goes
through `Server.under` comes back with the CPU time that each part of the stack spent on it, so
that rate, cost and the generator's own share are of the same seconds.
"""

import socket
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.generator import Load, connections
from bench.processes import cpu_seconds, family, machine_seconds
from bench.stack import Running
from bench.terminals import TERMINALS


@dataclass(frozen=True)
class Cost:
    """A load with the CPU seconds of each part of the stack meanwhile."""

    load: Load
    seconds: dict[str, float]
    # Worked by the whole machine, and worked or not.
    machine_s: tuple[float, float] = (0.0, 0.0)

    @property
    def generator_share(self) -> float:
        """Of all the CPU time spent, the part that went into asking."""
        return self.load.cpu_s / (self.load.cpu_s + sum(self.seconds.values()))

    @property
    def others_share(self) -> float:
        """Of the machine's CPU time, the part that nobody of the bench used."""
        busy, had = self.machine_s
        ours = self.load.cpu_s + sum(self.seconds.values())
        return max(0.0, busy - ours) / had if had else 0.0

    def micros(self, *parts: str) -> float:
        """CPU microseconds a request of these parts, of all parts when none is named."""
        chosen = parts or tuple(self.seconds)
        return sum(self.seconds[part] for part in chosen) * 1e6 / self.load.done


@dataclass
class Server:
    """A web server, the stack around it, and open connections to it."""

    web: Running
    others: dict[str, int]
    _lines: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.web.port

    def lines(self) -> Sequence[socket.socket]:
        """Eight connections, new for each load: the server closes those that were idle a while."""
        self.hang_up()
        self._lines = connections(self.port, TERMINALS, workers=self.workers())
        return self._lines

    def hang_up(self) -> None:
        """Close them."""
        for line in self._lines:
            line.close()
        self._lines = []

    def workers(self) -> list[int]:
        """Its worker processes."""
        return [pid for pid in family(self.web.pid) if pid != self.web.pid]

    def under(self, load: Callable[[Sequence[socket.socket]], Load]) -> Cost:
        """Run a load over eight connections and account for it."""
        lines = self.lines()
        roots = {"web": self.web.pid, **self.others}
        machine = machine_seconds()
        before = {name: cpu_seconds(pid) for name, pid in roots.items()}
        done = load(lines)
        used = {name: cpu_seconds(pid) - before[name] for name, pid in roots.items()}
        busy, had = (now - then for now, then in zip(machine_seconds(), machine, strict=True))
        return Cost(done, used, (busy, had))


@dataclass
class Figures:
    """Repeated figures by name, in the order in which they first came."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> float:
        """Keep one more. Answers it."""
        self.rounds.setdefault(name, []).append(value)
        return value

    def median(self, name: str) -> float:
        """The middle one."""
        return statistics.median(self.rounds[name])

    def ratios(self, name: str, by: str) -> list[float]:
        """Of two figures of the same round."""
        return [a / b for a, b in zip(self.rounds[name], self.rounds[by], strict=True)]

    def shown(self, name: str, *, form: str = ",.0f", scale: float = 1.0) -> str:
        """`median (min..max)`."""
        return spread([value * scale for value in self.rounds[name]], form=form)

    def ratio_shown(self, name: str, by: str) -> str:
        """`median (min..max)` of a ratio."""
        return spread(self.ratios(name, by), form=".2f")


def spread(values: Sequence[float], *, form: str) -> str:
    """`median (min..max)`."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} ({least:{form}}..{most:{form}})"
