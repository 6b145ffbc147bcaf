"""The policy workbench of fund staff: rules as tables, a payment curve, a bill under the rules.

It reads policies and writes nothing; a pasted draft lives as long as the request. Everything shown
is worked out by `settlement.benefits`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from messaging.days import business_date
from portal import bill_lines
from portal.drawing import draw
from portal.roles import roles_of
from portal.workbench_form import WorkbenchForm
from settlement import benefits
from settlement.benefits.curves import Point
from settlement.benefits.describing import Row, changes, describe
from settlement.benefits.falling import falling
from settlement.benefits.floors import check_floors
from settlement.benefits.naming import word
from settlement.benefits.trials import Trial, member_curve, price
from settlement.benefits.values import Scheme
from settlement.models import Policy
from settlement.selectors.records import current_language
from settlement.selectors.rules import authorities, catalogue_items, compiled_policy
from voucher.models import Enrolment

# The groups of people whose curves are drawn, by scheme and category.
GROUPS: tuple[tuple[Scheme, str], ...] = (
    ("employee", "active"),
    ("employee", "retired"),
    ("resident", "resident"),
    ("resident", "student"),
)
# A page waits for the search; `manage.py check_policies` searches all.
_MOST_CASES = 40
_MOST_LAYERS_LOOKED_AT = 60_000
_MOST_FALLS = 5
# A place that is in another province than any area of ours, or in ours for none.
_AWAY = "990000"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the policies looked at: what it is called, its text and its rules."""

    title: str
    text: str
    policy: benefits.Policy


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: whose, of which side, and its points."""

    group: str
    side: int
    colour: int
    points: tuple[Point, ...]


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """The page; a wrong field is named beside it and nothing is worked out."""
    if not roles_of(request.user).fund:
        raise PermissionDenied
    rows = list(Policy.objects.order_by("area_code", "-from_date", "-pk"))
    if not rows:
        return render(request, "portal/workbench.html", {"no_policy": True})
    data = request.POST.copy() if request.method == "POST" else None
    left_row = _chosen(rows, data) or rows[0]
    left = _side(left_row)
    kinds = [(name, title[current_language()]) for name, title in left.policy.kinds.items()]
    replaced = ""
    if data is not None and data.get("kind") not in dict(kinds):
        # Another area's rules were chosen: they have kinds of their own.
        replaced = _kind_title(rows, str(data.get("kind", "")))
        data["kind"] = kinds[0][0]
    form = WorkbenchForm(
        data,
        versions=[(row.pk, _title(row)) for row in rows],
        kinds=kinds,
        initial=_initial(left_row.pk, kinds[0][0]),
    )
    found: dict[str, Any] = {"form": form, "problems": ()}
    if replaced:
        found["kind_replaced"] = {"asked": replaced, "shown": kinds[0][1]}
    if data is None:
        trial, up_to_fen = _first_look(left, kinds), 2_000_000
        found |= _looked_at([left], trial, up_to_fen)
    elif form.is_valid() and _counted(left.policy, form):
        day = business_date(timezone.now())
        lines = _lines(left.policy.area, form, day)
        if form.is_valid():
            sides, found["problems"] = _sides(left, rows, form)
            trial = form.trial(service_date=day, away_area=_AWAY, lines=lines)
            found |= _looked_at(sides, trial, form.cleaned_data["up_to"])
            found["breaches"] = check_floors(sides[-1].policy, authorities()) if sides[1:] else ()
            found["falls"] = _falls(sides[-1], trial.kind)
            found["totals_left_aside"] = bool(lines) and form.has_totals()
    return render(request, "portal/workbench.html", found)


def _kind_title(rows: Sequence[Policy], kind: str) -> str:
    """What the kind is called in the rules that have it, or the word itself; empty for none."""
    for row in rows:
        title = compiled_policy(row.pk).kinds.get(kind)
        if title is not None:
            return title[current_language()]
    return kind[:40]


def _lines(area_code: str, form: WorkbenchForm, day: date) -> tuple[benefits.Line, ...]:
    """The bill's lines with what the area's catalogue says of them; a wrong one is named beside the
    field."""
    typed = form.cleaned_data["lines"]
    facts = catalogue_items(
        area_code=area_code, national_codes=sorted({line.item for line in typed}), day=day
    )
    try:
        return bill_lines.priced(typed, facts)
    except ValidationError as error:
        form.add_error("lines", error)
        return ()


def _counted(policy: benefits.Policy, form: WorkbenchForm) -> bool:
    """Whether the policy counts in every name of the year to date; one that it does not know would
    change nothing, and is named beside the field."""
    known = [
        re.compile(re.sub(r"\\{\w+\\}", "[^.]+", re.escape(name))) for name in policy.accumulators
    ]
    for name in form.cleaned_data["year_to_date"]:
        if not any(pattern.fullmatch(name) for pattern in known):
            form.add_error(
                "year_to_date",
                _("%(name)s: these rules count in %(known)s")
                % {"name": name, "known": ", ".join(sorted(policy.accumulators))},
            )
    return form.is_valid()


def _chosen(rows: Sequence[Policy], data: QueryDict | None) -> Policy | None:
    wanted = "" if data is None else str(data.get("left", ""))
    return next((row for row in rows if str(row.pk) == wanted), None)


def _title(row: Policy) -> str:
    return f"{row.version} · {compiled_policy(row.pk).title[current_language()]}"


def _side(row: Policy) -> Side:
    return Side(row.version, row.text, compiled_policy(row.pk))


def _initial(left: int, kind: str) -> dict[str, Any]:
    return {
        "left": left,
        "kind": kind,
        "filed": True,
        "scheme": "employee",
        "category": "active",
        "age": 50,
        "site_kind": "hospital",
        "level": 2,
        "class_a": "1500",
        "up_to": "20000",
    }


def _first_look(left: Side, kinds: list[tuple[str, str]]) -> Trial:
    return Trial(kind=kinds[0][0], service_date=business_date(timezone.now()), class_a_fen=150_000)


def _sides(
    left: Side, rows: Sequence[Policy], form: WorkbenchForm
) -> tuple[list[Side], tuple[str, ...]]:
    """The left side and what it is compared with, or what is wrong with the draft."""
    draft = form.cleaned_data["draft"]
    if draft.strip():
        name = _("draft")
        try:
            return [left, Side(name, draft, benefits.load_policy(draft, name=name))], ()
        except benefits.PolicyError as error:
            return [left], tuple(error.problems)
    right = form.cleaned_data["right"]
    row = next((row for row in rows if row.pk == right), None)
    return ([left] if row is None else [left, _side(row)]), ()


def _looked_at(sides: list[Side], trial: Trial, up_to_fen: int) -> dict[str, Any]:
    bills = [_bill(side, trial) for side in sides]
    lines = [
        line
        for number, side in enumerate(sides)
        for line in _curves(side, number, trial, up_to_fen)
    ]
    return {
        "sides": sides,
        "tables": _tables(sides, bills[0]),
        "lines": lines,
        "drawing": draw([line.points for line in lines]),
        "legend": [
            {"line": line, "title": sides[line.side].title, "points": points}
            for line, points in zip(lines, draw([line.points for line in lines]).lines, strict=True)
        ],
        "bills": bills,
        "up_to_fen": up_to_fen,
    }


def _curves(side: Side, number: int, trial: Trial, up_to_fen: int) -> list[Line]:
    found = []
    for colour, (scheme, category) in enumerate(GROUPS):
        whose = replace(trial, scheme=scheme, category=category, account_fen=0)
        try:
            points = member_curve(side.policy, whose, up_to_fen=up_to_fen)
        except benefits.BenefitsError:
            # The other side's kind, or a figure that only that side counts in.
            continue
        group = (
            f"{dict(Enrolment.Scheme.choices)[scheme]} · "
            f"{dict(Enrolment.Category.choices)[category]}"
        )
        found.append(Line(group, number, colour, points))
    return found


def _tables(sides: list[Side], bill: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of one side, those that the bill went through first to be read, or of both."""
    described = [
        {t.title: t.rows for t in describe(s.text, language=current_language())} for s in sides
    ]
    if len(sides) == 1:
        traces = bill["result"].layers if "result" in bill else ()
        titles = {layer.name: layer.title[current_language()] for layer in sides[0].policy.layers}
        used = {titles[trace.name] for trace in traces}
        return [
            {"title": title, "rows": rows, "used": title in used}
            for title, rows in described[0].items()
        ]
    before, after = described
    none: tuple[Row, ...] = ()
    found = []
    for title in dict.fromkeys([*before, *after]):
        pairs = changes(before.get(title, none), after.get(title, none))
        found.append(
            {
                "title": title,
                "pairs": [
                    {"changed": mark == "changed", "left": one, "right": other}
                    for mark, one, other in pairs
                ],
                "changed": sum(mark == "changed" for mark, _one, _other in pairs),
            }
        )
    return found


