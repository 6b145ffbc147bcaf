"""Which months are declared for clearing, and what of a month is not finished yet."""

from collections import Counter
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Q

from messaging import sql
from settlement import states
from settlement.models import DeclaredMonth, Refund, Settlement, Tender


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many of a merchant's month still have something before them."""

    # Accepted settlements of the month; accepted refunds of it, or of its settlements.
    unposted: int
    # Settled in two steps, and neither confirmed nor reversed.
    unconfirmed: int
    # Parts of the cash whose tender is in no final state, by its state.
    tenders: Counter[str]


def is_declared(*, merchant_id: int, month: date) -> bool:
    """Whether the merchant's month that begins on this day is declared."""
    found = sql.fetch_one(
        "SELECT 1 FROM settlement_declaredmonth WHERE merchant_id = %s AND month = %s",
        (merchant_id, month),
    )
    return found is not None


def declared_months(*, merchant_code: str = "") -> list[DeclaredMonth]:
    """Declared months with their merchants, of one merchant or of all; the latest month first."""
    rows = DeclaredMonth.objects.select_related("merchant")
    if merchant_code:
        rows = rows.filter(merchant__code=merchant_code)
    return list(rows.order_by("-month", "merchant__code"))


def unfinished(*, merchant_id: int, month: date) -> Unfinished:
    """What would still change the month, or come back of it by itself."""
    settled = Settlement.objects.filter(merchant_id=merchant_id, accounting_month=month)
    returned = Refund.objects.filter(
        Q(accounting_month=month) | Q(settlement__accounting_month=month), merchant_id=merchant_id
    )
    # A debt by name is between a payment service and the merchant: clearing moves none of it.
    done = states.final_states("tender") | {"debt"}
    tenders = (
        Tender.objects.filter(settlement__in=settled)
        .exclude(state__in=done)
        .values("state")
        .annotate(n=Count("id"))
    )
    return Unfinished(
        unposted=settled.filter(state="accepted").count()
        + returned.filter(state="accepted").count(),
        unconfirmed=settled.filter(confirm_by__isnull=False, confirmed_at__isnull=True).count(),
        tenders=Counter({row["state"]: row["n"] for row in tenders}),
    )
