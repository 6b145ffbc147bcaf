"""Stored scans, visits, settlements and refunds, as a terminal of their merchant sees them."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.utils.translation import get_language

from merchants.selectors import TerminalFacts
from messaging.days import business_date, moment
from settlement import benefits, money
from settlement.models import (
    FeeBatch,
    Line,
    Pickup,
    Refund,
    RefundLine,
    RefundShare,
    Scan,
    Settlement,
    Visit,
)
from settlement.selectors.coverage import scan_answer
from settlement.selectors.presence import NotFound, ScanExpired
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import lines_of
from voucher import selectors as members

# How long a counter's list reminds of a discharged patient who still owes something.
CHASED_DAYS = 90

# What a refund consists of, in the order in which it was written.
REFUND_PARTS = (
    Prefetch("shares", queryset=RefundShare.objects.order_by("id")),
    Prefetch("lines", queryset=RefundLine.objects.order_by("id")),
)


def decoded(text: str) -> Any:
    """JSON text as plain values."""
    return msgspec.json.decode(text)


def _moment(at: datetime | None) -> str | None:
    return moment(at) if at else None


def current_language() -> benefits.Language:
    """The calculator's word for the active language."""
    return "en" if (get_language() or "").startswith("en") else "zh"


def scan(*, scan_id: UUID, terminal: TerminalFacts, now: datetime) -> dict[str, Any]:
    """An accepted scan that has not run out, with who is covered as of now: presence is what
    entitles a merchant to look. Raises NotFound, ScanExpired."""
    row = Scan.objects.filter(pk=scan_id, merchant_id=terminal.merchant_id, code="").first()
    if row is None or row.member_id is None:
        raise NotFound(param="scan_id")
    if now >= row.expires_at:
        raise ScanExpired(param="scan_id")
    day = business_date(now)
    return scan_answer(
        scan_id=str(row.id),
        use=row.use,
        expires_at=_moment(row.expires_at) or "",
        ceiling_fen=row.ceiling_fen,
        facts=members.member_facts(member_id=row.member_id, day=day),
        terminal=terminal,
        day=day,
    )


def settlement(*, settlement_id: UUID, merchant_id: int) -> dict[str, Any]:
    """A settlement with its state, shares, lines and what is left of each, steps and refunds.
    Raises NotFound."""
    row = Settlement.objects.filter(pk=settlement_id, merchant_id=merchant_id).first()
    if row is None:
        raise NotFound(param="settlement_id")
    return settlement_record(row, audience="cashier")


def settlement_record(
    row: Settlement, *, audience: Literal["citizen", "cashier"]
) -> dict[str, Any]:
    """A stored settlement, its explanation recomputed from the stored result and its own policy."""
    result = benefits.result_from_dict(row.result)
    facts = settlement_facts(row, result)
    left = _left_of_lines(row)
    return {
        **facts,
        "lines": [{**line, **left[line["no"]]} for line in facts["lines"]],
        **settlement_standing(row),
        "shares": [{"payer": s.payer, "amount_fen": s.amount_fen} for s in result.shares],
        "explanation": list(
            benefits.explain(
                result,
                policy=compiled_policy(row.policy_id),
                language=current_language(),
                audience=audience,
            )
        ),
    }


def settlement_standing(row: Settlement) -> dict[str, Any]:
    """What became of a settlement after it was accepted: posted or not, what was returned, and what
    it has come to because an earlier one came back."""
    refunds = list(row.refunds.order_by("member_seq").prefetch_related(*REFUND_PARTS))
    numbers = _line_numbers(row) if refunds else {}
    return {
        "state": row.state,
        "posted_at": _moment(row.posted_at),
        "refunded_fen": row.refunded_fen,
        "refunds": [_refund(refund, numbers) for refund in refunds],
        # Whose return it was, and where, is nobody's business here.
        "restated": [
            {"restated_at": _moment(at), "shares": result["shares"]}
            for at, result in row.restatements.order_by("refund__member_seq").values_list(
                "refund__accepted_at", "result"
            )
        ],
    }


