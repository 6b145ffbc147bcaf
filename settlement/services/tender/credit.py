"""Credit for medical care (信用就医): a line with a limit, its uses, and their repayment.

The line gives what it has left: where that is less than was asked for, the rest is for the till to
take in another way. The lender's book is in our own database, but it is asked like every other
provider, outside of the callers' transactions, and does nothing twice under a reference.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from settlement.models import CreditLine, CreditUse, Tender
from settlement.money import yuan
from settlement.selectors.staff import OWED, left_to_repay_fen
from voucher import selectors as members

from .provider import Truth

# The limit of somebody who has no line, where one is asked for by what was shown.
NO_LINE = -1


class LimitBelowUse(Refusal):
    """The member owes more than the new limit."""

    code = "credit_limit_below_use"
    text = _("¥%(used)s are used: the limit cannot be less.")


class RepaysTooMuch(Refusal):
    """More than is owed."""

    code = "credit_repays_too_much"
    text = _("Only ¥%(due)s are due: nothing was booked.")


class LineChanged(Refusal):
    """It is not any more what the person who acts was shown."""

    code = "credit_line_changed"
    text = _("The line was changed while this page was open: nothing was done. Look again.")


class CreditLineMissing(Refusal):
    """Nobody opened a line for the member."""

    code = "credit_line_missing"
    text = _("This person has no line of credit.")


class CreditProvider:
    """See Provider."""

    word_is_final = False

    def authorise(self, reference: str, amount_fen: int, payment_code: str) -> Truth:
        """Reserve on the line of the tender's member as much as it has; declined where that is
        nothing."""
        tender = Tender.objects.select_related("quote").get(reference=reference)
        with transaction.atomic(durable=True):
            members.lock_member(member_id=tender.quote.member_id)
            if CreditUse.objects.filter(pk=reference).exists():
                return _truth(reference)
            line = CreditLine.objects.filter(pk=tender.quote.member_id).first()
            given_fen = min(amount_fen, line.limit_fen - line.used_fen) if line else 0
            if given_fen:
                CreditLine.objects.filter(pk=tender.quote.member_id).update(
                    used_fen=F("used_fen") + given_fen
                )
            CreditUse.objects.create(
                reference=reference,
                member_id=tender.quote.member_id,
                amount_fen=given_fen,
                standing="authorised" if given_fen else "declined",
                used_at=tender.created_at,
            )
            return _truth(reference)

    def capture(self, reference: str) -> Truth:
        """From now on it is due."""
        with transaction.atomic(durable=True):
            CreditUse.objects.filter(pk=reference, standing="authorised").update(
                standing="captured"
            )
            return _truth(reference)

    def cancel(self, reference: str) -> Truth:
        """Give the line back what was reserved."""
        tender = Tender.objects.select_related("quote").get(reference=reference)
        with transaction.atomic(durable=True):
            members.lock_member(member_id=tender.quote.member_id)
            use, is_new = CreditUse.objects.get_or_create(
                reference=reference,
                defaults={
                    "member_id": tender.quote.member_id,
                    "amount_fen": 0,
                    "standing": "closed",
                    "used_at": tender.created_at,
                },
            )
            if not is_new and use.standing == "authorised":
                CreditUse.objects.filter(pk=reference).update(standing="closed")
                CreditLine.objects.filter(pk=use.member_id).update(
                    used_fen=F("used_fen") - use.amount_fen
                )
            return _truth(reference)

    def refund(self, reference: str, refund_reference: str, amount_fen: int) -> Truth:
        """What is owed shrinks; what was repaid before is owed to the member from now on."""
        member_id = CreditUse.objects.values_list("member_id", flat=True).get(pk=reference)
        with transaction.atomic(durable=True):
            members.lock_member(member_id=member_id)
            use = CreditUse.objects.get(pk=reference)
            given_back = sum(use.refunds.values())
            if (
                use.standing != "captured"
                or refund_reference in use.refunds
                or given_back + amount_fen > use.amount_fen
            ):
                return _truth(reference)
            still_owed = max(0, use.amount_fen - use.repaid_fen - given_back)
            CreditUse.objects.filter(pk=reference).update(
                refunds={**use.refunds, refund_reference: amount_fen}
            )
            less_fen = min(still_owed, amount_fen)
            CreditLine.objects.filter(pk=member_id).update(
                used_fen=F("used_fen") - less_fen,
                owed_fen=F("owed_fen") + amount_fen - less_fen,
            )
            return _truth(reference)

    def query(self, reference: str) -> Truth:
        """Always the truth, and at once."""
        return _truth(reference)


def _truth(reference: str) -> Truth:
    use = CreditUse.objects.filter(pk=reference).first()
    if use is None:
        return Truth("unheard_of")
    return Truth(
        use.standing,  # type: ignore[arg-type]
        amount_fen=use.amount_fen if use.standing in OWED else None,
        provider_reference=f"CREDIT{reference[-12:]}",
        refunds=frozenset(use.refunds),
    )


def grant(*, member_id: int, limit_fen: int, shown_fen: int | None = None) -> CreditLine:
    """Open a member's line, or change its limit. `shown_fen` is the limit that whoever decides was
    shown, `NO_LINE` where there was none; left out, it is not asked for.

    Raises LimitBelowUse, LineChanged, and FieldInvalid for a negative limit.
    """
    if limit_fen < 0:
        raise FieldInvalid(param="limit_fen", field="limit_fen", problem=_("is negative"))
    with transaction.atomic():
        members.lock_member(member_id=member_id)
        line = CreditLine.objects.filter(pk=member_id).first()
        if shown_fen is not None and shown_fen != (line.limit_fen if line else NO_LINE):
            raise LineChanged(param="limit_fen")
        if line is None:
            return CreditLine.objects.create(member_id=member_id, limit_fen=limit_fen)
        if line.used_fen > limit_fen:
            raise LimitBelowUse(param="limit_fen", used=yuan(line.used_fen))
        line.limit_fen = limit_fen
        line.save(update_fields=["limit_fen"])
    return line


def repay(
    *, member_id: int, amount_fen: int, now: datetime, shown_fen: int | None = None
) -> CreditLine:
    """Pay back what is owed, oldest use first. Only what is captured is due. `shown_fen` is what
    whoever takes the money was shown as due, so that the same money is not booked from two pages;
    left out, it is not asked for.

    Raises RepaysTooMuch, CreditLineMissing, LineChanged, and FieldInvalid for an amount that is not
    positive.
    """
    if amount_fen <= 0:
        raise FieldInvalid(param="amount_fen", field="amount_fen", problem=_("is not positive"))
    with transaction.atomic():
        members.lock_member(member_id=member_id)
        if not CreditLine.objects.filter(pk=member_id).exists():
            raise CreditLineMissing(param="member")
        uses = CreditUse.objects.filter(member_id=member_id, standing="captured", used_at__lte=now)
        due = [(use, left_to_repay_fen(use)) for use in uses.order_by("used_at", "reference")]
        most_fen = sum(fen for _use, fen in due)
        if shown_fen is not None and shown_fen != most_fen:
            raise LineChanged(param="amount_fen")
        if amount_fen > most_fen:
            raise RepaysTooMuch(param="amount_fen", due=yuan(most_fen))
        left_fen = amount_fen
        for use, fen in due:
            if part_fen := min(fen, left_fen):
                CreditUse.objects.filter(pk=use.pk).update(repaid_fen=use.repaid_fen + part_fen)
                left_fen -= part_fen
        CreditLine.objects.filter(pk=member_id).update(used_fen=F("used_fen") - amount_fen)
        return CreditLine.objects.get(pk=member_id)
