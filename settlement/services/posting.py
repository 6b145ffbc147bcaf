"""Posting: accepted settlements and refunds become ledger transactions, in batches, exactly once.

The outbox row, the ledger transaction with its postings and the state of what was posted change in
one commit. A unique key a transaction makes posting twice impossible, whatever a broker, a sweep
and a second worker do at the same moment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from messaging import outbox, sql
from settlement import states
from settlement.models import Posting
from settlement.services.acceptance import POST_SETTLEMENT
from settlement.services.returning import POST_REFUND
from settlement.services.tender import debts
from settlement.services.tender.returning import RETURN_TENDER, return_tenders
from settlement.services.tender.settling import CAPTURE_TENDER, capture_tenders

# Account name and signed amount in fen.
Leg = tuple[str, int]


def settlement_legs(
    *,
    member_id: int,
    merchant_id: int,
    area_code: str,
    shares: Iterable[tuple[str, int]],
    relatives: Iterable[tuple[int, int]] = (),
    treated_in: str = "",
) -> list[Leg]:
    """The legs of a settlement: every payer gives its share, the merchant is owed what the funds
    and the accounts pay and has in its till what the member paid. They sum to zero.

    `relatives` are the holders, with fen, behind the share of `relative_account`. `treated_in` is
    the merchant's area: where it is another than the insured one, the agency there owes the
    merchant and the insured area owes the agency, both from the start. A refund's legs are these
    with the signs turned.
    """
    legs: list[Leg] = []
    due = till = 0
    for payer, amount_fen in shares:
        if payer == "cash":
            legs.append((f"cash:{area_code}", -amount_fen))
            till += amount_fen
            continue
        due += amount_fen
        if payer == "account":
            legs.append((f"member:{member_id}:personal", -amount_fen))
        elif payer == "relative_account":
            legs.extend((f"member:{holder}:personal", -part_fen) for holder, part_fen in relatives)
        else:
            legs.append((f"fund:{area_code}:{payer}", -amount_fen))
    if due and treated_in not in ("", area_code):
        legs.append((f"between:{area_code}:{treated_in}", due))
        legs.append((f"agency:{treated_in}:advanced", -due))
    if due:
        legs.append((f"merchant:{merchant_id}:due", due))
    if till:
        legs.append((f"merchant:{merchant_id}:till", till))
    return legs


def post_settlements(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of accepted settlements, inside the batch's transaction."""
    rows = sql.fetch(
        "SELECT s.id, s.member_id, s.merchant_id, s.area_code, m.area_code, s.business_date,"
        " s.accounting_month, s.relative_fen FROM settlement_settlement s"
        f" JOIN merchants_merchant m ON m.id = s.merchant_id WHERE {sql.among('s.id')}",
        (sql.values(subjects),),
        kinds=("uuid", None, None, None, None, "date", "date", None),
    )
    shares = _shares("settlement_share", "settlement_id", subjects)
    _post(
        [
            (f"{POST_SETTLEMENT}:{row[0]}", "settlement", *head, legs)
            for row, head, legs in _with_legs(rows, shares, parts="relativeshare")
        ],
        now=now,
    )
    sql.run(
        "UPDATE settlement_settlement SET state = %s, posted_at = %s"
        f" WHERE state = %s AND {sql.among('id')}",
        _posted("settlement", now, subjects),
    )


