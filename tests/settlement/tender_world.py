"""A counter that takes tenders from services that lie as a test says, and a clock that runs out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from messaging.models import OutboxEntry
from settlement.models import CreditUse, Settlement, Tender, TenderRefund
from settlement.services.posting import post_due
from settlement.services.tender import connections
from settlement.services.tender.driving import drive_due
from settlement.services.tender.simulator import Lie, SimulatedService, taken_fen
from tests.world import Reply, Till, World, line

GOOD_CODE = "134567890123456789"


def simulator() -> SimulatedService:
    """The one behind WeChat."""
    found = connections.connected()["wechat"]
    assert isinstance(found, SimulatedService)
    return found


@dataclass
class Script:
    """What happens to calls by name, in their order, whatever their reference; then honesty."""

    lies: dict[str, list[Lie]] = field(default_factory=dict)
    forever: dict[str, Lie] = field(default_factory=dict)

    def __call__(self, call: str, reference: str, nth: int) -> Lie:
        if self.lies.get(call):
            return self.lies[call].pop(0)
        return self.forever.get(call, Lie.HONEST)


def lying(**lies: list[Lie] | Lie) -> Script:
    """A script; a lie that is no list is told for ever."""
    return Script(
        {call: list(each) for call, each in lies.items() if not isinstance(each, Lie)},
        {call: each for call, each in lies.items() if isinstance(each, Lie)},
    )


def connect(lies: Callable[[str, str, int], Lie]) -> SimulatedService:
    """Put a fresh service that lies like this behind WeChat and Alipay."""
    service = SimulatedService(lies=lies)
    connections.connected().update({"wechat": service, "alipay": service})
    return service


def bill(world: World, till: Till, quantity: str = "10", **more: Any) -> dict[str, Any]:
    """All of it cash: 18.60 yuan a piece."""
    return {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line("A4", quantity, "18.6")],
        "account_limit_fen": 0,
        **more,
    }


def quoted(world: World, till: Till, quantity: str = "10", **more: Any) -> Reply:
    """A quote whose whole amount is cash: 18.60 yuan a piece."""
    reply = till.post("quotes", bill(world, till, quantity, **more))
    assert reply.status == 201, reply.text
    return reply


def part(kind: str = "wechat", amount_fen: int = 18_600, **more: Any) -> dict[str, Any]:
    """A part as a till sends it."""
    if kind in ("wechat", "alipay"):
        more = {"payment_code": GOOD_CODE, **more}
    if kind == "bank_card":
        more = {"reference": "123456789012", **more}
    return {"kind": kind, "amount_fen": amount_fen, **more}


def pay(till: Till, quote: Reply, *parts: Mapping[str, Any], **more: Any) -> Reply:
    """Send parts."""
    return till.post(f"quotes/{quote['quote_id']}/tender", {"parts": list(parts)}, **more)


def settle(till: Till, quote: Reply) -> Reply:
    return till.post("settlements", {"quote_id": quote["quote_id"]})


def look(till: Till, quote: Reply) -> Reply:
    return till.get(f"quotes/{quote['quote_id']}/tender")


def states(quote: Reply) -> list[str]:
    """Of the parts, in the order in which they were taken."""
    rows = Tender.objects.filter(quote_id=quote["quote_id"]).order_by("number")
    return list(rows.values_list("state", flat=True))


def work(now: datetime) -> int:
    """Everything that is due at a moment, as the worker would."""
    done = 0
    while worked := post_due(now=now, limit=50) + drive_due(now=now, limit=50):
        done += worked
    return done


def due_moments() -> Iterator[datetime]:
    """When the worker has something to do next."""
    for model in (Tender, TenderRefund):
        yield from model._default_manager.filter(due_at__isnull=False).values_list(
            "due_at", flat=True
        )
    yield from OutboxEntry.objects.filter(parked_at=None).values_list("due_at", flat=True)


def run_out(now: datetime) -> datetime:
    """Let the worker drain while the clock runs, until nothing waits for anything. Answers when
    that was. Raises AssertionError where it never is."""
    for _ in range(300):
        work(now)
        waiting = list(due_moments())
        if not waiting:
            return now
        now = max(now + timedelta(seconds=1), min(waiting))
    raise AssertionError(f"never done: {list(Tender.objects.values_list('kind', 'state'))}")


def taken_from_citizens() -> int:
    """Fen, by what everybody who moves money says for himself: the services' book, the lender's
    book, and the counter, whose word is the row."""
    total = 0
    for tender in Tender.objects.all():
        if tender.kind in ("wechat", "alipay"):
            total += taken_fen(tender.reference)
        elif tender.kind == "credit":
            use = CreditUse.objects.filter(pk=tender.reference).first()
            if use and use.standing in ("authorised", "captured"):
                total += use.amount_fen - sum(use.refunds.values())
        elif tender.state in ("received", "authorised", "capturing", "captured"):
            total += tender.amount_fen - sum(
                row.amount_fen for row in tender.refunds.filter(returned_at__isnull=False)
            )
    return total


def cash_of_standing_settlements() -> int:
    """Fen that citizens should have paid for what is settled with tenders and not returned."""
    total = 0
    for row in Settlement.objects.filter(tenders__isnull=False).distinct():
        total += row.cash_fen - sum(row.refunds.values_list("cash_fen", flat=True))
    return total


def named_debts() -> int:
    """Fen of standing settlements that a payment service owes by name."""
    return sum(
        tender.amount_fen - tender.refunded_fen for tender in Tender.objects.filter(state="debt")
    )
