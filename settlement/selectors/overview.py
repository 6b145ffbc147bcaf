"""What the citizen page and the fund dashboard show. Figures are derived from rows; nothing here is
a stored total."""

from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q, Sum

from messaging import outbox
from messaging.heartbeats import pulses
from settlement.models import Account, Refund, Scan, Settlement, Share

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
    """One Beijing day of one area, or of all: scans, settlements, outgoings, how posting does."""
    scans = Scan.objects.filter(business_date=day)
    settled = Settlement.objects.filter(business_date=day)
    refunds = Refund.objects.filter(business_date=day)
    shares = Share.objects.filter(settlement__business_date=day)
    unposted = Settlement.objects.filter(state=Settlement.State.ACCEPTED)
    unposted_refunds = Refund.objects.filter(state=Refund.State.ACCEPTED)
    if area_code is not None:
        scans = scans.filter(merchant__area_code=area_code)
        settled = settled.filter(area_code=area_code)
        refunds = refunds.filter(settlement__area_code=area_code)
        shares = shares.filter(settlement__area_code=area_code)
        unposted = unposted.filter(area_code=area_code)
        unposted_refunds = unposted_refunds.filter(settlement__area_code=area_code)
    counted = scans.aggregate(
        accepted=Count("id", filter=Q(code="")), refused=Count("id", filter=~Q(code=""))
    )
    totals = settled.aggregate(number=Count("id"), total_fen=Sum("total_fen"))
    returned = refunds.aggregate(number=Count("id"), total_fen=Sum("total_fen"))
    oldest = [
        found
        for found in (
            unposted.aggregate(at=Min("accepted_at"))["at"],
            unposted_refunds.aggregate(at=Min("accepted_at"))["at"],
        )
        if found
    ]
    by_payer = shares.values("payer").annotate(fen=Sum("amount_fen")).order_by("-fen")
    by_code = scans.exclude(code="").values("code").annotate(n=Count("id")).order_by("-n", "code")
    recent = settled.select_related("merchant").order_by("-accepted_at")[:20]
    return {
        "day": day.isoformat(),
        "scans_accepted": counted["accepted"],
        "scans_refused": counted["refused"],
        "refused_by_code": [(row["code"], row["n"]) for row in by_code],
        "settlements": totals["number"],
        "settlements_total_fen": totals["total_fen"] or 0,
        "by_payer": [(row["payer"], row["fen"]) for row in by_payer],
        "refunds": returned["number"],
        "refunds_total_fen": returned["total_fen"] or 0,
        "unposted": unposted.count() + unposted_refunds.count(),
        "posting_lag_s": max(0.0, (now - min(oldest)).total_seconds()) if oldest else 0.0,
        "parked": outbox.how_many_parked(),
        "parked_rows": [
            (row.pk, row.topic, str(row.subject), row.attempts, row.last_error)
            for row in outbox.parked(limit=PARKED_SHOWN)
        ],
        "heartbeats": [
            (pulse.name, pulse.age_s, pulse.late)
            for pulse in pulses(settings.HEARTBEATS_LATE_S, now=now)
        ],
        "recent": [_brief(row) for row in recent],
    }