def post_refunds(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of accepted refunds, inside the batch's transaction."""
    rows = sql.fetch(
        "SELECT r.id, r.member_id, r.merchant_id, s.area_code, m.area_code, r.business_date,"
        " r.accounting_month, r.relative_fen FROM settlement_refund r"
        " JOIN settlement_settlement s ON s.id = r.settlement_id"
        f" JOIN merchants_merchant m ON m.id = r.merchant_id WHERE {sql.among('r.id')}",
        (sql.values(subjects),),
        kinds=("uuid", None, None, None, None, "date", "date", None),
    )
    shares = _shares("settlement_refundshare", "refund_id", subjects)
    _post(
        [
            (
                f"{POST_REFUND}:{row[0]}",
                "refund",
                *head,
                [(account, -amount_fen) for account, amount_fen in legs],
            )
            for row, head, legs in _with_legs(rows, shares, parts="relativerefund")
        ],
        now=now,
    )
    sql.run(
        "UPDATE settlement_refund SET state = %s, posted_at = %s"
        f" WHERE state = %s AND {sql.among('id')}",
        _posted("refund", now, subjects),
    )


def _posted(
    entity: states.Entity, now: datetime, subjects: Sequence[UUID]
) -> tuple[str, datetime, str, Any]:
    """New state, moment, state before, and which: by the written table."""
    (before,) = states.sources(entity, "post")
    return states.target(entity, "post"), now, before, sql.values(subjects)


def post_debts(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of parts of cash that could not be captured."""
    _post(debts.owed(subjects, now), now=now)


def post_relief(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of what refunds take back of such debts."""
    _post(debts.relieved(subjects, now), now=now)


def post_repayments(subjects: Sequence[UUID], now: datetime) -> None:
    """The outbox handler of such debts that were repaid."""
    _post(debts.repaid(subjects, now), now=now)


def _with_legs(
    rows: Sequence[tuple[Any, ...]],
    shares: Mapping[UUID, list[tuple[str, int]]],
    *,
    parts: str,
) -> Iterator[tuple[tuple[Any, ...], tuple[str, date, date], list[Leg]]]:
    """Each row (id, member, merchant, insured area, area of treatment, day, month, relatives' fen)
    with area, day and month of its transaction, and its legs. `parts` names the table of relatives'
    parts."""
    relatives = _relatives(parts, [row[0] for row in rows if row[7]])
    for row in rows:
        identifier, member_id, merchant_id, area_code, treated_in, day, month, _ = row
        legs = settlement_legs(
            member_id=member_id,
            merchant_id=merchant_id,
            area_code=area_code,
            shares=shares.get(identifier, []),
            relatives=relatives.get(identifier, []),
            treated_in=treated_in,
        )
        yield row, (area_code, day, month), legs


def _relatives(parts: str, subjects: Sequence[UUID]) -> dict[UUID, list[tuple[int, int]]]:
    """Holders, with fen, behind the relatives' shares of those that have some."""
    found: dict[UUID, list[tuple[int, int]]] = {}
    if not subjects:
        return found
    owner = "settlement_id" if parts == "relativeshare" else "refund_id"
    for identifier, holder, amount_fen in sql.fetch(
        f"SELECT r.{owner}, a.member_id, r.amount_fen FROM settlement_{parts} r"
        " JOIN settlement_account a ON a.id = r.account_id"
        f" WHERE {sql.among(f'r.{owner}')} ORDER BY r.id",
        (sql.values(subjects),),
        kinds=("uuid", None, None),
    ):
        found.setdefault(identifier, []).append((holder, amount_fen))
    return found


def _shares(table: str, owner: str, subjects: Sequence[UUID]) -> dict[UUID, list[tuple[str, int]]]:
    found: dict[UUID, list[tuple[str, int]]] = {}
    for identifier, payer, amount_fen in sql.fetch(
        f"SELECT {owner}, payer, amount_fen FROM {table} WHERE {sql.among(owner)} ORDER BY id",
        (sql.values(subjects),),
        kinds=("uuid", None, None),
    ):
        found.setdefault(identifier, []).append((payer, amount_fen))
    return found


def _post(
    transactions: Sequence[tuple[str, str, str, date, date, list[Leg]]], *, now: datetime
) -> None:
    """Write transactions that are not there yet, each with its legs."""
    # A bill of nothing has no legs; it is posted by being marked so.
    wanted = {row[0]: row for row in transactions if row[5]}
    if not wanted:
        return
    for key, _kind, _area, _day, _month, legs in wanted.values():
        if sum(amount_fen for _, amount_fen in legs) != 0:
            raise outbox.Unworkable(f"the legs of {key} do not sum to zero")
    values = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(wanted))
    written = sql.fetch(
        "INSERT INTO settlement_ledgertransaction"
        f" (key, kind, area_code, business_date, accounting_month, posted_at) VALUES {values}"
        " ON CONFLICT (key) DO NOTHING RETURNING id, key",
        [value for row in wanted.values() for value in (*row[:5], now)],
    )
    sql.insert_rows(
        Posting,
        ("transaction", "leg", "account", "amount_fen"),
        [
            (identifier, leg, account, amount_fen)
            for identifier, key in written
            for leg, (account, amount_fen) in enumerate(wanted[key][5], start=1)
        ],
    )


# In the order in which a batch is worked: settlements and refunds before tenders, as a refund at a
# till locks them.
HANDLERS: dict[str, outbox.Handler] = {
    POST_SETTLEMENT: post_settlements,
    POST_REFUND: post_refunds,
    CAPTURE_TENDER: capture_tenders,
    RETURN_TENDER: return_tenders,
    debts.OWE_DEBT: post_debts,
    debts.RELIEVE_DEBT: post_relief,
    debts.REPAY_DEBT: post_repayments,
}


def post_due(*, now: datetime, limit: int) -> int:
    """Post one batch of what is due. Answers how many outbox rows were done."""
    return outbox.work_batch(HANDLERS, now=now, limit=limit, attempts=settings.POSTING_ATTEMPTS)
