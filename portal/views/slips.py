"""The slip as a page and as a PDF: for its member, its merchant's operators, fund staff."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from portal.roles import roles_of
from portal.slip_pdf import slip_pdf
from settlement.selectors.presence import NotFound
from settlement.selectors.slips import slip_sheet
from settlement.services.pricing import language


@never_cache
@require_GET
@login_required
def page(request: HttpRequest, *, settlement_id: UUID) -> HttpResponse:
    """One settlement's slip; 404 for one that is not this person's to see."""
    return render(request, "portal/slip.html", {"slip": _sheet(request, settlement_id)})


@never_cache
@require_GET
@login_required
def document(request: HttpRequest, *, settlement_id: UUID) -> HttpResponse:
    """The same slip as a PDF to keep."""
    response = HttpResponse(
        slip_pdf(_sheet(request, settlement_id)), content_type="application/pdf"
    )
    response["Content-Disposition"] = f'inline; filename="slip-{settlement_id}.pdf"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _sheet(request: HttpRequest, settlement_id: UUID) -> dict[str, Any]:
    roles = roles_of(request.user)
    for allowed, narrowed in (
        (roles.fund, {}),
        (roles.operator, {"merchant_id": roles.operator and roles.operator.merchant_id}),
        (roles.member, {"member_id": roles.member and roles.member.pk}),
    ):
        if not allowed:
            continue
        try:
            return slip_sheet(settlement_id=settlement_id, language=language(), **narrowed)
        except NotFound:
            continue
    raise Http404
