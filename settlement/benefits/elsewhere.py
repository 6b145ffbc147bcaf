"""Care away from home: lines by the catalogue of the area of treatment (就医地目录、参保地政策).

Scope, class, first pay and restrictions are the treating area's; deductible, rate, cap, the list of
diseases and the extra first pay of being away stay the insured area's. What a treating area's
policy says of an item is written into the line, so that the insured area's policy alone prices it,
now and when it is priced again.
"""

from __future__ import annotations

from dataclasses import replace

from settlement.benefits.conditions import facts_of, filings_in_force
from settlement.benefits.lines import first_match, reason_of_rules
from settlement.benefits.policy import Policy
from settlement.benefits.values import Bill, Line, Member, Site


def as_listed_by(
    treating: Policy, lines: tuple[Line, ...], *, member: Member, site: Site, bill: Bill
) -> tuple[Line, ...]:
    """The lines as the treating area's catalogue rules leave them.

    A line that its rules keep out of scope is no longer covered; a first pay that it sets for a
    group takes the place of the item's own; an item's own restriction goes with the line. The group
    itself is left out: to the insured area's policy the same word may mean another thing.
    """
    day = bill.service_date
    facts = facts_of(
        area=treating.area,
        member=member,
        site=site,
        bill=bill,
        filings=filings_in_force(member, day),
        ordinal=bill.ordinal or 1,
        emergency_counts_as_filed=treating.emergency_counts_as_filed,
    )
    listed = []
    for line in lines:
        own = (*facts[:-3], line.group, line.item_class, line.code)
        kept_out = (
            line.prescription_only
            and not line.prescription
            and treating.prescription_only_needs_prescription
        ) or bool(reason_of_rules(treating, own, member.age, day))
        rule = first_match(treating.first_pays, own, member.age, day)
        listed.append(
            replace(
                line,
                covered=line.covered and not kept_out,
                first_pay_bp=treating.first_pays[rule].rate_bp if rule >= 0 else line.first_pay_bp,
                prescription_only=False,
                group="",
            )
        )
    return tuple(listed)
