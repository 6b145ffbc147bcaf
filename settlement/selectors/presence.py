"""Scans and visits as the services need them. Whatever belongs to another merchant is not found."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.refusals import Refusal


class NotFound(Refusal):
    """It does not exist, or is another's: the asker cannot tell which."""

    code = "not_found"
    text = _("There is no such record for your institution.")


class ScanExpired(Refusal):
    """Presence was shown too long ago."""

    code = "scan_expired"
    text = _("The scan is no longer valid: please scan a new code.")


class VisitClosed(Refusal):
    """Nothing can be added to it any more."""

    code = "visit_closed"
    text = _("The visit is closed.")


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """An accepted scan of this merchant."""

    scan_id: UUID
    member_id: int
    use: str
    ceiling_fen: int | None
    scanned_at: datetime
    expires_at: datetime
    business_date: date


def live_scan(*, scan_id: UUID, merchant_id: int, now: datetime) -> ScanFacts:
    """An accepted scan that has not run out. Raises NotFound, ScanExpired."""
    facts = accepted_scan(scan_id=scan_id, merchant_id=merchant_id)
    if now >= facts.expires_at:
        raise ScanExpired(param="scan_id")
    return facts


def accepted_scan(*, scan_id: UUID, merchant_id: int) -> ScanFacts:
    """An accepted scan of this merchant, however old. Raises NotFound."""
    row = sql.fetch_one(
        "SELECT id, member_id, use, ceiling_fen, scanned_at, expires_at, business_date"
        " FROM settlement_scan WHERE id = %s AND merchant_id = %s AND code = ''",
        (scan_id, merchant_id),
        kinds=("uuid", None, None, None, "datetime", "datetime", "date"),
    )
    if row is None:
        raise NotFound(param="scan_id")
    return ScanFacts(*row)


def settled_under_scan(*, scan_id: UUID) -> int:
    """Fen settled under a scan and not refunded: what its ceiling is compared with."""
    row = sql.fetch_one(
        "SELECT coalesce(sum(total_fen - refunded_fen), 0) FROM settlement_settlement"
        " WHERE scan_id = %s",
        (scan_id,),
    )
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """A visit of this merchant."""

    visit_id: UUID
    member_id: int
    scan_id: UUID | None
    kind: str
    department: str
    doctor: str
    diagnoses: str
    opened_at: datetime
    closed_at: datetime | None
    business_date: date
    # Of a stay only.
    admission_date: date | None
    discharge_date: date | None
    emergency: bool
    public_emergency: bool


def merchant_visit(*, visit_id: UUID, merchant_id: int, lock: bool = False) -> VisitFacts:
    """A visit of this merchant, optionally locked. Raises NotFound."""
    row = sql.fetch_one(
        "SELECT id, member_id, scan_id, kind, department, doctor, diagnoses, opened_at, closed_at,"
        " business_date, admission_date, discharge_date, emergency, public_emergency"
        " FROM settlement_visit WHERE id = %s AND merchant_id = %s"
        + (sql.for_update() if lock else ""),
        (visit_id, merchant_id),
        kinds=(
            "uuid",
            None,
            "uuid",
            None,
            None,
            None,
            None,
            "datetime",
            "datetime",
            "date",
            "date",
            "date",
            "bool",
            "bool",
        ),
    )
    if row is None:
        raise NotFound(param="visit_id")
    return VisitFacts(*row)


def open_visit(*, visit_id: UUID, merchant_id: int, lock: bool = False) -> VisitFacts:
    """A visit that takes more. Raises NotFound, VisitClosed."""
    facts = merchant_visit(visit_id=visit_id, merchant_id=merchant_id, lock=lock)
    if facts.closed_at is not None:
        raise VisitClosed(param="visit_id")
    return facts


def has_bills(*, visit_id: UUID) -> bool:
    """Whether a settlement of the visit stands."""
    row = sql.fetch_one(
        "SELECT count(*) FROM settlement_settlement"
        " WHERE visit_id = %s AND refunded_fen < total_fen",
        (visit_id,),
    )
    return bool(row and row[0])


def check_batches(*, visit_id: UUID, fee_batch_ids: list[UUID]) -> None:
    """Raises NotFound unless every one of these batches is the visit's."""
    rows = sql.fetch(
        f"SELECT id FROM settlement_feebatch WHERE visit_id = %s AND {sql.among('id')}",
        (visit_id, sql.values(fee_batch_ids)),
    )
    if len(rows) < len(set(fee_batch_ids)):
        raise NotFound(param="fee_batch_ids")


def unsettled_lines(*, visit_id: UUID, fee_batch_ids: list[UUID] | None) -> list[dict[str, Any]]:
    """Rows of the visit's lines that no settlement has, in the order of upload; with batches named,
    only theirs."""
    params: list[Any] = [visit_id]
    among = ""
    if fee_batch_ids is not None:
        if not fee_batch_ids:
            return []
        among = f" AND {sql.among('b.id')}"
        params.append(sql.values(fee_batch_ids))
    names = (
        "id",
        "service_date",
        "code",
        "national_code",
        "name",
        "quantity",
        "unit_price",
        "amount_fen",
        "split_pack",
        "trace_codes",
        "prescription_number",
    )
    rows = sql.fetch(
        "SELECT l.id, b.service_date, l.code, l.national_code, l.name, l.quantity, l.unit_price,"
        " l.amount_fen, l.split_pack, l.trace_codes, l.prescription_number"
        " FROM settlement_line l JOIN settlement_feebatch b ON b.id = l.fee_batch_id"
        f" WHERE b.visit_id = %s AND l.settlement_id IS NULL{among}"
        " ORDER BY b.number, l.number",
        params,
        kinds=(None, "date", None, None, None, None, None, None, "bool", None, None),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
