"""What a day came to: totals folded from sealed postings, and the short tail that is not yet.

At any moment each accepted bill is in exactly one of four places: waiting in the outbox, posted and
not sealed, sealed and not folded, or in the totals. The four are read in one snapshot, so their sum
is the day's whatever the workers do meanwhile.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from messaging import sql

DAY_TOTALS = "day totals"
# Headings of a merchant's or an agency's side, which say what is owed and not who pays.
_OWED = ("due", "till")
_OWED_BETWEEN = ("between:", "agency:")


@dataclass(slots=True)
class Turnover:
    """Bills or refunds of a day: how many, their total and each payer's part, in fen."""

    number: int = 0
    total_fen: int = 0
    by_payer: Counter[str] = field(default_factory=Counter)


def folded_up_to() -> int:
    """The seal up to which totals are folded; 0 before the first."""
    row = sql.fetch_one("SELECT seq FROM settlement_foldedupto WHERE name = %s", (DAY_TOTALS,))
    return int(row[0]) if row else 0


def day_turnover(*, day: date, area_code: str | None = None) -> dict[str, Turnover]:
    """What was settled and refunded on a business date, in one area or in all, by `settlement` and
    `refund`. Inside a snapshot, or what is folded meanwhile is missed or counted twice."""
    found = {"settlement": Turnover(), "refund": Turnover()}
    _add_totals(found, day=day, area_code=area_code)
    for kind, turnover in found.items():
        _add_tail(turnover, kind=kind, subjects=_tail(kind), day=day, area_code=area_code)
    found["settlement"].number += _bills_of_nothing(day=day, area_code=area_code)
    return found


def _add_totals(found: dict[str, Turnover], *, day: date, area_code: str | None) -> None:
    rows = sql.fetch(
        "SELECT kind, heading, sum(amount_fen), sum(transactions) FROM settlement_daytotal"
        f" WHERE business_date = %s{_in_area('area_code', area_code)} GROUP BY kind, heading",
        (day, *_area(area_code)),
    )
    for kind, heading, amount_fen, number in rows:
        turnover = found.get(kind)
        if turnover is None or heading.startswith(_OWED_BETWEEN):
            continue
        # Payers give when a bill is settled and receive when it is returned; merchants the reverse.
        given_fen = int(amount_fen) if kind == "refund" else -int(amount_fen)
        if heading == "":
            turnover.number += int(number)
            turnover.total_fen -= given_fen
        elif heading not in _OWED:
            turnover.by_payer[heading] += given_fen


def _tail(kind: str) -> list[UUID]:
    """Settlements or refunds that are posted and in no total yet, or not posted yet."""
    keys = sql.fetch(
        "SELECT t.key FROM settlement_seal s"
        " JOIN settlement_ledgertransaction t ON t.id = s.transaction_id"
        " WHERE s.seq > %s AND t.kind = %s"
        " UNION ALL SELECT t.key FROM settlement_toseal w"
        " JOIN settlement_ledgertransaction t ON t.id = w.transaction_id WHERE t.kind = %s",
        (folded_up_to(), kind, kind),
    )
    waiting = sql.fetch(
        "SELECT subject FROM messaging_outboxentry WHERE topic = %s",
        (f"post_{kind}",),
        kinds=("uuid",),
    )
    return [UUID(row[0].partition(":")[2]) for row in keys] + [row[0] for row in waiting]


def _add_tail(
    turnover: Turnover, *, kind: str, subjects: list[UUID], day: date, area_code: str | None
) -> None:
    if not subjects:
        return
    if kind == "settlement":
        bills = "settlement_settlement b"
        shares = "settlement_share h ON h.settlement_id = b.id"
        area = _in_area("b.area_code", area_code)
    else:
        bills = "settlement_refund b JOIN settlement_settlement o ON o.id = b.settlement_id"
        shares = "settlement_refundshare h ON h.refund_id = b.id"
        area = _in_area("o.area_code", area_code)
    # Bills of nothing have no ledger transaction and are counted by themselves.
    which = f"WHERE {sql.among('b.id')} AND b.business_date = %s AND b.total_fen > 0{area}"
    params = (sql.values(subjects), day, *_area(area_code))
    row = sql.fetch_one(f"SELECT count(*), sum(b.total_fen) FROM {bills} {which}", params)
    if row is not None:
        turnover.number += row[0]
        turnover.total_fen += int(row[1] or 0)
    for payer, amount_fen in sql.fetch(
        f"SELECT h.payer, sum(h.amount_fen) FROM {bills} JOIN {shares} {which} GROUP BY h.payer",
        params,
    ):
        turnover.by_payer[payer] += int(amount_fen)


def _bills_of_nothing(*, day: date, area_code: str | None) -> int:
    row = sql.fetch_one(
        "SELECT count(*) FROM settlement_settlement"
        f" WHERE business_date = %s AND total_fen = 0{_in_area('area_code', area_code)}",
        (day, *_area(area_code)),
    )
    return int(row[0]) if row else 0


def _in_area(column: str, area_code: str | None) -> str:
    return "" if area_code is None else f" AND {column} = %s"


def _area(area_code: str | None) -> tuple[str, ...]:
    return () if area_code is None else (area_code,)
