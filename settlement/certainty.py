"""The certainty clock: what counts as final, for each thing that somebody may wait for, and within
which time it is reached.

The one written table of it. `settlement/selectors/certainty.py` holds the rows of the database
against it; nothing here changes what a service does. Pure: no row, no clock, no settings; all
figures are seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from settlement.states import Actor, final_states

Kind = Literal[
    "scan", "quote", "settlement", "two_step", "refund", "payment", "tender", "tender_refund"
]

# The longest that a client may ask to be waited for before its settlement is reversed by itself.
CONFIRM_AT_MOST_S: Final = 600
# The reason of the refund by which it is.
NOT_CONFIRMED: Final = "not confirmed in time"
# A tender taken in hand by a worker that died is taken up again after so long: longer than a
# payment service takes to answer or to time out, several times over.
IN_HAND_S: Final = 60
# A payment service that does not answer is asked again after twice the time, this at most.
LONGEST_WAIT_S: Final = 300
# So long after its clock has run out may the worker get round to a tender.
_LOOK_S: Final = IN_HAND_S + LONGEST_WAIT_S


@dataclass(frozen=True, slots=True)
class Clocks:
    """The figures of a deployment that the times follow from."""

    scan_s: float
    quote_s: float
    # From the quote on: so long may a payment stay unknown.
    payment_s: float
    # From the posting on: so long is a capture tried again.
    capture_s: float
    # From its commit on: by then a worker has done what was left to it, or parked it for a person,
    # even if the row ended its worker at every attempt.
    worker_s: float

    @property
    def held_s(self) -> float:
        """The longest that a quote may live, and with it what was taken for it."""
        return max(self.quote_s, self.payment_s)


Seconds = Callable[[Clocks], float]


@dataclass(frozen=True, slots=True)
class Stage:
    """An open row in one of these states is overdue so long after its moment `since`."""

    states: frozenset[str]
    since: str
    within_s: Seconds


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the table. `who` brings the end about; `time` needs nobody: what has run out is
    final although no row says so. Whatever is open is in one of the stages, but for what waits for
    another line of this table."""

    kind: Kind
    # The column of its beginning.
    born: str
    final: frozenset[str]
    who: frozenset[Actor]
    # The stated time, from the beginning to a final state.
    limit_s: Seconds
    stages: tuple[Stage, ...]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _line(
    kind: Kind,
    born: str,
    final: frozenset[str],
    who: frozenset[Actor],
    limit_s: Seconds,
    *stages: tuple[str, str, Seconds],
) -> Promise:
    return Promise(
        kind,
        born,
        final,
        who,
        limit_s,
        tuple(Stage(_set(states), since, within_s) for states, since, within_s in stages),
    )


TABLE: Final = (
    # A scan may be billed more than once, so that a bill does not end it.
    _line(
        "scan",
        "scanned_at",
        _set("refused expired"),
        frozenset({"till", "time"}),
        lambda clocks: clocks.scan_s,
        ("accepted", "scanned_at", lambda clocks: clocks.scan_s),
    ),
    # A payment whose result is not known keeps it alive, within the clock of payments.
    _line(
        "quote",
        "quoted_at",
        final_states("quote"),
        frozenset({"till", "citizen", "time"}),
        lambda clocks: clocks.held_s,
        ("live", "quoted_at", lambda clocks: clocks.held_s),
    ),
    # For the citizen and the till it is final when it is answered; this is the ledger's clock.
    _line(
        "settlement",
        "accepted_at",
        final_states("settlement"),
        frozenset({"worker"}),
        lambda clocks: clocks.worker_s,
        ("accepted", "accepted_at", lambda clocks: clocks.worker_s),
    ),
    # Its own moment is nearer than the stated time where the client asked for less.
    _line(
        "two_step",
        "accepted_at",
        _set("confirmed reversed"),
        frozenset({"till", "worker"}),
        lambda clocks: CONFIRM_AT_MOST_S + clocks.worker_s,
        ("unconfirmed", "confirm_by", lambda clocks: clocks.worker_s),
    ),
    _line(
        "refund",
        "accepted_at",
        final_states("refund"),
        frozenset({"worker"}),
        lambda clocks: clocks.worker_s,
        ("accepted", "accepted_at", lambda clocks: clocks.worker_s),
    ),
    # Whether a part of the cash was paid, which the person at the counter waits for.
    _line(
        "payment",
        "created_at",
        _set("authorised declined returning"),
        frozenset({"provider", "worker"}),
        lambda clocks: clocks.held_s + clocks.worker_s,
        (
            "asked unknown",
            "certain_by",
            lambda clocks: clocks.held_s - clocks.payment_s + clocks.worker_s,
        ),
    ),
    # A debt may still be paid, but it is owed by name and nobody waits to learn anything.
    _line(
        "tender",
        "created_at",
        final_states("tender") | {"debt"},
        frozenset({"provider", "worker"}),
        lambda clocks: clocks.held_s + clocks.capture_s + 2 * clocks.worker_s + _LOOK_S,
        (
            "asked unknown received authorised",
            "certain_by",
            lambda clocks: clocks.held_s - clocks.payment_s + clocks.worker_s,
        ),
        # Its `certain_by` is the capture's by now.
        ("capturing", "certain_by", lambda clocks: _LOOK_S + clocks.worker_s),
        # A capture that failed begins this clock late, and then the stated time anew.
        (
            "returning",
            "changed_at",
            lambda clocks: clocks.capture_s + _LOOK_S + clocks.worker_s,
        ),
    ),
    # From the refund on, or from the capture where that comes later: until then it is `held`, and
    # the tender's own clock runs.
    _line(
        "tender_refund",
        "created_at",
        _set("returned"),
        frozenset({"provider", "worker"}),
        lambda clocks: clocks.capture_s + _LOOK_S + clocks.worker_s,
        ("due", "since", lambda clocks: clocks.capture_s + _LOOK_S + clocks.worker_s),
    ),
)


def promise(kind: Kind) -> Promise:
    """The line of that kind. Raises KeyError."""
    for line in TABLE:
        if line.kind == kind:
            return line
    raise KeyError(kind)
