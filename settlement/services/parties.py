"""The two parties of a bill, member and institution, as the calculator takes them."""

from datetime import date

from settlement import benefits
from settlement.services.desk import Desk
from settlement.services.scans import check_member
from voucher import selectors as members
from voucher.selectors import MemberFacts


def covered_member(
    facts: MemberFacts, *, policy: benefits.Policy, desk: Desk, service_date: date
) -> benefits.Member:
    """The member as the calculator takes one, with the cover of the service date.

    `facts` are today's, which a service of another day does not go by. Raises what `check_member`
    raises, of the service date.
    """
    if service_date != desk.day:
        facts = members.member_facts(member_id=facts.member_id, day=service_date)
        check_member(facts, desk=desk)
    return calculator_member(facts, policy=policy, day=service_date)


def calculator_member(facts: MemberFacts, *, policy: benefits.Policy, day: date) -> benefits.Member:
    """The member of these facts as the calculator takes one, as of their day; how long they have
    been insured is looked up only for a policy that asks."""
    return benefits.Member(
        scheme=facts.scheme,  # type: ignore[arg-type]
        category=facts.category,
        age=facts.age_on(day),
        aid=facts.aid_category,
        pool_in_force=facts.pool_in_force,
        account_in_force=facts.account_in_force,
        sex=facts.sex,
        # In the order in which canonical inputs keep them, so that the two can be compared.
        filings=tuple(
            benefits.Filing(
                kind=filing.kind,
                disease_code=filing.disease_code,
                institution_codes=filing.institution_codes,
            )
            for filing in sorted(
                facts.filings,
                key=lambda filing: (filing.kind, filing.disease_code, filing.institution_codes),
            )
        ),
        insured_months=members.insured_months(member_id=facts.member_id, day=day)
        if policy.asks_insured_months
        else None,
    )


def calculator_site(desk: Desk) -> benefits.Site:
    """The desk's merchant as the calculator takes one."""
    return benefits.Site(
        kind=desk.terminal.merchant_kind,  # type: ignore[arg-type]
        level=desk.terminal.merchant_level,
        institution_code=desk.terminal.merchant_code,
        area=desk.terminal.area_code,
        marks=desk.terminal.merchant_marks,
    )
