"""A draft policy over the settlements that were really made: what it would have cost whom.

Reads one snapshot and writes nothing. Bills and returns go in `member_seq` order, member by member,
so that memory holds one member's bills at a time however many there are. Returns, whole or in part,
are followed with what they made of later bills: a bill costs what stands of it at the end, and what
it used is used until the moment of its return.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from merchants.models import Merchant
from messaging.snapshots import snapshot
from settlement import benefits
from settlement.benefits.rehearsing import (
    Became,
    Costs,
    MemberRehearsal,
    RehearsedBill,
    at_any_time,
    group_of,
    kind_of,
)
from settlement.benefits.returning import shares_of
from settlement.models import Refund, Settlement
from settlement.selectors.rules import compiled_policy
from settlement.services.refunds import rule_of
from settlement.services.replaying_returns import Returns

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

    `fund` is every payer but the member's own account, relatives' accounts and cash. A bill costs
    what stands of it after every return. Bills of which nothing stands, or that the draft cannot
    price, are counted and cost nothing on either side.
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
    # The bills that the draft cannot price, as they were settled or as a return left them, by the
    # code of the calculator's refusal, in the order of the rehearsal.
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

    Raises ValueError for an interval of no day, PolicyError when the rules of a bill before the
    window, or of one that the draft cannot price, are needed and cannot be read.
    """
    if until_date <= from_date:
        raise ValueError("the last day must come after the first")
    found = Rehearsal(policy.version, policy.sha256, from_date, until_date)
    draft = at_any_time(policy)
    with snapshot(unhurried=True):
        wanted = Settlement.objects.filter(
            area_code=area_code, business_date__gte=from_date, business_date__lt=until_date
        )
        total = wanted.count()
        sums = _Sums(found, dict(Merchant.objects.values_list("pk", "code")))
        member_id, member = None, _Member(draft)
        done = 0
        events = _in_order(wanted)
        while chunk := list(islice(events, CHUNK)):
            beside = _beside(chunk)
            for event in chunk:
                if event[0] != member_id:
                    sums.add(member)
                    member_id, member = event[0], _Member(draft)
                    found.people += 1
                _, seq, kind, row = event
                if kind == "settlement":
                    done += 1
                    progress("rehearsing", done, total)
                    _settle(found, member, seq, row)
                else:
                    _refund(found, member, seq, row, beside, area_code=area_code)
        sums.add(member)
    found.largest = sums.largest()
    return found


_SETTLEMENT = ("id", "merchant_id", "total_fen", "refunded_fen", "inputs", "result")
_REFUND = ("id", "settlement_id", "kind", "result")

# Member, place in the member's order, kind, columns.
_Event = tuple[int, int, str, dict[str, Any]]


def _in_order(wanted: QuerySet[Settlement]) -> Iterator[_Event]:
    return heapq.merge(
        _stream(wanted, "settlement", _SETTLEMENT),
        _stream(_refunds(wanted), "refund", _REFUND),
        key=lambda event: event[:2],
    )


def _refunds(wanted: QuerySet[Settlement]) -> QuerySet[Refund]:
    """Every return of these people: on a later day than the window it leaves less of a bill in it,
    and that of an earlier bill may have restated one."""
    return Refund.objects.filter(member__in=wanted.order_by().values("member_id"))


def _stream(rows: QuerySet[Any], kind: str, columns: tuple[str, ...]) -> Iterator[_Event]:
    order = ("member_id", "member_seq")
    for values in rows.order_by(*order).values_list(*order, *columns).iterator(chunk_size=CHUNK):
        yield values[0], values[1], kind, dict(zip(columns, values[2:], strict=True))


def _beside(chunk: list[_Event]) -> Returns:
    refunds = [row for _member, _seq, kind, row in chunk if kind == "refund"]
    return Returns([row["id"] for row in refunds], [row["settlement_id"] for row in refunds])


@dataclass(frozen=True, slots=True)
class _Facts:
    """Whose bill it was, for the sums, and whether nothing stands of it."""

    group: str
    kind: str
    merchant_id: int
    is_returned: bool


class _Member:
    """One member's bills under the draft, and what else is known of each."""

    def __init__(self, draft: benefits.Policy) -> None:
        self.rehearsal = MemberRehearsal(draft)
        self.facts: dict[Any, _Facts] = {}


