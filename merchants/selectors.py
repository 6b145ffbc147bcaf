"""What the others may know of merchants: who is at a terminal, and what the merchant sells.

The two questions of the hot path, whose terminal a key is and what some item codes stand for, are
one hand-written statement each. Nothing here decides: whether a terminal may act is
`merchants.services.check_terminal`'s word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from django.db import connection
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.refusals import Refusal


class TerminalUnknown(Refusal):
    """No terminal has this key now."""

    code = "terminal_unknown"
    text = _("No terminal is enrolled with this key.")


@dataclass(frozen=True, slots=True)
class TerminalFacts:
    """A terminal with its merchant, and what the merchant's agreements cover on one day.

    `key_id` and `public_key` (32 bytes) are empty for the browser page's terminal.
    """

    terminal_id: int
    terminal_kind: str
    terminal_state: str
    key_id: str
    public_key: bytes
    merchant_id: int
    merchant_code: str
    merchant_name: str
    merchant_kind: str
    merchant_level: int
    merchant_state: str
    area_code: str
    agreement_in_force: bool
    capabilities: frozenset[str]
    # Words that a policy may ask for, in alphabetical order.
    merchant_marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """An item of a merchant's list. `unit_price` is decimal yuan text with at most 6 places."""

    code: str
    barcode: str
    name: str
    initials: str
    spec: str
    unit: str
    unit_price: str
    national_code: str

    @property
    def mapped(self) -> bool:
        """Whether the item stands for something in the national catalogue (目录对照)."""
        return bool(self.national_code)

    def described(self) -> dict[str, Any]:
        """The item as the API and the pages show it."""
        return {
            "code": self.code,
            "barcode": self.barcode,
            "name": self.name,
            "initials": self.initials,
            "spec": self.spec,
            "unit": self.unit,
            "unit_price": self.unit_price,
            "national_code": self.national_code,
            "mapped": self.mapped,
        }


# One subquery says both things: null when no agreement is in force, else its capabilities, which
# may be none at all. SQLite has another name for the aggregate.
_TERMINAL = (
    "SELECT t.id, t.kind, t.state, t.key_id, t.public_key, m.id, m.code, m.name, m.kind,"
    " m.level, m.state, m.area_code,"
    " (SELECT string_agg(COALESCE(c.kind, ''), ',') FROM merchants_agreement a"
    " LEFT JOIN merchants_capability c ON c.agreement_id = a.id"
    " WHERE a.merchant_id = m.id AND a.state = 'in_force' AND a.from_date <= %s"
    " AND (a.until_date IS NULL OR a.until_date > %s)), m.marks"
    " FROM merchants_terminal t JOIN merchants_merchant m ON m.id = t.merchant_id"
)
_TERMINAL_ON_SQLITE = _TERMINAL.replace("string_agg", "group_concat")


def _terminal(where: str, value: str | int, day: date) -> TerminalFacts:
    statement = _TERMINAL if connection.vendor == "postgresql" else _TERMINAL_ON_SQLITE
    row = sql.fetch_one(statement + where, (day, day, value))
    if row is None:
        raise TerminalUnknown
    return TerminalFacts(
        terminal_id=row[0],
        terminal_kind=row[1],
        terminal_state=row[2],
        key_id=row[3] or "",
        public_key=bytes(row[4]),
        merchant_id=row[5],
        merchant_code=row[6],
        merchant_name=row[7],
        merchant_kind=row[8],
        merchant_level=row[9],
        merchant_state=row[10],
        area_code=row[11],
        agreement_in_force=row[12] is not None,
        capabilities=frozenset(kind for kind in (row[12] or "").split(",") if kind),
        merchant_marks=tuple(sorted(msgspec.json.decode(row[13]))),
    )


def terminal_by_key(*, key_id: str, day: date) -> TerminalFacts:
    """The terminal that signs with this key, as of a Beijing day. Raises TerminalUnknown.

    A revoked terminal keeps its key id, so that its holder is told what happened.
    """
    return _terminal(" WHERE t.key_id = %s", key_id, day)


