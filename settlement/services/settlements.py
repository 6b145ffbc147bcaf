"""The accepted bill: every check again, one set of writes, final when it is answered.

With a quote the figures are the quote's, to the fen, or the settlement is refused with what changed
named; without one the bill is priced under the lock and obeys the same rules. Posting is left to
the worker through the outbox; the account and the year to date are the settlement's own and change
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext_lazy as _

from merchants import services as merchants
from messaging import sql
from messaging.bodies import to_json
from messaging.days import moment
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement import benefits, money
from settlement.requests import LineRequest, SettleRequest
from settlement.selectors.money import money_facts, relative_accounts, stay_amounts
from settlement.selectors.presence import (
    NotFound,
    VisitFacts,
    accepted_scan,
    open_visit,
)
from settlement.selectors.rules import compiled_policy
from settlement.services import circumstances
from settlement.services.acceptance import Acceptance, write_acceptance
from settlement.services.closing import check_day_open
from settlement.services.desk import Desk
from settlement.services.lines import PrescriptionExhausted, TraceCodeUsed
from settlement.services.parties import calculator_site, covered_member
from settlement.services.pricing import check_ceiling, price
from settlement.services.pricing_answers import result_answer
from settlement.services.quotes import QuoteExpired, QuoteNotLive
from settlement.services.scans import check_member
from settlement.services.shifts import stand_at_till
from settlement.services.tender import returning as tenders
from settlement.services.tender.settling import check_paid
from voucher import selectors as members


class LineChanged(Refusal):
    """The bill to confirm is not the bill that was quoted."""

    code = "line_changed"
    text = _("Line %(line_no)s is not as it was quoted.")


class CashDiffers(Refusal):
    """The till expects another cash part."""

    code = "cash_differs"
    text = _("The cash part is %(cash_fen)s fen, not what the till expected.")


def settle(desk: Desk, request: SettleRequest) -> dict[str, Any]:
    """Accept a bill. Answers the settlement as the API document shows it.

    Raises whatever `price` raises, and NotFound, QuoteNotLive, QuoteExpired, LineChanged,
    CashDiffers, PrescriptionExhausted, TraceCodeUsed, DayClosedMeanwhile; TryAgain when its shift
    was just closed.
    """
    desk = stand_at_till(desk)
    try:
        return _settle(desk, request)
    except Refusal as refusal:
        if request.quote_id is not None:
            tenders.give_up(desk, quote_id=request.quote_id, code=refusal.code)
        raise


def _settle(desk: Desk, request: SettleRequest) -> dict[str, Any]:
    if request.quote_id is not None:
        acceptance = _from_quote(desk, request)
    else:
        acceptance = _from_bill(desk, request)
    if request.cash_fen is not None and request.cash_fen != acceptance.result.cash_fen:
        raise CashDiffers(param="cash_fen", cash_fen=acceptance.result.cash_fen)
    if acceptance.tendered:
        assert acceptance.quote_id is not None
        check_paid(quote_id=acceptance.quote_id, cash_fen=acceptance.result.cash_fen)
    check_day_open(acceptance.money)
    settlement_id = new_id()
    # The last decision and the first write in one statement: a pack that another till settles at
    # this very moment is found by its unique row, not by looking first.
    _claim_traces(acceptance, settlement_id)
    visit_id = acceptance.visit.visit_id if acceptance.visit else new_id()
    write_acceptance(desk, acceptance, settlement_id=settlement_id, visit_id=visit_id)
    answer = _answer(desk, acceptance, settlement_id=settlement_id, visit_id=visit_id)
    if request.confirm_within_s is not None:
        confirm_by = desk.now + timedelta(seconds=request.confirm_within_s)
        sql.run(
            "UPDATE settlement_settlement SET confirm_by = %s WHERE id = %s",
            (confirm_by, settlement_id),
        )
        answer["confirm_by"] = moment(confirm_by)
    return answer


def _from_bill(desk: Desk, request: SettleRequest) -> Acceptance:
    priced = price(desk, request.bill(), lock=True)
    return Acceptance(
        scan=priced.scan,
        visit=priced.visit,
        quote_id=None,
        member_id=priced.scan.member_id,
        area_code=priced.facts.area_code,
        lines=[
            {
                **line.described(),
                "split_pack": line.split_pack,
                "trace_codes": line.trace_codes,
                "prescription": line.prescription,
                "prescription_row": line.prescription_row,
                "row_id": line.row_id,
            }
            for line in priced.lines
        ],
        inputs=to_json(priced.inputs),
        result=priced.result,
        result_json=to_json(benefits.result_to_dict(priced.result)),
        policy_id=priced.policy_id,
        policy=priced.policy,
        money=priced.money,
        benefit_kind=priced.benefit_kind,
        disease_code=priced.disease_code,
        service_date=priced.service_date,
        replaces=priced.replaces,
    )


def _from_quote(desk: Desk, request: SettleRequest) -> Acceptance:
    quote_id = request.quote_id
    request.check_confirms_only()
    row = sql.fetch_one(
        "SELECT member_id FROM settlement_quote WHERE id = %s AND merchant_id = %s",
        (quote_id, desk.terminal.merchant_id),
    )
    if row is None:
        raise NotFound(param="quote_id")
    member_id = row[0]
    locked = members.lock_payers(member_id=member_id, day=desk.day)
    found = sql.fetch_one(
        "SELECT state, expires_at, scan_id, visit_id, policy_id, bill, inputs, result,"
        " EXISTS (SELECT 1 FROM settlement_tender WHERE quote_id = settlement_quote.id)"
        " FROM settlement_quote WHERE id = %s",
        (quote_id,),
        kinds=(None, "datetime", "uuid", "uuid", None, None, None, None, "bool"),
    )
    assert found is not None
    state, expires_at, scan_id, visit_id, policy_id, bill_json, inputs, result_json = found[:8]
    if state == "expired" or (state == "live" and desk.now >= expires_at):
        raise QuoteExpired(param="quote_id")
    if state != "live":
        raise QuoteNotLive(param="quote_id")
    bill = msgspec.json.decode(bill_json)
    _check_same_lines(bill["sent"], request.lines)
    merchant_id = desk.terminal.merchant_id
    scan = accepted_scan(scan_id=scan_id, merchant_id=merchant_id)
    visit = open_visit(visit_id=visit_id, merchant_id=merchant_id) if visit_id else None
    facts = members.member_facts(member_id=member_id, day=desk.day)
    check_member(facts, desk=desk)
    merchants.check_capability(desk.terminal, bill["benefit_kind"])
    result = benefits.result_from_dict(msgspec.json.decode(result_json))
    held = msgspec.json.decode(inputs)
    service_date = date.fromisoformat(held["bill"]["service_date"])
    policy = compiled_policy(policy_id)
    if bill["visit"] != circumstances.of_visit(visit) or _figures_rest_on(held) != (
        covered_member(facts, policy=policy, desk=desk, service_date=service_date),
        calculator_site(desk),
    ):
        # The register changed while the quote was live: its figures are nobody's any more.
        raise QuoteNotLive(param="quote_id")
    funds = money_facts(member_id=member_id, benefit_year=result.benefit_year, now=desk.now)
    if stay := held["bill"].get("stay", ""):
        carried = stay_amounts(member_id=member_id, stay=stay, but_year=result.benefit_year)
        funds = replace(funds, carried=carried)
    if result.reads_year_to_date and held["year_to_date"] != _without_zeros(funds.counted()):
        # Only a refund, or a correction from outside the till, can do this meanwhile.
        raise QuoteNotLive(param="quote_id")
    if result.account_fen > funds.balance_fen:
        # Likewise: what others may take leaves what this quote holds.
        raise QuoteNotLive(param="quote_id")
    _check_relatives(desk, result, member_id=member_id, locked=locked)
    _check_still_free(bill["lines"], visit=visit)
    check_ceiling(scan, total_fen=result.total_fen)
    return Acceptance(
        scan=scan,
        visit=visit,
        quote_id=quote_id,
        member_id=member_id,
        area_code=facts.area_code,
        lines=bill["lines"],
        inputs=inputs,
        result=result,
        result_json=result_json,
        policy_id=policy_id,
        policy=policy,
        money=funds,
        benefit_kind=bill["benefit_kind"],
        disease_code=bill["disease_code"],
        service_date=service_date,
        replaces=(),
        tendered=found[8],
    )


def _figures_rest_on(held: Mapping[str, Any]) -> tuple[benefits.Member, benefits.Site]:
    """Whom and where the quote was worked out for, of its canonical inputs."""
    # The lines are compared elsewhere, and reading them back would cost more than all the rest.
    inputs = benefits.inputs_from({**held, "bill": {**held["bill"], "lines": []}})
    return inputs["member"], inputs["site"]


def _check_relatives(
    desk: Desk, result: benefits.Result, *, member_id: int, locked: frozenset[int]
) -> None:
    """Raises QuoteNotLive when a relative's account that the quote draws on no longer pays for this
    member, or no longer has what the quote holds."""
    if not result.relative_draws:
        return
    balances = {
        each.account_id: each.balance_fen
        for each in relative_accounts(member_id=member_id, day=desk.day, now=desk.now)
        if each.holder_id in locked
    }
    for draw in result.relative_draws:
        if balances.get(int(draw.holder), 0) < draw.amount_fen:
            raise QuoteNotLive(param="quote_id")


def _without_zeros(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


def _check_same_lines(
    quoted: list[dict[str, Any]] | None, sent: Sequence[LineRequest] | None
) -> None:
    if sent is None:
        return
    before, now = quoted or [], msgspec.to_builtins(sent)
    for index in range(max(len(before), len(now))):
        if index >= len(before) or index >= len(now) or before[index] != now[index]:
            raise LineChanged(param=f"lines[{index}]", line_no=index + 1)


def _check_still_free(lines: Sequence[Mapping[str, Any]], *, visit: VisitFacts | None) -> None:
    """Between quote and settlement another settlement of this member may have taken a visit's line
    or a prescription's quantity: both under this very lock, so a look is enough."""
    row_ids = [line["row_id"] for line in lines if line["row_id"] is not None]
    if visit is not None and row_ids:
        free = sql.fetch(
            f"SELECT id FROM settlement_line WHERE settlement_id IS NULL AND {sql.among('id')}",
            (sql.values(row_ids),),
        )
        gone = set(row_ids) - {row[0] for row in free}
        for line in lines:
            if line["row_id"] in gone:
                raise LineChanged(param=f"lines[{line['no'] - 1}]", line_no=line["no"])
    wanted: dict[int, int] = {}
    for line in lines:
        if row := line["prescription_row"]:
            wanted[row] = wanted.get(row, 0) + money.quantity_units(line["quantity"])
    if wanted:
        left = dict(
            sql.fetch(
                "SELECT id, quantity_e4 - filled_e4 FROM settlement_prescriptionline"
                f" WHERE {sql.among('id')}",
                (sql.values(wanted),),
            )
        )
        for line in lines:
            row = line["prescription_row"]
            if row and wanted[row] > left[row]:
                raise PrescriptionExhausted(
                    param=f"lines[{line['no'] - 1}].prescription", line_no=line["no"]
                )


