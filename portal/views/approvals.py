"""Returns into declared months, for the fund's staff to approve or decline."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal.forms import DecisionForm
from portal.roles import roles_of
from settlement.benefits.naming import word
from settlement.selectors.approvals import decided_approvals, how_many_wait, waiting_approvals
from settlement.selectors.presence import NotFound
from settlement.selectors.records import current_language
from settlement.services.approvals import decide


@never_cache
@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """What waits, the oldest first, and below it what was decided."""
    _check_staff(request)
    return _page(request)


@never_cache
@require_POST
@login_required
def decision(request: HttpRequest, *, approval_id: UUID) -> HttpResponse:
    """Approve or decline one ask, and go back to the list; a fault of the form is shown beside it.
    Pressed twice it is done once; 404 for an ask that does not exist."""
    _check_staff(request)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _page(request, faulty=approval_id, form=form)
    try:
        is_decided = decide(
            approval_id=approval_id,
            decision=form.cleaned_data["decision"],
            note=form.cleaned_data["note"],
            by=request.user.get_username(),
            now=timezone.now(),
        )
    except NotFound:
        raise Http404 from None
    if not is_decided:
        messages.warning(
            request, _("It was no longer waiting, so nothing was changed. It stands below.")
        )
    return redirect("portal:approvals")


def _check_staff(request: HttpRequest) -> None:
    if not roles_of(request.user).fund:
        raise PermissionDenied


def _page(
    request: HttpRequest, *, faulty: UUID | None = None, form: DecisionForm | None = None
) -> HttpResponse:
    waiting, decided = waiting_approvals(), decided_approvals()
    spoken = current_language()
    for row in (*waiting, *decided):
        for share in row["shares"]:
            share["name"] = word(share["payer"], language=spoken)
        row["tag"] = {"approved": "", "used": "good", "declined": "bad"}.get(row["state"], "warn")
        row["fault"], row["typed"] = _fault(form) if row["approval_id"] == faulty else ("", "")
    return render(
        request,
        "portal/approvals.html",
        {"waiting": waiting, "decided": decided, "all_waiting": how_many_wait()},
    )


def _fault(form: DecisionForm | None) -> tuple[str, Any]:
    """What is wrong with the form, and the note as it was typed."""
    if form is None:
        return "", ""
    told = [str(error) for errors in form.errors.values() for error in errors]
    return " ".join(told), form.data.get("note", "")[:200]
