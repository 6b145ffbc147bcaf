"""The ledger by itself: sums, seals, the chain of roots, the file outside, totals, closed days.

One pass over everything sealed, in order of seq, and one over the short rest that is not.
"""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from messaging import sql
from messaging.snapshots import stream
from settlement.sealing import BEFORE_THE_FIRST, Chain, Root, Sealed, digest_of, is_signed
from settlement.selectors.seals import lines, roots_after

from .findings import Progress, Report

# How long a committed root may be on its way to the file: a sealer writes it at its next look.
FILE_MAY_LAG = timedelta(minutes=10)

_TRANSACTION = (
    "t.key, t.kind, t.area_code, t.business_date, t.accounting_month, t.posted_at,"
    " p.leg, p.account, p.amount_fen"
)
_KINDS = (None, None, None, "date", "date", "datetime", None, None, None)

# Area, day, kind, whose money; and its sum in fen.
Sums = Counter[tuple[str, date, str, str]]


class _Roots:
    """Batches in order, each opened with its first seal and judged after its last."""

    def __init__(self, report: Report, file: "_File") -> None:
        self._seals, self._check = report["seals"], report["chain"]
        self._file = file
        self._roots = roots_after(0)
        self._root: Root | None = None
        self._chain: Chain | None = None
        self._seen: tuple[int, int] | None = None
        self._previous = BEFORE_THE_FIRST
        self._number = 0
        self._next()

    def _next(self) -> None:
        root = self._root = next(self._roots, None)
        self._seen = None
        if root is None:
            return
        self._check.looked_at += 1
        self._number += 1
        if root.batch != self._number:
            self._check.found(_("batch %(batch)s is missing") % {"batch": self._number})
            self._number = root.batch
        self._chain = Chain(
            batch=root.batch,
            first_seq=root.first_seq,
            last_seq=root.last_seq,
            sealed_at=root.sealed_at,
            key=root.key,
            previous=self._previous,
        )

    def seal(self, *, seq: int, batch: int, digest: bytes) -> None:
        while self._root is not None and self._root.batch < batch:
            self._close()
        if self._root is None or self._root.batch != batch or self._chain is None:
            self._check.found(
                _("seal %(seq)s belongs to batch %(batch)s, which is missing")
                % {"seq": seq, "batch": batch}
            )
            return
        self._chain.add(digest)
        self._seen = (self._seen[0] if self._seen else seq, seq)

    def _close(self) -> None:
        root = self._root
        if root is None or self._chain is None:
            return
        where = {"batch": root.batch}
        if root.previous != self._previous:
            self._check.found(_("batch %(batch)s does not follow the root before it") % where)
        elif self._chain.root() != root.root or self._seen != (root.first_seq, root.last_seq):
            self._check.found(_("the root of batch %(batch)s is not that of its seals") % where)
        elif not is_signed(root.root, signature=root.signature, public_key=root.public_key):
            self._check.found(_("the root of batch %(batch)s is not signed by its key") % where)
        self._previous = root.root
        self._file.compare(root)
        self._next()

    def end(self) -> None:
        while self._root is not None:
            self._close()


class _File:
    """Lines of the file in step with the batches of the database."""

    def __init__(self, report: Report, path: Path, *, certain_to: int, now: datetime) -> None:
        self._check = report["seal_file"]
        self._lines = lines(path)
        # Up to here the file was written before the database was looked at.
        self._certain_to = certain_to
        self._now = now
        self._line: tuple[int, Root | None, int] | None = None
        self._take()

    def _take(self) -> None:
        while (line := next(self._lines, None)) is not None and line[1] is None:
            self._check.found(_("line %(line)s of the file cannot be read") % {"line": line[0]})
        self._line = line

    def compare(self, root: Root) -> None:
        self._check.looked_at += 1
        where = {"batch": root.batch}
        if self._line is None or self._line[1] is None:
            if root.sealed_at < self._now - FILE_MAY_LAG:
                self._check.found(_("batch %(batch)s is not in the file") % where)
            return
        if self._line[1].batch > root.batch:
            self._check.found(_("batch %(batch)s is not in the file") % where)
            return
        if self._line[1] != root:
            self._check.found(
                _("line %(line)s of the file is not the root of batch %(batch)s")
                % {"line": self._line[0], **where}
            )
        self._take()

    def end(self) -> None:
        while self._line is not None and self._line[1] is not None:
            if self._line[2] <= self._certain_to:
                self._check.found(
                    _("batch %(batch)s is in the file and not in the database")
                    % {"batch": self._line[1].batch}
                )
            self._take()