def _claim_traces(acceptance: Acceptance, settlement_id: UUID) -> None:
    whole: set[str] = set()
    parts: set[str] = set()
    for line in acceptance.lines:
        (parts if line["split_pack"] else whole).update(line["trace_codes"])
    # A split pack is sold in parts by nature, and its code comes again; but not one that was
    # already sold whole.
    taken = _taken(parts) if parts else set()
    if whole and not taken:
        claimed = sql.fetch(
            "INSERT INTO settlement_tracecode (code, settlement_id)"
            f" SELECT listed.value, %s FROM {sql.listed()} WHERE true"
            " ON CONFLICT (code) DO NOTHING RETURNING code",
            # In one order everywhere: two bills that share packs must not wait for each other.
            (settlement_id, sql.values(sorted(whole))),
        )
        taken = whole - {row[0] for row in claimed}
        if taken:
            sql.run("DELETE FROM settlement_tracecode WHERE settlement_id = %s", (settlement_id,))
    for line in acceptance.lines:
        if taken and taken & set(line["trace_codes"]):
            raise TraceCodeUsed(param=f"lines[{line['no'] - 1}].trace_codes", line_no=line["no"])


def _taken(codes: set[str]) -> set[str]:
    rows = sql.fetch(
        f"SELECT code FROM settlement_tracecode WHERE {sql.among('code')}",
        (sql.values(sorted(codes)),),
    )
    return {row[0] for row in rows}


def _answer(
    desk: Desk, acceptance: Acceptance, *, settlement_id: UUID, visit_id: UUID
) -> dict[str, Any]:
    result = acceptance.result
    return {
        "settlement_id": str(settlement_id),
        "state": "accepted",
        "visit_id": str(visit_id),
        "scan_id": str(acceptance.scan.scan_id),
        "quote_id": str(acceptance.quote_id) if acceptance.quote_id else None,
        "member_seq": acceptance.money.next_seq,
        "benefit_kind": acceptance.benefit_kind,
        "business_date": desk.day.isoformat(),
        "service_date": acceptance.service_date.isoformat(),
        "benefit_year": result.benefit_year,
        **result_answer(
            result,
            policy=acceptance.policy,
            lines=[_described(line) for line in acceptance.lines],
        ),
        "account_balance_fen": acceptance.money.balance_fen - result.account_fen,
        "confirm_by": None,
        "accepted_at": moment(desk.now),
    }


_DESCRIBED = (
    "no",
    "code",
    "national_code",
    "name",
    "quantity",
    "unit_price",
    "amount_fen",
    "mapped",
    "in_catalogue",
)


def _described(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in _DESCRIBED}