def _falls(side: Side, kind: str) -> list[dict[str, Any]]:
    """Where a bigger bill of the kind lowers the fund's part, as the page says it."""
    most_looks = _MOST_LAYERS_LOOKED_AT // max(1, len(side.policy.layers))
    report = falling(side.policy, kinds=(kind,), most_cases=_MOST_CASES, most_looks=most_looks)
    return [
        {
            "place": fall.place,
            "who": " · ".join(
                " / ".join(word(value, language=current_language()) for value in values)
                for _name, values in fall.who
            ),
            "fall": fall,
        }
        for fall in report.falls[:_MOST_FALLS]
    ]


def _line_rows(trial: Trial, result: benefits.Result) -> list[dict[str, Any]]:
    """The typed lines taken apart; none for a bill typed by its totals."""
    names = {line.no: line.name for line in trial.lines}
    return [
        {
            "no": split.no,
            "name": names[split.no],
            "in_range_fen": split.in_range_fen,
            "first_pay_fen": split.first_pay_fen,
            "over_limit_fen": split.over_limit_fen,
            "out_of_scope_fen": split.out_of_scope_fen,
        }
        for split in result.line_splits
        if names
    ]


def _bill(side: Side, trial: Trial) -> dict[str, Any]:
    try:
        result = price(side.policy, trial)
    except benefits.BenefitsError as refused:
        return {"title": side.title, "refused": str(refused)}
    return {
        "title": side.title,
        "result": result,
        "lines": _line_rows(trial, result),
        "shares": [
            {
                "payer": word(share.payer, language=current_language()),
                "amount_fen": share.amount_fen,
            }
            for share in result.shares
        ],
        "steps": benefits.explain(
            result,
            policy=side.policy,
            language=current_language(),
        ),
    }