def check_books(
    report: Report, *, path: Path, certain_to: int, now: datetime, progress: Progress
) -> None:
    """Everything about the ledger that takes no look at what was settled."""
    closed = sql.fetch(
        "SELECT day, last_seq FROM settlement_closedday ORDER BY day", kinds=("date", None)
    )
    folded = sql.fetch_one("SELECT seq FROM settlement_foldedupto WHERE name = 'day totals'")
    mark = int(folded[0]) if folded else 0
    sums: Sums = Counter()
    file = _File(report, path, certain_to=certain_to, now=now)
    roots = _Roots(report, file)
    wanted = 0
    for seq, batch, digest, sealed in _sealed(progress):
        wanted += 1
        report["seals"].looked_at += 1
        if seq != wanted:
            report["seals"].found(_("seal %(seq)s is missing") % {"seq": wanted})
            wanted = seq
        roots.seal(seq=seq, batch=batch, digest=digest)
        if sealed is None:
            report["seals"].found(_("seal %(seq)s has no transaction") % {"seq": seq})
            continue
        if digest_of(sealed, seq=seq) != digest:
            report["seals"].found(
                _("transaction %(key)s is not as it was sealed (seal %(seq)s)")
                % {"key": sealed.key, "seq": seq}
            )
        _check_sum(report, sealed)
        _check_closed(report, sealed, seq=seq, closed=closed)
        if seq <= mark:
            _sum_up(sums, sealed)
    roots.end()
    file.end()
    _check_unsealed(report, closed=closed)
    _check_totals(report, sums)
    _check_merchants_totals(report, mark=mark)


def _sealed(progress: Progress) -> Iterator[tuple[int, int, bytes, Sealed | None]]:
    rows = stream(
        f"SELECT s.seq, s.batch_id, s.digest, {_TRANSACTION} FROM settlement_seal s"
        " LEFT JOIN settlement_ledgertransaction t ON t.id = s.transaction_id"
        " LEFT JOIN settlement_posting p ON p.transaction_id = t.id ORDER BY s.seq, p.leg",
        kinds=(None, None, None, *_KINDS),
    )
    total = _count("settlement_seal")
    for done, (seq, legs) in enumerate(itertools.groupby(rows, key=lambda row: row[0])):
        listed = list(legs)
        if done % 1_000 == 0:
            progress(_("sealed transactions"), done, total)
        yield seq, listed[0][1], bytes(listed[0][2]), _transaction([row[3:] for row in listed])


def _count(table: str) -> int:
    row = sql.fetch_one(f"SELECT count(*) FROM {table}")
    return int(row[0]) if row else 0


def _transaction(rows: list[tuple[Any, ...]]) -> Sealed | None:
    if rows[0][0] is None:
        return None
    legs = [row[6:] for row in rows if row[6] is not None]
    return Sealed.of(rows[0][:6], legs)


def _check_sum(report: Report, sealed: Sealed) -> None:
    check = report["zero_sums"]
    check.looked_at += 1
    total = sum(leg[2] for leg in sealed.legs)
    if total != 0:
        check.found(
            _("transaction %(key)s sums to %(fen)s fen") % {"key": sealed.key, "fen": total}
        )
    elif len(sealed.legs) < 2:
        check.found(_("transaction %(key)s has fewer than two legs") % {"key": sealed.key})


def _check_closed(
    report: Report, sealed: Sealed, *, seq: int | None, closed: list[tuple[Any, ...]]
) -> None:
    check = report["closed_days"]
    check.looked_at += 1
    place = bisect_left(closed, sealed.business_date, key=lambda row: row[0])
    if place < len(closed) and (seq is None or seq > closed[place][1]):
        check.found(
            _("transaction %(key)s was booked on %(day)s after that day was closed")
            % {"key": sealed.key, "day": sealed.business_date}
        )