def terminal_facts(*, terminal_id: int, day: date) -> TerminalFacts:
    """The same by the terminal's row. Raises TerminalUnknown."""
    return _terminal(" WHERE t.id = %s", terminal_id, day)


def merchant_name(*, merchant_id: int) -> str:
    """What an institution is called; empty for one that is not there."""
    row = sql.fetch_one("SELECT name FROM merchants_merchant WHERE id = %s", (merchant_id,))
    return str(row[0]) if row else ""


def terminal_ids(*, merchant_id: int) -> list[int]:
    """Every terminal that the merchant has or had."""
    rows = sql.fetch("SELECT id FROM merchants_terminal WHERE merchant_id = %s", (merchant_id,))
    return [row[0] for row in rows]


def covered_kinds(*, merchant_id: int, day: date) -> frozenset[str]:
    """What the merchant's agreements in force cover on a Beijing day: kinds of benefit and acts."""
    rows = sql.fetch(
        "SELECT DISTINCT c.kind FROM merchants_agreement a"
        " JOIN merchants_capability c ON c.agreement_id = a.id"
        " WHERE a.merchant_id = %s AND a.state = 'in_force' AND a.from_date <= %s"
        " AND (a.until_date IS NULL OR a.until_date > %s)",
        (merchant_id, day, day),
    )
    return frozenset(row[0] for row in rows)


_ITEM_COLUMNS = "code, barcode, name, initials, spec, unit, unit_price, national_code"


def items_by_code(*, merchant_id: int, codes: Sequence[str]) -> dict[str, ItemFacts]:
    """The merchant's items with these codes, by code; a code that is not listed is left out."""
    if not codes:
        return {}
    rows = sql.fetch(
        f"SELECT {_ITEM_COLUMNS} FROM merchants_item"
        f" WHERE merchant_id = %s AND {sql.among('code')}",
        (merchant_id, sql.values(codes)),
    )
    return {row[0]: ItemFacts(*row) for row in rows}


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def search_items(*, merchant_id: int, query: str, limit: int = 20) -> list[ItemFacts]:
    """Items to choose from while somebody types or scans, the likeliest first.

    The item's own code, its bar code or its national code, exactly; the beginning of its pinyin
    initials; a part of its name. An empty query finds nothing.
    """
    wanted = query.strip().replace("\x00", "")
    if not wanted or limit < 1:
        return []
    # Initials are kept in small letters; names may hold Latin letters of either case.
    lowered = wanted.lower()
    rows = sql.fetch(
        f"SELECT {_ITEM_COLUMNS} FROM merchants_item"
        " WHERE merchant_id = %s AND (code = %s OR barcode = %s OR national_code = %s"
        " OR initials LIKE %s ESCAPE '!' OR LOWER(name) LIKE %s ESCAPE '!')"
        " ORDER BY CASE WHEN code = %s THEN 0 WHEN barcode = %s THEN 1 WHEN initials = %s THEN 2"
        " WHEN initials LIKE %s ESCAPE '!' THEN 3 ELSE 4 END, initials, code LIMIT %s",
        (
            merchant_id,
            wanted,
            wanted,
            wanted,
            _like(lowered) + "%",
            "%" + _like(lowered) + "%",
            wanted,
            wanted,
            lowered,
            _like(lowered) + "%",
            limit,
        ),
    )
    return [ItemFacts(*row) for row in rows]


def unmapped_items(*, merchant_id: int) -> list[ItemFacts]:
    """Items without a national code, which no fund pays for, by their codes."""
    rows = sql.fetch(
        f"SELECT {_ITEM_COLUMNS} FROM merchants_item"
        " WHERE merchant_id = %s AND national_code = '' ORDER BY code",
        (merchant_id,),
    )
    return [ItemFacts(*row) for row in rows]
