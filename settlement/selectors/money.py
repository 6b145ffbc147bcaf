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
    # Whether rows of ended quotes still say live: time ended them, nobody has written it down yet.
    has_run_out_quotes: bool

    def available_fen(self, *, but_for: frozenset[UUID] = frozenset()) -> int:
        """What the account can give: its balance less what other live quotes hold."""
        held = sum(quote.held_fen for quote in self.open_quotes if quote.quote_id not in but_for)
        return max(0, self.balance_fen - held)


# The member's figures once, beside each quote that says live; one row without a quote.
_MONEY = (
    "SELECT a.id, a.balance_fen, y.amounts,"
    " (SELECT max(member_seq) FROM settlement_settlement WHERE member_id = m.id),"
    " (SELECT max(member_seq) FROM settlement_refund WHERE member_id = m.id),"
    " q.id, q.terminal_id, q.merchant_id, q.reads_year_to_date,"
    " coalesce((SELECT sum(h.amount_fen) FROM settlement_hold h WHERE h.quote_id = q.id), 0),"
    " q.expires_at"
    " FROM voucher_member m"
    " LEFT JOIN settlement_account a ON a.member_id = m.id AND a.kind = 'personal'"
    " LEFT JOIN settlement_yeartodate y ON y.member_id = m.id AND y.benefit_year = %s"
    " LEFT JOIN settlement_quote q ON q.member_id = m.id AND q.state = 'live'"
    " WHERE m.id = %s"
)
_MONEY_KINDS = (None, None, None, None, None, "uuid", None, None, "bool", None, "datetime")


def money_facts(*, member_id: int, benefit_year: int, now: datetime) -> MoneyFacts:
    """One statement. Whether a quote has run out is judged here, by time alone."""
    rows = sql.fetch(_MONEY, (benefit_year, member_id), kinds=_MONEY_KINDS)
    account_id, balance_fen, amounts, settled, refunded = rows[0][:5]
    quotes = [
        OpenQuote(row[5], row[6], row[7], row[8], held_fen=int(row[9]), expires_at=row[10])
        for row in rows
        if row[5]
    ]
    return MoneyFacts(
        account_id=account_id,
        balance_fen=balance_fen or 0,
        year_to_date=msgspec.json.decode(amounts) if amounts else {},
        next_seq=max(settled or 0, refunded or 0) + 1,
        open_quotes=tuple(quote for quote in quotes if quote.expires_at > now),
        has_run_out_quotes=any(quote.expires_at <= now for quote in quotes),
    )
