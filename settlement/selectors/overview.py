"""What the citizen page and the fund dashboard show. A day's money is read from the folded totals
plus the tail that is not folded yet, everything else from the rows themselves."""

from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from messaging import outbox, sql
from messaging.heartbeats import pulses
from messaging.snapshots import snapshot
from settlement.models import Account, AuditRun, Quote, Scan, Settlement, ToSeal
from settlement.selectors.approvals import how_many_wait
from settlement.selectors.seals import sealed_up_to
from settlement.selectors.totals import day_turnover

# Of the work that waits for a person, the oldest; `manage.py outbox parked` shows more.
PARKED_SHOWN = 10


def account_balance(member_id: int) -> int:
    """Fen in the member's account; 0 for a member without one."""
    row = Account.objects.filter(member_id=member_id, kind="personal").first()
    return row.balance_fen if row else 0


def member_settlements(member_id: int, *, limit: int) -> list[dict[str, Any]]:
    """The member's latest settlements, newest first."""
    rows = (
        Settlement.objects.select_related("merchant")
        .filter(member_id=member_id)
        .order_by("-member_seq")[:limit]
    )
    return [_brief(row) for row in rows]


def open_quotes(member_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """What tills hold for the member right now: where, for how much (fen), until when."""
    rows = (
        Quote.objects.select_related("merchant")
        .filter(member_id=member_id, state=Quote.State.LIVE, expires_at__gt=now)
        .order_by("expires_at")
    )
    return [
        {
            "merchant_name": row.merchant.name,
            "total_fen": row.total_fen,
            "expires_at": row.expires_at,
        }
        for row in rows
    ]


def _brief(row: Settlement) -> dict[str, Any]:
    return {
        "settlement_id": str(row.id),
        "merchant_name": row.merchant.name,
        "accepted_at": row.accepted_at.isoformat(),
        "benefit_kind": row.benefit_kind,
        "total_fen": row.total_fen,
        "pool_fen": row.fund_fen,
        "account_fen": row.account_fen,
        "cash_fen": row.cash_fen,
        "state": row.state,
        "refunded_fen": row.refunded_fen,
    }


def overview(*, day: date, now: datetime, area_code: str | None = None) -> dict[str, Any]:
    """One Beijing day of one area, or of all: scans, settlements, outgoings, how posting does.

    Everything is of one moment, whatever tills and workers do meanwhile.
    """
    with snapshot():
        return _overview(day=day, now=now, area_code=area_code)


def _overview(*, day: date, now: datetime, area_code: str | None) -> dict[str, Any]:
    scans = Scan.objects.filter(business_date=day)
    settled = Settlement.objects.filter(business_date=day)
    if area_code is not None:
        scans = scans.filter(merchant__area_code=area_code)
        settled = settled.filter(area_code=area_code)
    counted = scans.aggregate(
        accepted=Count("id", filter=Q(code="")), refused=Count("id", filter=~Q(code=""))
    )
    turnover = day_turnover(day=day, area_code=area_code)
    bills, returned = turnover["settlement"], turnover["refund"]
    unposted, oldest = _unposted(area_code)
    by_payer = sorted(bills.by_payer.items(), key=lambda entry: (-entry[1], entry[0]))
    by_code = scans.exclude(code="").values("code").annotate(n=Count("id")).order_by("-n", "code")
    recent = settled.select_related("merchant").order_by("-accepted_at")[:20]
    audit = AuditRun.objects.order_by("-ended_at").first()
    return {
        "day": day.isoformat(),
        "scans_accepted": counted["accepted"],
        "scans_refused": counted["refused"],
        "refused_by_code": [(row["code"], row["n"]) for row in by_code],
        "settlements": bills.number,
        "settlements_total_fen": bills.total_fen,
        "by_payer": [(payer, fen) for payer, fen in by_payer if fen],
        "refunds": returned.number,
        "refunds_total_fen": returned.total_fen,
        "approvals_waiting": how_many_wait(area_code=area_code),
        "unposted": unposted,
        "posting_lag_s": max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        "parked": outbox.how_many_parked(),
        "parked_rows": [
            (row.pk, row.topic, str(row.subject), row.attempts, row.last_error)
            for row in outbox.parked(limit=PARKED_SHOWN)
        ],
        "sealed": sealed_up_to(),
        "unsealed": ToSeal.objects.count(),
        "audited_at": audit.ended_at.isoformat() if audit else None,
        "audit_sound": audit.sound if audit else None,
        "heartbeats": [
            (pulse.name, pulse.age_s, pulse.late)
            for pulse in pulses(settings.HEARTBEATS_LATE_S, now=now)
        ],
        "recent": [_brief(row) for row in recent],
    }


def _unposted(area_code: str | None) -> tuple[int, datetime | None]:
    """How many settlements and refunds wait to be posted, and since when the oldest does.

    Asked of the outbox, which is short: that everything accepted waits there is the audit's to
    prove, and there is no index of settlements by state.
    """
    area = "" if area_code is None else " WHERE s.area_code = %s"
    row = sql.fetch_one(
        "SELECT count(*), min(accepted_at) FROM ("
        " SELECT s.area_code, s.accepted_at FROM messaging_outboxentry o"
        " JOIN settlement_settlement s ON s.id = o.subject AND o.topic = 'post_settlement'"
        " UNION ALL SELECT s.area_code, r.accepted_at FROM messaging_outboxentry o"
        " JOIN settlement_refund r ON r.id = o.subject AND o.topic = 'post_refund'"
        f" JOIN settlement_settlement s ON s.id = r.settlement_id) AS s{area}",
        () if area_code is None else (area_code,),
        kinds=(None, "datetime"),
    )
    return (row[0], row[1]) if row else (0, None)
