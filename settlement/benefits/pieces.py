"""Where a figure that grows with a bill changes its course, to the fen.

A calculation takes one way through its rules for a whole range of bills: the same rules, the same
tiers, the same bounds reached.  On such a range every figure is a straight line but for rounding,
so it is enough to look for the fen at which the way changes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from settlement.benefits.policy import Deductible, Policy
from settlement.benefits.values import LayerTrace, Result

# A layer rounds by half a fen, its deductible and its cap by as much.
ROUNDED_FEN: Final = 2


class TooManyLooks(Exception):
    """More calculations than the search was given."""


@dataclass(frozen=True, slots=True)
class Look:
    """One calculation: the way it took and its figures in fen, the one asked for first."""

    way: Hashable
    figures: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The bills from ``from_fen`` to ``to_fen``, both included, over which figures are straight."""

    from_fen: int
    to_fen: int


def pieces(
    look: Callable[[int], Look], *, from_fen: int, up_to_fen: int, most_looks: int
) -> tuple[Piece, ...]:
    """The pieces from one bill to another, in order and without a gap between them.

    A way that is the same for two bills is the same for all between them, because each of its
    comparisons is one between straight lines: so the last bill of a piece is found by halving, to
    the fen.  The middle of every piece is looked at as well, so that a bend which the way leaves
    out does not go unseen.  Raises TooManyLooks after ``most_looks`` calculations.
    """
    known: dict[int, Look] = {}
    places: list[int] = []

    def at(fen: int) -> Look:
        if fen not in known:
            if len(known) >= most_looks:
                raise TooManyLooks
            known[fen] = look(fen)
            insort(places, fen)
        return known[fen]

    found: list[Piece] = []
    start = from_fen
    at(up_to_fen)
    while start <= up_to_fen:
        way = at(start).way
        last, beyond = start, up_to_fen + 1
        for fen in places[bisect_right(places, start) :]:
            if known[fen].way != way:
                beyond = fen
                break
            last = fen
        while beyond - last > 1:
            middle = (last + beyond) // 2
            if at(middle).way == way:
                last = middle
            else:
                beyond = middle
        found += _straightened(at, start, last)
        start = beyond
    return tuple(found)


def _straightened(at: Callable[[int], Look], low: int, high: int) -> list[Piece]:
    """The range whole, or halved until every part is straight."""
    middle = (low + high) // 2
    if low == high or _straight(at(low), at(middle), at(high), (middle - low, high - low)):
        return [Piece(low, high)]
    return [*_straightened(at, low, middle), *_straightened(at, middle + 1, high)]


def _straight(first: Look, between: Look, last: Look, place: tuple[int, int]) -> bool:
    part, whole = place
    slack = ROUNDED_FEN * (len(first.figures) + 1)
    return all(
        abs((b - a) * whole - (c - a) * part) <= slack * whole
        for a, b, c in zip(first.figures, between.figures, last.figures, strict=True)
    )


def look_at(policy: Policy, result: Result, figure_fen: int) -> Look:
    """The way a result took, and its figures: ``figure_fen`` first, then those of each layer."""
    by_name = {layer.name: layer for layer in policy.layers}
    way: list[Hashable] = [
        (price.step, price.rule, price.listed_fen > price.charged_fen) for price in result.prices
    ]
    figures = [figure_fen]
    for trace in result.layers:
        layer = by_name[trace.name]
        rule: Deductible | None = None
        if trace.deductible_rule >= 0:
            rule = layer.deductibles[trace.deductible_rule]
        flat = trace.rate_rule < 0 or layer.rates[trace.rate_rule].kind == "rate"
        left = trace.base_fen - trace.over_cap_fen - trace.paid_fen - trace.deductible_fen
        way.append(
            (
                trace.name,
                trace.base_fen > 0,
                trace.deductible_rule,
                trace.rate_rule,
                trace.cap_rule,
                trace.over_cap_fen > 0,
                tuple(tier.from_fen for tier in trace.tiers),
                _deductible_state(rule, trace),
                # A fixed amount pays all there is until it is reached.
                flat or left > 0,
            )
        )
        figures += [trace.base_fen, trace.deductible_fen, trace.over_cap_fen, trace.paid_fen]
    return Look(tuple(way), tuple(figures))


def _deductible_state(rule: Deductible | None, trace: LayerTrace) -> Hashable:
    """Which bound a deductible stands at, and whether it is met."""
    if rule is None:
        return ()
    left = trace.deductible_left_fen
    bounds = tuple(
        left == bound for bound in (0, rule.at_least_fen, rule.at_most_fen, rule.ceiling_fen)
    )
    if rule.after_rate:
        return bounds, trace.paid_fen > 0
    # The bill that just meets it is the last of those that get nothing.
    return bounds, trace.base_fen - trace.over_cap_fen - trace.deductible_fen > 0
