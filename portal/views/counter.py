"""The counter's pages, and the operations their scripts ask for.

A page is a terminal like any other: its script sends the very JSON of the terminal API, and what
answers is `settlement.operations`. In place of a signature there are the operator's session and the
CSRF token; the terminal is the merchant's page terminal.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from merchants import services as merchants
from merchants.endpoint import BodyTooLarge, IdempotencyKeyMissing
from merchants.models import Merchant, Operator
from merchants.selectors import TerminalFacts, covered_kinds, terminal_facts
from messaging.bodies import FieldInvalid
from messaging.days import business_date
from messaging.inbox import Answer
from portal.roles import roles_of
from settlement import operations
from settlement.selectors.presence import NotFound
from settlement.selectors.rules import stay_rules

from .answers import NotSignedIn, OperatorNotActive, as_answer, json_view

# Each read with the parameter it cannot do without.
READS = {
    "catalogue": "query",
    "items": "query",
    "outcome": "idempotency_key",
    "scan": "scan_id",
    "settlement": "settlement_id",
    "shift_here": "",
    "tender": "quote_id",
    "visit": "visit_id",
    "visits_today": "",
}
_PARAMETERS = frozenset({*READS.values(), "limit"}) - {""}


@never_cache
@require_GET
@login_required
def pharmacy(request: HttpRequest) -> HttpResponse:
    """The pharmacy's page: scan, items, quote, confirm."""
    return _page(request, "portal:pharmacy", "portal/pharmacy.html")


@never_cache
@require_GET
@login_required
def clinic(request: HttpRequest) -> HttpResponse:
    """The clinic's page: register, treat, charge, hand out; in a hospital also admit, discharge."""
    return _page(request, "portal:clinic", "portal/clinic.html", more=_stays)


@never_cache
@require_GET
@login_required
def returns(request: HttpRequest) -> HttpResponse:
    """An earlier sale by its number, to be returned; the same for every kind of counter."""
    roles = roles_of(request.user)
    if roles.operator is None:
        raise PermissionDenied
    return render(
        request,
        "portal/returns.html",
        {
            "operator": roles.operator,
            "merchant": roles.operator.merchant,
            "counter_page": roles.counter_page,
        },
    )


@require_POST
@json_view
def operate(request: HttpRequest, *, operation: str, now: datetime) -> Answer:
    """Perform a write of the terminal API for the operator's merchant."""
    if operation not in operations.OPERATIONS:
        raise NotFound(param="operation")
    operator = _operator(request)
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise IdempotencyKeyMissing(param="Idempotency-Key")
    try:
        body = request.body
    except RequestDataTooBig:
        raise BodyTooLarge from None
    return operations.perform(
        operation,
        terminal=_terminal(operator, now=now),
        operator=operator.code,
        body=body,
        key=key,
        request_id=request.request_id,  # type: ignore[attr-defined]
        now=now,
        params=request.GET.dict(),
    )


@require_GET
@json_view
def look(request: HttpRequest, *, name: str, now: datetime) -> Answer:
    """Answer a read of the terminal API for the operator's merchant."""
    if name not in READS:
        raise NotFound(param="name")
    operator = _operator(request)
    needed = READS[name]
    if needed and needed not in request.GET:
        raise FieldInvalid(param=needed, field=needed, problem=_("is missing"))
    given = {key: value for key, value in request.GET.items() if key in _PARAMETERS}
    terminal = _terminal(operator, now=now)
    return as_answer(operations.look(name, terminal=terminal, now=now, params=given))


def _stays(merchant: Merchant, *, now: datetime) -> dict[str, Any]:
    """Whether the merchant may admit, and what its stays may be billed as."""
    day = business_date(now)
    covered = covered_kinds(merchant_id=merchant.pk, day=day)
    rules = stay_rules(area_code=merchant.area_code, covered=covered, day=day)
    return {"admits": "admission" in covered, "stay_rules": json.dumps(rules, ensure_ascii=False)}


def _page(
    request: HttpRequest,
    page: str,
    template: str,
    *,
    more: Callable[..., dict[str, Any]] | None = None,
) -> HttpResponse:
    roles = roles_of(request.user)
    if roles.operator is None:
        raise PermissionDenied
    if roles.counter_page != page:
        return redirect(roles.counter_page)
    merchant = roles.operator.merchant
    context = {"operator": roles.operator, "merchant": merchant}
    if more is not None:
        context |= more(merchant, now=timezone.now())
    return render(request, template, context)


def _operator(request: HttpRequest) -> Operator:
    if not request.user.is_authenticated:
        raise NotSignedIn
    operator = roles_of(request.user).operator
    if operator is None:
        raise OperatorNotActive
    return operator


def _terminal(operator: Operator, *, now: datetime) -> TerminalFacts:
    """The operator's page terminal. Raises TerminalRevoked."""
    terminal = merchants.page_terminal(operator=operator, now=now)
    facts = terminal_facts(terminal_id=terminal.pk, day=business_date(now))
    merchants.check_terminal(facts)
    return facts
