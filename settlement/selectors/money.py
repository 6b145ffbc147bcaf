"""What a member has: account, holds of live quotes, year to date, place in the sequence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import msgspec

from messaging import sql
from messaging.days import business_date


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
    # What live quotes of relatives hold on this account.
    held_by_relatives_fen: int
    # Whether rows of ended quotes still say live: time ended them, nobody has written it down yet.
    has_run_out_quotes: bool
    # Nothing may be booked any more on the day of the moment that was asked for.
    day_is_closed: bool = False
    # What a stay's earlier bills have counted in another benefit year.
    carried: Mapping[str, int] = field(default_factory=dict)

    def counted(self) -> dict[str, int]:
        """The year to date as a bill finds it: the year's own row, and what its stay carries."""
        if not self.carried:
            return self.year_to_date
        return {
            name: self.year_to_date.get(name, 0) + self.carried.get(name, 0)
            for name in {**self.year_to_date, **self.carried}
        }

    def available_fen(self, *, but_for: frozenset[UUID] = frozenset()) -> int:
        """What the account can give: its balance less what other live quotes hold."""
        held = sum(quote.held_fen for quote in self.open_quotes if quote.quote_id not in but_for)
        return max(0, self.balance_fen - held - self.held_by_relatives_fen)


# The member's figures once, beside each quote that says live; one row without a quote.
_MONEY = (
    "SELECT a.id, a.balance_fen, y.amounts,"
    " (SELECT max(member_seq) FROM settlement_settlement WHERE member_id = m.id),"
    " (SELECT max(member_seq) FROM settlement_refund WHERE member_id = m.id),"
    " q.id, q.terminal_id, q.merchant_id, q.reads_year_to_date,"
    " coalesce((SELECT sum(h.amount_fen) FROM settlement_hold h"
    " WHERE h.quote_id = q.id AND NOT h.relative), 0),"
    " q.expires_at,"
    " (SELECT sum(h.amount_fen) FROM settlement_hold h"
    " JOIN settlement_quote o ON o.id = h.quote_id WHERE h.account_id = a.id AND h.relative"
    " AND o.state = 'live' AND o.expires_at > %s),"
    " EXISTS (SELECT 1 FROM settlement_closedday c WHERE c.day >= %s)"
    " FROM voucher_member m"
    " LEFT JOIN settlement_account a ON a.member_id = m.id AND a.kind = 'personal'"
    " LEFT JOIN settlement_yeartodate y ON y.member_id = m.id AND y.benefit_year = %s"
    " LEFT JOIN settlement_quote q ON q.member_id = m.id AND q.state = 'live'"
    " WHERE m.id = %s"
)
_MONEY_KINDS = (
    *(None,) * 5,
    *("uuid", None, None, "bool", None, "datetime"),
    *(None, "bool"),
)


def money_facts(*, member_id: int, benefit_year: int, now: datetime) -> MoneyFacts:
    """One statement. Whether a quote has run out is judged here, by time alone."""
    asked = (now, business_date(now), benefit_year, member_id)
    rows = sql.fetch(_MONEY, asked, kinds=_MONEY_KINDS)
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
        held_by_relatives_fen=int(rows[0][11] or 0),
        has_run_out_quotes=any(quote.expires_at <= now for quote in quotes),
        day_is_closed=rows[0][12],
    )


def stay_amounts(*, member_id: int, stay: str, but_year: int) -> dict[str, int]:
    """What earlier bills of a stay have counted in other benefit years, by accumulator.

    A stay is one admission also when its bills fall in two years: what is counted for the stay
    itself goes on over the year's end, and everything else begins anew.
    """
    found: dict[str, int] = {}
    for (amounts,) in sql.fetch(
        "SELECT amounts FROM settlement_yeartodate WHERE member_id = %s AND benefit_year <> %s",
        (member_id, but_year),
    ):
        for name, amount in msgspec.json.decode(amounts).items():
            if stay in name and amount:
                found[name] = found.get(name, 0) + amount
    return found


@dataclass(frozen=True, slots=True)
class RelativeFacts:
    """A relative's account that may pay (家庭共济), as of now."""

    account_id: int
    holder_id: int
    balance_fen: int
    # The balance less what live quotes hold, of the holder and of everyone they share with.
    available_fen: int


_RELATIVES = (
    "SELECT a.id, h.id, a.balance_fen FROM voucher_sharing s"
    " JOIN voucher_member h ON h.number = s.holder_id"
    " JOIN settlement_account a ON a.member_id = h.id AND a.kind = 'personal'"
    " WHERE s.member_id = %s AND s.from_date <= %s"
    " AND (s.until_date IS NULL OR s.until_date > %s)"
    " AND (h.death_date IS NULL OR h.death_date >= %s)"
    # An account that its holder could not use today pays for nobody else either.
    " AND EXISTS (SELECT 1 FROM voucher_enrolment e JOIN voucher_entitlement t"
    " ON t.enrolment_id = e.id WHERE e.member_id = h.id"
    " AND e.from_date <= %s AND (e.until_date IS NULL OR e.until_date > %s)"
    " AND t.from_date <= %s AND (t.until_date IS NULL OR t.until_date > %s)"
    " AND t.state IN ('in_force', 'arrears', 'waiting'))"
    " ORDER BY s.rank, s.from_date, s.id"
)
_HELD = (
    "SELECT h.account_id, q.id, h.amount_fen FROM settlement_hold h"
    " JOIN settlement_quote q ON q.id = h.quote_id"
    " WHERE q.state = 'live' AND q.expires_at > %s AND h.relative AND {accounts}"
    " UNION ALL SELECT h.account_id, q.id, h.amount_fen FROM settlement_quote q"
    " JOIN settlement_hold h ON h.quote_id = q.id"
    " WHERE q.state = 'live' AND q.expires_at > %s AND NOT h.relative AND {holders}"
)


def relative_accounts(
    *, member_id: int, day: date, now: datetime, but_for: frozenset[UUID] = frozenset()
) -> tuple[RelativeFacts, ...]:
    """Accounts that relatives share with the member on the day, in the order in which they pay.

    Two statements. What the quotes of `but_for` hold counts as available.
    """
    rows = sql.fetch(_RELATIVES, (member_id, *(day,) * 7))
    if not rows:
        return ()
    held: dict[int, int] = {}
    for account_id, quote_id, amount_fen in sql.fetch(
        _HELD.format(accounts=sql.among("h.account_id"), holders=sql.among("q.member_id")),
        (now, sql.values([row[0] for row in rows]), now, sql.values([row[1] for row in rows])),
        kinds=(None, "uuid", None),
    ):
        if quote_id not in but_for:
            held[account_id] = held.get(account_id, 0) + amount_fen
    found: dict[int, RelativeFacts] = {}
    for account_id, holder_id, balance_fen in rows:
        left = max(0, balance_fen - held.get(account_id, 0))
        found.setdefault(account_id, RelativeFacts(account_id, holder_id, balance_fen, left))
    return tuple(found.values())
