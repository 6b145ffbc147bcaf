"""Balances of ledger accounts: now, at a moment, or at a seal.

A balance at a seal never changes again. One at a moment counts what was posted up to and including
it; while a posting of that moment is still being committed it may be seen without it, so ask for a
moment that is a few seconds past, or for a seal.
"""

from dataclasses import dataclass
from datetime import datetime

from messaging import sql


@dataclass(frozen=True, slots=True)
class Balance:
    """The sum of an account's postings, in fen, and how many there are."""

    amount_fen: int
    postings: int


def balance(account: str, *, at: datetime | None = None, up_to_seq: int | None = None) -> Balance:
    """What the account has: of all postings, or of those posted up to a moment, or sealed up to a
    seal. An account that nothing was ever posted to has 0 of 0.

    Raises ValueError for both a moment and a seal.
    """
    if at is not None and up_to_seq is not None:
        raise ValueError("a moment or a seal, not both")
    statement = "SELECT coalesce(sum(p.amount_fen), 0), count(*) FROM settlement_posting p"
    if at is not None:
        row = sql.fetch_one(
            f"{statement} JOIN settlement_ledgertransaction t ON t.id = p.transaction_id"
            " WHERE p.account = %s AND t.posted_at <= %s",
            (account, at),
        )
    elif up_to_seq is not None:
        row = sql.fetch_one(
            f"{statement} JOIN settlement_seal s ON s.transaction_id = p.transaction_id"
            " WHERE p.account = %s AND s.seq <= %s",
            (account, up_to_seq),
        )
    else:
        row = sql.fetch_one(f"{statement} WHERE p.account = %s", (account,))
    return Balance(int(row[0]), row[1]) if row else Balance(0, 0)
