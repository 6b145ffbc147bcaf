"""A whole settlement returned: one request gives every payer back its part.

The year to date of the original benefit year loses exactly what the settlement had added; later
settlements stand as they are. The refund posts in the open month.
"""

from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext_lazy as _

from messaging import outbox, sql
from messaging.days import accounting_month, moment
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement import money
from settlement.models import Refund, RefundShare
from settlement.requests import RefundRequest
from settlement.selectors.money import money_facts
from settlement.selectors.presence import NotFound
from settlement.services.acceptance import write_year_to_date
from settlement.services.desk import Desk
from settlement.services.shifts import stand_at_till
from voucher import selectors as members

POST_REFUND = "post_refund"


class AlreadyRefunded(Refusal):
    """It was returned before."""

    code = "already_refunded"
    text = _("This settlement was already refunded.")


def refund(desk: Desk, request: RefundRequest) -> dict[str, Any]:
    """Return a settlement of this merchant. No live scan is needed: the settlement is named.

    Raises NotFound, AlreadyRefunded; TryAgain when its shift was just closed.
    """
    desk = stand_at_till(desk)
    row = sql.fetch_one(
        "SELECT member_id, relative_fen FROM settlement_settlement"
        " WHERE id = %s AND merchant_id = %s",
        (request.settlement_id, desk.terminal.merchant_id),
    )
    if row is None:
        raise NotFound(param="settlement_id")
    member_id, relative_fen = row
    relatives = _relatives(request.settlement_id) if relative_fen else []
    if relatives:
        members.lock_members([member_id, *(holder_id for _, holder_id, _ in relatives)])
    else:
        members.lock_member(member_id=member_id)
    found = sql.fetch_one(
        "SELECT total_fen, fund_fen, account_fen, cash_fen, refunded_fen, benefit_year, result"
        " FROM settlement_settlement WHERE id = %s" + sql.for_update(),
        (request.settlement_id,),
    )
    assert found is not None
    total_fen, fund_fen, account_fen, cash_fen, refunded_fen, benefit_year, result = found
    if refunded_fen == total_fen:
        # A bill of nothing counts as returned: there is nothing to give back.
        raise AlreadyRefunded(param="settlement_id")
    funds = money_facts(member_id=member_id, benefit_year=benefit_year, now=desk.now)
    shares = sql.fetch(
        "SELECT payer, amount_fen FROM settlement_share WHERE settlement_id = %s ORDER BY id",
        (request.settlement_id,),
    )
    prescribed = sql.fetch(
        "SELECT pl.id, l.quantity FROM settlement_line l"
        " JOIN settlement_prescription p ON p.number = l.prescription_number AND p.member_id = %s"
        " JOIN settlement_prescriptionline pl ON pl.prescription_id = p.id"
        " AND pl.national_code = l.national_code"
        " WHERE l.settlement_id = %s AND l.prescription_number <> ''",
        (member_id, request.settlement_id),
    )
    refund_id = new_id()
    delta: dict[str, int] = msgspec.json.decode(result)["year_to_date_delta"]
    with sql.batch():
        sql.insert_rows(
            Refund,
            (
                "id",
                "settlement",
                "merchant",
                "terminal",
                "operator",
                "member",
                "member_seq",
                "state",
                "reason",
                "business_date",
                "accounting_month",
                "total_fen",
                "fund_fen",
                "account_fen",
                "relative_fen",
                "cash_fen",
                "accepted_at",
            ),
            [
                (
                    refund_id,
                    request.settlement_id,
                    desk.terminal.merchant_id,
                    desk.terminal.terminal_id,
                    desk.operator,
                    member_id,
                    funds.next_seq,
                    "accepted",
                    request.reason,
                    desk.day,
                    accounting_month(desk.day),
                    total_fen,
                    fund_fen,
                    account_fen,
                    relative_fen,
                    cash_fen,
                    desk.now,
                )
            ],
        )
        sql.insert_rows(
            RefundShare,
            ("refund", "payer", "amount_fen"),
            [(refund_id, payer, amount_fen) for payer, amount_fen in shares],
        )
        sql.run(
            "UPDATE settlement_settlement SET refunded_fen = total_fen WHERE id = %s",
            (request.settlement_id,),
        )
        if account_fen:
            sql.run(
                "UPDATE settlement_account SET balance_fen = balance_fen + %s WHERE id = %s",
                (account_fen, funds.account_id),
            )
        for account_id, _holder_id, amount_fen in relatives:
            sql.run(
                "UPDATE settlement_account SET balance_fen = balance_fen + %s WHERE id = %s",
                (amount_fen, account_id),
            )
        if any(delta.values()):
            write_year_to_date(
                member_id=member_id,
                benefit_year=benefit_year,
                amounts={
                    name: funds.year_to_date.get(name, 0) - delta.get(name, 0)
                    for name in {**funds.year_to_date, **delta}
                },
            )
        for row_id, quantity in prescribed:
            sql.run(
                "UPDATE settlement_prescriptionline SET filled_e4 = filled_e4 - %s WHERE id = %s",
                (money.quantity_units(quantity), row_id),
            )
        # The packs are back on the shelf and may be sold again.
        sql.run(
            "DELETE FROM settlement_tracecode WHERE settlement_id = %s", (request.settlement_id,)
        )
        outbox.put(topic=POST_REFUND, subject=refund_id, now=desk.now)
    return {
        "refund_id": str(refund_id),
        "settlement_id": str(request.settlement_id),
        "state": "accepted",
        "member_seq": funds.next_seq,
        "business_date": desk.day.isoformat(),
        "total_fen": total_fen,
        "shares": [{"payer": payer, "amount_fen": amount_fen} for payer, amount_fen in shares],
        "account_balance_fen": funds.balance_fen + account_fen,
        "accepted_at": moment(desk.now),
    }


def _relatives(settlement_id: UUID) -> list[tuple[int, int, int]]:
    """Account, holder and fen of each relative who paid a part, by ascending account."""
    return [
        (account_id, holder_id, amount_fen)
        for account_id, holder_id, amount_fen in sql.fetch(
            "SELECT r.account_id, a.member_id, r.amount_fen FROM settlement_relativeshare r"
            " JOIN settlement_account a ON a.id = r.account_id WHERE r.settlement_id = %s"
            " ORDER BY r.account_id",
            (settlement_id,),
        )
    ]
