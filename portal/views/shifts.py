"""The hand-over slip (交班单) of a shift, for the operators of its merchant: a page to print."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from portal.roles import roles_of
from settlement.benefits.naming import word
from settlement.selectors.presence import NotFound
from settlement.selectors.records import current_language
from settlement.selectors.shifts import handover


@never_cache
@require_GET
@login_required
def page(request: HttpRequest, *, shift_id: UUID) -> HttpResponse:
    """One shift's sums and drawer; 404 for one that is not of this operator's merchant."""
    operator = roles_of(request.user).operator
    if operator is None:
        raise Http404
    try:
        shift = handover(shift_id=shift_id, merchant_id=operator.merchant_id)
    except NotFound:
        raise Http404 from None
    spoken = current_language()
    for rows, name in ((shift["payers"], "payer"), (shift["tenders"], "tender")):
        for row in rows:
            row["name"] = word(row[name], language=spoken)
    difference_fen = shift["difference_fen"]
    return render(
        request,
        "portal/handover.html",
        {
            "shift": shift,
            "merchant": operator.merchant,
            "missing_fen": -difference_fen if difference_fen and difference_fen < 0 else 0,
            "over_fen": difference_fen if difference_fen and difference_fen > 0 else 0,
            "printed_at": timezone.now(),
        },
    )
