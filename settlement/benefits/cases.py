"""Case files: a member, the year so far and the visits to price, with the figures expected.

The format is TOML in the manner of a policy file (docs/policies.md): amounts in yuan, rates in
percent.  Cases are how a policy is tried out and tested without a stored row; each visit's year to
date and account feed the next.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from settlement.benefits.calculation import calculate
from settlement.benefits.policy import Policy
from settlement.benefits.tables import CaseError, Table
from settlement.benefits.values import (
    ITEM_CLASSES,
    PAYERS,
    SCHEMES,
    SITE_KINDS,
    Bill,
    Filing,
    Line,
    Member,
    Result,
    Site,
)


@dataclass(frozen=True, slots=True)
class CaseVisit:
    """One bill at one site; ``expected`` are the shares in fen that the case states, by payer."""

    site: Site
    bill: Bill
    expected: Mapping[str, int]
    expected_year_to_date: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    # The policy file's name, as written; empty when the reader chooses the policy.
    policy: str
    member: Member
    account_fen: int
    year_to_date: Mapping[str, int]
    visits: tuple[CaseVisit, ...]


def load_case(text: str, *, name: str) -> Case:
    """Read a case file.  Raises CaseError with every problem found: file, place, expectation."""
    try:
        data = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise CaseError([f"{name}: not readable as TOML: {error}"]) from None
    problems: list[str] = []
    top = Table(problems, name, "", data)
    title = top.text("title")
    policy = top.text("policy", "the name of a policy file", required=False)
    member, account_fen = _member(top)
    year_to_date = _amounts(top, "year_to_date")
    visits = tuple(_visit(table) for table in top.tables("visit", required=True))
    top.finish()
    if problems:
        raise CaseError(problems)
    return Case(title, policy, member, account_fen, year_to_date, visits)


def run_case(case: Case, *, policy: Policy) -> tuple[Result, ...]:
    """Price the visits in order.  Accumulators carry over within a benefit year only.

    Raises BenefitsError when a visit cannot be priced.
    """
    results: list[Result] = []
    accumulators: dict[int, Mapping[str, int]] = {}
    account_left = case.account_fen
    for visit in case.visits:
        year = policy.benefit_year(visit.bill.service_date)
        # What the case states at its head belongs to the year of its first visit.
        before = accumulators.get(year, {} if accumulators else case.year_to_date)
        result = calculate(
            policy=policy,
            member=case.member,
            site=visit.site,
            bill=visit.bill,
            year_to_date=before,
            account_available_fen=account_left,
        )
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
            )
        )
        inner.finish()
    member = Member(
        scheme=table.choice("scheme", SCHEMES),
        category=table.text("category", 'a category such as "active" or "retired"'),
        age=table.whole_number("age", "an age in years", low=0, high=150),
        aid=table.text("aid", "an aid category", required=False) or None,
        pool_in_force=table.flag("pool_in_force", default=True),
        account_in_force=table.flag("account_in_force", default=True),
        filings=tuple(filings),
    )
    account_fen = table.amount_fen("account", required=False) or 0
    table.finish()
    return member, account_fen


def _visit(table: Table) -> CaseVisit:
    site_table = table.table("site") or Table([], table.file_name, "site", {})
    site = Site(
        kind=site_table.choice("kind", SITE_KINDS),
        level=site_table.whole_number("level", "a level from 0 to 3", low=0, high=3) or 0,
        institution_code=site_table.text("institution", "an institution code", required=False),
        area=site_table.text("area", "a six-digit area code"),
    )
    site_table.finish()
    day = table.day("date", required=True)
    lines = tuple(
        _line(inner, number) for number, inner in enumerate(table.tables("line", required=True), 1)
    )
    kind_of_bill = table.text("kind", 'a kind of the policy, such as "outpatient"')
    disease = table.text("disease", "a disease code", required=False) or None
    limit = table.amount_fen("account_limit", required=False)
    expected: dict[str, int] = {}
    expected_year_to_date: dict[str, int] = {}
    expect = table.table("expect", required=False)
    if expect is not None:
        for payer in PAYERS:
            amount = expect.amount_fen(payer, required=False)
            if amount is not None:
                expected[payer] = amount
        expected_year_to_date = _amounts(expect, "year_to_date")
        expect.finish()
    table.finish()
    # A missing day is reported already; any day lets the rest of the file be read.
    bill = Bill(kind_of_bill, disease, day or date.min, lines, limit)
    return CaseVisit(site, bill, expected, expected_year_to_date)


def _line(table: Table, number: int) -> Line:
    line = Line(
        no=number,
        code=table.text("code", required=False),
        name=table.text("name", required=False),
        amount_fen=table.amount_fen("amount") or 0,
        item_class=table.choice("class", ITEM_CLASSES, default="A"),
        first_pay_bp=table.rate_bp("first_pay") if table.has("first_pay") else 0,
        over_limit_fen=table.amount_fen("over_limit", required=False) or 0,
        covered=table.flag("covered", default=True),
        account_ok=table.flag("account_ok", default=True),
        prescription=table.flag("prescription", default=False),
        prescription_only=table.flag("prescription_only", default=False),
        disease_codes=table.texts("diseases", "a list of disease codes"),
        group=table.text("group", "a drug group", required=False),
    )
    table.asked.append("first_pay")
    table.finish()
    return line


def _amounts(table: Table, key: str) -> dict[str, int]:
    """Accumulators: ``"chronic.paid" = 100`` and ``chronic.paid = 100`` mean the same."""
    inner = table.table(key, required=False)
    found: dict[str, int] = {}
    if inner is not None:
        _flatten(inner, "", found)
    return found


def _flatten(table: Table, prefix: str, found: dict[str, int]) -> None:
    for key, value in table.data.items():
        if isinstance(value, dict):
            _flatten(table.inner(key, value), f"{prefix}{key}.", found)
        else:
            found[f"{prefix}{key}"] = table.amount_fen(key) or 0


def differences(visit: CaseVisit, result: Result) -> tuple[str, ...]:
    """Where a result is not what the case expects: one text each, empty when all agrees."""
    found: list[str] = []
    pairs: list[tuple[str, int, int]] = [
        (payer, amount, result.share(payer)) for payer, amount in visit.expected.items()
    ]
    pairs += [
        (f"year_to_date {name}", amount, result.year_to_date_after.get(name, 0))
        for name, amount in visit.expected_year_to_date.items()
    ]
    for what, expected, got in pairs:
        if expected != got:
            found.append(f"{what}: expected {expected} fen, calculated {got} fen")
    return tuple(found)
