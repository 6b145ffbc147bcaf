"""Case files: a member, the year so far and the visits to price, with the figures expected.

The format is TOML in the manner of a policy file (docs/policies.md): amounts in yuan, rates in
percent.  Cases are how a policy is tried out and tested without a stored row; each visit's year to
date and account feed the next.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from settlement.benefits.calculation import calculate
from settlement.benefits.policy import Policy
from settlement.benefits.reading import SEXES
from settlement.benefits.tables import CaseError, Table
from settlement.benefits.values import (
    ITEM_CLASSES,
    PAYERS,
    SCHEMES,
    SITE_KINDS,
    BenefitsError,
    Bill,
    Filing,
    Line,
    Member,
    RelativeAccount,
    Result,
    Site,
    UseRestriction,
)

# Sums over payers that a case may expect, beside the payers themselves.
SUMS = ("total", "fund", "personal", "account_after")
LAYER_FIGURES = ("base", "deductible", "over_cap", "paid")


@dataclass(frozen=True, slots=True)
class CaseVisit:
    """One bill at one site; ``expected`` are figures in fen that the case states, by name.

    ``expected_layers`` go by layer: single figures, and under "tiers" what each tier pays.
    """

    site: Site
    bill: Bill
    expected: Mapping[str, int]
    expected_year_to_date: Mapping[str, int]
    expected_layers: Mapping[str, Mapping[str, int | tuple[int, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    # The policy files' names, as written; empty when the reader chooses the policy.
    policies: tuple[str, ...]
    member: Member
    account_fen: int
    year_to_date: Mapping[str, int]
    visits: tuple[CaseVisit, ...]

    @property
    def policy(self) -> str:
        """The first policy named, or nothing."""
        return self.policies[0] if self.policies else ""


def load_case(text: str, *, name: str) -> Case:
    """Read a case file.  Raises CaseError with every problem found: file, place, expectation."""
    try:
        data = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise CaseError([f"{name}: not readable as TOML: {error}"]) from None
    problems: list[str] = []
    top = Table(problems, name, "", data)
    title = top.text("title", required=False) or name
    policies: tuple[str, ...]
    if isinstance(data.get("policy"), list):
        policies = top.texts("policy", "the names of policy files")
    else:
        one = top.text("policy", "the name of a policy file", required=False)
        policies = (one,) if one else ()
    member, account_fen = _member(top)
    year_to_date = _amounts(top, "year_to_date")
    visits = tuple(_visit(table) for table in top.tables("visit", required=True))
    top.finish()
    if problems:
        raise CaseError(problems)
    return Case(title, policies, member, account_fen, year_to_date, visits)


def run_case(case: Case, *, policy: Policy | Sequence[Policy]) -> tuple[Result, ...]:
    """Price the visits in order.  Accumulators carry over within a benefit year only.

    Of several policies each visit takes the one in force on its day.  Raises BenefitsError when a
    visit cannot be priced; its param says which visit.
    """
    policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
    results: list[Result] = []
    accumulators: dict[int, Mapping[str, int]] = {}
    account_left = case.account_fen
    for number, visit in enumerate(case.visits, start=1):
        bill = visit.bill
        in_force = next(
            (each for each in policies if each.in_force_on(each.rules_day(bill))), policies[0]
        )
        year = in_force.year_of(bill)
        # What the case states at its head belongs to the year of its first visit.
        before = accumulators.get(year, {} if accumulators else case.year_to_date)
        try:
            result = calculate(
                policy=in_force,
                member=case.member,
                site=visit.site,
                bill=bill,
                year_to_date=before,
                account_available_fen=account_left,
            )
        except BenefitsError as error:
            raise BenefitsError(
                error.code, f"visit {number}: {error.param}", error.detail
            ) from None
        accumulators[year] = result.year_to_date_after
        account_left -= result.account_fen
        results.append(result)
    return tuple(results)


def _member(top: Table) -> tuple[Member, int]:
    table = top.table("member") or Table([], top.file_name, "member", {})
    filings = []
    for inner in table.tables("filing"):
        filings.append(
            Filing(
                inner.text("kind", 'the kind of the filing, such as "chronic"'),
                inner.text("disease", "a disease code", required=False),
                inner.texts("institutions", "a list of institution codes"),
                inner.day("from"),
                inner.day("until"),
            )
        )
        inner.finish()
    sex = table.choice("sex", SEXES) if table.has("sex") else None
    table.asked.append("sex")
    member = Member(
        scheme=table.choice("scheme", SCHEMES),
        category=table.text("category", 'a word such as "active" or "retired"', required=False),
        age=table.whole_number("age", "an age in years", low=0, high=150),
        aid=table.text("aid", "an aid category", required=False) or None,
        pool_in_force=table.flag("pool_in_force", default=True),
        account_in_force=table.flag("account_in_force", default=True),
        filings=tuple(filings),
        sex=sex,
        insured_months=table.whole_number(
            "insured_months", "a number of months", low=0, high=1_800
        ),
    )
    account_fen = table.amount_fen("account", required=False) or 0
    table.finish()
    return member, account_fen


def _visit(table: Table) -> CaseVisit:
    site = _site(table)
    admitted, discharged = table.day("admission"), table.day("discharge")
    day = table.day("date", required=discharged is None) or discharged
    lines = _lines(table)
    relatives = []
    for inner in table.tables("relative_account"):
        relatives.append(
            RelativeAccount(
                inner.text("holder", "whose account it is"), inner.amount_fen("balance") or 0
            )
        )
        inner.finish()
    stated: list[tuple[str, int]] = []
    stated_table = table.table("stated", required=False)
    if stated_table is not None:
        for payer in PAYERS[:-1]:
            amount = stated_table.amount_fen(payer, required=False)
            if amount is not None:
                stated.append((payer, amount))
        stated_table.finish()
    bill = Bill(
        kind=table.text("kind", 'a kind of the policy, such as "outpatient"'),
        disease_code=table.text("disease", "a disease code", required=False) or None,
        # A missing day is reported already; any day lets the rest of the file be read.
        service_date=day or date.min,
        lines=lines,
        account_limit_fen=table.amount_fen("account_limit", required=False),
        admission_date=admitted,
        discharge_date=discharged,
        days=table.whole_number("days", "a number of days", low=0, high=3_660),
        stay=table.text("stay", "a name for the stay", required=False),
        ordinal=table.whole_number("ordinal", "1 for the first of the year", low=1, high=999),
        emergency=table.flag("emergency", default=False),
        public_emergency=table.flag("public_emergency", default=False),
        diagnoses=table.texts("diagnoses", "a list of diagnosis codes"),
        package=table.text("package", "the code of a package", required=False),
        prescribing_level=table.whole_number(
            "prescribing_level", "a level from 0 to 3", low=0, high=3
        ),
        stated=tuple(stated),
        relative_accounts=tuple(relatives),
    )
    expected, year_to_date, layers = _expected(table)
    table.finish()
    return CaseVisit(site, bill, expected, year_to_date, layers)


def _site(table: Table) -> Site:
    """Where the visit was; left out, a hospital of no level at home."""
    inner = table.table("site", required=False)
    if inner is None:
        return Site("hospital", 0, "", "")
    site = Site(
        kind=inner.choice("kind", SITE_KINDS, default="hospital"),
        level=inner.whole_number("level", "a level from 0 to 3", low=0, high=3) or 0,
        institution_code=inner.text("institution", "an institution code", required=False),
        area=inner.text("area", "a six-digit area code", required=False),
        marks=inner.texts("marks", "a list of words"),
    )
    inner.finish()
    return site


def _lines(table: Table) -> tuple[Line, ...]:
    """The bill's lines, or lines made of its totals by class."""
    if table.has("line") == table.has("totals"):
        table.problem("", "expected either [[visit.line]] or totals = { … }")
    lines = [_line(inner, number) for number, inner in enumerate(table.tables("line"), 1)]
    totals = table.table("totals", required=False)
    if totals is None:
        return tuple(lines)
    named = {
        key: totals.amount_fen(key, required=False)
        for key in ("total", "covered", "class_b", "first_pay", "over_limit", "out_of_scope")
    }
    rate = totals.rate_bp("class_b_first_pay", required=False)
    total = named.pop("total")
    rest = sum(amount or 0 for amount in named.values())
    if total is not None:
        if named["covered"] is None:
            named["covered"] = total - rest
        elif rest != total:
            totals.wrong("total", "the sum of the classes")
        if (named["covered"] or 0) < 0:
            totals.wrong("total", "at least the sum of the classes")
    totals.finish()
    plain: dict[str, dict[str, Any]] = {
        "covered": {},
        "class_b": {"item_class": "B", "first_pay_bp": rate},
        "first_pay": {"item_class": "B", "first_pay_bp": 10_000},
        "over_limit": {"over_limit_fen": named["over_limit"] or 0},
        "out_of_scope": {"covered": False},
    }
    empty = Line(0, "", "", 0, "A", 0, 0, True, True, False, False)
    return tuple(
        replace(empty, no=number, name=key, amount_fen=named[key] or 0, **facts)
        for number, (key, facts) in enumerate(plain.items(), start=1)
        if named[key]
    )


