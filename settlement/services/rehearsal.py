"""A draft policy over the settlements that were really made: what it would have cost whom.

Reads one snapshot and writes nothing. Bills go in `member_seq` order, member by member, so that
memory holds one member's year at a time however many there are. Whole refunds are followed: a bill
that was returned costs nobody anything, but what it used is used until the moment of its return.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from merchants.models import Merchant
from messaging.snapshots import snapshot
from settlement import benefits
from settlement.benefits.rehearsing import Costs, MemberRehearsal, at_any_time, group_of, kind_of
from settlement.models import Refund, Settlement

Progress = Callable[[str, int, int], None]
# The rows a database hands over at a time.
CHUNK = 500
# The bills named one by one, of those that change most.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Change:
    """One bill whose shares change; by its id, never by a person's name."""

    settlement_id: UUID
    fund_fen: int
    personal_fen: int


@dataclass(slots=True)
class Rehearsal:
    """What a draft comes to over the settlements of [from_date, until_date).

    `fund` is every payer but the member's own account, relatives' accounts and cash. Bills that
    were returned whole, or that the draft cannot price, are counted and cost nothing on either
    side.
    """

    policy: str
    sha256: str
    from_date: date
    until_date: date
    people: int = 0
    returned: int = 0
    # Bills with other shares, those of them for which the member pays more or less, and bills with
    # any other figure at all on the way.
    changed: int = 0
    dearer: int = 0
    cheaper: int = 0
    other_figures: int = 0
    # The bills that the draft cannot price by the code of the calculator's refusal, in the order of
    # the rehearsal.
    not_priced: dict[str, list[UUID]] = field(default_factory=dict)
    whole: Costs = field(default_factory=Costs)
    by_group: dict[str, Costs] = field(default_factory=dict)
    by_kind: dict[str, Costs] = field(default_factory=dict)
    by_merchant: dict[str, Costs] = field(default_factory=dict)
    largest: list[Change] = field(default_factory=list)


def rehearse(
    *,
    policy: benefits.Policy,
    area_code: str,
    from_date: date,
    until_date: date,
    progress: Progress,
) -> Rehearsal:
    """Price the area's settlements of the business days [from_date, until_date) by the policy.

    Raises ValueError for an interval of no day.
    """
    if until_date <= from_date:
        raise ValueError("the last day must come after the first")
    found = Rehearsal(policy.version, policy.sha256, from_date, until_date)
    draft = at_any_time(policy)
    heap: list[tuple[int, int, Change]] = []
    with snapshot(unhurried=True):
        wanted = Settlement.objects.filter(
            area_code=area_code, business_date__gte=from_date, business_date__lt=until_date
        )
        total = wanted.count()
        merchants = dict(Merchant.objects.values_list("pk", "code"))
        member_id, member = None, MemberRehearsal(draft)
        done = 0
        for event in _in_order(wanted, area_code):
            if event[0] != member_id:
                member_id, member = event[0], MemberRehearsal(draft)
                found.people += 1
            if len(event) == _REFUND_LENGTH:
                member.refund(event[-1])
                continue
            done += 1
            progress("rehearsing", done, total)
            change = _one(found, member, event, merchants)
            if change is not None:
                # The id's place among the changes breaks ties, so that changes need no order.
                heapq.heappush(heap, (abs(change.fund_fen), -done, change))
                if len(heap) > NAMED:
                    heapq.heappop(heap)
    found.largest = [entry[2] for entry in sorted(heap, reverse=True)]
    return found


_REFUND_LENGTH = 3
_COLUMNS = (
    "member_id",
    "member_seq",
    "id",
    "merchant_id",
    "benefit_year",
    "total_fen",
    "refunded_fen",
    "account_fen",
    "trace_hash",
    "inputs",
    "result",
)


def _in_order(wanted: Any, area_code: str) -> Iterator[tuple[Any, ...]]:
    settlements = wanted.order_by("member_id", "member_seq").values_list(*_COLUMNS)
    # A return on a later day than the window does not matter to any bill in it.
    refunds = (
        Refund.objects.filter(settlement__in=wanted)
        .order_by("member_id", "member_seq")
        .values_list("member_id", "member_seq", "settlement_id")
    )
    return heapq.merge(
        settlements.iterator(chunk_size=CHUNK),
        refunds.iterator(chunk_size=CHUNK),
        key=lambda row: (row[0], row[1]),
    )


def _one(
    found: Rehearsal,
    member: MemberRehearsal,
    event: tuple[Any, ...],
    merchants: dict[int, str],
) -> Change | None:
    row = dict(zip(_COLUMNS, event, strict=True))
    stored = {share["payer"]: share["amount_fen"] for share in row["result"]["shares"]}
    try:
        result = member.settle(
            row["id"],
            inputs=row["inputs"],
            benefit_year=row["benefit_year"],
            delta=row["result"]["year_to_date_delta"],
            account_fen=row["account_fen"],
        )
    except benefits.BenefitsError as refused:
        found.not_priced.setdefault(refused.code, []).append(row["id"])
        return None
    if row["refunded_fen"] == row["total_fen"] > 0:
        found.returned += 1
        return None
    rehearsed = {share.payer: share.amount_fen for share in result.shares}
    for costs in (
        found.whole,
        found.by_group.setdefault(group_of(row["inputs"]), Costs()),
        found.by_kind.setdefault(kind_of(row["inputs"]), Costs()),
        found.by_merchant.setdefault(merchants[row["merchant_id"]], Costs()),
    ):
        costs.add(total_fen=row["total_fen"], stored=stored, rehearsed=rehearsed)
    if benefits.trace_hash(result) != row["trace_hash"]:
        found.other_figures += 1
    if rehearsed == stored:
        return None
    found.changed += 1
    change = Change(
        row["id"],
        fund_fen=_fund(rehearsed) - _fund(stored),
        personal_fen=result.total_fen - _fund(rehearsed) - (row["total_fen"] - _fund(stored)),
    )
    found.dearer += change.personal_fen > 0
    found.cheaper += change.personal_fen < 0
    return change


def _fund(shares: dict[str, int]) -> int:
    return sum(n for payer, n in shares.items() if payer not in benefits.OWN_PAYERS)
