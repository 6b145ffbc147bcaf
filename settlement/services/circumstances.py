"""What a bill is besides its lines: the stay it belongs to, emergency, diagnoses, package, days.

A visit keeps most of it, a prescription some; the request adds what is known only when the bill is
made. Nothing here reads a price, and nothing is written.
"""

from datetime import date
from typing import Any

import msgspec
from django.utils.translation import gettext_lazy as _

from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from settlement import benefits
from settlement.requests import BillRequest
from settlement.selectors.presence import VisitFacts, has_bills
from settlement.services.lines import Prescribed


class BenefitKindNotForVisit(Refusal):
    """A stay billed as an outpatient visit, or the other way round."""

    code = "benefit_kind_not_for_visit"
    text = _("This kind of benefit is not for such a visit.")


class PackageUnknown(Refusal):
    """The policy has no such charge package for this bill."""

    code = "package_unknown"
    text = _("The policy in force has no such package for this bill.")


def of_visit(visit: VisitFacts | None) -> dict[str, Any]:
    """What a visit says of its bills, as plain values: a quote keeps it, and is no longer confirmed
    once it has changed."""
    if visit is None:
        return {}
    diagnoses = msgspec.json.decode(visit.diagnoses)
    return {
        "stay": str(visit.visit_id) if visit.admission_date else "",
        "admission_date": visit.admission_date and visit.admission_date.isoformat(),
        "discharge_date": visit.discharge_date and visit.discharge_date.isoformat(),
        "emergency": visit.emergency,
        "public_emergency": visit.public_emergency,
        "diagnoses": sorted({each["code"] for each in diagnoses}),
    }


def bill_frame(
    request: BillRequest,
    *,
    visit: VisitFacts | None,
    prescribed: Prescribed,
    at_pharmacy: bool,
    service_date: date,
) -> benefits.Bill:
    """The bill as the calculator takes one, without its lines and relatives' accounts.

    A pharmacy fills a prescription at the rates of the hospital that wrote it; a bill of the
    hospital itself goes by its own level. Raises FieldInvalid for days or a package that cannot be.
    """
    said = of_visit(visit)
    if visit is None and request.package is not None:
        raise FieldInvalid(param="package", field="package", problem=_("only a visit has packages"))
    return benefits.Bill(
        kind=request.benefit_kind,
        disease_code=request.disease_code,
        service_date=service_date,
        lines=(),
        account_limit_fen=request.account_limit_fen,
        admission_date=visit.admission_date if visit else None,
        discharge_date=visit.discharge_date if visit else None,
        days=_days(request, visit=visit, service_date=service_date),
        stay=said.get("stay", ""),
        emergency=said.get("emergency", False),
        public_emergency=said.get("public_emergency", False),
        diagnoses=tuple(sorted({*said.get("diagnoses", ()), *prescribed.diagnoses})),
        package=request.package or "",
        prescribing_level=prescribed.level if at_pharmacy else None,
    )


def _days(request: BillRequest, *, visit: VisitFacts | None, service_date: date) -> int | None:
    """The bed-days of the bill: as sent, or those of the whole stay when one bill is all of it.

    The day of discharge is none; a stay that ends on its first day is one.
    """
    if visit is None or visit.admission_date is None:
        if request.days is not None:
            raise FieldInvalid(param="days", field="days", problem=_("only a stay has days"))
        return None
    until = visit.discharge_date or service_date
    most = max(1, (until - visit.admission_date).days)
    if request.days is not None:
        # An interim bill counts its last day: the patient is still there.
        if request.days > most + (visit.discharge_date is None):
            raise FieldInvalid(
                param="days", field="days", problem=_("more than the stay has lasted")
            )
        return request.days
    if visit.discharge_date is None or has_bills(visit_id=visit.visit_id):
        return None
    return most


def check_kind(policy: benefits.Policy, kind: str, *, visit: VisitFacts | None) -> None:
    """A stay is billed as a kind for stays and nothing else is. Raises BenefitKindNotForVisit."""
    is_stay = visit is not None and visit.admission_date is not None
    fits = policy.may_be_a_stay(kind) if is_stay else not policy.is_for_stays(kind)
    if not fits:
        raise BenefitKindNotForVisit(param="benefit_kind")


def priced_or_refused(arguments: dict[str, Any]) -> benefits.Result:
    """The calculator's result. What it cannot price because the request left something out is a
    refusal that names the field; whatever else it cannot price is a fault of ours.

    Raises FieldInvalid, PackageUnknown.
    """
    bill: benefits.Bill = arguments["bill"]
    try:
        result = benefits.calculate(**arguments)
    except benefits.BenefitsError as error:
        if error.code == "days_missing":
            raise FieldInvalid(
                param="days", field="days", problem=_("a rule goes by the days of the stay")
            ) from None
        if error.code == "package_without_lines":
            raise PackageUnknown(param="package") from None
        raise
    packaged = result.hospital_payment_fen is not None or any(
        price.step == "package" for price in result.prices
    )
    if bill.package and not packaged:
        raise PackageUnknown(param="package")
    return result
