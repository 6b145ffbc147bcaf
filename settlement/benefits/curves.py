"""What a bill costs the member as it grows, by the calculator itself.

A curve is a list of corners, exact to the fen: the last bill before the member's part takes another
course, and the first after it where the part jumps.  Between two corners it is a straight line to
within a few fen, which are the rounding of the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from settlement.benefits.pieces import Look, TooManyLooks, pieces

# Every layer may round by half a fen; what bends less than this is rounding.
STRAIGHT_FEN: Final = 10
# Points of a curve whose corners take more calculations than it was given.
STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Point:
    """A bill of `total_fen`, of which the member pays `personal_fen` and the funds the rest."""

    total_fen: int
    personal_fen: int


def curve(
    look: Callable[[int], Look], *, up_to_fen: int, most_looks: int = 10_000
) -> tuple[Point, ...]:
    """The corners of the figure that `look` follows, what the member pays of a bill of so many fen.

    From 0 to `up_to_fen` (positive), both ends included; what is no corner is left out.  When the
    corners take more than `most_looks` calculations, STEPS points at even distances take their
    place.
    """
    try:
        straight = pieces(look, from_fen=0, up_to_fen=up_to_fen, most_looks=most_looks)
    except TooManyLooks:
        even = sorted({up_to_fen * step // STEPS for step in range(STEPS + 1)})
        return tuple(Point(fen, look(fen).figures[0]) for fen in even)
    points: list[Point] = []
    for piece in straight:
        first, last = (Point(fen, look(fen).figures[0]) for fen in (piece.from_fen, piece.to_fen))
        # Where nothing jumps, the first bill of a piece is no corner beside the last before it.
        if not points or abs(first.personal_fen - points[-1].personal_fen) > STRAIGHT_FEN:
            points.append(first)
        if last != first or points[-1].total_fen != first.total_fen:
            points.append(last)
    return tuple(_corners(points))


def _corners(points: Sequence[Point]) -> list[Point]:
    """The first and last point, and of those between every one that is off the straight line.

    The point that is furthest off is a corner; what is left of it and right of it is looked at
    again.
    """
    first, last = points[0], points[-1]
    run, rise = last.total_fen - first.total_fen, last.personal_fen - first.personal_fen

    def off(point: Point) -> int:
        """How far off, times the length of the line, so that it is exact."""
        above = point.personal_fen - first.personal_fen
        return abs(above * run - rise * (point.total_fen - first.total_fen))

    between = range(1, len(points) - 1)
    place = max(between, key=lambda index: off(points[index]), default=0)
    if not place or off(points[place]) <= STRAIGHT_FEN * run:
        return [first, last]
    return [*_corners(points[: place + 1]), *_corners(points[place:])[1:]]
