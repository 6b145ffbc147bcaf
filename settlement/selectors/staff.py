"""What fund staff see of how cash parts are paid: what is under way, what is owed by name, lines of
credit, rules of institutions, and what staff did. Names of people are masked; every list is bounded
and says how many there are.
"""

from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from settlement.models import CreditLine, CreditUse, StaffAct, Tender, TenderRefund, TenderRule
from settlement.selectors.tenders import UNCERTAIN
from voucher.models import Member
from voucher.selectors import masked_name

SHOWN = 50
# The worker is at it.
MOVING = ("capturing", "returning")
# A use in these is owed, but for what of it was repaid or refunded.
OWED = ("authorised", "captured")


def under_way() -> dict[str, Any]:
    """Parts whose result is not known, parts that are being captured or given back, and refunds
    that are not back yet. Each as `rows`, the longest waiting first, and their `count`."""
    open_ = Tender.objects.select_related("merchant")
    return {
        "uncertain": _bounded(
            open_.filter(state__in=UNCERTAIN).order_by("created_at", "number", "pk")
        ),
        "moving": _bounded(open_.filter(state__in=MOVING).order_by("changed_at", "number", "pk")),
        "refunds": _bounded(
            TenderRefund.objects.filter(returned_at=None)
            .select_related("tender__merchant", "refund")
            .order_by("created_at", "pk")
        ),
    }


def debts_by_name() -> dict[str, Any]:
    """Which payment service owes which institution what: `rows`, the oldest first, their `count`,
    and `sums` in fen by institution and kind of money, the largest first."""
    owed = Tender.objects.filter(state="debt", amount_fen__gt=F("refunded_fen"))
    sums = (
        owed.values("merchant__name", "kind")
        .annotate(fen=Sum(F("amount_fen") - F("refunded_fen")), number=Count("pk"))
        .order_by("-fen", "merchant__name", "kind")
    )
    found = _bounded(owed.select_related("merchant").order_by("changed_at", "pk"))
    for row in found["rows"]:
        row.owed_fen = row.amount_fen - row.refunded_fen
    return found | {
        "sums": [
            {
                "merchant_name": row["merchant__name"],
                "kind": Tender.Kind(row["kind"]).label,
                "owed_fen": row["fen"],
                "number": row["number"],
            }
            for row in sums[:SHOWN]
        ],
    }


def left_to_repay_fen(use: CreditUse) -> int:
    """What of a use is neither repaid nor refunded."""
    given_back_fen: int = sum(use.refunds.values())
    return max(0, use.amount_fen - use.repaid_fen - given_back_fen)


def due_fen(member_id: int) -> int:
    """What a member has to pay back: of a use that is not captured yet, nothing."""
    captured = CreditUse.objects.filter(member_id=member_id, standing="captured")
    return sum(left_to_repay_fen(use) for use in captured)


def member_numbered(number: str) -> Member | None:
    """The member with this number of the area's."""
    return Member.objects.filter(number=number).first()


def line_of_credit(member_id: int) -> dict[str, Any] | None:
    """A member's line with what it paid for, latest first: fen used, of them due, owed the other
    way round. `line` is None for a member without one; None for no member."""
    member = Member.objects.filter(pk=member_id).first()
    if member is None:
        return None
    line = CreditLine.objects.filter(pk=member_id).first()
    uses = CreditUse.objects.filter(member_id=member_id, amount_fen__gt=0, standing__in=OWED)
    found = _bounded(uses.order_by("-used_at", "-reference"))
    tenders = {
        tender.reference: tender
        for tender in Tender.objects.filter(
            reference__in=[use.reference for use in found["rows"]]
        ).select_related("merchant")
    }
    acts = StaffAct.objects.filter(member_id=member_id).order_by("-done_at", "-pk")
    return {
        "number": member.number,
        "member_id": member.pk,
        "name": masked_name(member.name),
        "line": line,
        "left_fen": line.limit_fen - line.used_fen if line else 0,
        "due_fen": due_fen(member_id),
        "uses": [
            {
                "used_at": use.used_at,
                "merchant_name": tenders[use.reference].merchant.name,
                "settlement_id": tenders[use.reference].settlement_id,
                "amount_fen": use.amount_fen,
                "repaid_fen": use.repaid_fen,
                "refunded_fen": sum(use.refunds.values()),
                "left_fen": left_to_repay_fen(use),
                "is_due": use.standing == "captured",
            }
            for use in found["rows"]
        ],
        "count": found["count"],
        "acts": list(acts[:SHOWN]),
        "acts_count": acts.count(),
    }


def capture_rules() -> dict[str, Any]:
    """Institutions that have a rule of their own: `rows` by their code, and their `count`."""
    return _bounded(TenderRule.objects.select_related("merchant").order_by("merchant__code"))


def latest_acts() -> dict[str, Any]:
    """What staff did, latest first: `rows` and their `count`."""
    acts = StaffAct.objects.select_related("tender__merchant", "merchant", "member")
    return _bounded(acts.order_by("-done_at", "-pk"))


def act_done(*, actor: str, key: str) -> StaffAct | None:
    """What somebody did under a key."""
    return StaffAct.objects.filter(actor=actor, key=key).first()


def _bounded(rows: QuerySet[Any]) -> dict[str, Any]:
    found = list(rows[: SHOWN + 1])
    # Counting all is needed only where not all are shown.
    count = len(found) if len(found) <= SHOWN else rows.count()
    return {"rows": found[:SHOWN], "count": count}
