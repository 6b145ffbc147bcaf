"""Inputs and results as JSON-able dictionaries and back, and the hash of a result's figures.

A settlement keeps what these functions write, so that it can be priced again years later and
compared.  Text for people is not part of it: an explanation is made anew from the result and the
policy.  Reading checks the shape and raises ValueError; it never guesses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, TypedDict

from settlement.benefits.calculation import ENGINE_VERSION
from settlement.benefits.canonical_lines import line_from_columns, line_to_columns
from settlement.benefits.policy import Policy
from settlement.benefits.values import (
    Bill,
    Filing,
    FirstPayTrace,
    LayerTrace,
    LineSplit,
    Member,
    PriceTrace,
    RelativeAccount,
    RelativeDraw,
    Result,
    Share,
    Site,
    TierTrace,
)

INPUTS_FORMAT: Final = 1
RESULT_FORMAT: Final = 1

_BILL_PLAIN: Final = ("stay", "ordinal", "emergency", "public_emergency", "package")


class CalculationInputs(TypedDict):
    """The arguments of ``calculate`` apart from the policy."""

    member: Member
    site: Site
    bill: Bill
    year_to_date: dict[str, int]
    account_available_fen: int


def canonical_inputs(
    *,
    policy: Policy,
    member: Member,
    site: Site,
    bill: Bill,
    year_to_date: Mapping[str, int],
    account_available_fen: int,
) -> dict[str, Any]:
    """What a calculation was made from: the same for the same inputs in whatever order they came.

    Lines go by their numbers, accumulators by name without the zero ones, filings by disease; the
    policy and the engine are named by version and hash, not copied.
    """
    return {
        "format": INPUTS_FORMAT,
        "engine": ENGINE_VERSION,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "member": {
            "scheme": member.scheme,
            "category": member.category,
            "age": member.age,
            "aid": member.aid,
            "pool_in_force": member.pool_in_force,
            "account_in_force": member.account_in_force,
            "filings": sorted(
                [
                    filing.kind,
                    filing.disease_code,
                    sorted(filing.institution_codes),
                    *_period(filing),
                ]
                for filing in member.filings
            ),
            **_stated(member, ("sex", "insured_months")),
        },
        "site": {
            "kind": site.kind,
            "level": site.level,
            "institution_code": site.institution_code,
            "area": site.area,
            **({"marks": sorted(site.marks)} if site.marks else {}),
        },
        "bill": {
            "kind": bill.kind,
            "disease_code": bill.disease_code,
            "service_date": bill.service_date.isoformat(),
            "account_limit_fen": bill.account_limit_fen,
            "lines": [
                line_to_columns(line) for line in sorted(bill.lines, key=lambda line: line.no)
            ],
            **_beyond_the_lines(bill),
        },
        "year_to_date": {name: amount for name, amount in sorted(year_to_date.items()) if amount},
        "account_available_fen": account_available_fen,
    }


def _stated(value: Member | Bill, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields that say something; those that say nothing take no room in what is stored."""
    found = {name: getattr(value, name) for name in names}
    return {name: each for name, each in found.items() if each}


def _period(filing: Filing) -> list[str | None]:
    if filing.from_date is None and filing.until_date is None:
        return []
    return [
        None if each is None else each.isoformat() for each in (filing.from_date, filing.until_date)
    ]


def _beyond_the_lines(bill: Bill) -> dict[str, Any]:
    found = _stated(bill, _BILL_PLAIN)
    for name in ("admission_date", "discharge_date"):
        day = getattr(bill, name)
        if day is not None:
            found[name] = day.isoformat()
    for name in ("days", "prescribing_level"):
        if getattr(bill, name) is not None:
            found[name] = getattr(bill, name)
    if bill.diagnoses:
        found["diagnoses"] = sorted(bill.diagnoses)
    if bill.stated:
        found["stated"] = [list(pair) for pair in sorted(bill.stated)]
    if bill.relative_accounts:
        # Their order decides who pays first.
        found["relative_accounts"] = [
            [each.holder, each.available_fen] for each in bill.relative_accounts
        ]
    return found


