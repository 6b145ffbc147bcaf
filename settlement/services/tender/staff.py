"""What fund staff do about tenders: each act once a key, with a row that says who did it and when.

The page and the command both come here. A refused act is remembered by its key like every other
answer; the row is for what was done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant
from messaging import inbox
from messaging.inbox import Answer
from messaging.refusals import Refusal
from settlement.models import CreditLine, StaffAct
from settlement.selectors.staff import member_numbered

from . import credit, debts

# Whoever is at the fund may ask what became of a key.
CIRCLE = "fund"


class MemberNumberUnknown(Refusal):
    """Nobody has it."""

    code = "member_number_unknown"
    text = _("No insured person has this number.")


class MerchantCodeUnknown(Refusal):
    """No institution has it."""

    code = "merchant_code_unknown"
    text = _("No institution has this code.")


@dataclass(frozen=True, slots=True)
class Staff:
    """Who acts, under which key. `inbox_actor` is theirs alone, whatever they are called."""

    name: str
    inbox_actor: str
    key: str
    request_id: str
    now: datetime


Act = Callable[[Staff], dict[str, Any]]


def debt_paid(*, tender_id: UUID) -> Act:
    """The payment service has paid what it owed for a part."""

    def act(staff: Staff) -> dict[str, Any]:
        fen = debts.repay(tender_id=tender_id, who="staff", now=staff.now)
        return _written(staff, StaffAct.Kind.DEBT_PAID, tender_id=tender_id, amount_fen=fen)

    return act


def set_rule(*, merchant_code: str, capture_failed: str) -> Act:
    """What becomes of an institution's captures that fail for good."""

    def act(staff: Staff) -> dict[str, Any]:
        merchant = Merchant.objects.filter(code=merchant_code).first()
        if merchant is None:
            raise MerchantCodeUnknown(param="merchant_code")
        debts.set_rule(merchant_id=merchant.pk, capture_failed=capture_failed)
        return _written(
            staff, StaffAct.Kind.RULE, merchant_id=merchant.pk, capture_failed=capture_failed
        )

    return act


def set_limit(*, member_number: str, limit_fen: int, shown_fen: int | None = None) -> Act:
    """Open a member's line of credit, or change its limit. See `credit.grant`."""

    def act(staff: Staff) -> dict[str, Any]:
        member_id = _member(member_number)
        line = credit.grant(member_id=member_id, limit_fen=limit_fen, shown_fen=shown_fen)
        return _written(
            staff, StaffAct.Kind.LIMIT, member_id=member_id, amount_fen=limit_fen
        ) | _line(line)

    return act


def repayment(*, member_number: str, amount_fen: int, shown_fen: int | None = None) -> Act:
    """A member pays back what is due. See `credit.repay`."""

    def act(staff: Staff) -> dict[str, Any]:
        member_id = _member(member_number)
        line = credit.repay(
            member_id=member_id, amount_fen=amount_fen, now=staff.now, shown_fen=shown_fen
        )
        return _written(
            staff, StaffAct.Kind.REPAYMENT, member_id=member_id, amount_fen=amount_fen
        ) | _line(line)

    return act


def perform(
    act: Act,
    *,
    name: str,
    content: bytes,
    staff: Staff,
    done: Callable[[dict[str, Any]], Answer],
    refused: Callable[[Refusal], Answer],
) -> Answer:
    """Do an act once for this person and key; the same key gets the same answer again.

    `content` is what was asked, as bytes, so that one key is not used for two things. Answers
    refusals too; `done` and `refused` write the answers. Raises KeyReused.
    """
    request = inbox.Request(
        actor=staff.inbox_actor,
        circle=CIRCLE,
        key=staff.key,
        path=f"staff/{name}",
        body=content,
        request_id=staff.request_id,
    )
    return inbox.answer_once(
        request,
        now=staff.now,
        work=lambda: done(act(staff)),
        refused=refused,
    )


def _member(number: str) -> int:
    member = member_numbered(number)
    if member is None:
        raise MemberNumberUnknown(param="member_number")
    return member.pk


def _line(line: CreditLine) -> dict[str, Any]:
    return {"limit_fen": line.limit_fen, "used_fen": line.used_fen, "owed_fen": line.owed_fen}


def _written(staff: Staff, kind: StaffAct.Kind, **about: Any) -> dict[str, Any]:
    row = StaffAct.objects.create(
        kind=kind, actor=staff.name, key=staff.key, done_at=staff.now, **about
    )
    return {"act_id": str(row.pk), "kind": kind.value, "amount_fen": row.amount_fen}
