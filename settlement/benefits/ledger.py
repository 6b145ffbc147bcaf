"""The year to date while a bill is priced: amounts by name, and whether anyone looked.

A name may carry marks that stand for something of the bill: ``{disease}``, ``{stay}``, ``{day}``,
``{month}``.  It knows nothing of what an accumulator measures.
"""

from __future__ import annotations

from collections.abc import Mapping

from settlement.benefits.values import Bill


class YearToDate:
    """Accumulators before and after a bill; ``was_read`` tells whether a figure depended on one."""

    __slots__ = ("after", "before", "bill", "was_read")

    def __init__(self, before: Mapping[str, int], bill: Bill) -> None:
        self.before = before
        self.after = {name: amount for name, amount in before.items() if amount}
        self.bill = bill
        self.was_read = False

    def read(self, name: str) -> int:
        """What is counted under the name so far; 0 for a stay that the bill does not name."""
        self.was_read = True
        own = self._own(name)
        return self.after.get(own, 0) if own else 0

    def add(self, name: str, amount: int) -> None:
        if amount:
            own = self._own(name)
            if own:
                self.after[own] = self.after.get(own, 0) + amount

    def delta(self) -> dict[str, int]:
        """What the bill added, by name, without the names it left alone."""
        before = self.before
        return {
            name: amount - before.get(name, 0)
            for name, amount in sorted(self.after.items())
            if amount != before.get(name, 0)
        }

    def _own(self, name: str) -> str:
        if "{" not in name:
            return name
        bill = self.bill
        if "{stay}" in name:
            if not bill.stay:
                return ""
            name = name.replace("{stay}", bill.stay)
        if "{day}" in name or "{month}" in name:
            day = bill.service_date
            name = name.replace("{day}", day.isoformat())
            name = name.replace("{month}", f"{day.year:04d}-{day.month:02d}")
        return name.replace("{disease}", bill.disease_code or "")