def settlement_facts(row: Settlement, result: benefits.Result) -> dict[str, Any]:
    """What acceptance fixed for good, with the lines as the result took them apart."""
    splits = {split.no: split for split in result.line_splits}
    return {
        "settlement_id": str(row.id),
        "visit_id": str(row.visit_id),
        "scan_id": str(row.scan_id),
        "quote_id": str(row.quote_id) if row.quote_id else None,
        "member_seq": row.member_seq,
        "benefit_kind": row.benefit_kind,
        "disease_code": row.disease_code or None,
        "business_date": row.business_date.isoformat(),
        "service_date": row.service_date.isoformat(),
        "benefit_year": row.benefit_year,
        "total_fen": row.total_fen,
        "pool_fen": row.fund_fen,
        "account_fen": row.account_fen,
        "relative_fen": row.relative_fen,
        "cash_fen": row.cash_fen,
        "hospital_payment_fen": result.hospital_payment_fen,
        "lines": [
            {
                "no": number,
                "code": line.code,
                "national_code": line.national_code,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "amount_fen": line.amount_fen,
                "in_range_fen": splits[number].in_range_fen,
                "first_pay_fen": splits[number].first_pay_fen,
                "over_limit_fen": splits[number].over_limit_fen,
                "out_of_scope_fen": splits[number].out_of_scope_fen,
                "reason": splits[number].reason or None,
            }
            # In the order in which the calculator numbered them.
            for number, line in enumerate(
                row.lines.order_by("fee_batch__number", "number"), start=1
            )
        ],
        "policy": result.policy_version,
        "engine_version": row.engine_version,
        "trace_hash": row.trace_hash,
        "accepted_at": _moment(row.accepted_at),
    }


def _left_of_lines(row: Settlement) -> dict[int, dict[str, Any]]:
    """What may still come back of each line, by its number: the quantity as decimal text, the
    amount (fen), and the whole packs by their codes."""
    return {
        line.no: {
            "remaining_quantity": money.quantity_text(line.quantity_e4 - line.returned_e4),
            "remaining_fen": line.remaining_fen,
            "trace_codes": list(line.trace_codes),
        }
        for line in lines_of([row.pk], has_returns=row.refunded_fen > 0)[row.pk]
    }


def _line_numbers(row: Settlement) -> dict[int, int]:
    """Line id to the number that the calculator gave it."""
    ids = row.lines.order_by("fee_batch__number", "number").values_list("pk", flat=True)
    return {line_id: number for number, line_id in enumerate(ids, start=1)}


def _refund(row: Refund, numbers: dict[int, int]) -> dict[str, Any]:
    """A refund whose parts are prefetched; `numbers` are its settlement's `_line_numbers`."""
    return {
        "refund_id": str(row.id),
        "settlement_id": str(row.settlement_id),
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason,
        "member_seq": row.member_seq,
        "business_date": row.business_date.isoformat(),
        "total_fen": row.total_fen,
        "shares": [
            {"payer": share.payer, "amount_fen": share.amount_fen} for share in row.shares.all()
        ],
        "lines": [
            {
                "no": numbers[part.line_id],
                "quantity": money.quantity_text(part.quantity_e4),
                "amount_fen": part.amount_fen,
            }
            for part in row.lines.all()
        ],
        "accepted_at": _moment(row.accepted_at),
        "posted_at": _moment(row.posted_at),
    }


def refund(*, refund_id: UUID, merchant_id: int) -> dict[str, Any]:
    """A refund with what each payer got back. Raises NotFound."""
    row = (
        Refund.objects.filter(pk=refund_id, merchant_id=merchant_id)
        .select_related("settlement")
        .prefetch_related(*REFUND_PARTS)
        .first()
    )
    if row is None:
        raise NotFound(param="refund_id")
    return _refund(row, _line_numbers(row.settlement))


