"""How the cash part of a quote is paid, as a terminal of its merchant sees it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Sum

from messaging.days import moment
from settlement.models import Quote, Tender
from settlement.selectors.presence import NotFound

# What pays for a part of the bill, or may yet turn out to.
COUNTS = ("received", "asked", "unknown", "authorised", "capturing", "captured", "debt")
UNCERTAIN = ("asked", "unknown")
PAID = ("received", "authorised")


def quoted_cash_fen(quote: Quote) -> int:
    """The cash part that the quote was answered with."""
    return sum(share["amount_fen"] for share in quote.result["shares"] if share["payer"] == "cash")


def tendered_fen(quote_id: UUID) -> int:
    """What the parts of a quote pay, those counted in whose result is not known yet."""
    found = Tender.objects.filter(quote_id=quote_id, state__in=COUNTS)
    return found.aggregate(total=Sum("amount_fen"))["total"] or 0


def tender_record(*, quote_id: UUID, merchant_id: int, now: datetime) -> dict[str, Any]:
    """All parts of a quote of this merchant, and what is left to pay. Raises NotFound."""
    quote = Quote.objects.filter(pk=quote_id, merchant_id=merchant_id).first()
    if quote is None:
        raise NotFound(param="quote_id")
    parts = list(Tender.objects.filter(quote=quote).prefetch_related("refunds").order_by("number"))
    cash_fen = quoted_cash_fen(quote)
    run_out = quote.state == "live" and now >= quote.expires_at
    return {
        "quote_id": str(quote_id),
        "quote_state": "expired" if run_out else quote.state,
        "expires_at": moment(quote.expires_at),
        "cash_fen": cash_fen,
        "uncertain_fen": sum(part.amount_fen for part in parts if part.state in UNCERTAIN),
        "left_fen": cash_fen - sum(part.amount_fen for part in parts if part.state in COUNTS),
        "parts": [_part(part) for part in parts],
    }


def _part(part: Tender) -> dict[str, Any]:
    return {
        "tender_id": str(part.id),
        "kind": part.kind,
        "amount_fen": part.amount_fen,
        "state": part.state,
        "reference": part.provider_reference or None,
        "certain_by": moment(part.certain_by),
        "refunds": [
            {
                "refund_id": str(each.refund_id),
                "amount_fen": each.amount_fen,
                "state": "returned" if each.returned_at else "returning",
                "by_hand": each.by_hand,
            }
            for each in sorted(part.refunds.all(), key=lambda each: each.created_at)
        ],
    }
