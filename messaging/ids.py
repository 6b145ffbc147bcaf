"""Time-ordered identifiers: UUID version 7 of RFC 9562, 48 bits of milliseconds and 74 random bits.

New rows land at the right edge of their index, and a table can later be range-partitioned by its
key. Python's own `uuid.uuid7` arrives with 3.14.
"""

import os
import time
from datetime import datetime
from uuid import UUID


def floor_of(moment: datetime) -> UUID:
    """No id that was made at the moment or later is below it, by the clock of whoever made it. It
    bounds what is read of a long table; what is read is judged by its columns."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def new_id() -> UUID:
    """A new version-7 UUID. The clock in it is for locality only: nothing is ever judged by it."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
