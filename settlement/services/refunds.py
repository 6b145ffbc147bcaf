"""Goods or fees returned, whole or in part: one request gives every payer back its part.

A return recomputes its own settlement from the year to date stored with it and the lines that
remain, so parts in any order end alike. The difference is booked on today's year to date of the
original benefit year and posts in the open month; what later settlements were worked out from is
the policy's `refund_with_later`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.bodies import FieldInvalid
from messaging.days import moment
from messaging.refusals import Refusal
from settlement import benefits, money
from settlement.benefits.restating import Settled
from settlement.benefits.returning import result_of_rest, shares_back
from settlement.requests import RefundRequest, ReturnedLine
from settlement.selectors.later import later_settlements
from settlement.selectors.money import money_facts
from settlement.selectors.presence import NotFound
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import Standing, StandingLine, standing
from settlement.services.approvals import approval_for, use_approval
from settlement.services.closing import check_day_open
from settlement.services.desk import Desk
from settlement.services.returning import Return, ReturnedPart, write_return
from settlement.services.shifts import stand_at_till
from settlement.services.tender import returning as tenders
from voucher import selectors as members


class AlreadyRefunded(Refusal):
    """It was returned before."""

    code = "already_refunded"
    text = _("This settlement was already refunded.")


class RefundTooMuch(Refusal):
    """More of a line than is left of it."""

    code = "refund_too_much"
    text = _("Line %(line_no)s: more than is left of it.")


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


@dataclass(slots=True)
class _Wish:
    """What is to come back of the lines, and what of each then remains (fen, by number)."""

    parts: list[ReturnedPart] = field(default_factory=list)
    remaining_fen: dict[int, int] = field(default_factory=dict)


def refund(desk: Desk, request: RefundRequest, *, kind: str = "refund") -> dict[str, Any]:
    """Return a settlement of this merchant, or a part. No live scan is needed: it is named.

    Raises NotFound, AlreadyRefunded, FieldInvalid, RefundTooMuch, RefundWholeOnly,
    RefundLastFirst, RefundNeedsPayment, RefundNeedsApproval, RefundDeclined; TryAgain when its
    shift was just closed.
    """
    desk = stand_at_till(desk)
    row = sql.fetch_one(
        "SELECT member_id, relative_fen FROM settlement_settlement"
        " WHERE id = %s AND merchant_id = %s",
        (request.settlement_id, desk.terminal.merchant_id),
    )
    if row is None:
        raise NotFound(param="settlement_id")
    lock_for_return(row[0], settlement_id=request.settlement_id, has_relatives=row[1] > 0)
    found = standing(settlement_id=request.settlement_id)
    if found.is_gone:
        raise AlreadyRefunded(param="settlement_id")
    wish = _whole(found) if request.lines is None else _parts(found, request.lines)
    return book(
        desk,
        found,
        wish.parts,
        wish.remaining_fen,
        reason=request.reason,
        kind=kind,
        accept_payment_fen=request.accept_payment_fen,
    )


def lock_for_return(member_id: int, *, settlement_id: UUID, has_relatives: bool) -> None:
    """Lock whoever's money a return moves, by ascending id; before anything of theirs is read."""
    holders: list[int] = []
    if has_relatives:
        holders = [
            holder_id
            for (holder_id,) in sql.fetch(
                "SELECT a.member_id FROM settlement_relativeshare r"
                " JOIN settlement_account a ON a.id = r.account_id WHERE r.settlement_id = %s",
                (settlement_id,),
            )
        ]
    if holders:
        members.lock_members([member_id, *holders])
    else:
        members.lock_member(member_id=member_id)


def everything(found: Standing) -> list[ReturnedPart]:
    """All that is left of a settlement, as parts to return."""
    return _whole(found).parts


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
    policy = compiled_policy(found.policy_id)
    settled = Settled(policy, benefits.inputs_from(found.inputs))
    try:
        rest = result_of_rest(settled, remaining_fen=remaining_fen, original=found.original)
    except benefits.BenefitsError:
        raise RefundWholeOnly(param="lines") from None
    back = shares_back(found.shares, rest)
    total_fen = sum(back.values())
    if total_fen <= 0:
        # A package costs the same with less in it.
        raise RefundWholeOnly(param="lines")
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
    moved = _moved(found.delta, rest)
    later = later_settlements(found, moved=moved) if any(moved.values()) else ()
    if later and policy.refund_with_later == "last_first":
        raise RefundLastFirst(param="settlement_id", settlement_id=str(later[-1].settlement_id))
    funds = money_facts(member_id=found.member_id, benefit_year=found.benefit_year, now=desk.now)
    check_day_open(funds)
    approval = approval_for(desk, found, parts, back, reason=reason)
    would_differ = [each for each in later if each.differs(moved)]
    planned = Return(
        standing=found,
        parts=tuple(parts),
        remaining_fen=remaining_fen,
        rest=rest,
        back=back,
        relatives_back=_relatives_back(found, rest),
        moved=moved,
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
        "would_differ": [str(each.settlement_id) for each in would_differ],
        "account_balance_fen": funds.balance_fen + back.get("account", 0),
        "accepted_at": moment(desk.now),
    }