def visit(*, visit_id: UUID, merchant_id: int) -> dict[str, Any]:
    """A visit with its fee batches, settlements, prescriptions' numbers and pick-ups."""
    row = (
        Visit.objects.select_related("member").filter(pk=visit_id, merchant_id=merchant_id).first()
    )
    if row is None:
        raise NotFound(param="visit_id")
    return {
        **_visit_head(row),
        "fee_batches": [_batch(batch) for batch in row.fee_batches.order_by("number")],
        "settlements": [
            {
                "settlement_id": str(one.id),
                "state": one.state,
                "benefit_kind": one.benefit_kind,
                "total_fen": one.total_fen,
                "pool_fen": one.fund_fen,
                "account_fen": one.account_fen,
                "relative_fen": one.relative_fen,
                "cash_fen": one.cash_fen,
                "refunded_fen": one.refunded_fen,
            }
            for one in row.settlements.order_by("member_seq")
        ],
        "prescriptions": [
            {
                "prescription": one.number,
                "prescriber": one.prescriber,
                "diagnosis": one.diagnosis,
                "until_date": one.until_date.isoformat(),
            }
            for one in row.prescription_set.order_by("id")
        ],
        "pickups": [
            {
                "pickup_id": str(one.id),
                "settlement_id": str(one.settlement_id),
                "picked_up_at": _moment(one.picked_up_at),
            }
            for one in Pickup.objects.filter(visit=row).order_by("picked_up_at")
        ],
    }


def _visit_head(row: Visit) -> dict[str, Any]:
    return {
        "visit_id": str(row.id),
        "scan_id": str(row.scan_id) if row.scan_id else None,
        "kind": row.kind,
        "member_name": members.masked_name(row.member.name),
        "department": row.department,
        "doctor": row.doctor,
        "diagnoses": row.diagnoses,
        "admission_date": row.admission_date.isoformat() if row.admission_date else None,
        "discharge_date": row.discharge_date.isoformat() if row.discharge_date else None,
        "emergency": row.emergency,
        "public_emergency": row.public_emergency,
        "opened_at": _moment(row.opened_at),
        "closed_at": _moment(row.closed_at),
    }


def _batch(row: FeeBatch) -> dict[str, Any]:
    return {
        "fee_batch_id": str(row.id),
        "number": row.number,
        "service_date": row.service_date.isoformat(),
        "total_fen": row.total_fen,
        "lines": [
            {
                "no": line.number,
                "code": line.code,
                "national_code": line.national_code,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "amount_fen": line.amount_fen,
                "settlement_id": str(line.settlement_id) if line.settlement_id else None,
            }
            for line in row.lines.order_by("number")
        ],
    }


def visits_today(*, merchant_id: int, now: datetime) -> list[dict[str, Any]]:
    """Whom a counter has to do with today: visits of the day that are more than a pharmacy
    purchase, newest first and at most 100, and then the stays of earlier days, the last to be
    admitted first: whoever lies in hospital or went home today, at most 500, and whoever went home
    within the last 90 days with something left to be charged, likewise."""
    day = business_date(now)
    visits = Visit.objects.select_related("member").filter(merchant_id=merchant_id)
    of_today = visits.filter(business_date=day).exclude(kind=Visit.Kind.PHARMACY)
    stays = visits.filter(kind=Visit.Kind.INPATIENT, closed_at__isnull=True).exclude(
        business_date=day
    )
    at_hand = stays.filter(Q(discharge_date__isnull=True) | Q(discharge_date=day))
    # A statement of its own: beside an OR, PostgreSQL may read every unsettled line there is.
    unsettled = Line.objects.filter(fee_batch__visit=OuterRef("pk"), settlement__isnull=True)
    owing = stays.filter(
        Exists(unsettled),
        discharge_date__gte=day - timedelta(days=CHASED_DAYS),
        discharge_date__lt=day,
    )
    of_earlier_days = sorted(
        (row for some in (at_hand, owing) for row in some.order_by("-opened_at")[:500]),
        key=lambda row: row.opened_at,
        reverse=True,
    )
    rows = [*of_today.order_by("-opened_at")[:100], *of_earlier_days]
    return [_visit_head(row) for row in rows]
