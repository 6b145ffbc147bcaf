"""Try before buying: a citizen puts a basket together and sees what they would pay, and why.

A page of plain forms: the basket travels with them, so nothing is stored and nothing is reserved.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from messaging.days import business_date
from messaging.refusals import Refusal
from portal.roles import roles_of
from settlement import benefits
from settlement.benefits.naming import word
from settlement.selectors import catalogue
from settlement.selectors.records import current_language
from settlement.selectors.rules import PolicyMissing, rules_in_force
from settlement.services.trying import MOST_LINES, PLACES, Change, Tried, Wish, try_bill
from voucher.selectors import member_facts

_FOUND = 8
_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the basket as it was typed."""

    code: str
    name: str
    quantity: str
    price: str


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """The basket, what a search found, and what the basket would cost."""
    member = roles_of(request.user).member
    if member is None:
        raise PermissionDenied
    now = timezone.now()
    day = business_date(now)
    area_code = member_facts(member_id=member.pk, day=day).area_code
    kinds = _kinds(area_code, day)
    data = request.POST
    chosen: dict[str, Any] = {
        "kind": data.get("kind", "") if data.get("kind") in kinds else next(iter(kinds), ""),
        "place": data.get("place", ""),
        "prescribed": bool(data.get("prescribed")),
    }
    basket = _basket(data)
    query = data.get("query", "")[:_CHARACTERS]
    found = catalogue.search(area_code=area_code, text=query, day=day, limit=_FOUND)
    shown: dict[str, Any] = {
        "kinds": kinds,
        "places": [(place.name, _place(place.name)) for place in PLACES],
        "chosen": chosen,
        "basket": basket,
        "query": query,
        "found": found,
        "full": len(basket) >= MOST_LINES,
    }
    if basket and all(entry.price for entry in basket):
        place = next((p for p in PLACES if p.name == chosen["place"]), PLACES[0])
        try:
            tried = try_bill(
                member_id=member.pk,
                wishes=[Wish(entry.code, entry.quantity, entry.price) for entry in basket],
                kind=chosen["kind"],
                place=place,
                prescribed=chosen["prescribed"],
                now=now,
            )
        except Refusal as refusal:
            shown["refused"] = refusal.sentence()
        except benefits.BenefitsError as refused:
            shown["refused"] = str(refused)
        else:
            shown |= _answer(tried)
    return render(request, "portal/try.html", shown)


def _kinds(area_code: str, day: Any) -> dict[str, str]:
    try:
        _row, policy, _entries = rules_in_force(area_code=area_code, national_codes=(), day=day)
    except PolicyMissing:
        return {}
    return {name: title[current_language()] for name, title in policy.kinds.items()}


def _basket(data: QueryDict) -> list[Entry]:
    """The rows that came with the form, without the one to be taken out, with the one to be put
    in."""
    columns = [data.getlist(name)[:MOST_LINES] for name in ("code", "name", "quantity", "price")]
    rows = [
        Entry(*(text.strip()[:_CHARACTERS] for text in row)) for row in zip(*columns, strict=False)
    ]
    out = data.get("remove", "")
    rows = [row for number, row in enumerate(rows) if str(number) != out]
    code, _mark, name = data.get("add", "").partition("|")
    if code and len(rows) < MOST_LINES:
        rows.append(Entry(code[:_CHARACTERS], name[:_CHARACTERS], "1", ""))
    return rows


def _answer(tried: Tried) -> dict[str, Any]:
    return {
        "result": tried.result,
        "shares": [
            {
                "payer": word(share.payer, language=current_language()),
                "amount_fen": share.amount_fen,
            }
            for share in tried.result.shares
        ],
        "steps": benefits.explain(tried.result, policy=tried.policy, language=current_language()),
        "policy": tried.policy.title[current_language()],
        "version": tried.policy.version,
        "changes": [
            {
                "text": _change(change),
                "personal_fen": change.personal_fen,
                "less_fen": -change.difference_fen,
                "more_fen": change.difference_fen,
            }
            for change in sorted(tried.changes, key=lambda change: change.personal_fen)
        ],
    }


def _place(name: str) -> str:
    return {
        "pharmacy": _("a pharmacy"),
        "clinic": _("a clinic"),
        "hospital_2": _("a hospital of level 2"),
        "hospital_3": _("a hospital of level 3"),
    }[name]


def _change(change: Change) -> str:
    match change.what:
        case "prescription":
            return _("With a prescription for all of it")
        case "filing":
            return _("With this disease on file for you")
        case "chosen_institution":
            return _("At your chosen institution %(code)s") % {"code": change.which}
        case "place":
            return _("At %(place)s") % {"place": _place(change.which)}
    return _("With %(name)s, centrally purchased, at its price") % {"name": change.which}
