"""A visit: opened by a scan (挂号), filled with fee batches, prescriptions and pick-ups."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext_lazy as _

from merchants import services as merchants
from messaging import sql
from messaging.bodies import FieldInvalid, to_json
from messaging.days import moment
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement import money
from settlement.models import PrescriptionLine, Visit
from settlement.requests import (
    AddFeesRequest,
    DischargeRequest,
    LineRequest,
    OpenVisitRequest,
    PickUpRequest,
    PrescribeRequest,
)
from settlement.selectors.presence import NotFound, VisitFacts, live_scan, open_visit
from settlement.selectors.rules import catalogue_items
from settlement.services.desk import Desk
from settlement.services.fee_batches import write_fee_batch
from settlement.services.lines import (
    BillLine,
    ItemUnknown,
    QuantityNotPositive,
    add_catalogue,
    national_codes,
    read_lines,
)
from settlement.services.pricing import BILLING_USES, ScanNotForThisUse
from settlement.services.scans import check_member
from voucher import selectors as members

OPENING_USES = frozenset({"registration", "consultation", "admission"})


# An admission may be entered some days after it began, over a weekend or once the person is awake.
LATEST_ENTRY_DAYS = 3


class AlreadyDischarged(Refusal):
    """The stay ended before."""

    code = "already_discharged"
    text = _("The stay has ended already.")


class AlreadyPickedUp(Refusal):
    """Handed out before."""

    code = "already_picked_up"
    text = _("The drugs of this settlement were already handed out.")


def open_a_visit(desk: Desk, request: OpenVisitRequest) -> dict[str, Any]:
    """Open a visit on a scan for registration, consultation or admission.

    A hospital or clinic learns the full name and document number here. A registration line becomes
    the first fee batch, settled like any other. The agreement must cover the use of the scan.
    Raises NotFound, ScanExpired, ScanNotForThisUse, CapabilityMissing, FieldInvalid, and the
    refusals of lines.
    """
    if request.kind not in ("outpatient", "inpatient"):
        raise FieldInvalid(
            param="kind", field="kind", problem=_("expected outpatient or inpatient")
        )
    admission_date = _admission_date(desk, request)
    scan = live_scan(scan_id=request.scan_id, merchant_id=desk.terminal.merchant_id, now=desk.now)
    if scan.use not in OPENING_USES or desk.terminal.merchant_kind == "pharmacy":
        raise ScanNotForThisUse(param="scan_id")
    merchants.check_capability(desk.terminal, scan.use)
    facts = members.member_facts(member_id=scan.member_id, day=desk.day)
    check_member(facts, desk=desk)
    lines = (
        read_lines_with_catalogue(desk, [request.registration_line], service_date=desk.day)
        if request.registration_line
        else []
    )
    visit_id = new_id()
    sql.insert_rows(
        Visit,
        (
            "id",
            "merchant",
            "member",
            "scan",
            "kind",
            "department",
            "doctor",
            "diagnoses",
            "emergency",
            "public_emergency",
            "admission_date",
            "opened_at",
            "business_date",
        ),
        [
            (
                visit_id,
                desk.terminal.merchant_id,
                scan.member_id,
                scan.scan_id,
                request.kind,
                request.department,
                request.doctor,
                "[]",
                request.emergency,
                request.public_emergency,
                admission_date,
                desk.now,
                desk.day,
            )
        ],
    )
    batch = _write_batch(
        desk, visit_id=visit_id, number=1, request=None, lines=lines, service_date=desk.day
    )
    return {
        "visit_id": str(visit_id),
        "scan_id": str(scan.scan_id),
        "kind": request.kind,
        "department": request.department,
        "doctor": request.doctor,
        "admission_date": admission_date.isoformat() if admission_date else None,
        "emergency": request.emergency,
        "public_emergency": request.public_emergency,
        "opened_at": moment(desk.now),
        "fee_batch": batch,
        "member": {
            "name": facts.name,
            "identity_number": members.identity_number(
                scan.member_id,
                reader=desk.reader,
                reason=f"visit {visit_id} opened",
            ),
            "person_number": facts.number,
            "age": facts.age_on(desk.day),
            "sex": facts.sex,
        },
    }


def _admission_date(desk: Desk, request: OpenVisitRequest) -> date | None:
    if request.kind != "inpatient":
        if request.admission_date is not None:
            raise FieldInvalid(
                param="admission_date",
                field="admission_date",
                problem=_("only an admission has one"),
            )
        return None
    admission_date = request.admission_date or desk.day
    if not desk.day - timedelta(days=LATEST_ENTRY_DAYS) <= admission_date <= desk.day:
        raise FieldInvalid(
            param="admission_date",
            field="admission_date",
            problem=_("must be today or one of the three days before"),
        )
    return admission_date


def discharge(desk: Desk, request: DischargeRequest, *, visit_id: UUID) -> dict[str, Any]:
    """End a stay. Its last bill comes after, and shows the person anew; whoever is discharged by
    mistake on a day that no bill has counted on may be discharged again, on another day.

    Raises NotFound, VisitClosed, AlreadyDischarged (a bill has gone by the day), FieldInvalid.
    """
    visit = open_visit(visit_id=visit_id, merchant_id=desk.terminal.merchant_id)
    # A bill under way has read the stay as it was: it finishes first, or begins after.
    members.lock_member(member_id=visit.member_id)
    visit = open_visit(visit_id=visit_id, merchant_id=desk.terminal.merchant_id, lock=True)
    if visit.admission_date is None:
        raise FieldInvalid(param="visit_id", field="visit_id", problem=_("is not an admission"))
    discharge_date = request.discharge_date or desk.day
    row = sql.fetch_one(
        "SELECT max(b.service_date), max(s.service_date) FROM settlement_feebatch b"
        " LEFT JOIN settlement_line l ON l.fee_batch_id = b.id"
        " LEFT JOIN settlement_settlement s ON s.id = l.settlement_id"
        " AND s.refunded_fen < s.total_fen WHERE b.visit_id = %s",
        (visit_id,),
        kinds=("date", "date"),
    )
    last_service, last_billed = row or (None, None)
    earliest = max(visit.admission_date, last_service or visit.admission_date)
    if not earliest <= discharge_date <= desk.day:
        raise FieldInvalid(
            param="discharge_date",
            field="discharge_date",
            problem=_("must lie between the last day of care and today"),
        )
    if (
        visit.discharge_date is not None
        and discharge_date != visit.discharge_date
        and last_billed is not None
        and last_billed >= visit.discharge_date
    ):
        raise AlreadyDischarged(param="discharge_date")
    sql.run(
        "UPDATE settlement_visit SET discharge_date = %s WHERE id = %s", (discharge_date, visit_id)
    )
    return {
        "visit_id": str(visit_id),
        "admission_date": visit.admission_date.isoformat(),
        "discharge_date": discharge_date.isoformat(),
        "days": max(1, (discharge_date - visit.admission_date).days),
    }


def add_fees(desk: Desk, request: AddFeesRequest, *, visit_id: UUID) -> dict[str, Any]:
    """Upload what was done: lines, diagnoses, doctor. Raises the refusals of visit and lines."""
    visit = open_visit(visit_id=visit_id, merchant_id=desk.terminal.merchant_id, lock=True)
    service_date = request.service_date or min(desk.day, visit.discharge_date or desk.day)
    first_day = visit.admission_date or visit.business_date
    if not first_day <= service_date <= (visit.discharge_date or desk.day):
        raise FieldInvalid(
            param="service_date",
            field="service_date",
            problem=_("must lie between the opening of the visit and today, or its end"),
        )
    if request.scan_id is not None and request.scan_id != visit.scan_id:
        scan = live_scan(
            scan_id=request.scan_id, merchant_id=desk.terminal.merchant_id, now=desk.now
        )
        if scan.member_id != visit.member_id:
            raise NotFound(param="scan_id")
        if scan.use not in BILLING_USES:
            raise ScanNotForThisUse(param="scan_id")
    lines = read_lines_with_catalogue(desk, request.lines, service_date=service_date)
    row = sql.fetch_one(
        "SELECT coalesce(max(number), 0) FROM settlement_feebatch WHERE visit_id = %s", (visit_id,)
    )
    number = (row[0] if row else 0) + 1
    if request.public_emergency:
        sql.run("UPDATE settlement_visit SET public_emergency = %s WHERE id = %s", (True, visit_id))
    if request.diagnoses:
        sql.run(
            "UPDATE settlement_visit SET diagnoses = %s, department = %s, doctor = %s"
            " WHERE id = %s",
            (
                to_json(msgspec.to_builtins(request.diagnoses)),
                request.department or visit.department,
                request.doctor or visit.doctor,
                visit_id,
            ),
        )
    batch = _write_batch(
        desk,
        visit_id=visit_id,
        number=number,
        request=request,
        lines=lines,
        service_date=service_date,
    )
    assert batch is not None
    return batch


def read_lines_with_catalogue(
    desk: Desk, requested: Sequence[LineRequest], *, service_date: date
) -> list[BillLine]:
    """Lines to upload: refused now if the catalogue does not know what they name themselves."""
    lines = read_lines(desk, requested)
    facts = catalogue_items(
        area_code=desk.terminal.area_code, national_codes=national_codes(lines), day=service_date
    )
    add_catalogue(lines, facts)
    return lines


def _write_batch(
    desk: Desk,
    *,
    visit_id: UUID,
    number: int,
    request: AddFeesRequest | None,
    lines: list[Any],
    service_date: date,
) -> dict[str, Any] | None:
    if not lines:
        return None
    total_fen = sum(line.amount_fen for line in lines)
    batch_id = write_fee_batch(
        [
            {
                **line.described(),
                "split_pack": line.split_pack,
                "trace_codes": line.trace_codes,
                "prescription": line.prescription,
            }
            for line in lines
        ],
        visit_id=visit_id,
        number=number,
        service_date=service_date,
        total_fen=total_fen,
        now=desk.now,
        department=request.department if request else "",
        doctor=request.doctor if request else "",
    )
    return {
        "fee_batch_id": str(batch_id),
        "number": number,
        "service_date": service_date.isoformat(),
        "total_fen": total_fen,
        "lines": [line.described() for line in lines],
    }


def prescribe(desk: Desk, request: PrescribeRequest, *, visit_id: UUID) -> dict[str, Any]:
    """Issue a prescription in an open visit. Raises NotFound, VisitClosed, ItemUnknown,
    QuantityNotPositive, FieldInvalid."""
    visit: VisitFacts = open_visit(
        visit_id=visit_id, merchant_id=desk.terminal.merchant_id, lock=True
    )
    known = catalogue_items(
        area_code=desk.terminal.area_code,
        national_codes=sorted({line.national_code for line in request.lines}),
        day=desk.day,
    )
    quantities: dict[str, int] = {}
    for index, line in enumerate(request.lines):
        where = f"lines[{index}]"
        if line.national_code not in known:
            raise ItemUnknown(param=f"{where}.national_code", line_no=index + 1)
        try:
            quantity = money.quantity_units(line.quantity)
        except ValueError as error:
            field = f"{where}.quantity"
            raise FieldInvalid(param=field, field=field, problem=str(error)) from None
        if quantity == 0:
            raise QuantityNotPositive(param=f"{where}.quantity", line_no=index + 1)
        quantities[line.national_code] = quantities.get(line.national_code, 0) + quantity
    number = f"RX{new_id().hex[:20].upper()}"
    until_date = desk.day + timedelta(days=request.valid_days)
    row = sql.fetch(
        "INSERT INTO settlement_prescription (number, member_id, institution_code, prescriber,"
        " diagnosis, diagnosis_code, visit_id, issued_date, until_date)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            number,
            visit.member_id,
            desk.terminal.merchant_code,
            request.prescriber,
            request.diagnosis,
            request.diagnosis_code,
            visit_id,
            desk.day,
            until_date,
        ),
    )
    sql.insert_rows(
        PrescriptionLine,
        ("prescription", "national_code", "quantity_e4", "filled_e4"),
        [(row[0][0], code, quantity, 0) for code, quantity in quantities.items()],
    )
    return {
        "prescription": number,
        "visit_id": str(visit_id),
        "issued_date": desk.day.isoformat(),
        "until_date": until_date.isoformat(),
        "lines": [
            {
                "national_code": line.national_code,
                "name": known[line.national_code].name,
                "quantity": line.quantity,
            }
            for line in request.lines
        ],
    }


def pick_up(desk: Desk, request: PickUpRequest, *, visit_id: UUID) -> dict[str, Any]:
    """Hand out a settlement's drugs against a scan for drug pick-up by the same person.

    Raises CapabilityMissing, NotFound, ScanExpired, ScanNotForThisUse, AlreadyPickedUp.
    """
    merchant_id = desk.terminal.merchant_id
    merchants.check_capability(desk.terminal, "drug_pickup")
    visit = open_visit(visit_id=visit_id, merchant_id=merchant_id, lock=True)
    scan = live_scan(scan_id=request.scan_id, merchant_id=merchant_id, now=desk.now)
    if scan.use != "drug_pickup":
        raise ScanNotForThisUse(param="scan_id")
    if scan.member_id != visit.member_id:
        raise NotFound(param="scan_id")
    row = sql.fetch_one(
        "SELECT refunded_fen FROM settlement_settlement WHERE id = %s AND visit_id = %s",
        (request.settlement_id, visit_id),
    )
    if row is None or row[0]:
        raise NotFound(param="settlement_id")
    # Goods only: nobody hands out a registration fee or a blood test.
    lines = sql.fetch(
        "SELECT l.name, l.quantity FROM settlement_line l WHERE l.settlement_id = %s"
        " AND NOT EXISTS (SELECT 1 FROM settlement_catalogueitem c WHERE c.area_code = %s"
        " AND c.national_code = l.national_code AND c.kind = 'service') ORDER BY l.id",
        (request.settlement_id, desk.terminal.area_code),
    )
    # The last decision and the only write in one statement: a scan hands out once, whichever of
    # the person's visits it is shown for, and no lock of this visit's knows of another's.
    pickup_id = new_id()
    handed = sql.fetch(
        'INSERT INTO "settlement_pickup" (id, visit_id, settlement_id, scan_id, picked_up_at)'
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        (pickup_id, visit_id, request.settlement_id, request.scan_id, desk.now),
    )
    if not handed:
        raise AlreadyPickedUp(param="settlement_id")
    return {
        "pickup_id": str(pickup_id),
        "visit_id": str(visit_id),
        "settlement_id": str(request.settlement_id),
        "picked_up_at": moment(desk.now),
        "lines": [{"name": name, "quantity": quantity} for name, quantity in lines],
    }