def _bill(data: Mapping[str, Any]) -> Bill:
    more: dict[str, Any] = {
        name: data[name] for name in (*_BILL_PLAIN, "days", "prescribing_level") if name in data
    }
    for name in ("admission_date", "discharge_date"):
        if name in data:
            more[name] = date.fromisoformat(data[name])
    return Bill(
        kind=data["kind"],
        disease_code=data["disease_code"],
        service_date=date.fromisoformat(data["service_date"]),
        lines=tuple(line_from_columns(columns) for columns in data["lines"]),
        account_limit_fen=data["account_limit_fen"],
        diagnoses=tuple(data.get("diagnoses", ())),
        stated=tuple((payer, amount) for payer, amount in data.get("stated", ())),
        relative_accounts=tuple(
            RelativeAccount(holder, amount) for holder, amount in data.get("relative_accounts", ())
        ),
        **more,
    )


def _filing(columns: list[Any]) -> Filing:
    kind, disease, institutions, *period = columns
    days = [each and date.fromisoformat(each) for each in period]
    return Filing(kind, disease, tuple(institutions), *days)


def inputs_from(data: Mapping[str, Any]) -> CalculationInputs:
    """The arguments to calculate again: ``calculate(policy=policy, **inputs_from(stored))``.

    Raises ValueError when the data is not what ``canonical_inputs`` writes.
    """
    if data.get("format") != INPUTS_FORMAT:
        raise ValueError(f"expected inputs of format {INPUTS_FORMAT}, found {data.get('format')!r}")
    try:
        member, site, bill = data["member"], data["site"], data["bill"]
        filings = tuple(_filing(columns) for columns in member["filings"])
        return {
            "member": Member(**{**member, "filings": filings}),
            "site": Site(**{**site, "marks": tuple(site.get("marks", ()))}),
            "bill": _bill(bill),
            "year_to_date": dict(data["year_to_date"]),
            "account_available_fen": data["account_available_fen"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not the inputs of a calculation: {error!r}") from error


def trace_hash(result: Result) -> str:
    """Hex SHA-256 of every figure of a result.

    The version of engine and policy are not in it: replay asks whether the figures are the same,
    and two engines that agree must hash alike.
    """
    figures = [
        RESULT_FORMAT,
        result.total_fen,
        [[share.payer, share.amount_fen] for share in result.shares],
        [
            [
                split.no,
                split.out_of_scope_fen,
                split.over_limit_fen,
                split.first_pay_fen,
                split.in_range_fen,
                int(split.account_ok),
                split.reason,
            ]
            for split in result.line_splits
        ],
        [[first.step, first.rule, first.base_fen, first.amount_fen] for first in result.first_pays],
        [
            [
                layer.name,
                layer.payer,
                layer.base_fen,
                layer.deductible_left_fen,
                layer.deductible_fen,
                [
                    [tier.from_fen, tier.to_fen, tier.rate_bp, tier.part_fen, tier.paid_fen]
                    for tier in layer.tiers
                ],
                layer.cap_left_fen,
                layer.over_cap_fen,
                layer.paid_fen,
                layer.reason,
            ]
            for layer in result.layers
        ],
        sorted(result.year_to_date_delta.items()),
        result.benefit_year,
    ]
    # Only what there is: a bill without packages hashes as it did before there were any.
    more = [
        [[price.step, price.rule, price.listed_fen, price.charged_fen] for price in result.prices],
        result.hospital_payment_fen,
        [[draw.holder, draw.amount_fen] for draw in result.relative_draws],
        [tier.rate_rest for layer in result.layers for tier in layer.tiers if tier.rate_rest],
    ]
    if any(each not in ([], None) for each in more):
        figures.append(more)
    text = json.dumps(figures, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def result_to_dict(result: Result) -> dict[str, Any]:
    """A result with its keys spelt out, JSON-able; ``result_from_dict`` reads it back equal."""
    return {
        "format": RESULT_FORMAT,
        "total_fen": result.total_fen,
        "shares": [
            {"payer": share.payer, "amount_fen": share.amount_fen} for share in result.shares
        ],
        "lines": [
            {
                "no": split.no,
                "out_of_scope_fen": split.out_of_scope_fen,
                "over_limit_fen": split.over_limit_fen,
                "first_pay_fen": split.first_pay_fen,
                "in_range_fen": split.in_range_fen,
                "account_ok": split.account_ok,
                "reason": split.reason,
                **({"restriction": split.restriction} if split.restriction else {}),
            }
            for split in result.line_splits
        ],
        "first_pays": [
            {
                "step": first.step,
                "rule": first.rule,
                "base_fen": first.base_fen,
                "amount_fen": first.amount_fen,
            }
            for first in result.first_pays
        ],
        "layers": [
            {
                "name": layer.name,
                "payer": layer.payer,
                "base_fen": layer.base_fen,
                "deductible_left_fen": layer.deductible_left_fen,
                "deductible_fen": layer.deductible_fen,
                "tiers": [
                    {
                        "from_fen": tier.from_fen,
                        "to_fen": tier.to_fen,
                        "rate_bp": tier.rate_bp,
                        "part_fen": tier.part_fen,
                        "paid_fen": tier.paid_fen,
                        **({"rate_rest": tier.rate_rest} if tier.rate_rest else {}),
                    }
                    for tier in layer.tiers
                ],
                "cap_left_fen": layer.cap_left_fen,
                "over_cap_fen": layer.over_cap_fen,
                "paid_fen": layer.paid_fen,
                "reason": layer.reason,
                "deductible_rule": layer.deductible_rule,
                "rate_rule": layer.rate_rule,
                "cap_rule": layer.cap_rule,
            }
            for layer in result.layers
        ],
        "year_to_date_after": dict(sorted(result.year_to_date_after.items())),
        "year_to_date_delta": dict(sorted(result.year_to_date_delta.items())),
        "reads_year_to_date": result.reads_year_to_date,
        "benefit_year": result.benefit_year,
        "policy": {
            "name": result.policy_name,
            "version": result.policy_version,
            "sha256": result.policy_sha256,
        },
        "engine": result.engine_version,
        **_beyond_the_layers(result),
    }


def _beyond_the_layers(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if result.prices:
        found["prices"] = [
            {
                "step": price.step,
                "rule": price.rule,
                "listed_fen": price.listed_fen,
                "charged_fen": price.charged_fen,
            }
            for price in result.prices
        ]
    if result.hospital_payment_fen is not None:
        found["hospital_payment_fen"] = result.hospital_payment_fen
    if result.relative_draws:
        found["relative_draws"] = [
            {"holder": draw.holder, "amount_fen": draw.amount_fen} for draw in result.relative_draws
        ]
    return found


def result_from_dict(data: Mapping[str, Any]) -> Result:
    """The result that ``result_to_dict`` wrote.  Raises ValueError for anything else."""
    if data.get("format") != RESULT_FORMAT:
        raise ValueError(f"expected a result of format {RESULT_FORMAT}")
    try:
        return Result(
            total_fen=data["total_fen"],
            shares=tuple(Share(**share) for share in data["shares"]),
            line_splits=tuple(LineSplit(**split) for split in data["lines"]),
            first_pays=tuple(FirstPayTrace(**first) for first in data["first_pays"]),
            layers=tuple(
                LayerTrace(
                    **{**layer, "tiers": tuple(TierTrace(**tier) for tier in layer["tiers"])}
                )
                for layer in data["layers"]
            ),
            year_to_date_after=dict(data["year_to_date_after"]),
            year_to_date_delta=dict(data["year_to_date_delta"]),
            reads_year_to_date=data["reads_year_to_date"],
            benefit_year=data["benefit_year"],
            policy_name=data["policy"]["name"],
            policy_version=data["policy"]["version"],
            policy_sha256=data["policy"]["sha256"],
            engine_version=data["engine"],
            prices=tuple(PriceTrace(**price) for price in data.get("prices", ())),
            hospital_payment_fen=data.get("hospital_payment_fen"),
            relative_draws=tuple(RelativeDraw(**each) for each in data.get("relative_draws", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the result of a calculation: {error!r}") from error
