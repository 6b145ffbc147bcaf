"""What a merchant's tills took: settlements and refunds summed by payer and tender.

Every figure is derived from rows when it is asked for; nothing is a stored total. The sums are kept
by terminal and operator, so that the parts make the whole by construction. Relatives' accounts are
a payer of their own, and whose they are is not said.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from merchants.models import Terminal
from messaging.days import business_date
from settlement.models import Refund, RefundShare, Settlement, Share, Shift
from settlement.selectors.tender_sums import DRAWER, tenders

# The person's own money comes last, as on a slip.
_LAST = ("account", "relative_account", "cash")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows: of a merchant, in a Beijing `day` or from `since` on and before `until`; narrowed
    to a terminal, an operator (empty: where none is named), or both."""

    merchant_id: int
    day: date | None = None
    since: datetime | None = None
    until: datetime | None = None
    terminal_id: int | None = None
    operator: str | None = None

    def condition(self, prefix: str = "") -> Q:
        """The same as a condition on settlements or refunds, or with a prefix on their shares."""
        wanted: dict[str, Any] = {"merchant_id": self.merchant_id}
        if self.day is not None:
            wanted["business_date"] = self.day
        if self.since is not None:
            # The day says nothing more than the moment, but there is an index on it.
            wanted["business_date__gte"] = business_date(self.since)
            wanted["accepted_at__gte"] = self.since
        if self.until is not None:
            wanted["business_date__lte"] = business_date(self.until)
            wanted["accepted_at__lt"] = self.until
        if self.terminal_id is not None:
            wanted["terminal_id"] = self.terminal_id
        if self.operator is not None:
            wanted["operator"] = self.operator
        return Q(**{prefix + name: value for name, value in wanted.items()})


def scope_of(shift: Shift) -> Scope:
    """All that belongs to a shift. Who is named on a row does not matter: the drawer is one."""
    return Scope(
        merchant_id=shift.merchant_id,
        since=shift.opened_at,
        until=shift.closed_at,
        terminal_id=shift.terminal_id,
    )


@dataclass(slots=True)
class Flow:
    """What came in and what went back, in fen."""

    in_fen: int = 0
    back_fen: int = 0

    @property
    def net_fen(self) -> int:
        """What is left of it."""
        return self.in_fen - self.back_fen


def _flows() -> defaultdict[str, Flow]:
    return defaultdict(Flow)


@dataclass(slots=True)
class Figures:
    """Sums over some settlements and refunds, in fen."""

    settlements: int = 0
    refunds: int = 0
    total: Flow = field(default_factory=Flow)
    payers: defaultdict[str, Flow] = field(default_factory=_flows)
    tenders: defaultdict[str, Flow] = field(default_factory=_flows)

    @property
    def drawer(self) -> Flow:
        """What went into the drawer and what was given back from it."""
        return self.tenders.get(DRAWER, Flow())

    def add(self, other: "Figures") -> None:
        """Make these the sums over both."""
        self.settlements += other.settlements
        self.refunds += other.refunds
        _add(self.total, other.total)
        for mine, theirs in ((self.payers, other.payers), (self.tenders, other.tenders)):
            for name, flow in theirs.items():
                _add(mine[name], flow)

    def described(self) -> dict[str, Any]:
        """As the API and the pages show it."""
        return {
            "settlements": self.settlements,
            "settled_fen": self.total.in_fen,
            "refunds": self.refunds,
            "refunded_fen": self.total.back_fen,
            "net_fen": self.total.net_fen,
            "payers": [
                {
                    "payer": payer,
                    "settled_fen": flow.in_fen,
                    "refunded_fen": flow.back_fen,
                    "net_fen": flow.net_fen,
                }
                for payer, flow in sorted(self.payers.items(), key=lambda each: _rank(each[0]))
            ],
            "tenders": [
                {
                    "tender": tender,
                    "received_fen": flow.in_fen,
                    "given_back_fen": flow.back_fen,
                    "net_fen": flow.net_fen,
                }
                for tender, flow in sorted(self.tenders.items())
            ],
        }


def _add(flow: Flow, other: Flow) -> None:
    flow.in_fen += other.in_fen
    flow.back_fen += other.back_fen


def _rank(payer: str) -> tuple[int, str]:
    return (_LAST.index(payer) + 1 if payer in _LAST else 0, payer)


Parts = dict[tuple[int, str], Figures]


def rows_of(scope: Scope) -> tuple[QuerySet[Settlement], QuerySet[Refund]]:
    """The settlements and the refunds of a scope. A refund is of the till and day that gave it
    back, wherever and whenever the settlement was."""
    return (
        Settlement.objects.filter(scope.condition()),
        Refund.objects.filter(scope.condition()),
    )


def figures_by_till(scope: Scope) -> Parts:
    """The sums of each terminal and operator that has any row, by terminal and operator."""
    parts: Parts = defaultdict(Figures)
    settlements, refunds = rows_of(scope)
    for row in _counted(settlements):
        part = parts[row["terminal_id"], row["operator"]]
        part.settlements, part.total.in_fen = row["number"], row["fen"]
    for row in _counted(refunds):
        part = parts[row["terminal_id"], row["operator"]]
        part.refunds, part.total.back_fen = row["number"], row["fen"]
    for row in _paid(Share.objects.all(), scope, "settlement__"):
        part = parts[row["settlement__terminal_id"], row["settlement__operator"]]
        part.payers[row["payer"]].in_fen = row["fen"]
    for row in _paid(RefundShare.objects.all(), scope, "refund__"):
        part = parts[row["refund__terminal_id"], row["refund__operator"]]
        part.payers[row["payer"]].back_fen = row["fen"]
    for terminal_id, operator, tender, in_fen, back_fen in tenders(settlements, refunds):
        _add(parts[terminal_id, operator].tenders[tender], Flow(in_fen, back_fen))
    return dict(parts)


def _counted(rows: QuerySet[Any]) -> Iterable[dict[str, Any]]:
    return rows.values("terminal_id", "operator").annotate(number=Count("id"), fen=Sum("total_fen"))


def _paid(shares: QuerySet[Any], scope: Scope, prefix: str) -> Iterable[dict[str, Any]]:
    return (
        shares.filter(scope.condition(prefix))
        .values(f"{prefix}terminal_id", f"{prefix}operator", "payer")
        .annotate(fen=Sum("amount_fen"))
    )


def figures(scope: Scope) -> Figures:
    """The sums over a scope."""
    return _whole(figures_by_till(scope))


def _whole(parts: Parts) -> Figures:
    whole = Figures()
    for part in parts.values():
        whole.add(part)
    return whole


def totals(scope: Scope) -> dict[str, Any]:
    """The sums over a scope, and those of each terminal and operator in it, in plain values."""
    parts = figures_by_till(scope)
    names = dict(
        Terminal.objects.filter(pk__in={terminal_id for terminal_id, _ in parts}).values_list(
            "pk", "name"
        )
    )
    return {
        **_whole(parts).described(),
        "parts": [
            {
                "terminal_id": terminal_id,
                "terminal_name": names[terminal_id],
                "operator": operator,
                **part.described(),
            }
            for (terminal_id, operator), part in sorted(parts.items(), key=lambda each: each[0])
        ],
    }
