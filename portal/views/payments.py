"""How cash parts are paid, for fund staff: what is under way, debts by name, lines of credit,
rules.

The page is whole without script. What was asked is done under the key of its form, so that two
presses are one act; then the browser is sent to a page that shows what was done.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from config.http import STATUS
from merchants.endpoint import refused, try_again
from messaging.bodies import to_json
from messaging.inbox import KeyReused
from messaging.refusals import Refusal, TryAgain
from portal.payments_form import Act, DebtPaidForm, FindForm, LimitForm, RepaymentForm, RuleForm
from portal.roles import roles_of
from settlement.models import TenderRule
from settlement.selectors import staff as seen
from settlement.services.tender import staff
from settlement.services.tender.credit import NO_LINE

from .answers import as_answer

log = logging.getLogger(__name__)

ACTS: Mapping[str, type[Act]] = {
    form.name: form for form in (DebtPaidForm, RuleForm, LimitForm, RepaymentForm)
}
_PERFORM: Mapping[str, Callable[..., staff.Act]] = {
    "debt_paid": staff.debt_paid,
    "rule": staff.set_rule,
    "limit": staff.set_limit,
    "repayment": staff.repayment,
}
# Where on the page the outcome of an act is read.
_PLACES = {"debt_paid": "debts", "rule": "rules", "limit": "credit", "repayment": "credit"}
_STATES = {
    "asked": _("asked, no answer yet"),
    "unknown": _("not known whether it was paid"),
    "capturing": _("being collected"),
    "returning": _("being given back"),
}


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """The page, and every act on it."""
    if not roles_of(request.user).fund:
        raise PermissionDenied
    now = timezone.now()
    if request.method == "POST":
        return _posted(request, now)
    line_of = request.GET.get("line", "")
    key = request.GET.get("done", "")
    return _page(
        request,
        now,
        done=seen.act_done(actor=request.user.get_username(), key=key) if key.isalnum() else None,
        member_id=int(line_of) if _is_id(line_of) else None,
    )


def _is_id(text: str) -> bool:
    # As long as the column's numbers: a database refuses others in its own way.
    return text.isascii() and text.isdigit() and len(text) < 19


def _posted(request: HttpRequest, now: datetime) -> HttpResponse:
    name = request.POST.get("act", "")
    if name == "find":
        return _find(request, now)
    if name not in ACTS:
        return _page(request, now, status=STATUS["field_invalid"])
    form = ACTS[name](request.POST)
    is_valid = form.is_valid()
    member = seen.member_numbered(form.cleaned_data.get("member_number", ""))
    member_id = member.pk if member else None
    if not is_valid:
        hidden = [*form.errors.get("key", ()), *form.errors.get("tender_id", ())]
        return _page(
            request,
            now,
            form=form,
            member_id=member_id,
            # What has no place beside a field is said above the form.
            refusal={"place": _PLACES[name], "detail": hidden[0]} if hidden else None,
            status=STATUS["field_invalid"],
        )
    request_id: str = request.request_id  # type: ignore[attr-defined]
    asked = form.asked()
    kept: Act | None = None
    try:
        answer = staff.perform(
            _PERFORM[name](**asked),
            name=name,
            content=to_json(asked | {"act": name}).encode(),
            staff=staff.Staff(
                name=request.user.get_username(),
                inbox_actor=f"staff:{request.user.pk}",
                key=form.cleaned_data["key"],
                request_id=request_id,
                now=now,
            ),
            done=as_answer,
            refused=lambda refusal: refused(refusal, request_id=request_id),
        )
    except KeyReused as refusal:
        answer = refused(refusal, request_id=request_id)
    except (TryAgain, OperationalError, InterfaceError):
        log.warning("passing trouble behind the page of payments", exc_info=True)
        answer = try_again(request_id=request_id)
        # Its key is kept: whether it was stored is not known where the commit itself was lost.
        kept = form
    if answer.status < 400:
        query = {"done": form.cleaned_data["key"]} | ({"line": member_id} if member_id else {})
        return redirect(f"{reverse('portal:payments')}?{urlencode(query)}#{_PLACES[name]}")
    return _page(
        request,
        now,
        form=kept,
        member_id=member_id,
        refusal={"place": _PLACES[name], "detail": json.loads(answer.body)["detail"]},
        status=answer.status,
    )


def _find(request: HttpRequest, now: datetime) -> HttpResponse:
    """Send to the page with the person's line: their number stays out of addresses and logs."""
    form = FindForm(request.POST)
    if not form.is_valid():
        return _page(request, now, find=form, status=STATUS["field_invalid"])
    member = seen.member_numbered(form.cleaned_data["member_number"])
    if member is None:
        refusal: Refusal = staff.MemberNumberUnknown(param="member_number")
        form.add_error("member_number", refusal.sentence())
        return _page(request, now, find=form, status=STATUS[refusal.code])
    return redirect(f"{reverse('portal:payments')}?line={member.pk}#credit")


def _page(
    request: HttpRequest,
    now: datetime,
    *,
    form: Act | None = None,
    find: FindForm | None = None,
    member_id: int | None = None,
    done: Any = None,
    refusal: Mapping[str, Any] | None = None,
    status: int | None = None,
) -> HttpResponse:
    forms = {} if form is None else {form.name: form}
    line = None if member_id is None else seen.line_of_credit(member_id)
    debts = seen.debts_by_name()
    for row in debts["rows"]:
        row.form = DebtPaidForm(initial={"tender_id": row.pk})
    under_way = seen.under_way()
    for group in ("uncertain", "moving"):
        for row in under_way[group]["rows"]:
            row.state_word = _STATES[row.state]
    context = {
        "now": now,
        "under_way": under_way,
        "under_way_count": sum(group["count"] for group in under_way.values()),
        "debts": debts,
        "find": find or FindForm(),
        "credit": line,
        "rules": seen.capture_rules(),
        "default_rule": TenderRule.CaptureFailed(settings.TENDER_CAPTURE_FAILED).label,
        "rule_form": forms.get("rule") or RuleForm(),
        "acts": seen.latest_acts(),
        "done": done,
        "done_place": _PLACES[done.kind] if done else "",
        "refusal": refusal,
        "shown": seen.SHOWN,
    }
    if line is not None:
        number = {"member_number": line["number"]}
        limit_fen = line["line"].limit_fen if line["line"] else None
        context["limit_form"] = forms.get("limit") or LimitForm(
            initial={**number, "shown_fen": NO_LINE}
            if limit_fen is None
            else {**number, "shown_fen": limit_fen, "limit_fen": _typed(limit_fen)}
        )
        context["repayment_form"] = forms.get("repayment") or RepaymentForm(
            initial={**number, "shown_fen": line["due_fen"]}
        )
    return render(request, "portal/payments.html", context, status=status)


def _typed(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}".removesuffix(".00")
