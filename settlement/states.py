"""The written table of states: from which state which event leads where, who may cause it, and what
it posts to the ledger.

It is the only place that knows. Services ask it, a migration makes the database refuse what is not
in it, and the pages and documents are told from it. Pure: no row, no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Entity = Literal["quote", "settlement", "refund", "tender", "approval"]
# A till is a terminal of the merchant whose row it is, or its page; time is a moment that has
# passed, whoever notices; the worker is the posting worker and its timer; a provider is one of the
# payment services behind a tender; staff are the fund's.
Actor = Literal["till", "citizen", "time", "worker", "provider", "staff"]
# What an event adds to the ledger: the legs of a settlement, those with the signs turned for a
# refund, those of a debt that a merchant has with a payment service, or nothing.
Posts = Literal["nothing", "settlement", "refund", "debt"]
# Before there is a row.
NOTHING: Final = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table."""

    entity: Entity
    state: str
    event: str
    next: str
    who: frozenset[Actor]
    posts: Posts = "nothing"


class IllegalTransition(ValueError):
    """The table has no such line: a programming fault, never a person's. Services refuse what a
    person may ask for before they get here."""

    def __init__(self, entity: Entity, state: str, event: str, who: Actor) -> None:
        super().__init__(f"{who} may not {event} a {entity} that is {state or 'not there'}")


def _lines(
    entity: Entity, *rows: tuple[str, str, str, str] | tuple[str, str, str, str, Posts]
) -> tuple[Transition, ...]:
    found = []
    for state, event, following, who, *posts in rows:
        actors: frozenset[Actor] = frozenset(who.split())  # type: ignore[arg-type]
        found.append(Transition(entity, state, event, following, actors, *posts))  # type: ignore[arg-type]
    return tuple(found)


TABLE: Final = (
    *_lines(
        "quote",
        (NOTHING, "quote", "live", "till"),
        ("live", "confirm", "confirmed", "till"),
        ("live", "release", "released", "till citizen"),
        # The same till asked for another one.
        ("live", "replace", "replaced", "till"),
        ("live", "run_out", "expired", "time"),
        # A payment whose result is not known yet keeps the quote alive within the certainty clock.
        ("live", "extend", "live", "worker"),
    ),
    *_lines(
        "settlement",
        (NOTHING, "accept", "accepted", "till", "settlement"),
        ("accepted", "post", "posted", "worker"),
    ),
    *_lines(
        "refund",
        # The worker: what was to pay for the settlement could not be captured.
        (NOTHING, "accept", "accepted", "till time staff worker", "refund"),
        ("accepted", "post", "posted", "worker"),
    ),
    *_lines(
        "tender",
        # Cash is received by a hand, everything else is asked for at a provider.
        (NOTHING, "receive", "received", "till"),
        (NOTHING, "ask", "asked", "till"),
        ("asked", "authorise", "authorised", "provider"),
        ("asked", "decline", "declined", "provider"),
        # No answer, or one that says nothing: the truth is asked for until it is known.
        ("asked", "lose_sight", "unknown", "time worker"),
        ("unknown", "authorise", "authorised", "provider"),
        ("unknown", "decline", "declined", "provider"),
        # The settlement it pays for was accepted.
        ("received", "settle", "captured", "worker"),
        ("authorised", "settle", "capturing", "worker"),
        ("capturing", "capture", "captured", "provider"),
        # Captured never, although the settlement stands: the merchant is owed by name,
        ("capturing", "fail", "debt", "provider worker", "debt"),
        # or, where it prefers so, the settlement is returned whole and the part with it.
        ("capturing", "undo", "returning", "provider worker"),
        ("debt", "repay", "captured", "till staff provider", "debt"),
        # The settlement was refused, or its quote ended: everything taken goes back by itself.
        ("received", "return", "returned", "till worker"),
        ("asked", "return", "returning", "worker"),
        ("unknown", "return", "returning", "worker"),
        ("authorised", "return", "returning", "worker"),
        # A refund of the settlement sends its part back the way it came; what is not captured yet
        # is given back when it is. Of a debt nothing was taken, so it is the debt that shrinks.
        ("received", "refund", "received", "till worker"),
        ("authorised", "refund", "authorised", "till worker"),
        ("capturing", "refund", "capturing", "till worker"),
        ("captured", "refund", "captured", "till worker"),
        ("debt", "refund", "debt", "till worker", "debt"),
        ("returning", "give_back", "returned", "provider"),
    ),
    *_lines(
        "approval",
        # A return into a month that is declared for clearing was asked for, and waits.
        (NOTHING, "ask", "waiting", "till"),
        ("waiting", "approve", "approved", "staff"),
        ("waiting", "decline", "declined", "staff"),
        # It went through, once; the refund itself posts.
        ("approved", "use", "used", "till"),
        # The same goods come to other shares by now: the ask for these takes its place.
        ("waiting", "overtake", "overtaken", "till"),
        ("approved", "overtake", "overtaken", "till"),
    ),
)

_BY_EVENT: Final[Mapping[tuple[str, str, str], Transition]] = {
    (line.entity, line.state, line.event): line for line in TABLE
}
if len(_BY_EVENT) != len(TABLE):
    raise ValueError("two lines of the table begin alike")


def transition(entity: Entity, state: str, event: str, *, who: Actor) -> Transition:
    """The line for the event. Raises IllegalTransition where there is none for this actor."""
    line = _BY_EVENT.get((entity, state, event))
    if line is None or who not in line.who:
        raise IllegalTransition(entity, state, event, who)
    return line


def sources(entity: Entity, event: str) -> tuple[str, ...]:
    """The states in which an event may meet a row, in the order of the table."""
    return tuple(line.state for line in TABLE if (line.entity, line.event) == (entity, event))


def target(entity: Entity, event: str) -> str:
    """The state an event leads to. Raises KeyError for an unknown one, ValueError where it depends
    on the state before."""
    found = {line.next for line in TABLE if (line.entity, line.event) == (entity, event)}
    if not found:
        raise KeyError((entity, event))
    if len(found) > 1:
        raise ValueError(f"{event} of a {entity} leads to {', '.join(sorted(found))}")
    return found.pop()


def states_of(entity: Entity) -> tuple[str, ...]:
    """Every state a row may have, in the order of the table."""
    return tuple(dict.fromkeys(line.next for line in TABLE if line.entity == entity))


def final_states(entity: Entity) -> frozenset[str]:
    """States that no event leaves for another."""
    left = {line.state for line in TABLE if line.entity == entity and line.next != line.state}
    return frozenset(states_of(entity)) - left


def allowed_moves(entity: Entity) -> frozenset[tuple[str, str]]:
    """Pairs of states that an update may lead between, a state to itself included."""
    return frozenset(
        (line.state, line.next) for line in TABLE if line.entity == entity and line.state
    ) | frozenset((state, state) for state in states_of(entity))