def _settle(found: Rehearsal, member: _Member, seq: int, row: Mapping[str, Any]) -> None:
    member.facts[row["id"]] = _Facts(
        group_of(row["inputs"]),
        kind_of(row["inputs"]),
        row["merchant_id"],
        row["refunded_fen"] == row["total_fen"] > 0,
    )
    try:
        member.rehearsal.settle(
            row["id"],
            seq=seq,
            inputs=row["inputs"],
            stored=benefits.result_from_dict(row["result"]),
        )
    except benefits.BenefitsError as refused:
        found.not_priced.setdefault(refused.code, []).append(row["id"])


def _refund(
    found: Rehearsal,
    member: _Member,
    seq: int,
    row: Mapping[str, Any],
    beside: Returns,
    *,
    area_code: str,
) -> None:
    rehearsal, settlement_id = member.rehearsal, row["settlement_id"]
    if not rehearsal.bills:
        # Of bills before the window, before there is one that they could concern.
        return
    # What the draft does not price goes by the rules that it was settled under.
    rules = (
        rehearsal.policy
        if settlement_id in rehearsal.bills
        else compiled_policy(beside.settlements[settlement_id]["policy_id"])
    )
    refused = rehearsal.refund(
        _became(settlement_id, row["result"], seq, beside),
        remaining_fen=beside.remaining(settlement_id, seq),
        restated=_restated(row["id"], seq, beside),
        # The return of another area's bill leaves the bills of this one as they are.
        restates=rule_of(rules, row["kind"]) == "restate"
        and beside.settlements[settlement_id]["area_code"] == area_code,
    )
    for identifier, error in refused.items():
        assert isinstance(identifier, UUID)
        found.not_priced.setdefault(error.code, []).append(identifier)


def _restated(refund_id: UUID, seq: int, beside: Returns) -> list[Became]:
    return [
        _became(each.settlement_id, each.result, seq, beside)
        for each in beside.restated.get(refund_id, ())
    ]


def _became(settlement_id: UUID, after: dict[str, Any] | None, seq: int, beside: Returns) -> Became:
    before = beside.turn_before(settlement_id, seq).result
    return Became(
        settlement_id,
        beside.settlements[settlement_id]["member_seq"],
        None if before is None else benefits.result_from_dict(before),
        None if after is None else benefits.result_from_dict(after),
    )


class _Sums:
    """Adds up what stands of the members' bills."""

    def __init__(self, found: Rehearsal, merchants: Mapping[int, str]) -> None:
        self._found = found
        self._merchants = merchants
        self._heap: list[tuple[int, int, Change]] = []
        self._place = 0

    def add(self, member: _Member) -> None:
        """The bills of a member whose last event is over."""
        for identifier, bill in member.rehearsal.bills.items():
            assert isinstance(identifier, UUID)
            facts = member.facts[identifier]
            change = None
            if facts.is_returned:
                self._found.returned += 1
            else:
                change = self._bill(identifier, bill, facts)
            if change is not None:
                # The place among the changes breaks ties, so that changes need no order.
                self._place += 1
                heapq.heappush(self._heap, (abs(change.fund_fen), -self._place, change))
                if len(self._heap) > NAMED:
                    heapq.heappop(self._heap)

    def largest(self) -> list[Change]:
        """The bills that change most, the first of them first."""
        return [entry[2] for entry in sorted(self._heap, reverse=True)]

    def _bill(self, identifier: UUID, bill: RehearsedBill, facts: _Facts) -> Change | None:
        found = self._found
        stored, rehearsed = shares_of(bill.stored), shares_of(bill.rehearsed)
        for costs in (
            found.whole,
            found.by_group.setdefault(facts.group, Costs()),
            found.by_kind.setdefault(facts.kind, Costs()),
            found.by_merchant.setdefault(self._merchants[facts.merchant_id], Costs()),
        ):
            costs.add(total_fen=sum(stored.values()), stored=stored, rehearsed=rehearsed)
        if not _same(bill):
            found.other_figures += 1
        if rehearsed == stored:
            return None
        found.changed += 1
        fund_fen = _fund(rehearsed) - _fund(stored)
        more_fen = sum(rehearsed.values()) - sum(stored.values())
        change = Change(identifier, fund_fen=fund_fen, personal_fen=more_fen - fund_fen)
        found.dearer += change.personal_fen > 0
        found.cheaper += change.personal_fen < 0
        return change


def _same(bill: RehearsedBill) -> bool:
    """Whether every figure is the stored one."""
    if bill.stored is None or bill.rehearsed is None:
        return bill.stored is bill.rehearsed
    return benefits.trace_hash(bill.stored) == benefits.trace_hash(bill.rehearsed)


def _fund(shares: Mapping[str, int]) -> int:
    return sum(n for payer, n in shares.items() if payer not in benefits.OWN_PAYERS)
