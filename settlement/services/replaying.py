"""Every stored settlement priced again from its stored inputs and policy, and so is what every
refund left of it.

Reads one snapshot and writes nothing. Members are taken in ranges of their ids, each member's bills
and refunds in the order of `member_seq`, so that memory holds a few hundred rows however many there
are. Several processes share the ranges: on PostgreSQL they all read the snapshot that the first one
exports; SQLite has no such thing, so there each process reads the state that it met when it began.
"""

import heapq
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from multiprocessing import get_context
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet, Sum

from messaging.snapshots import exported, snapshot
from settlement import benefits
from settlement.benefits.replaying import Figure, MemberYears, Stored, amounts, differences
from settlement.models import (
    Refund,
    RelativeShare,
    Settlement,
    Share,
    YearToDate,
)
from settlement.replay_process import begin
from settlement.selectors.rules import compiled_policy
from settlement.services.replaying_returns import REFUND_COLUMNS, Returns, by_owner, judged

Progress = Callable[[str, int, int], None]
# Rows that a process holds at a time, settlements that it is given at a time at most, findings that
# are named, and figures of each.
CHUNK = 500
RANGE = 2_000
NAMED = 20
FIGURES = 8


class ReplayBroken(Exception):
    """A process of the replay ended before its work did; nothing is known of what it had."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which settlements: business days [from_date, until_date), an area; None means all."""

    from_date: date | None = None
    until_date: date | None = None
    area_code: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a member's last bill is among them, so that the year must end as it is stored."""
        return self.until_date is None and self.area_code is None


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that differs: `kind` is settlement, refund or year_to_date; `row` its id, of a year to
    date the member's and the year."""

    kind: str
    row: str
    figures: tuple[Figure, ...]


@dataclass(slots=True)
class Replay:
    """What was priced again and what came out otherwise; the first differing rows by name."""

    settlements: int = 0
    refunds: int = 0
    differing: int = 0
    processes: int = 1
    named: list[Finding] = field(default_factory=list)

    def note(self, kind: str, row: object, figures: Sequence[Figure]) -> None:
        """Count a row that differs, and keep its name while there are few."""
        if not figures:
            return
        self.differing += 1
        if len(self.named) < NAMED:
            self.named.append(Finding(kind, str(row), tuple(figures[:FIGURES])))

    def add(self, other: "Replay") -> None:
        """What another range came to, after this one."""
        self.settlements += other.settlements
        self.refunds += other.refunds
        self.differing += other.differing
        self.named = [*self.named, *other.named][:NAMED]


# Member ids [first, next); None for no end, so that the ranges together hold everybody.
Range = tuple[int, int | None]


