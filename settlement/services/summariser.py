"""The summariser: sealed ledger transactions are folded into the totals that pages read.

One at a time, in order of seq, each exactly once: the totals and the seq up to which they are
folded change in one commit, and seq is the safe watermark because seals are committed one after the
other. So no till ever updates a row that another till updates too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction

from messaging import sql
from settlement.models import DayTotal, FoldedUpTo
from settlement.selectors.totals import DAY_TOTALS, folded_up_to

# What one commit folds at most, in ledger transactions.
FOLD_BATCH = 2_000
_LOCK = 7_214_002

# Area, business date, merchant (0 for none), kind, heading.
Place = tuple[str, date, int, str, str]


def fold_all(*, limit: int = FOLD_BATCH) -> int:
    """Fold until nothing sealed is left, or another summariser is at it. Answers how many ledger
    transactions were folded."""
    done = 0
    while folded := fold_batch(limit=limit):
        done += folded
    return done


def fold_batch(*, limit: int = FOLD_BATCH) -> int:
    """Fold up to `limit` sealed transactions; one commit. Answers how many."""
    with transaction.atomic(durable=True):
        if not _alone():
            return 0
        mark = folded_up_to()
        rows = _sealed_after(mark, limit=limit)
        if not rows:
            return 0
        last_seq: int = rows[-1][0]
        _add(_sums(rows))
        sql.insert_rows(FoldedUpTo, ("name", "seq"), [(DAY_TOTALS, last_seq)], replacing=("name",))
        return last_seq - mark


def forget_totals() -> None:
    """Drop all totals, to be folded anew from the first seal. Raises BlockingIOError when a
    summariser is at work this very moment."""
    with transaction.atomic(durable=True):
        if not _alone():
            raise BlockingIOError("a summariser is at work: try again")
        DayTotal.objects.all().delete()
        FoldedUpTo.objects.filter(name=DAY_TOTALS).delete()


def _alone() -> bool:
    if not sql.for_update():
        return True
    row = sql.fetch_one("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
    return bool(row and row[0])


def _sealed_after(mark: int, *, limit: int) -> list[tuple[Any, ...]]:
    """Seq, key, kind, area, business date, account, fen of each leg, in order of seq."""
    return sql.fetch(
        "SELECT s.seq, t.key, t.kind, t.area_code, t.business_date, p.account, p.amount_fen"
        " FROM settlement_seal s JOIN settlement_ledgertransaction t ON t.id = s.transaction_id"
        " JOIN settlement_posting p ON p.transaction_id = t.id"
        " WHERE s.seq > %s AND s.seq <= %s ORDER BY s.seq, p.leg",
        (mark, mark + limit),
        kinds=(None, None, None, None, "date", None, None),
    )


def _sums(rows: Iterable[tuple[Any, ...]]) -> tuple[Counter[Place], Counter[Place]]:
    """Fen and number of transactions by place."""
    sums: Counter[Place] = Counter()
    numbers: Counter[Place] = Counter()
    listed = list(rows)
    members = _members(listed)
    for seq_rows in _by_seq(listed):
        _seq, key, kind, area_code, day = seq_rows[0][:5]
        merchant_id = next(filter(None, (_merchant(row[5]) for row in seq_rows)), 0)
        headings: set[str] = {""}
        for *_, account, amount_fen in seq_rows:
            heading = _heading(account, own=members.get(key))
            headings.add(heading)
            sums[area_code, day, merchant_id, kind, heading] += amount_fen
            if heading in ("due", "till"):
                sums[area_code, day, merchant_id, kind, ""] += amount_fen
        for heading in headings:
            numbers[area_code, day, merchant_id, kind, heading] += 1
    return sums, numbers


def _by_seq(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0] != rows[start][0]:
            yield rows[start:end]
            start = end


def _merchant(account: str) -> int:
    head, _, rest = account.partition(":")
    return int(rest.partition(":")[0]) if head == "merchant" else 0


def _heading(account: str, *, own: int | None) -> str:
    """What a leg is summed under. `own` is the member whose bill it is; another member's account is
    a relative's."""
    match account.split(":"):
        case ["fund", _area, payer]:
            return payer
        case ["member", member_id, _kind]:
            return "account" if own in (None, int(member_id)) else "relative_account"
        case ["merchant", _id, side]:
            return side
        case ["between", _insured, treated_in]:
            return f"between:{treated_in}"
        case ["agency", area, _side]:
            return f"agency:{area}"
        case [head, *_]:
            return head
    raise LookupError(account)


def _members(rows: Iterable[tuple[Any, ...]]) -> dict[str, int]:
    """The member of each settlement or refund that an account paid for, by transaction key."""
    asked: dict[str, dict[UUID, str]] = {"settlement": {}, "refund": {}}
    for _seq, key, kind, _area, _day, account, _fen in rows:
        if kind in asked and account.startswith("member:"):
            asked[kind][UUID(key.partition(":")[2])] = key
    found: dict[str, int] = {}
    for kind, keys in asked.items():
        if keys:
            for identifier, member_id in sql.fetch(
                f"SELECT id, member_id FROM settlement_{kind} WHERE {sql.among('id')}",
                (sql.values(keys),),
                kinds=("uuid", None),
            ):
                found[keys[identifier]] = member_id
    return found


def _add(figures: tuple[Counter[Place], Counter[Place]]) -> None:
    sums, numbers = figures
    with sql.batch():
        for place in sorted(numbers):
            sql.run(
                "INSERT INTO settlement_daytotal (area_code, business_date, merchant_id, kind,"
                " heading, amount_fen, transactions) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (business_date, area_code, merchant_id, kind, heading) DO UPDATE SET"
                " amount_fen = settlement_daytotal.amount_fen + excluded.amount_fen,"
                " transactions = settlement_daytotal.transactions + excluded.transactions",
                (*place, sums[place], numbers[place]),
            )
