"""Curves laid out for an SVG: where each line runs and where the axes are marked.

Coordinates only; the template draws them, with classes for colours, because the content policy
allows no style inside a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.benefits.curves import Point

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 28, 12, 34


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and the yuan it stands for."""

    at: int
    yuan: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines as the `points` of polylines, and the marks of both axes."""

    lines: tuple[str, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def draw(curves: Sequence[Sequence[Point]]) -> Drawing:
    """The bill across, what the member pays upwards; both axes begin at nothing."""
    widest = max((curve[-1].total_fen for curve in curves if curve), default=0) or 100
    tallest = max((p.personal_fen for curve in curves for p in curve), default=0) or 100

    def x(fen: int) -> int:
        return LEFT + fen * (WIDTH - LEFT - RIGHT) // widest

    def y(fen: int) -> int:
        return HEIGHT - BOTTOM - fen * (HEIGHT - TOP - BOTTOM) // tallest

    return Drawing(
        lines=tuple(
            " ".join(f"{x(point.total_fen)},{y(point.personal_fen)}" for point in curve)
            for curve in curves
        ),
        across=tuple(Tick(x(fen), fen // 100) for fen in _marks(widest)),
        up=tuple(Tick(y(fen), fen // 100) for fen in _marks(tallest)),
    )


def _marks(most_fen: int) -> list[int]:
    """Three to six round amounts of whole yuan from nothing up to the most."""
    step = 100
    while most_fen // step > 5:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, most_fen + 1, step))
