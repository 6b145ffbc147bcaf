"""The slip as a page, as JSON and as a PDF: for its member, its merchant's operators, fund staff.

Looking at a slip writes nothing. Taking it away does: the page's button issues it, once and for
all, and leads to the PDF, which is made of what was issued and of nothing else. So no mail scanner
or browser that fetches addresses ahead can issue a slip in somebody's name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from config.http import status_of
from messaging.inbox import Answer
from messaging.refusals import Refusal
from portal.roles import roles_of
from portal.slip_pdf import slip_pdf
from settlement import benefits
from settlement.benefits.naming import word
from settlement.selectors.presence import NotFound
from settlement.selectors.records import current_language
from settlement.selectors.relatives import holders_of, member_owns
from settlement.selectors.slips import slip
from settlement.selectors.standing import shares_now
from settlement.services.slips import issue_slip

from .answers import NotSignedIn, as_answer, json_view


@dataclass(frozen=True, slots=True)
class _Viewer:
    """As whom a login looks: in whose words, at whose settlements."""

    audience: benefits.Audience
    name: str
    narrowed: dict[str, int]


def _as_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A refusal as a page that looks like the other error pages."""

    @wraps(view)
    def answered(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, **kwargs)
        except NotFound:
            raise Http404 from None
        except Refusal as refusal:
            return render(
                request,
                "portal/slip_refused.html",
                {
                    "sentence": refusal.sentence(),
                    "request_id": request.request_id,  # type: ignore[attr-defined]
                },
                status=status_of(refusal.code),
            )

    return answered


@never_cache
@require_GET
@login_required
@_as_page
def page(request: HttpRequest, *, settlement_id: UUID) -> HttpResponse:
    """One settlement's slip, as issued or as it would be; 404 for one that is not theirs to see."""
    found = _slip(request, settlement_id)
    # Whose account paid is for the person it was paid for to know, and for nobody else here.
    member = roles_of(request.user).member
    is_theirs = member is not None and member_owns(settlement_id, member.pk)
    holders = holders_of(settlement_id) if is_theirs and found["slip"]["relative_fen"] else []
    counts_now = None
    if found["current"]["restated"] and (standing := shares_now(settlement_id)):
        spoken = current_language()
        counts_now = [
            {"title": word(payer, language=spoken), "amount_fen": amount_fen}
            for payer, amount_fen in standing.items()
        ]
    told = {"holders": holders, "counts_now": counts_now}
    return render(request, "portal/slip.html", {**found, **told})


@require_GET
@json_view
def data(request: HttpRequest, *, settlement_id: UUID, now: datetime) -> Answer:
    """The same in the form of the terminals' API; `issued_at` is null before it is issued."""
    if not request.user.is_authenticated:
        raise NotSignedIn
    return as_answer(_slip(request, settlement_id))


@never_cache
@require_POST
@login_required
@_as_page
def issue(request: HttpRequest, *, settlement_id: UUID) -> HttpResponse:
    """Issue the slip, unless it was before, and go on to its PDF."""
    _slip(request, settlement_id, issue_at=timezone.now())
    return redirect("portal:slip_pdf", settlement_id=settlement_id)


@never_cache
@require_GET
@login_required
@_as_page
def document(request: HttpRequest, *, settlement_id: UUID) -> HttpResponse:
    """The issued slip as a PDF to keep; before it is issued, the page with the button."""
    found = _slip(request, settlement_id)
    if found["issued_at"] is None:
        return redirect("portal:slip", settlement_id=settlement_id)
    response = HttpResponse(slip_pdf(found), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="slip-{settlement_id}.pdf"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _viewers(user: Any) -> Iterator[_Viewer]:
    """Somebody's own slip is told in the member's words, even to one who works at the counter."""
    roles = roles_of(user)
    if roles.fund:
        yield _Viewer("citizen", f"staff:{user.pk}", {})
    if roles.member is not None:
        yield _Viewer("citizen", f"member:{roles.member.pk}", {"member_id": roles.member.pk})
    if roles.operator is not None:
        merchant_id = roles.operator.merchant_id
        yield _Viewer("cashier", f"operator:{roles.operator.pk}", {"merchant_id": merchant_id})


def _slip(
    request: HttpRequest, settlement_id: UUID, *, issue_at: datetime | None = None
) -> dict[str, Any]:
    """What the first viewer finds who finds it, issued if a moment is given. Raises NotFound and
    SlipNotReproducible."""
    for viewer in _viewers(request.user):
        asked: dict[str, Any] = {
            "settlement_id": settlement_id,
            "language": current_language(),
            "audience": viewer.audience,
            **viewer.narrowed,
        }
        try:
            if issue_at is None:
                return slip(**asked)
            return issue_slip(**asked, issued_by=viewer.name, now=issue_at)
        except NotFound:
            continue
    raise NotFound(param="settlement_id")