def _moved(before: Mapping[str, int], rest: benefits.Result | None) -> dict[str, int]:
    """What the return takes off the year to date, by accumulator."""
    after = rest.year_to_date_delta if rest is not None else {}
    return {name: before.get(name, 0) - after.get(name, 0) for name in {**before, **after}}


def _relatives_back(found: Standing, rest: benefits.Result | None) -> dict[int, int]:
    draws = {} if rest is None else {int(d.holder): d.amount_fen for d in rest.relative_draws}
    return {
        account_id: amount - draws.get(account_id, 0)
        for account_id, amount in {**dict.fromkeys(draws, 0), **found.relatives}.items()
        if amount != draws.get(account_id, 0)
    }


def _whole(found: Standing) -> _Wish:
    wish = _Wish(remaining_fen={line.no: 0 for line in found.lines})
    for line in found.lines:
        left_e4 = line.quantity_e4 - line.returned_e4
        if left_e4:
            wish.parts.append(
                ReturnedPart(line, left_e4, line.remaining_fen, codes=line.trace_codes)
            )
    return wish


def _parts(found: Standing, asked: Sequence[ReturnedLine]) -> _Wish:
    by_number = {line.no: line for line in found.lines}
    wish = _Wish(remaining_fen={line.no: line.remaining_fen for line in found.lines})
    seen: set[int] = set()
    for index, each in enumerate(asked):
        where = f"lines[{index}]"
        line = by_number.get(each.no)
        if line is None or each.no in seen:
            problem = _("once a line of the settlement") if line else _("no line of the settlement")
            raise FieldInvalid(param=f"{where}.no", field=f"{where}.no", problem=problem)
        seen.add(each.no)
        part, after = _part(line, each, where=where)
        wish.parts.append(part)
        wish.remaining_fen[each.no] = after.remaining_fen
    return wish


def _part(
    line: StandingLine, asked: ReturnedLine, *, where: str
) -> tuple[ReturnedPart, StandingLine]:
    """What comes back of one line, and the line as it then stands."""
    if asked.quantity is not None and asked.amount_fen is not None:
        raise FieldInvalid(
            param=f"{where}.amount_fen",
            field=f"{where}.amount_fen",
            problem=_("give a quantity or an amount"),
        )
    left_e4 = line.quantity_e4 - line.returned_e4
    quantity_e4 = left_e4
    if asked.quantity is not None:
        try:
            quantity_e4 = money.quantity_units(asked.quantity)
        except ValueError as error:
            field_ = f"{where}.quantity"
            raise FieldInvalid(param=field_, field=field_, problem=str(error)) from None
    elif asked.amount_fen is not None:
        quantity_e4 = 0
    too_much = quantity_e4 > left_e4 or (asked.amount_fen or 0) > line.remaining_fen
    if too_much or not line.remaining_fen or (quantity_e4 == 0 and not asked.amount_fen):
        raise RefundTooMuch(param=where, line_no=line.no)
    after = replace(
        line,
        returned_e4=line.returned_e4 + quantity_e4,
        returned_fen=line.returned_fen + (asked.amount_fen or 0),
    )
    try:
        amount_fen = line.remaining_fen - after.remaining_fen
    except ValueError:
        raise RefundTooMuch(param=where, line_no=line.no) from None
    codes = _codes(
        line, asked, is_rest=quantity_e4 == left_e4, quantity_e4=quantity_e4, where=where
    )
    return ReturnedPart(line, quantity_e4, amount_fen, codes=codes), after


def _codes(
    line: StandingLine, asked: ReturnedLine, *, is_rest: bool, quantity_e4: int, where: str
) -> tuple[str, ...]:
    """The packs that are back on the shelf and may be sold again."""
    named = tuple(asked.trace_codes or ())
    problem: object = None
    if foreign := set(named) - set(line.trace_codes):
        problem = _("%s is not a pack of this line") % sorted(foreign)[0]
    elif named and not quantity_e4:
        problem = _("an amount without goods brings no pack back")
    elif line.trace_codes and quantity_e4 and not is_rest and not named:
        problem = _("name the packs that come back")
    if problem is not None:
        field_ = f"{where}.trace_codes"
        raise FieldInvalid(param=field_, field=field_, problem=problem)
    return line.trace_codes if is_rest else named
