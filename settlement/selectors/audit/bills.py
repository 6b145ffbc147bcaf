"""Settlements and refunds beside the ledger: each posted once, with exactly the legs it calls for.

What a bill calls for is worked out here in this module's own words, from its shares; nothing of the
posting code is used, because a check that shares code with what it checks agrees with its mistakes.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from messaging import sql
from messaging.snapshots import stream

from .feeds import Feed
from .findings import Progress, Report

Legs = Counter[tuple[str, int]]

_BILLS = {
    "settlement": (
        "SELECT s.id, s.state, s.member_id, s.merchant_id, s.area_code, m.area_code,"
        " s.business_date, s.accounting_month, s.fund_fen, s.account_fen, s.relative_fen,"
        " s.cash_fen, s.total_fen FROM settlement_settlement s"
        " JOIN merchants_merchant m ON m.id = s.merchant_id ORDER BY s.id"
    ),
    "refund": (
        "SELECT r.id, r.state, r.member_id, r.merchant_id, s.area_code, m.area_code,"
        " r.business_date, r.accounting_month, r.fund_fen, r.account_fen, r.relative_fen,"
        " r.cash_fen, r.total_fen FROM settlement_refund r"
        " JOIN settlement_settlement s ON s.id = r.settlement_id"
        " JOIN merchants_merchant m ON m.id = r.merchant_id ORDER BY r.id"
    ),
}
_SHARES = {
    "settlement": "SELECT settlement_id, payer, amount_fen FROM settlement_share"
    " ORDER BY settlement_id, payer",
    "refund": "SELECT refund_id, payer, amount_fen FROM settlement_refundshare"
    " ORDER BY refund_id, payer",
}
# Whose account gave, or gets back, how much of a share of relatives' accounts.
_RELATIVES = {
    "settlement": "SELECT p.settlement_id, a.member_id, p.amount_fen"
    " FROM settlement_relativeshare p JOIN settlement_account a ON a.id = p.account_id"
    " ORDER BY p.settlement_id",
    "refund": "SELECT p.refund_id, a.member_id, p.amount_fen FROM settlement_relativerefund p"
    " JOIN settlement_account a ON a.id = p.account_id ORDER BY p.refund_id",
}


def check_bills(report: Report, *, progress: Progress) -> None:
    """Settlements, then refunds; what a refund restates costs what it cost before."""
    _check(report, "settlement", sign=1, progress=progress)
    _check(report, "refund", sign=-1, progress=progress)
    for identifier, amount_fen in sql.fetch(
        "SELECT restatement_id, sum(amount_fen) FROM settlement_restatedshare"
        " GROUP BY restatement_id HAVING sum(amount_fen) <> 0 ORDER BY restatement_id LIMIT 100",
        kinds=("uuid", None),
    ):
        report["legs"].found(
            _("restatement %(id)s moves %(fen)s fen out of nowhere")
            % {"id": identifier, "fen": int(amount_fen)}
        )


def _check(report: Report, kind: str, *, sign: int, progress: Progress) -> None:
    legs, once = report["legs"], report["posted_once"]

    def nobodys(what: str) -> Any:
        return lambda key, rows: once.found(
            _("%(what)s of %(kind)s %(id)s, which is not there")
            % {"what": what, "kind": kind, "id": key}
        )

    shares = Feed(stream(_SHARES[kind], kinds=("uuid", None, None)), orphan=nobodys(_("shares")))
    relatives = Feed(
        stream(_RELATIVES[kind], kinds=("uuid", None, None)), orphan=nobodys(_("relatives"))
    )
    posted = Feed(_posted(report, kind), orphan=nobodys(_("a ledger transaction")))
    waiting = Feed(_waiting(kind), orphan=nobodys(_("an outbox row")))
    row = sql.fetch_one(f"SELECT count(*) FROM settlement_{kind}")
    total = int(row[0]) if row else 0
    for done, bill in enumerate(
        stream(_BILLS[kind], kinds=("uuid", *(None,) * 5, "date", "date", *(None,) * 5))
    ):
        if done % 1_000 == 0:
            progress(_("bills and their legs"), done, total)
        key, state = bill[:2]
        parts, kin = shares.take(key), relatives.take(key)
        transaction, outbox = posted.take(key), waiting.take(key)
        legs.looked_at += 1
        once.looked_at += 1
        where = {"kind": kind, "id": key}
        called = _called_for(bill, parts, kin, sign=sign)
        if called is None:
            legs.found(_("the shares of %(kind)s %(id)s are not its figures") % where)
            continue
        if state == "accepted" and (transaction or not outbox):
            once.found(
                _("%(kind)s %(id)s is accepted and in the ledger already") % where
                if transaction
                else _("%(kind)s %(id)s is accepted and nobody will post it") % where
            )
        elif state != "accepted" and outbox:
            once.found(_("%(kind)s %(id)s is posted and waits to be posted again") % where)
        elif state != "accepted" and called and not transaction:
            once.found(_("%(kind)s %(id)s is posted and not in the ledger") % where)
        if transaction and not _agrees(bill, called, transaction):
            legs.found(
                _("the ledger's legs of %(kind)s %(id)s are not what its shares call for") % where
            )
    for feed in (shares, relatives, posted, waiting):
        feed.end()


def _called_for(
    bill: tuple[Any, ...],
    parts: list[tuple[Any, ...]],
    kin: list[tuple[Any, ...]],
    *,
    sign: int,
) -> Legs | None:
    """Account and fen of each leg; None when the shares are not what the bill itself says."""
    member_id, merchant_id, insured_in, treated_in = bill[2:6]
    fund_fen, own_fen, kin_fen, cash_fen, total_fen = bill[8:13]
    by_payer = {payer: amount_fen for _key, payer, amount_fen in parts}
    given: Legs = Counter()
    said = (
        by_payer.pop("account", 0),
        by_payer.pop("relative_account", 0),
        by_payer.pop("cash", 0),
    )
    if (*said, sum(by_payer.values())) != (own_fen, kin_fen, cash_fen, fund_fen):
        return None
    if kin_fen != sum(part[2] for part in kin):
        return None
    if total_fen != fund_fen + own_fen + kin_fen + cash_fen:
        return None
    for payer, amount_fen in by_payer.items():
        given[f"fund:{insured_in}:{payer}", -sign * amount_fen] += 1
    if own_fen:
        given[f"member:{member_id}:personal", -sign * own_fen] += 1
    if kin_fen:
        for _key, holder, amount_fen in kin:
            given[f"member:{holder}:personal", -sign * amount_fen] += 1
    if cash_fen:
        given[f"cash:{insured_in}", -sign * cash_fen] += 1
        given[f"merchant:{merchant_id}:till", sign * cash_fen] += 1
    owed_fen = total_fen - cash_fen
    if owed_fen:
        given[f"merchant:{merchant_id}:due", sign * owed_fen] += 1
        if treated_in != insured_in:
            given[f"between:{insured_in}:{treated_in}", sign * owed_fen] += 1
            given[f"agency:{treated_in}:advanced", -sign * owed_fen] += 1
    return given


def _agrees(bill: tuple[Any, ...], called: Legs, transaction: list[tuple[Any, ...]]) -> bool:
    area_code, day, month = bill[4], bill[6], bill[7]
    head = transaction[0][1:4]
    found: Legs = Counter((row[4], row[5]) for row in transaction if row[4] is not None)
    return head == (area_code, day, month) and found == called


def _posted(report: Report, kind: str) -> Any:
    """Legs of this kind's transactions by the id in the transaction's key, in the ids' order."""
    bytewise = ' COLLATE "C"' if connection.vendor == "postgresql" else ""
    prefix = f"post_{kind}:"
    stray = sql.fetch_one(
        "SELECT key FROM settlement_ledgertransaction WHERE (kind = %s) <> (key LIKE %s)"
        " ORDER BY id LIMIT 1",
        (kind, f"{prefix}%"),
    )
    if stray is not None:
        report["posted_once"].found(
            _("transaction %(key)s is of one kind by its key and of another by its row")
            % {"key": stray[0]}
        )
    for key, *rest in stream(
        "SELECT t.key, t.area_code, t.business_date, t.accounting_month, p.account, p.amount_fen"
        " FROM settlement_ledgertransaction t"
        " LEFT JOIN settlement_posting p ON p.transaction_id = t.id"
        f" WHERE t.key LIKE %s ORDER BY t.key{bytewise}",
        (f"{prefix}%",),
        kinds=(None, None, "date", "date", None, None),
    ):
        try:
            subject = UUID(key[len(prefix) :])
        except ValueError:
            subject = None
        if subject is None or f"{prefix}{subject}" != key:
            report["posted_once"].found(
                _("transaction %(key)s names no %(kind)s") % {"key": key, "kind": kind}
            )
            continue
        yield subject, *rest


def _waiting(kind: str) -> Any:
    return stream(
        "SELECT subject FROM messaging_outboxentry WHERE topic = %s ORDER BY subject",
        (f"post_{kind}",),
        kinds=("uuid",),
    )
