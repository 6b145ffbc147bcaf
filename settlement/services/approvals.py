"""What the fund's staff approve: a return into a month that is declared for clearing.

A till asks by trying. The first try leaves the ask and is refused; so is every further one until
somebody of the fund has decided. An approval is of exactly one return: these parts of this
settlement, with these shares back to these payers. It goes through once. Asks of one settlement are
made under its member's lock, so there are no two of the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging.days import moment
from messaging.refusals import Refusal
from settlement import money, states
from settlement.models import RefundApproval
from settlement.selectors.presence import NotFound
from settlement.selectors.standing import Standing
from settlement.services.declaring import month_is_declared
from settlement.services.desk import Desk
from settlement.services.returning import ReturnedPart

# For so long a declined return is not asked for again with the same reason.
DECLINED_FOR = timedelta(days=1)


class RefundNeedsApproval(Refusal):
    """The month is declared for clearing, and the fund has not decided yet."""

    code = "refund_needs_approval"
    text = _(
        "The month of this settlement is declared for clearing, so the fund has to approve this"
        " return. It is asked for; send it again when the fund has decided."
    )


class RefundDeclined(Refusal):
    """The fund does not want this return."""

    code = "refund_declined"
    text = _("The fund declined this return: %(note)s")


def approval_for(
    desk: Desk,
    found: Standing,
    parts: Sequence[ReturnedPart],
    shares: Mapping[str, int],
    *,
    reason: str,
) -> RefundApproval | None:
    """The approval that this return goes through on; None where it needs none, because the
    settlement's month is not declared. `shares` is what each payer gets back, in fen.

    The member is locked, the day is open. Takes the merchant's lock of months, shared. Raises
    RefundNeedsApproval after leaving the ask where there was none, and RefundDeclined.
    """
    if not month_is_declared(found, day=desk.day):
        return None
    asked = canonical(parts)
    alike = list(
        RefundApproval.objects.select_for_update(no_key=True)
        .filter(
            settlement_id=found.settlement_id,
            merchant_id=found.merchant_id,
            parts_hash=parts_hash(asked),
        )
        .order_by("asked_at")
    )
    unused = next((row for row in alike if row.state in ("waiting", "approved")), None)
    if unused is not None and _comes_to(unused, shares):
        if unused.state == "approved":
            return unused
        raise _waits(unused)
    for row in alike:
        if _is_declined(row, reason=reason, now=desk.now) and _comes_to(row, shares):
            raise RefundDeclined(**_told(row), note=row.note)
    if unused is not None:
        # Something else came back meanwhile: what was asked for, or approved, is no more.
        unused.state = states.transition("approval", unused.state, "overtake", who="till").next
        unused.save(update_fields=["state"])
    raise _waits(
        RefundApproval.objects.create(
            settlement_id=found.settlement_id,
            merchant_id=found.merchant_id,
            parts=asked,
            parts_hash=parts_hash(asked),
            shares=dict(shares),
            reason=reason,
            terminal_id=desk.terminal.terminal_id,
            operator=desk.operator,
            asked_at=desk.now,
            state=states.target("approval", "ask"),
        )
    )


def use_approval(approval: RefundApproval | None, *, refund_id: UUID) -> None:
    """The return went through on it: nothing else does. The member is locked."""
    if approval is None:
        return
    approval.state = states.transition("approval", approval.state, "use", who="till").next
    approval.refund_id = refund_id
    approval.save(update_fields=["state", "refund"])


def decide(
    *,
    approval_id: UUID,
    decision: Literal["approve", "decline"],
    note: str,
    by: str,
    now: datetime,
) -> bool:
    """Approve or decline what waits, for the fund's staff; `by` is their login. One commit.

    Deciding twice is the same as once. False, and nothing is changed, where somebody else was
    quicker, or it waits no more. Raises NotFound.
    """
    with transaction.atomic(durable=True):
        row = RefundApproval.objects.select_for_update(no_key=True).filter(pk=approval_id).first()
        if row is None:
            raise NotFound(param="approval_id")
        if row.state not in states.sources("approval", decision):
            outcome = {"approve": ("approved", "used"), "decline": ("declined",)}[decision]
            return row.decided_by == by and row.state in outcome
        row.state = states.transition("approval", row.state, decision, who="staff").next
        row.decided_by, row.decided_at, row.note = by, now, note
        row.save(update_fields=["state", "decided_by", "decided_at", "note"])
    return True


def canonical(parts: Sequence[ReturnedPart]) -> list[dict[str, Any]]:
    """What comes back, by the lines' numbers, whichever way it was asked for: `no`, `quantity` as
    decimal text, `amount_fen`, and the packs that come back."""
    return [
        {
            "no": part.line.no,
            "quantity": money.quantity_text(part.quantity_e4),
            "amount_fen": part.amount_fen,
            "trace_codes": sorted(part.codes),
        }
        for part in sorted(parts, key=lambda part: part.line.no)
    ]


def parts_hash(asked: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 over the canonical parts as JSON, 64 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _comes_to(row: RefundApproval, shares: Mapping[str, int]) -> bool:
    return bool(row.shares == dict(shares))


def _is_declined(row: RefundApproval, *, reason: str, now: datetime) -> bool:
    """A till that only presses again gets the same answer; one that says more asks anew."""
    if row.state != "declined" or row.decided_at is None:
        return False
    return row.reason == reason and now < row.decided_at + DECLINED_FOR


def _waits(row: RefundApproval) -> RefundNeedsApproval:
    return RefundNeedsApproval(**_told(row))


def _told(row: RefundApproval) -> dict[str, Any]:
    """What a till is told of an approval: which, its state, and since when that is so."""
    return {
        "param": "settlement_id",
        "approval_id": str(row.id),
        "state": row.state,
        "since": moment(row.decided_at or row.asked_at),
    }
