"""The fund's dashboard: today in figures. It shows and changes nothing."""

from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from messaging.days import business_date
from messaging.inbox import Answer
from portal.roles import roles_of
from settlement.selectors.certainty import MEASURED_OVER_S, board
from settlement.selectors.overview import overview
from settlement.selectors.presence import NotFound

from .answers import NotSignedIn, as_answer, json_view


@never_cache
@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """The page, which its script fills and refreshes."""
    if not roles_of(request.user).fund:
        raise PermissionDenied
    return render(request, "portal/fund.html")


@require_GET
@json_view
def figures(request: HttpRequest, *, now: datetime) -> Answer:
    """Today's figures, by the Beijing day."""
    if not request.user.is_authenticated:
        raise NotSignedIn
    if not roles_of(request.user).fund:
        raise NotFound
    return as_answer(overview(day=business_date(now), now=now))


@require_GET
@json_view
def certainty(request: HttpRequest, *, now: datetime) -> Answer:
    """The certainty board. Apart from the figures, because it reads more and is asked for less
    often."""
    if not request.user.is_authenticated:
        raise NotSignedIn
    if not roles_of(request.user).fund:
        raise NotFound
    return as_answer({"measured_over_s": MEASURED_OVER_S, "kinds": board(now=now)})
