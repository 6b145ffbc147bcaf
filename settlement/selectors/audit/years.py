"""Years to date: each is its opening and what the member's bills have added and taken back."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from django.db import connection
from django.utils.translation import gettext as _

from messaging import sql
from messaging.snapshots import stream

from .feeds import Feed
from .findings import Progress, Report

Amounts = Counter[str]


def check_years(report: Report, *, progress: Progress) -> None:
    """Member by member: numbers without gaps, and the stored amounts of each benefit year.

    A year's opening is what its first bill was computed from. Of a year without a bill nothing is
    known but what is stored.
    """
    stored = Feed(
        stream(
            "SELECT member_id, benefit_year, amounts FROM settlement_yeartodate"
            " ORDER BY member_id, benefit_year"
        ),
        orphan=lambda _member, _rows: None,
    )
    total = 0
    for table in ("settlement", "refund"):
        row = sql.fetch_one(f"SELECT count(*) FROM settlement_{table}")
        total += int(row[0]) if row else 0
    done = 0
    for member_id, bills in itertools.groupby(_bills(), key=lambda row: row[0]):
        years: dict[int, Amounts] = {}
        place = 0
        for bill in bills:
            *counts, is_own = bill
            if is_own:
                place += 1
                if done % 1_000 == 0:
                    progress(_("years to date"), done, total)
                done += 1
                _check_place(report, member_id=member_id, expected=place, seq=bill[1])
            _count(years, tuple(counts))
        _compare(report, member_id, years, stored.take(member_id))


def _bills() -> Iterator[tuple[Any, ...]]:
    """Member, number, year, what counts from it on, what no longer does, what it was computed from,
    its stay, and whether the number is its own: what a return restates goes by the return's."""
    delta, before, stay = _json("s.result", "s.inputs")
    rest, _before, _stay = _json("r.result", "s.inputs")
    again, _before, _stay = _json("x.result", "s.inputs")
    # A return takes back what its settlement counted until then, and leaves what its rest does; for
    # a settlement that it restates it does likewise.
    earlier = (
        f"coalesce((SELECT {_json('e.result', 's.inputs')[0]} FROM ("
        "SELECT o.member_seq AS seq, o.result FROM settlement_refund o"
        " WHERE o.settlement_id = s.id UNION ALL SELECT o.member_seq, p.result"
        " FROM settlement_restatement p JOIN settlement_refund o ON o.id = p.refund_id"
        f" WHERE p.settlement_id = s.id) AS e WHERE e.seq < r.member_seq"
        f" ORDER BY e.seq DESC LIMIT 1), {delta})"
    )
    return stream(
        f"SELECT s.member_id, s.member_seq, s.benefit_year, {delta}, '{{}}', {before}, {stay}, 1"
        " FROM settlement_settlement s"
        f" UNION ALL SELECT r.member_id, r.member_seq, s.benefit_year, coalesce({rest}, '{{}}'),"
        f" {earlier}, '{{}}', '', 1"
        " FROM settlement_refund r JOIN settlement_settlement s ON s.id = r.settlement_id"
        f" UNION ALL SELECT r.member_id, r.member_seq, s.benefit_year, {again}, {earlier},"
        " '{}', '', 0 FROM settlement_restatement x"
        " JOIN settlement_refund r ON r.id = x.refund_id"
        " JOIN settlement_settlement s ON s.id = x.settlement_id"
        " ORDER BY 1, 2"
    )


def _json(result: str, inputs: str) -> tuple[str, str, str]:
    """What a result adds, what it was computed from, and the stay, as SQL."""
    if connection.vendor == "postgresql":
        return (
            f"({result} -> 'year_to_date_delta')::text",
            f"({inputs} -> 'year_to_date')::text",
            f"coalesce({inputs} -> 'bill' ->> 'stay', '')",
        )
    return (
        f"json_extract({result}, '$.year_to_date_delta')",
        f"json_extract({inputs}, '$.year_to_date')",
        f"coalesce(json_extract({inputs}, '$.bill.stay'), '')",
    )


def _check_place(report: Report, *, member_id: int, expected: int, seq: int) -> None:
    check = report["sequences"]
    check.looked_at += 1
    if seq != expected:
        check.found(
            _("member %(member)s has number %(seq)s where %(expected)s comes next")
            % {"member": member_id, "seq": seq, "expected": expected}
        )


def _count(years: dict[int, Amounts], bill: tuple[Any, ...]) -> None:
    _member, _seq, year, added, taken, before, stay = bill
    if year not in years:
        years[year] = _opening(years, before, stay)
    for delta, sign in ((added, 1), (taken, -1)):
        for name, amount in msgspec.json.decode(delta).items():
            years[year][name] += sign * amount


def _opening(years: dict[int, Amounts], before: str, stay: str) -> Amounts:
    """What the first bill of a year found, less what its stay brought along from other years."""
    amounts: Amounts = Counter(msgspec.json.decode(before))
    if stay:
        for name in amounts:
            if stay in name:
                amounts[name] -= sum(counted[name] for counted in years.values())
    return amounts


def _compare(
    report: Report, member_id: int, years: dict[int, Amounts], rows: list[tuple[Any, ...]]
) -> None:
    check = report["year_to_date"]
    stored: dict[int, dict[str, int]] = {
        row[1]: row[2] if isinstance(row[2], dict) else msgspec.json.decode(row[2]) for row in rows
    }
    for year, amounts in sorted(years.items()):
        check.looked_at += 1
        held = stored.get(year, {})
        for name in sorted(amounts.keys() | held.keys()):
            if amounts[name] != held.get(name, 0):
                check.found(
                    _(
                        "member %(member)s has %(stored)s of %(name)s in %(year)s,"
                        " the bills say %(counted)s"
                    )
                    % {
                        "member": member_id,
                        "stored": held.get(name, 0),
                        "name": name,
                        "year": year,
                        "counted": amounts[name],
                    }
                )
