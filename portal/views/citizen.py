"""The citizen's page: a member's own code, cover, balance and latest settlements.

Every request is answered for the member of the session and for nobody else; no address carries an
id. The digits of a code leave the server only in `code.json` and inside a picture, and no answer
here may be stored by a browser or a proxy.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from messaging.bodies import FieldInvalid
from messaging.days import business_date
from messaging.inbox import Answer
from messaging.refusals import Refusal
from portal.forms import ScopeForm
from settlement.selectors.overview import account_balance, member_settlements, open_quotes
from settlement.selectors.own_payments import how_cash_was_paid, own_credit
from settlement.selectors.presence import NotFound
from settlement.selectors.relatives import paid_for_relatives
from settlement.services.quotes import release_own
from voucher.images import render as render_symbol
from voucher.models import Enrolment, Entitlement, Member, Voucher
from voucher.selectors import member_facts, member_of_user
from voucher.services import mint_code
from voucher.tokens import Scope

from .answers import NotSignedIn, as_answer, json_view

_LATEST = 10


@never_cache
@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """The page itself; the code in it is drawn by its script, or by `code_picture` without one."""
    member = member_of_user(request.user)
    if member is None:
        raise PermissionDenied
    day = business_date(timezone.now())
    facts = member_facts(member_id=member.pk, day=day)
    return render(
        request,
        "portal/citizen.html",
        {
            "name": facts.masked_name,
            "scheme": _label(Enrolment.Scheme, facts.scheme),
            "category": _label(Enrolment.Category, facts.category),
            "entitlement": _label(Entitlement.State, facts.entitlement_state),
            "in_force": facts.entitlement_state == Entitlement.State.IN_FORCE,
            "voucher": _label(Voucher.State, facts.voucher_state or ""),
            "voucher_active": facts.voucher_state == Voucher.State.ACTIVE,
            "diseases": [filing.disease_name for filing in facts.filings],
            **_money(member.pk),
            "open_quotes": open_quotes(member.pk, now=timezone.now()),
            "paid_for_relatives": paid_for_relatives(member.pk, limit=_LATEST),
            "scope_form": ScopeForm(),
        },
    )


@require_GET
@json_view
def code(request: HttpRequest, *, now: datetime) -> Answer:
    """A fresh code: its digits, and when it was made and ends."""
    form = ScopeForm(request.GET)
    # A narrowing that cannot be read must not widen into a code for everything.
    if not form.is_valid():
        field, problems = next(iter(form.errors.items()))
        raise FieldInvalid(param=field, field=field, problem=" ".join(map(str, problems)))
    minted = mint_code(
        member_id=_member(request).pk,
        scope=form.scope(),
        now=now,
        lifetime_s=settings.CODE_LIFETIME_S,
    )
    return as_answer(
        {"text": minted.text, "issued_at": minted.issued_at, "expires_at": minted.expires_at}
    )


@never_cache
@require_GET
@login_required
def code_picture(request: HttpRequest) -> HttpResponse:
    """A fresh code as an SVG, for browsers without script. Empty 403 when there is none to show."""
    try:
        minted = mint_code(
            member_id=_member(request).pk,
            scope=Scope(),
            now=timezone.now(),
            lifetime_s=settings.CODE_LIFETIME_S,
        )
    except Refusal:
        return HttpResponse(status=403)
    response = HttpResponse(render_symbol(minted.text, form="svg"), content_type="image/svg+xml")
    response["Cache-Control"] = "no-store"
    return response


@never_cache
@require_POST
@login_required
def release(request: HttpRequest) -> HttpResponse:
    """Give back what tills hold: somebody who walked away from one wants to pay at another."""
    member = member_of_user(request.user)
    if member is None:
        raise PermissionDenied
    release_own(member_id=member.pk, now=timezone.now())
    return redirect("portal:citizen")


@require_GET
@json_view
def settlements(request: HttpRequest, *, now: datetime) -> Answer:
    """The latest settlements, what is left on the account, and the line of credit, if any."""
    return as_answer(_money(_member(request).pk))


def _money(member_id: int) -> dict[str, Any]:
    rows = member_settlements(member_id, limit=_LATEST)
    credit = own_credit(member_id)
    if credit is not None:
        ways = how_cash_was_paid(member_id, latest=_LATEST)
        for row in rows:
            row["paid_by"] = ways.get(row["settlement_id"], [])
    return {"balance_fen": account_balance(member_id), "settlements": rows, "credit": credit}


def _member(request: HttpRequest) -> Member:
    if not request.user.is_authenticated:
        raise NotSignedIn
    member = member_of_user(request.user)
    if member is None:
        raise NotFound
    return member


def _label(choices: type, value: str) -> str:
    return str(dict(choices.choices).get(value, "")) if value else ""  # type: ignore[attr-defined]
