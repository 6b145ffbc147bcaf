"""What a fault is, and what one stroke of it reports. Knows no server and no process."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Worst time from a fault, or from the end of an outage, until everything acknowledged is posted.
RECOVERY_S = 15.0
FIGURES = ("acknowledged", "posted", "missing", "double", "delta_fen")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: `small` and `full` say how often it strikes in either run."""

    id: str
    title: str
    small: int
    full: int
    strike: Callable[[Any, "Stroke"], None]
    needs: tuple[str, ...] = ()
    # What of it may begin before its turn, because the others mostly wait.
    ahead: Callable[[Any], None] | None = None

    def number(self, *, full: bool) -> int:
        """How often it strikes."""
        return self.full if full else self.small


CATALOGUE: dict[str, Fault] = {}


def fault(
    identifier: str,
    title: str,
    *,
    small: int,
    full: int,
    needs: Iterable[str] = (),
    ahead: Callable[[Any], None] | None = None,
) -> Callable[[Callable[[Any, "Stroke"], None]], Callable[[Any, "Stroke"], None]]:
    """Declare the decorated function as a fault of the programme."""

    def declare(strike: Callable[[Any, "Stroke"], None]) -> Callable[[Any, "Stroke"], None]:
        assert identifier not in CATALOGUE, f"{identifier} is declared twice"
        CATALOGUE[identifier] = Fault(
            id=identifier,
            title=title,
            small=small,
            full=full,
            strike=strike,
            needs=tuple(needs),
            ahead=ahead,
        )
        return strike

    return declare


@dataclass
class Stroke:
    """One fault's turn: how often it should strike, its own chance, and what came of it."""

    fault: Fault
    number: int
    chance: random.Random
    full: bool = False
    fired: int = 0
    recoveries: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    mutants: dict[str, bool] = field(default_factory=dict)
    # Why nothing was tried; empty when it was.
    not_exercised: str = ""
    seconds: float = 0.0

    def hit(self, number: int = 1) -> None:
        """The fault happened."""
        self.fired += number

    def recovered(self, seconds: float) -> None:
        """So long it took until everything was as it should be."""
        self.recoveries.append(seconds)

    def say(self, sentence: str) -> None:
        """Something for the reader of the report that fails nothing."""
        self.notes.append(sentence)

    def count(self, audit: Mapping[str, Any]) -> None:
        """Add what the books said."""
        self.figures.update({name: audit[name] for name in FIGURES})
        self.wrong += audit["wrong"]

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong unless it holds."""
        if not holds:
            self.wrong.append(otherwise)

    @property
    def worst_recovery_s(self) -> float:
        return max(self.recoveries, default=0.0)

    def failures(self, *, full: bool) -> list[str]:
        """Why this fault fails the run, a sentence each; empty when it does not."""
        if self.not_exercised:
            return [f"not exercised: {self.not_exercised}"] if full else []
        found = list(self.wrong[:20])
        if len(self.wrong) > 20:
            found.append(f"and {len(self.wrong) - 20} more")
        if self.fired < self.number:
            found.append(f"fired {self.fired} of {self.number} times: what did not happen proves"
                         " nothing")  # fmt: skip
        found += [
            f"{self.figures[name]} {name}"
            for name in ("missing", "double", "delta_fen")
            if self.figures[name]
        ]
        if self.worst_recovery_s > RECOVERY_S:
            found.append(
                f"recovered after {self.worst_recovery_s:.1f} s, more than {RECOVERY_S:.0f}"
            )
        found += [
            f"the mutant lives: {name}" for name, killed in self.mutants.items() if not killed
        ]
        return found


def planned(
    seed: int, *, only: Iterable[str] = (), full: bool, faults: Mapping[str, Fault] = CATALOGUE
) -> list[Stroke]:
    """The strokes of a run in their order: the same seed gives the same strokes.

    Each fault draws from a chance of its own, so that a fault replayed alone does what it did among
    the others. Raises KeyError for a name that no fault has.
    """
    wanted = list(only) or list(faults)
    return [
        Stroke(
            fault=faults[name],
            number=faults[name].number(full=full),
            chance=random.Random(f"{seed}:{name}"),
            full=full,
        )
        for name in wanted
    ]