def replay(*, wanted: Wanted, processes: int | None, progress: Progress) -> Replay:
    """Price everything that is wanted again, in that many processes at most; None for as many as
    the machine has processors, and no more than it is worth starting.

    Raises ValueError for an interval of no day, ReplayBroken when a process died.
    """
    if wanted.from_date and wanted.until_date and wanted.until_date <= wanted.from_date:
        raise ValueError("the last day must come after the first")
    with snapshot(unhurried=True):
        total = _settlements(wanted).count()
        if processes is None:
            processes = min(os.cpu_count() or 1, 1 + total // RANGE)
        ranges = _ranges(wanted, size=min(RANGE, total // (4 * processes)))
        processes = min(processes, len(ranges))
        if processes < 2:
            parts = _alone(ranges, wanted, lambda n: progress("replaying", n, total))
        else:
            parts = _shared(ranges, wanted, processes, lambda n: progress("replaying", n, total))
    whole = Replay(processes=processes)
    for part in parts:
        whole.add(part)
    return whole


def _alone(ranges: Sequence[Range], wanted: Wanted, tell: Callable[[int], None]) -> list[Replay]:
    parts = []
    done = 0
    for members in ranges:
        parts.append(replay_range(members, wanted))
        done += parts[-1].settlements
        tell(done)
    return parts


def _shared(
    ranges: Sequence[Range], wanted: Wanted, processes: int, tell: Callable[[int], None]
) -> list[Replay]:
    """The same by processes of their own, made afresh: a connection must not cross a fork."""
    told = (connection.settings_dict["NAME"], exported())
    parts: dict[int, Replay] = {}
    done = 0
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=begin, initargs=told
    ) as pool:
        try:
            given = {
                pool.submit(replay_range, members, wanted): place
                for place, members in enumerate(ranges)
            }
            for future in as_completed(given):
                parts[given[future]] = future.result()
                done += parts[given[future]].settlements
                tell(done)
        except BrokenProcessPool as error:
            raise ReplayBroken("a process of the replay ended in the middle of it") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [parts[place] for place in sorted(parts)]


# --- A range of members -----------------------------------------------------------------------


def _settlements(wanted: Wanted) -> QuerySet[Settlement]:
    rows = Settlement.objects.all()
    if wanted.from_date:
        rows = rows.filter(business_date__gte=wanted.from_date)
    if wanted.until_date:
        rows = rows.filter(business_date__lt=wanted.until_date)
    return rows.filter(area_code=wanted.area_code) if wanted.area_code else rows


def _refunds(wanted: Wanted) -> QuerySet[Refund]:
    rows = Refund.objects.all()
    if wanted.from_date:
        rows = rows.filter(business_date__gte=wanted.from_date)
    if wanted.until_date:
        rows = rows.filter(business_date__lt=wanted.until_date)
    return rows.filter(settlement__area_code=wanted.area_code) if wanted.area_code else rows


def _ranges(wanted: Wanted, *, size: int) -> list[Range]:
    """Ranges of at least so many settlements each, the last one apart."""
    starts, held = [0], 0
    counted = _settlements(wanted).order_by("member_id").values_list("member_id")
    for member_id, bills in counted.annotate(bills=Count("id")).iterator(chunk_size=CHUNK):
        if held and held >= size:
            starts.append(member_id)
            held = 0
        held += bills
    return list(zip(starts, [*starts[1:], None], strict=True))


_SETTLEMENT = (
    "id",
    "policy_id",
    "inputs",
    "result",
    "trace_hash",
    "benefit_year",
    "total_fen",
    "fund_fen",
    "account_fen",
    "relative_fen",
    "cash_fen",
    "refunded_fen",
)
_YEAR = ("benefit_year", "amounts")
_MONEY = ("total_fen", "fund_fen", "account_fen", "relative_fen", "cash_fen")
# A member's stored years come after all that happened.
_LAST = 1 << 40

# Member, place in the member's order, kind, columns.
Event = tuple[int, int, str, dict[str, Any]]


def replay_range(members: Range, wanted: Wanted) -> Replay:
    """Everything wanted of the members of a range, inside the snapshot under way."""
    found = Replay()
    member_id, years = None, MemberYears()
    events = _events(members, wanted)
    while chunk := list(islice(events, CHUNK)):
        beside = _Beside(chunk)
        for member, seq, kind, row in chunk:
            if member != member_id:
                member_id, years = member, MemberYears()
            if kind == "settlement":
                found.settlements += 1
                found.note(kind, row["id"], _settlement(seq, row, beside, years))
            elif kind == "refund":
                found.refunds += 1
                figures = judged(row, member_id=member, seq=seq, beside=beside.returns, years=years)
                found.note(kind, row["id"], figures)
            else:
                place = f"{member}/{row['benefit_year']}"
                found.note(kind, place, years.ends(row["benefit_year"], row["amounts"]))
    return found


def _events(members: Range, wanted: Wanted) -> Iterator[Event]:
    streams = [
        _stream(_settlements(wanted), members, "settlement", _SETTLEMENT),
        _stream(_refunds(wanted), members, "refund", REFUND_COLUMNS),
    ]
    if wanted.is_open:
        streams.append(_stream(YearToDate.objects.all(), members, "year_to_date", _YEAR))
    return heapq.merge(*streams, key=lambda event: event[:2])


def _stream(
    rows: QuerySet[Any], members: Range, kind: str, columns: tuple[str, ...]
) -> Iterator[Event]:
    rows = rows.filter(member_id__gte=members[0])
    if members[1] is not None:
        rows = rows.filter(member_id__lt=members[1])
    order = ("member_id",) if kind == "year_to_date" else ("member_id", "member_seq")
    for values in rows.order_by(*order).values_list(*order, *columns).iterator(chunk_size=CHUNK):
        seq = values[1] if len(order) > 1 else _LAST
        yield values[0], seq, kind, dict(zip(columns, values[len(order) :], strict=True))


class _Beside:
    """The rows that stand beside a chunk of settlements and refunds, each by its owner."""

    def __init__(self, chunk: Sequence[Event]) -> None:
        settlements = [row["id"] for _m, _s, kind, row in chunk if kind == "settlement"]
        refunds = [row for _m, _s, kind, row in chunk if kind == "refund"]
        self.shares = by_owner(Share.objects.filter(settlement_id__in=settlements), "settlement_id")
        self.returns = Returns(
            [row["id"] for row in refunds], [row["settlement_id"] for row in refunds]
        )
        self.relatives: dict[Any, dict[str, int]] = {}
        for owner, account, fen in RelativeShare.objects.filter(
            settlement_id__in=settlements
        ).values_list("settlement_id", "account_id", "amount_fen"):
            self.relatives.setdefault(owner, {})[str(account)] = fen
        self.refunded: dict[Any, int] = dict(
            Refund.objects.filter(settlement_id__in=settlements)
            .order_by()
            .values_list("settlement_id")
            .annotate(fen=Sum("total_fen"))
        )


def _settlement(
    seq: int, row: Mapping[str, Any], beside: _Beside, years: MemberYears
) -> list[Figure]:
    identifier = row["id"]
    stored = Stored(
        inputs=row["inputs"],
        result=row["result"],
        trace_hash=row["trace_hash"],
        benefit_year=row["benefit_year"],
        columns={name: row[name] for name in _MONEY},
        shares=beside.shares.get(identifier, {}),
        relatives=beside.relatives.get(identifier, {}),
    )
    try:
        found = differences(stored, policy=compiled_policy(row["policy_id"]))
    except benefits.PolicyError as error:
        return [Figure("policy", "unreadable", error.problems[0][:60])]
    refunded = {"refunded_fen": beside.refunded.get(identifier, 0)}
    found += amounts("", {"refunded_fen": row["refunded_fen"]}, refunded)
    try:
        before = years.settled(
            seq,
            inputs=row["inputs"],
            benefit_year=row["benefit_year"],
            delta=row["result"]["year_to_date_delta"],
            reads=row["result"]["reads_year_to_date"],
        )
    except (KeyError, TypeError, AttributeError):
        # Named above as unreadable; the years begin anew with the next bill.
        if not found:
            raise
        before = []
    return [*before, *found]