def _check_unsealed(report: Report, *, closed: list[tuple[Any, ...]]) -> None:
    rows = stream(
        f"SELECT t.id, w.transaction_id, {_TRANSACTION} FROM settlement_ledgertransaction t"
        " LEFT JOIN settlement_seal s ON s.transaction_id = t.id"
        " LEFT JOIN settlement_toseal w ON w.transaction_id = t.id"
        " LEFT JOIN settlement_posting p ON p.transaction_id = t.id"
        " WHERE s.seq IS NULL ORDER BY t.id, p.leg",
        kinds=(None, None, *_KINDS),
    )
    for _id, legs in itertools.groupby(rows, key=lambda row: row[0]):
        listed = list(legs)
        sealed = _transaction([row[2:] for row in listed])
        if sealed is None:
            continue
        if listed[0][1] is None:
            report["seals"].found(
                _("transaction %(key)s has no seal and waits for none") % {"key": sealed.key}
            )
        _check_sum(report, sealed)
        _check_closed(report, sealed, seq=None, closed=closed)
    twice = sql.fetch_one(
        "SELECT w.transaction_id FROM settlement_toseal w"
        " LEFT JOIN settlement_ledgertransaction t ON t.id = w.transaction_id"
        " LEFT JOIN settlement_seal s ON s.transaction_id = w.transaction_id"
        " WHERE s.seq IS NOT NULL OR t.id IS NULL ORDER BY w.transaction_id LIMIT 1"
    )
    if twice is not None:
        report["seals"].found(
            _("row %(id)s waits for a seal and is sealed or gone") % {"id": twice[0]}
        )


def _whose(account: str) -> str:
    """A fund's payer by its name, else the account's first word; of merchants also the side."""
    words = account.split(":")
    return words[2] if words[0] == "fund" else words[0]


def _sum_up(sums: Sums, sealed: Sealed) -> None:
    place = (sealed.area_code, sealed.business_date, sealed.kind)
    sums[*place, "transactions"] += 1
    for _leg, account, amount_fen in sealed.legs:
        sums[*place, _whose(account)] += amount_fen


# What a heading of the totals is part of.
_PARTS = {
    "": "transactions",
    "account": "member",
    "relative_account": "member",
    "due": "merchant",
    "till": "merchant",
}


def _check_totals(report: Report, sums: Sums) -> None:
    """By area, day, kind and payer: the calendar bounds how many there are, not the ledger."""
    check = report["totals"]
    stored: Sums = Counter()
    for area_code, day, kind, heading, amount_fen, number in stream(
        "SELECT area_code, business_date, kind, heading, sum(amount_fen), sum(transactions)"
        " FROM settlement_daytotal GROUP BY area_code, business_date, kind, heading",
        kinds=(None, "date", None, None, None, None),
    ):
        part = _PARTS.get(heading, heading.partition(":")[0])
        stored[area_code, day, kind, part] += int(number if heading == "" else amount_fen)
    for place in sorted(sums.keys() | stored.keys()):
        check.looked_at += 1
        if sums[place] != stored[place]:
            check.found(
                _("the totals %(place)s say %(stored)s, the postings %(posted)s")
                % {
                    "place": " ".join(map(str, place)),
                    "stored": stored[place],
                    "posted": sums[place],
                }
            )


def _check_merchants_totals(report: Report, *, mark: int) -> None:
    """By merchant too, summed where the rows are: there may be any number of merchants."""
    check = report["totals"]
    for day, account, posted, stored in stream(
        "SELECT day, account, sum(posted), sum(stored) FROM ("
        " SELECT t.business_date AS day, p.account AS account, p.amount_fen AS posted, 0 AS stored"
        " FROM settlement_posting p JOIN settlement_ledgertransaction t ON t.id = p.transaction_id"
        " JOIN settlement_seal s ON s.transaction_id = t.id"
        " WHERE s.seq <= %s AND p.account LIKE 'merchant:%%'"
        " UNION ALL SELECT business_date, 'merchant:' || merchant_id || ':' || heading, 0,"
        " amount_fen FROM settlement_daytotal WHERE heading IN ('due', 'till')) AS both_sides"
        " GROUP BY day, account HAVING sum(posted) <> sum(stored) ORDER BY day, account",
        (mark,),
        kinds=("date", None, None, None),
    ):
        check.found(
            _("the totals %(place)s say %(stored)s, the postings %(posted)s")
            % {"place": f"{day} {account}", "stored": int(stored), "posted": int(posted)}
        )
