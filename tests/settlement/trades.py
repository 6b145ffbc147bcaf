"""Random trade at the tills of two institutions around a Beijing midnight, and what it should come
to by adding up the trades themselves: no row is read for that."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from merchants.models import Merchant
from messaging.days import accounting_month, business_date
from messaging.ids import new_id
from settlement.models import Refund, RefundShare, Scan, Settlement, Share, Visit
from tests.world import World

# Sixteen o'clock in UTC is midnight in Beijing.
MIDNIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
DAYS = [date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21)]
OPERATORS = ["", "01", "02"]
PAYERS = ["pool", "medical_aid", "account", "relative_account", "cash"]
TILLS = 3  # Two of the pharmacy, one of the clinic.


@dataclass(frozen=True)
class Trade:
    """A sale, or with `of` the return of an earlier one of the same institution."""

    till: int
    operator: str
    seconds: int
    shares: tuple[tuple[str, int], ...]
    of: int | None = None

    @property
    def at(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.seconds)

    @property
    def total_fen(self) -> int:
        return sum(fen for _payer, fen in self.shares)

    @property
    def sign(self) -> int:
        return 1 if self.of is None else -1


_PLACES = {
    "till": st.integers(0, TILLS - 1),
    "operator": st.sampled_from(OPERATORS),
    # The last moment of a day and the first of the next are likelier than others.
    "seconds": st.sampled_from([-1, 0, 1]) | st.integers(-40 * 3600, 30 * 3600),
}
_SALES = st.builds(
    Trade,
    **_PLACES,
    shares=st.dictionaries(st.sampled_from(PAYERS), st.integers(1, 10**7), max_size=4).map(
        lambda shares: tuple(sorted(shares.items()))
    ),
)


@st.composite
def days_of_trade(draw: Any) -> list[Trade]:
    """Sales, and returns of some of them at any till of the same institution and any time."""
    sales = draw(st.lists(_SALES, max_size=12))
    returned = [
        index for index, sale in enumerate(sales) if sale.shares and draw(st.integers(0, 2)) == 0
    ]
    returns = [
        Trade(
            till=draw(st.sampled_from([2] if sales[index].till == 2 else [0, 1])),
            operator=draw(_PLACES["operator"]),
            seconds=draw(_PLACES["seconds"]),
            shares=sales[index].shares,
            of=index,
        )
        for index in returned
    ]
    return [*sales, *returns]


@dataclass(frozen=True)
class Expected:
    """What some trades come to."""

    settlements: int
    refunds: int
    settled_fen: int
    refunded_fen: int
    payers: dict[str, int]

    @classmethod
    def of(cls, trades: Iterable[Trade]) -> "Expected":
        payers: Counter[str] = Counter()
        counts, sums = Counter[int](), Counter[int]()
        for trade in trades:
            counts[trade.sign] += 1
            sums[trade.sign] += trade.total_fen
            for payer, fen in trade.shares:
                payers[payer] += trade.sign * fen
        return cls(counts[1], counts[-1], sums[1], sums[-1], dict(payers))

    def same_as(self, answer: dict[str, Any]) -> bool:
        """Whether an answer of ours says exactly this."""
        cash = self.payers.get("cash", 0)
        return (
            (answer["settlements"], answer["refunds"]) == (self.settlements, self.refunds)
            and (answer["settled_fen"], answer["refunded_fen"])
            == (self.settled_fen, self.refunded_fen)
            and answer["net_fen"] == self.settled_fen - self.refunded_fen
            and {row["payer"]: row["net_fen"] for row in answer["payers"]} == self.payers
            and all(
                row["net_fen"] == row["settled_fen"] - row["refunded_fen"]
                for row in answer["payers"]
            )
            and sum(row["net_fen"] for row in answer["tenders"]) == cash
        )


def put_on_record(
    world: World, terminals: Sequence[tuple[Merchant, int]], trades: Sequence[Trade]
) -> list[UUID]:
    """Rows as settlements and refunds of these trades leave them; their ids in the same order."""
    presence: dict[int, tuple[Scan, Visit]] = {}
    for merchant, terminal_id in {merchant.pk: (merchant, t) for merchant, t in terminals}.values():
        scan = Scan.objects.create(
            terminal_id=terminal_id, merchant=merchant, evidence_type="voucher_code",
            use="settlement", member=world.retiree, scanned_at=MIDNIGHT, expires_at=MIDNIGHT,
            business_date=DAYS[1], request_id="trade",
        )  # fmt: skip
        presence[merchant.pk] = scan, Visit.objects.create(
            merchant=merchant, member=world.retiree, scan=scan, kind="pharmacy",
            opened_at=MIDNIGHT, business_date=DAYS[1],
        )  # fmt: skip
    ids = [new_id() for _ in trades]
    for seq, (pk, trade) in enumerate(zip(ids, trades, strict=True), start=1):
        merchant, terminal_id = terminals[trade.till]
        scan, visit = presence[merchant.pk]
        shares = dict(trade.shares)
        day = business_date(trade.at)
        common = {
            "id": pk, "merchant": merchant, "terminal_id": terminal_id,
            "operator": trade.operator, "member": world.retiree, "member_seq": seq,
            "business_date": day, "accounting_month": accounting_month(day),
            "total_fen": trade.total_fen,
            "fund_fen": shares.get("pool", 0) + shares.get("medical_aid", 0),
            "account_fen": shares.get("account", 0),
            "relative_fen": shares.get("relative_account", 0),
            "cash_fen": shares.get("cash", 0), "accepted_at": trade.at,
        }  # fmt: skip
        if trade.of is None:
            Settlement.objects.create(
                **common, visit=visit, scan=scan, benefit_kind="chronic", area_code="370300",
                policy=world.policy, engine_version="1", service_date=day, benefit_year=2026,
                inputs={}, result={}, trace_hash="",
            )  # fmt: skip
            Share.objects.bulk_create(
                Share(settlement_id=pk, payer=payer, amount_fen=fen) for payer, fen in trade.shares
            )
        else:
            Refund.objects.create(**common, settlement_id=ids[trade.of], reason="returned")
            RefundShare.objects.bulk_create(
                RefundShare(refund_id=pk, payer=payer, amount_fen=fen)
                for payer, fen in trade.shares
            )
    return ids
