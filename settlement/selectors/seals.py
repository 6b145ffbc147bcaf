"""What is sealed: roots as rows and as lines of the file outside the database, and how far."""

import os
from collections.abc import Iterator
from pathlib import Path

from messaging import sql
from settlement.sealing import LineUnreadable, Root, read_line

# Longer than any line of the file.
_TAIL = 4_096


def roots_after(number: int) -> Iterator[Root]:
    """The roots of all batches after one, in order, a piece at a time."""
    while True:
        rows = sql.fetch(
            "SELECT b.number, b.first_seq, b.last_seq, b.sealed_at, b.key_id, k.public_key,"
            " b.previous_root, b.root, b.signature FROM settlement_sealbatch b"
            " JOIN settlement_sealkey k ON k.number = b.key_id"
            " WHERE b.number > %s ORDER BY b.number LIMIT 1000",
            (number,),
            kinds=(None, None, None, "datetime", None, None, None, None, None),
        )
        if not rows:
            return
        for row in rows:
            yield Root(*row[:5], *(bytes(value) for value in row[5:]))
        number = rows[-1][0]


def sealed_up_to() -> int:
    """The last seal's seq; 0 before the first."""
    row = sql.fetch_one("SELECT max(last_seq) FROM settlement_sealbatch")
    return int(row[0] or 0) if row else 0


def last_line(path: Path) -> tuple[Root | None, bool]:
    """The root of the file's last whole line, and whether something torn stands after it.

    None without a file or a whole line. A writer that died in the middle leaves a torn end; its
    root is written again. Raises LineUnreadable when the last whole line is no root's, OSError.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            tail = file.read()
    except FileNotFoundError:
        return None, False
    whole, _, torn = tail.rpartition(b"\n")
    if not whole:
        return None, bool(torn)
    return read_line(whole.rpartition(b"\n")[2].decode("utf-8", "replace") + "\n"), bool(torn)


def lines(path: Path) -> Iterator[tuple[int, Root | None, int]]:
    """Number, root and end (in bytes) of each line of the file; None for a line that is no root's.

    Passed over: the torn beginning of a line that comes whole right after it, a line that comes
    twice because it was torn just before its line feed, and one that is being written. No lines
    without a file. Raises OSError.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    end = 0
    before: Root | None = None
    # A line that is no root's, until it is known whether the next one completes it.
    torn: tuple[int, str, int] | None = None
    with file:
        for number, raw in enumerate(file, start=1):
            end += len(raw)
            line = raw.decode("utf-8", "replace")
            if not line.endswith("\n"):
                break
            try:
                root = read_line(line)
            except LineUnreadable:
                if torn:
                    yield torn[0], None, torn[2]
                torn = (number, line.rstrip("\n"), end)
                continue
            if torn and not line.startswith(torn[1]):
                yield torn[0], None, torn[2]
            torn = None
            if root != before:
                yield number, root, end
            before = root
    if torn:
        yield torn[0], None, torn[2]
