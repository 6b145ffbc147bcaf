"""What a member has: account, holds of live quotes, year to date, place in the sequence."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from messaging import sql


@dataclass(frozen=True, slots=True)
class OpenQuote:
    """A quote in state live that has not run out."""

    quote_id: UUID
    terminal_id: int
    merchant_id: int
    reads_year_to_date: bool
    held_fen: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MoneyFacts:
    """Read under the member's lock it stays true until the transaction ends."""

    account_id: int | None
    balance_fen: int
    year_to_date: dict[str, int]
    next_seq: int
    open_quotes: tuple[OpenQuote, ...]

    def available_fen(self, *, but_for: frozenset[UUID] = frozenset()) -> int:
        """What the account can give: its balance less what other live quotes hold."""
        held = sum(quote.held_fen for quote in self.open_quotes if quote.quote_id not in but_for)
        return max(0, self.balance_fen - held)


def money_facts(*, member_id: int, benefit_year: int, now: datetime) -> MoneyFacts:
    """Two statements: the member's figures, and the quotes that are still live."""
    row = sql.fetch_one(
        "SELECT"
        " (SELECT id FROM settlement_account WHERE member_id = %s AND kind = 'personal'),"
        " (SELECT balance_fen FROM settlement_account WHERE member_id = %s AND kind = 'personal'),"
        " (SELECT amounts FROM settlement_yeartodate WHERE member_id = %s AND benefit_year = %s),"
        " (SELECT max(member_seq) FROM settlement_settlement WHERE member_id = %s),"
        " (SELECT max(member_seq) FROM settlement_refund WHERE member_id = %s)",
        (member_id, member_id, member_id, benefit_year, member_id, member_id),
    )
    assert row is not None
    account_id, balance_fen, amounts, settled, refunded = row
    return MoneyFacts(
        account_id=account_id,
        balance_fen=balance_fen or 0,
        year_to_date=msgspec.json.decode(amounts) if amounts else {},
        next_seq=max(settled or 0, refunded or 0) + 1,
        open_quotes=open_quotes(member_id=member_id, now=now),
    )


def open_quotes(*, member_id: int, now: datetime) -> tuple[OpenQuote, ...]:
    """The member's quotes that hold something now; expiry is judged here, by time alone."""
    rows = sql.fetch(
        "SELECT q.id, q.terminal_id, q.merchant_id, q.reads_year_to_date,"
        " coalesce((SELECT sum(h.amount_fen) FROM settlement_hold h WHERE h.quote_id = q.id), 0),"
        " q.expires_at FROM settlement_quote q"
        " WHERE q.member_id = %s AND q.state = 'live' AND q.expires_at > %s",
        (member_id, now),
        kinds=("uuid", None, None, "bool", None, "datetime"),
    )
    return tuple(OpenQuote(*row[:4], int(row[4]), row[5]) for row in rows)