def _line(table: Table, number: int) -> Line:
    line = Line(
        no=number,
        code=table.text("code", required=False),
        name=table.text("name", required=False),
        amount_fen=table.amount_fen("amount") or 0,
        item_class=table.choice("class", ITEM_CLASSES, default="A"),
        first_pay_bp=table.rate_bp("first_pay", required=False),
        over_limit_fen=table.amount_fen("over_limit", required=False) or 0,
        covered=table.flag("covered", default=True),
        account_ok=table.flag("account_ok", default=True),
        prescription=table.flag("prescription", default=False),
        prescription_only=table.flag("prescription_only", default=False),
        disease_codes=table.texts("diseases", "a list of disease codes"),
        group=table.text("group", "a drug group", required=False),
        restriction=_restriction(table.table("only", required=False)),
    )
    table.finish()
    return line


def _restriction(table: Table | None) -> UseRestriction | None:
    if table is None:
        return None
    restriction = UseRestriction(
        diagnoses=table.texts("diagnoses", "a list of beginnings of diagnosis codes"),
        sex=table.choice("sex", SEXES) if table.has("sex") else None,
        age_from=table.whole_number("age_from", "an age in years", low=0, high=150),
        age_below=table.whole_number("age_below", "an age in years", low=0, high=150),
        levels=table.whole_numbers("levels", "a list of levels, 0 to 3", low=0, high=3),
        emergency=table.flag("emergency", default=False),
        text=table.text("text", required=False),
    )
    table.asked.append("sex")
    table.finish()
    return restriction


