"""A bill that nobody has: typed by its totals or lines, for somebody described by a few facts.

For people who look at rules rather than at bills. The real calculator prices it; this module only
lays out the facts as the calculator takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from settlement.benefits.calculation import calculate
from settlement.benefits.curves import Point, curve
from settlement.benefits.pieces import Look, look_at
from settlement.benefits.policy import Policy
from settlement.benefits.rehearsing import at_any_time
from settlement.benefits.values import Bill, Filing, Line, Member, Result, Scheme, Site, SiteKind

# Calculations for a curve, times the layers of each. A city's dozen layers take some hundreds; a
# file of hundreds of layers must not keep anybody waiting for minutes.
_MOST_LAYERS_LOOKED_AT: Final = 10_000
_INSTITUTION: Final = "H00000000000"


@dataclass(frozen=True, slots=True)
class Trial:
    """Whom, where and how much. Amounts are fen; `first_pay_bp` is the first pay of class B.

    `filed` gives the person every filing the policy asks for, at the institution of the bill.
    `lines` take the place of the totals when there are any.
    """

    kind: str
    service_date: date
    scheme: Scheme = "employee"
    category: str = "active"
    age: int = 50
    aid: str = ""
    filed: bool = True
    disease_code: str = ""
    site_kind: SiteKind = "hospital"
    level: int = 2
    area: str = ""
    days: int = 10
    class_a_fen: int = 0
    class_b_fen: int = 0
    first_pay_bp: int = 0
    over_limit_fen: int = 0
    out_of_scope_fen: int = 0
    lines: tuple[Line, ...] = ()
    account_fen: int = 0
    year_to_date: Mapping[str, int] = field(default_factory=dict)


def price(policy: Policy, trial: Trial) -> Result:
    """The trial under the policy, whatever days the policy is for. Raises BenefitsError."""
    kinds = {trial.kind, *(layer.filing_kind for layer in policy.layers if layer.filing_kind)}
    return calculate(
        policy=at_any_time(policy),
        member=Member(
            scheme=trial.scheme,
            category=trial.category,
            age=trial.age,
            aid=trial.aid or None,
            pool_in_force=True,
            account_in_force=True,
            filings=tuple(Filing(kind, trial.disease_code) for kind in sorted(kinds))
            if trial.filed
            else (),
        ),
        site=Site(trial.site_kind, trial.level, _INSTITUTION, trial.area or policy.area),
        bill=Bill(
            kind=trial.kind,
            disease_code=trial.disease_code or None,
            service_date=trial.service_date,
            lines=trial.lines or _lines(trial),
            admission_date=trial.service_date,
            discharge_date=trial.service_date,
            days=trial.days,
        ),
        year_to_date=trial.year_to_date,
        account_available_fen=trial.account_fen,
    )


def member_curve(policy: Policy, trial: Trial, *, up_to_fen: int) -> tuple[Point, ...]:
    """What the person pays of a bill of class A alone as it grows to `up_to_fen`, account and cash
    together: its corners, to the fen. Raises BenefitsError."""
    plain = replace(trial, lines=(), class_b_fen=0, over_limit_fen=0, out_of_scope_fen=0)

    def look(total_fen: int) -> Look:
        result = price(policy, replace(plain, class_a_fen=total_fen))
        return look_at(policy, result, result.personal_fen)

    most_looks = _MOST_LAYERS_LOOKED_AT // max(1, len(policy.layers))
    return curve(look, up_to_fen=up_to_fen, most_looks=most_looks)


def _lines(trial: Trial) -> tuple[Line, ...]:
    found: list[Line] = []
    for name, amount_fen, item_class, first_pay_bp, over_limit_fen, covered in (
        ("A", trial.class_a_fen, "A", 0, 0, True),
        ("B", trial.class_b_fen, "B", trial.first_pay_bp, 0, True),
        ("limit", trial.over_limit_fen, "A", 0, trial.over_limit_fen, True),
        ("scope", trial.out_of_scope_fen, "C", 0, 0, False),
    ):
        if amount_fen:
            found.append(
                Line(
                    no=len(found) + 1,
                    code=name,
                    name=name,
                    amount_fen=amount_fen,
                    item_class=item_class,  # type: ignore[arg-type]
                    first_pay_bp=first_pay_bp,
                    over_limit_fen=over_limit_fen,
                    covered=covered,
                    account_ok=covered,
                    prescription=True,
                    prescription_only=False,
                )
            )
    return tuple(found)
