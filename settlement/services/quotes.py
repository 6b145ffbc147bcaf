"""Estimate and quote: the same figures, one reserving nothing, the other what it used."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.bodies import to_json
from messaging.days import moment
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement import benefits, states
from settlement.models import Hold, Quote
from settlement.requests import BillRequest, ReleaseRequest
from settlement.selectors.presence import NotFound
from settlement.services import circumstances
from settlement.services.desk import Desk
from settlement.services.pricing import Priced, price
from settlement.services.pricing_answers import result_answer
from settlement.services.tender.returning import return_what_was_taken
from voucher import selectors as members

# What each event of the written table leads to.
LIVE = states.target("quote", "quote")
EXPIRED = states.target("quote", "run_out")
REPLACED = states.target("quote", "replace")
RELEASED = states.target("quote", "release")


class QuoteNotLive(Refusal):
    """Confirmed, released or replaced before."""

    code = "quote_not_live"
    text = _("The quote is no longer open.")


class QuoteExpired(Refusal):
    """Too late: what it held is given back."""

    code = "quote_expired"
    text = _("The quote has run out: please ask for a new one.")


def estimate(desk: Desk, bill: BillRequest) -> dict[str, Any]:
    """Price a bill and reserve nothing, any number of times."""
    priced = price(desk, bill, lock=False)
    return _answer(priced)


def quote(desk: Desk, bill: BillRequest) -> dict[str, Any]:
    """Price a bill under the member's lock and hold its account part for a short time.

    The same till's earlier quote is replaced. Raises what `price` raises.
    """
    priced = price(desk, bill, lock=True)
    quote_id = new_id()
    expires_at = desk.now + timedelta(seconds=settings.QUOTE_LIFETIME_S)
    with sql.batch():
        retire_quotes(
            desk,
            member_id=priced.scan.member_id,
            replaced=priced.replaces,
            run_out=priced.money.has_run_out_quotes,
        )
        sql.insert_rows(
            Quote,
            (
                "id",
                "scan",
                "visit",
                "member",
                "merchant",
                "terminal",
                "policy",
                "state",
                "reads_year_to_date",
                "total_fen",
                "bill",
                "inputs",
                "result",
                "quoted_at",
                "expires_at",
            ),
            [
                (
                    quote_id,
                    priced.scan.scan_id,
                    priced.visit.visit_id if priced.visit else None,
                    priced.scan.member_id,
                    desk.terminal.merchant_id,
                    desk.terminal.terminal_id,
                    priced.policy_id,
                    LIVE,
                    priced.result.reads_year_to_date,
                    priced.result.total_fen,
                    to_json(_stored_bill(priced, bill)),
                    to_json(priced.inputs),
                    to_json(benefits.result_to_dict(priced.result)),
                    desk.now,
                    expires_at,
                )
            ],
        )
        holds = [(int(draw.holder), draw.amount_fen, True) for draw in priced.result.relative_draws]
        if priced.result.account_fen and priced.money.account_id is not None:
            holds.append((priced.money.account_id, priced.result.account_fen, False))
        if holds:
            sql.insert_rows(
                Hold,
                ("quote", "account", "amount_fen", "relative"),
                [(quote_id, *hold) for hold in holds],
            )
    return {
        **_answer(priced),
        "quote_id": str(quote_id),
        "expires_at": moment(expires_at),
        "seconds_left": settings.QUOTE_LIFETIME_S,
        "reads_year_to_date": priced.result.reads_year_to_date,
    }


def _stored_bill(priced: Priced, bill: BillRequest) -> dict[str, Any]:
    return {
        "benefit_kind": priced.benefit_kind,
        "disease_code": priced.disease_code,
        "lines": [
            {
                **line.described(),
                "split_pack": line.split_pack,
                "trace_codes": list(line.trace_codes),
                "prescription": line.prescription,
                "prescription_row": line.prescription_row,
                "row_id": line.row_id,
            }
            for line in priced.lines
        ],
        "sent": msgspec.to_builtins(bill.lines),
        "visit": circumstances.of_visit(priced.visit),
    }


def _answer(priced: Priced) -> dict[str, Any]:
    return result_answer(
        priced.result,
        policy=priced.policy,
        lines=[line.described() for line in priced.lines],
    )


def retire_quotes(desk: Desk, *, member_id: int, replaced: tuple[UUID, ...], run_out: bool) -> None:
    """Write down what time (`run_out`) and this till have ended: a new quote may then be live. What
    was taken for them goes back."""
    if run_out:
        sql.run(
            f"UPDATE settlement_quote SET state = '{EXPIRED}'"
            f" WHERE member_id = %s AND state = '{LIVE}' AND expires_at <= %s",
            (member_id, desk.now),
        )
        return_what_was_taken(
            quotes="q.member_id = %s AND q.state = 'expired'", params=(member_id,), now=desk.now
        )
    if replaced:
        sql.run(
            f"UPDATE settlement_quote SET state = '{REPLACED}'"
            f" WHERE {sql.among('id')} AND state = '{LIVE}'",
            (sql.values(replaced),),
        )
        return_what_was_taken(
            quotes=f"{sql.among('q.id')} AND q.state = 'replaced'",
            params=(sql.values(replaced),),
            now=desk.now,
        )


def release(desk: Desk, request: ReleaseRequest, *, quote_id: UUID) -> dict[str, Any]:
    """Give back what a quote holds; releasing twice is the same as once.

    Raises NotFound, QuoteNotLive for one that was confirmed or replaced.
    """
    row = sql.fetch_one(
        "SELECT member_id FROM settlement_quote WHERE id = %s AND merchant_id = %s",
        (quote_id, desk.terminal.merchant_id),
    )
    if row is None:
        raise NotFound(param="quote_id")
    members.lock_member(member_id=row[0])
    state = sql.fetch("SELECT state FROM settlement_quote WHERE id = %s", (quote_id,))[0][0]
    if state in ("confirmed", "replaced"):
        raise QuoteNotLive(param="quote_id")
    sql.run(
        f"UPDATE settlement_quote SET state = '{RELEASED}' WHERE id = %s AND state = '{LIVE}'",
        (quote_id,),
    )
    return_what_was_taken(
        quotes="q.id = %s AND q.state NOT IN ('live', 'confirmed')",
        params=(quote_id,),
        now=desk.now,
    )
    return {"quote_id": str(quote_id), "state": "released"}


def release_own(*, member_id: int, now: datetime) -> int:
    """A citizen gives back whatever tills hold for them, in one transaction. How many quotes that
    were; one that has run out holds nothing any more and is none."""
    with transaction.atomic(durable=True):
        members.lock_member(member_id=member_id)
        states.transition("quote", LIVE, "release", who="citizen")
        released = sql.fetch(
            f"UPDATE settlement_quote SET state = '{RELEASED}'"
            f" WHERE member_id = %s AND state = '{LIVE}' AND expires_at > %s RETURNING id",
            (member_id, now),
            kinds=("uuid",),
        )
        if released:
            return_what_was_taken(
                quotes=sql.among("q.id"),
                params=(sql.values([row[0] for row in released]),),
                now=now,
            )
    return len(released)
