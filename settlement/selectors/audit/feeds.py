"""Rows of several ordered statements side by side, none of them ever whole in memory."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

Row = tuple[Any, ...]


class Feed:
    """The rows of one statement, ordered by their first column, handed out key by key.

    Keys are asked for in ascending order. Rows of keys that nobody asks for go to `orphan`.
    """

    def __init__(self, rows: Iterator[Row], *, orphan: Callable[[Any, list[Row]], None]) -> None:
        self._groups = itertools.groupby(rows, key=lambda row: row[0])
        self._orphan = orphan
        self._key: Any = None
        self._rows: list[Row] = []
        self._ended = False
        self._advance()

    def _advance(self) -> None:
        try:
            self._key, rows = next(self._groups)
        except StopIteration:
            self._ended = True
        else:
            self._rows = list(rows)

    def take(self, key: Any) -> list[Row]:
        """The rows of this key; empty when there are none."""
        while not self._ended and self._key < key:
            self._orphan(self._key, self._rows)
            self._advance()
        if self._ended or self._key != key:
            return []
        rows = self._rows
        self._advance()
        return rows

    def end(self) -> None:
        """Nobody asks for anything more."""
        while not self._ended:
            self._orphan(self._key, self._rows)
            self._advance()
