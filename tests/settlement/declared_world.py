"""A pharmacy that sold something on November 30th, and declares its November the day after."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import time_machine

from settlement.models import DeclaredMonth, RefundApproval, Settlement
from settlement.services.approvals import decide
from settlement.services.closing import close_day
from settlement.services.declaring import declare_month
from settlement.services.sealer import seal_all
from tests.world import Reply, Till, World, line

NOVEMBER = date(2026, 11, 1)
LAST_DAY = date(2026, 11, 30)
A_DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def at(day: int, month: int = 12, hour: int = 2) -> Iterator[Any]:
    """Half past ten of a Beijing day, or so many hours from it."""
    with time_machine.travel(datetime(2026, month, day, hour, 30, tzinfo=UTC), tick=False) as clock:
        yield clock


def sold(world: World, till: Till, *lines: dict[str, Any], **more: Any) -> Reply:
    """A chronic bill of four packs of one medicine and one of another, unless other lines are
    named: paid by the pool, the account and in cash."""
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": list(lines) or [line("A4", "40", "18.6"), line("A4", "60", "18.6")],
        **more,
    }
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    return reply


def closed(world: World, path: Path, *, day: date = LAST_DAY) -> None:
    """Everything posted and sealed, and the day closed with all before it."""
    world.post_everything()
    seal_all(clock=now, path=path)
    close_day(day=day, now=now())


def declared(world: World) -> None:
    declare_month(merchant_id=world.pharmacy.pk, month=NOVEMBER, by="test", now=now())


@dataclass
class Counter:
    """The till at which something of November is to come back."""

    world: World
    till: Till
    settlement: Reply

    def give_back(self, *parts: dict[str, Any], till: Till | None = None, **more: Any) -> Reply:
        """Ask for it: all of it, or the parts named."""
        body = {
            "settlement_id": self.settlement["settlement_id"],
            "reason": "returned",
            **({"lines": list(parts)} if parts else {}),
            **more,
        }
        return (till or self.till).post("refunds", body)

    def asked(self, *parts: dict[str, Any], **more: Any) -> RefundApproval:
        """Ask, be refused, and what was left for the fund."""
        refused = self.give_back(*parts, **more)
        assert (refused.status, refused["code"]) == (409, "refund_needs_approval"), refused.text
        return RefundApproval.objects.get(pk=refused["approval_id"])

    def approved(self, *parts: dict[str, Any]) -> RefundApproval:
        """Asked for and approved."""
        row = self.asked(*parts)
        assert decided(row, "approve")
        return row


def decided(row: RefundApproval, decision: Any, note: str = "", *, by: str = "fund") -> bool:
    """Somebody of the fund decides."""
    return decide(approval_id=row.pk, decision=decision, note=note, by=by, now=now())


def open_counter(path: Path) -> Counter:
    """Sold on the last day of November; declared on the first of December."""
    with at(30, month=11):
        world = World.made()
        settlement = sold(world, world.till())
        world.post_everything()
    with at(1):
        closed(world, path)
        declared(world)
        return Counter(world, world.till(name="till 2"), settlement)


def declare_long_ago(settlement_id: str) -> None:
    """Put a settlement of today into a month that is declared, without waiting for its end."""
    row = Settlement.objects.get(pk=settlement_id)
    row.accounting_month = date(2022, 1, 1)
    row.save(update_fields=["accounting_month"])
    DeclaredMonth.objects.get_or_create(
        merchant=row.merchant,
        month=row.accounting_month,
        defaults={"declared_at": row.accepted_at, "declared_by": "test"},
    )
