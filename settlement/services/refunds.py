"""Goods or fees returned, whole or in part: one request gives every payer back its part.

A return recomputes its own settlement from the year to date stored with it and the lines that
remain, so parts in any order end alike. The difference is booked on today's year to date of the
original benefit year and posts in the open month; what later settlements were worked out from is
the policy's `refund_with_later`: they stand, they have to come back first, or they are priced
again and what somebody then pays more or less is part of this one return.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.days import moment
from messaging.refusals import Refusal, TryAgain
from settlement import benefits, money
from settlement.benefits.following import concerns, counted_less, rest_of, restated_after
from settlement.benefits.policy import RefundWithLater
from settlement.benefits.returning import draws_back, shares_back, shares_of
from settlement.requests import RefundRequest
from settlement.selectors.later import Later, holders_of, later_settlements
from settlement.selectors.money import MoneyFacts, money_facts
from settlement.selectors.presence import NotFound
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import Standing, standing
from settlement.services.approvals import approval_for, use_approval
from settlement.services.closing import check_day_open
from settlement.services.desk import Desk
from settlement.services.returned_lines import parts_of, whole
from settlement.services.returning import Restated, Return, ReturnedPart, write_return
from settlement.services.shifts import stand_at_till
from settlement.services.tender import returning as tenders
from voucher import selectors as members


class AlreadyRefunded(Refusal):
    """It was returned before."""

    code = "already_refunded"
    text = _("This settlement was already refunded.")


class RefundWholeOnly(Refusal):
    """The rest could not stand by itself, or would cost the same."""

    code = "refund_whole_only"
    text = _("This settlement can only be returned as a whole.")


class RefundNeedsPayment(Refusal):
    """What remains is dearer for somebody than the whole was."""

    code = "refund_needs_payment"
    text = _("After this return %(payment_fen)s fen more have to be paid for what remains.")


class RefundLastFirst(Refusal):
    """A later settlement was worked out from this one."""

    code = "refund_last_first"
    text = _("A later settlement of this person has to be returned first.")


_Key = TypeVar("_Key", str, int)

# Where later ones stand, they are looked at one by one; of more, the answer names those found among
# the first.
MOST_NAMED = 200


def refund(desk: Desk, request: RefundRequest, *, kind: str = "refund") -> dict[str, Any]:
    """Return a settlement of this merchant, or a part. No live scan is needed: it is named.

    Raises NotFound, AlreadyRefunded, FieldInvalid, RefundTooMuch, RefundWholeOnly,
    RefundLastFirst, RefundNeedsPayment, RefundNeedsApproval, RefundDeclined; TryAgain when its
    shift was just closed.
    """
    desk = stand_at_till(desk)
    lock_for_return(request.settlement_id, merchant_id=desk.terminal.merchant_id, kind=kind)
    found = standing(settlement_id=request.settlement_id)
    if found.is_gone:
        raise AlreadyRefunded(param="settlement_id")
    wish = whole(found) if request.lines is None else parts_of(found, request.lines)
    return book(
        desk,
        found,
        wish.parts,
        wish.remaining_fen,
        reason=request.reason,
        kind=kind,
        accept_payment_fen=request.accept_payment_fen,
    )


def lock_for_return(settlement_id: UUID, *, merchant_id: int, kind: str) -> None:
    """Lock whoever's money a return of this kind of a merchant's settlement moves, by ascending id;
    before anything of theirs is read. Raises NotFound; TryAgain, but never for a reversal."""
    row = sql.fetch_one(
        "SELECT member_id, relative_fen, policy_id, benefit_year, member_seq"
        " FROM settlement_settlement WHERE id = %s AND merchant_id = %s",
        (settlement_id, merchant_id),
    )
    if row is None:
        raise NotFound(param="settlement_id")
    member_id, relative_fen, policy_id, benefit_year, member_seq = row
    restates = rule_of(compiled_policy(policy_id), kind) == "restate"
    if not relative_fen and not restates:
        members.lock_member(member_id=member_id)
        return

    def holders() -> frozenset[int]:
        return holders_of(
            member_id=member_id,
            benefit_year=benefit_year,
            from_seq=member_seq,
            until_seq=None if restates else member_seq,
        )

    locked = holders()
    members.lock_members([member_id, *locked])
    # What was settled until the lock was had may be paid by somebody else's account.
    if restates and not holders() <= locked:
        raise TryAgain


def book(
    desk: Desk,
    found: Standing,
    parts: Sequence[ReturnedPart],
    remaining_fen: Mapping[int, int],
    *,
    reason: str,
    kind: str = "refund",
    accept_payment_fen: int = 0,
) -> dict[str, Any]:
    """Decide and write a return of these parts; the member is locked. Answers the refund.

    Raises RefundWholeOnly, RefundLastFirst, RefundNeedsPayment, DayClosedMeanwhile; and, where the
    month is declared for clearing, RefundNeedsApproval and RefundDeclined.
    """
    bill = found.bill
    assert bill is not None
    try:
        rest = rest_of(bill, remaining_fen=remaining_fen)
    except benefits.BenefitsError:
        raise RefundWholeOnly(param="lines") from None
    own_back = shares_back(shares_of(bill.result), rest)
    total_fen = sum(own_back.values())
    if total_fen <= 0:
        # A package costs the same with less in it.
        raise RefundWholeOnly(param="lines")
    moved = counted_less(bill.result, rest)
    would_differ, restated = _later(
        found, moved=moved, account_fen=own_back.get("account", 0), kind=kind
    )
    back = shares_back(_added(own_back, *(each.back for each in restated)), None)
    payment_fen = -sum(amount for amount in back.values() if amount < 0)
    if payment_fen > accept_payment_fen:
        raise RefundNeedsPayment(
            param="accept_payment_fen",
            payment_fen=payment_fen,
            payers=[
                {"payer": payer, "amount_fen": -amount}
                for payer, amount in back.items()
                if amount < 0
            ],
        )
    funds = money_facts(member_id=found.member_id, benefit_year=found.benefit_year, now=desk.now)
    check_day_open(funds)
    relatives = _added(
        _relatives_back(bill.result, rest), *(each.relatives_back for each in restated)
    )
    if not _accounts_can_give(funds, own_fen=back.get("account", 0), relatives=relatives):
        raise RefundWholeOnly(param="lines")
    approval = approval_for(desk, found, parts, back, reason=reason)
    planned = Return(
        standing=found,
        parts=tuple(parts),
        remaining_fen=remaining_fen,
        rest=rest,
        back=back,
        relatives_back=relatives,
        moved=_added(moved, *(each.moved for each in restated)),
        restated=restated,
        money=funds,
        reason=reason,
        kind=kind,
    )
    refund_id = write_return(desk, planned)
    use_approval(approval, refund_id=refund_id)
    tenders.give_back(
        settlement_id=found.settlement_id,
        refund_id=refund_id,
        cash_fen=back.get("cash", 0),
        now=desk.now,
    )
    return {
        "refund_id": str(refund_id),
        "settlement_id": str(found.settlement_id),
        "kind": kind,
        "state": "accepted",
        "member_seq": funds.next_seq,
        "business_date": desk.day.isoformat(),
        "total_fen": total_fen,
        "shares": [{"payer": payer, "amount_fen": amount} for payer, amount in back.items()],
        "lines": [
            {
                "no": part.line.no,
                "quantity": money.quantity_text(part.quantity_e4),
                "amount_fen": part.amount_fen,
            }
            for part in parts
        ],
        "remaining_fen": found.total_fen - found.refunded_fen - total_fen,
        "would_differ": [str(settlement_id) for settlement_id in would_differ],
        "restated": _told(restated),
        "account_balance_fen": funds.balance_fen + back.get("account", 0),
        "accepted_at": moment(desk.now),
    }


def _later(
    found: Standing, *, moved: Mapping[str, int], account_fen: int, kind: str
) -> tuple[list[UUID], tuple[Restated, ...]]:
    """Which later settlements would come to other figures and stand all the same, and those that
    are restated. Raises RefundLastFirst."""
    rule = rule_of(found.policy, kind)
    if not moved:
        return [], ()
    later = later_settlements(found, limit=MOST_NAMED if rule == "stand" else None)
    if rule == "last_first":
        counted_on = [each for each in later if each.counted_on(moved)]
        if counted_on:
            raise _last_first(counted_on[-1])
        return [], ()
    if rule == "restate":
        # The funds of another area are not for this one's rules to move, nor is another year for a
        # return of this one: those bills stand.
        own: list[Later] = []
        others: list[Later] = []
        for each in later:
            is_own = _is_of(found.area_code, each) and not each.stay
            (own if is_own else others).append(each)
        restated = _restated(own, moved=moved, account_fen=account_fen)
        later = tuple(others)
    else:
        restated = ()
    differ = [each.settlement_id for each in later if _would_differ(each, moved, account_fen)]
    return differ, restated


def _is_of(area_code: str, later: Later) -> bool:
    return later.area_code == area_code


def rule_of(policy: benefits.Policy, kind: str) -> RefundWithLater:
    """What a return does to later settlements: what the policy says, but for a reversal. That one
    is never held up and asks nobody for anything, so they stand: what is withdrawn counts as never
    made, and its client may be gone."""
    return "stand" if kind == "reversal" else policy.refund_with_later


def _told(restated: Sequence[Restated]) -> dict[str, Any] | None:
    """What later settlements change of the return, in sum: which they are, and where, is nobody's
    business at this till."""
    told = [each for each in restated if each.back]
    if not told:
        return None
    back = shares_back(_added(*(each.back for each in told)), None)
    return {
        "settlements": len(told),
        "shares": [{"payer": payer, "amount_fen": amount} for payer, amount in back.items()],
    }


def _last_first(later: Later) -> RefundLastFirst:
    return RefundLastFirst(param="settlement_id", settlement_id=str(later.settlement_id))


def _would_differ(later: Later, moved: Mapping[str, int], account_fen: int) -> bool:
    try:
        (result,) = restated_after(
            [later.bill], moved=later.found_of(moved), account_fen=account_fen
        )
    except benefits.BenefitsError:
        return True
    return result is not None and concerns(later.bill, result)


def _restated(
    later: Sequence[Later], *, moved: Mapping[str, int], account_fen: int
) -> tuple[Restated, ...]:
    """What becomes of each that the year to date concerns. Raises RefundLastFirst for one that can
    no longer be priced."""
    try:
        results = restated_after(
            [each.bill for each in later], moved=moved, account_fen=account_fen
        )
    except benefits.BenefitsError:
        raise _last_first(later[-1]) from None
    return tuple(
        Restated(
            settlement_id=each.settlement_id,
            result=result,
            back=shares_back(shares_of(each.bill.result), result),
            relatives_back=_relatives_back(each.bill.result, result),
            moved=counted_less(each.bill.result, result),
        )
        for each, result in zip(later, results, strict=True)
        if result is not None
    )


def _accounts_can_give(funds: MoneyFacts, *, own_fen: int, relatives: Mapping[int, int]) -> bool:
    """Whether accounts that would pay more for the rest than they did still have it."""
    if funds.available_fen() + own_fen < 0:
        return False
    dearer = [account_id for account_id, amount_fen in relatives.items() if amount_fen < 0]
    if not dearer:
        return True
    balances = sql.fetch(
        f"SELECT id, balance_fen FROM settlement_account WHERE {sql.among('id')}",
        (sql.values(dearer),),
    )
    return all(balance_fen + relatives[account_id] >= 0 for account_id, balance_fen in balances)


def _relatives_back(before: benefits.Result, rest: benefits.Result | None) -> dict[int, int]:
    """By relative's account."""
    return {int(holder): amount for holder, amount in draws_back(before, rest).items()}


def _added(*amounts: Mapping[_Key, int]) -> dict[_Key, int]:
    """The sums by key, without zeros, in the order in which the keys come."""
    found: dict[_Key, int] = {}
    for each in amounts:
        for key, amount in each.items():
            found[key] = found.get(key, 0) + amount
    return {key: amount for key, amount in found.items() if amount}
