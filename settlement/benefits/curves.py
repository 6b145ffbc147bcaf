"""What a bill costs the member as it grows, by the calculator itself.

A curve is a list of points between which the member's part is a straight line to within a few fen:
steps are halved where the line bends, so that deductibles, tiers and caps show where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# Every layer may round by half a fen; what bends less than this is rounding.
STRAIGHT_FEN: Final = 10
# Steps that are looked at however straight the curve seems, and the smallest step.
STEPS: Final = 64
SMALLEST_FEN: Final = 100


@dataclass(frozen=True, slots=True)
class Point:
    """A bill of `total_fen`, of which the member pays `personal_fen` and the funds the rest."""

    total_fen: int
    personal_fen: int


def curve(personal: Callable[[int], int], *, up_to_fen: int) -> tuple[Point, ...]:
    """The curve of `personal`, which says what the member pays of a bill of so many fen.

    From 0 to `up_to_fen` (positive); points on a straight piece are left out, its ends are not.
    """
    known: dict[int, int] = {}

    def at(total_fen: int) -> int:
        if total_fen not in known:
            known[total_fen] = personal(total_fen)
        return known[total_fen]

    grid = sorted({up_to_fen * step // STEPS for step in range(STEPS + 1)})
    pending = list(pairwise(grid))
    while pending:
        low, high = pending.pop()
        if high - low <= SMALLEST_FEN:
            continue
        middle = (low + high) // 2
        straight = at(low) + (at(high) - at(low)) * (middle - low) // (high - low)
        if abs(at(middle) - straight) > STRAIGHT_FEN:
            pending += [(low, middle), (middle, high)]
    for total_fen in grid:
        at(total_fen)
    return _corners([Point(total, known[total]) for total in sorted(known)])


def _corners(points: list[Point]) -> tuple[Point, ...]:
    """The points without those that lie on the line between the kept one before and the next."""
    kept: list[Point] = []
    waiting: list[Point] = []
    for point in points:
        while waiting:
            start = kept[-1]
            run = point.total_fen - start.total_fen
            rise = point.personal_fen - start.personal_fen
            if all(
                abs(
                    start.personal_fen
                    + rise * (each.total_fen - start.total_fen) // run
                    - each.personal_fen
                )
                <= STRAIGHT_FEN
                for each in waiting
            ):
                break
            kept.append(waiting[-1])
            waiting = []
        if not kept:
            kept.append(point)
        else:
            waiting.append(point)
    return (*kept, *waiting[-1:])