def _expected(
    table: Table,
) -> tuple[dict[str, int], dict[str, int], dict[str, dict[str, int | tuple[int, ...]]]]:
    figures: dict[str, int] = {}
    layers: dict[str, dict[str, int | tuple[int, ...]]] = {}
    expect = table.table("expect", required=False)
    if expect is None:
        return figures, {}, layers
    for name in (*PAYERS, *SUMS):
        amount = expect.amount_fen(name, required=False)
        if amount is not None:
            figures[name] = amount
    year_to_date = _amounts(expect, "year_to_date")
    by_layer = expect.table("layer", required=False)
    for name in by_layer.data if by_layer is not None else ():
        inner = by_layer.table(name) if by_layer is not None else None
        if inner is None:
            continue
        own: dict[str, int | tuple[int, ...]] = {}
        for figure in LAYER_FIGURES:
            amount = inner.amount_fen(figure, required=False)
            if amount is not None:
                own[figure] = amount
        tiers = inner.value("tiers", "a list of yuan", required=False)
        if isinstance(tiers, list):
            each = inner.inner("tiers", {str(place): tier for place, tier in enumerate(tiers, 1)})
            own["tiers"] = tuple(each.amount_fen(place) or 0 for place in each.data)
        inner.finish()
        layers[name] = own
    expect.finish()
    return figures, year_to_date, layers


def _amounts(table: Table, key: str) -> dict[str, int]:
    """Accumulators: ``"chronic.paid" = 100`` and ``chronic.paid = 100`` mean the same."""
    inner = table.table(key, required=False)
    found: dict[str, int] = {}
    if inner is not None:
        _flatten(inner, "", found)
    return found


def _flatten(table: Table, prefix: str, found: dict[str, int]) -> None:
    for key, value in table.data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            _flatten(table.inner(key, value), f"{name}.", found)
        elif name.endswith(".times"):
            # The one kind of accumulator that is a number and not an amount.
            found[name] = table.whole_number(key, "a whole number", low=0, high=9_999) or 0
        else:
            found[name] = table.amount_fen(key) or 0


def differences(
    visit: CaseVisit, result: Result, *, account_after_fen: int | None = None
) -> tuple[str, ...]:
    """Where a result is not what the case expects: one text each, empty when all agrees.

    ``account_after_fen`` is what the member's account holds after the visit.
    """
    sums = {"total": result.total_fen, "fund": result.fund_fen, "personal": result.personal_fen}
    if account_after_fen is not None:
        sums["account_after"] = account_after_fen
    pairs: list[tuple[str, object, object]] = [
        (name, amount, sums[name] if name in sums else result.share(name))
        for name, amount in visit.expected.items()
    ]
    pairs += [
        (f"year_to_date {name}", amount, result.year_to_date_after.get(name, 0))
        for name, amount in visit.expected_year_to_date.items()
    ]
    traces = {trace.name: trace for trace in result.layers}
    for name, figures in visit.expected_layers.items():
        trace = traces.get(name)
        for figure, amount in figures.items():
            got: object = "no such layer"
            if trace is not None and figure == "tiers":
                got = trace.tiers_after_cap()
            elif trace is not None:
                got = getattr(trace, f"{figure}_fen")
            pairs.append((f"{name} {figure}", amount, got))
    return tuple(
        f"{what}: expected {expected} fen, calculated {got} fen"
        for what, expected, got in pairs
        if expected != got
    )
