"""A bill priced: everything that estimate, quote and settlement read and decide alike.

`price` makes every check and ends with the calculator; it writes nothing. Called with the member
locked, what it read stays true until the transaction ends; called without, it is an estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext_lazy as _

from merchants import selectors as institutions
from merchants import services as merchants
from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from settlement import benefits
from settlement.requests import BillRequest
from settlement.selectors.money import (
    MoneyFacts,
    OpenQuote,
    RelativeFacts,
    money_facts,
    relative_accounts,
    stay_amounts,
)
from settlement.selectors.presence import (
    NotFound,
    ScanFacts,
    VisitFacts,
    accepted_scan,
    check_batches,
    live_scan,
    open_visit,
    settled_under_scan,
    unsettled_lines,
)
from settlement.selectors.rules import (
    PolicyMissing,
    catalogue_versions,
    policy_in_force,
    rules_in_force,
)
from settlement.services import circumstances
from settlement.services.desk import Desk
from settlement.services.lines import (
    BillEmpty,
    BillLine,
    TooManyLines,
    add_catalogue,
    add_prescriptions,
    check_traces,
    national_codes,
    read_lines,
)
from settlement.services.parties import calculator_site, covered_member
from settlement.services.scans import check_member
from voucher import selectors as members
from voucher.selectors import MemberFacts

# Under which uses of a scan a pharmacy may sell.
SELLING_USES = frozenset({"pharmacy_purchase", "settlement"})
# Under which uses a visit may be billed; registration is the scan that opened it.
BILLING_USES = frozenset({"settlement", "registration", "consultation", "deposit", "admission"})


class ScanNotForThisUse(Refusal):
    """The scan declared something else."""

    code = "scan_not_for_this_use"
    text = _("The scan was made for another use: please scan a new code for this one.")


class CeilingExceeded(Refusal):
    """More than the citizen allowed under this code."""

    code = "ceiling_exceeded"
    text = _("The citizen limited this code to a smaller amount.")


class OpenQuoteElsewhere(Refusal):
    """Another till holds a quote that reads the same year to date."""

    code = "open_quote_elsewhere"
    text = _("%(held_by)s has an open quote for this person for the next %(seconds_left)s seconds.")


class BenefitKindUnknown(Refusal):
    """The policy has no such kind."""

    code = "benefit_kind_unknown"
    text = _("The policy in force has no such kind of benefit.")


@dataclass(frozen=True, slots=True)
class Priced:
    """A bill with all that was read for it and what it comes to."""

    scan: ScanFacts
    visit: VisitFacts | None
    facts: MemberFacts
    lines: tuple[BillLine, ...]
    money: MoneyFacts
    policy_id: int
    policy: benefits.Policy
    inputs: dict[str, Any]
    result: benefits.Result
    benefit_kind: str
    disease_code: str
    service_date: date
    # Quotes of this very till, which what follows replaces.
    replaces: tuple[UUID, ...]


def price(desk: Desk, bill: BillRequest, *, lock: bool) -> Priced:
    """Price a bill for this desk; with `lock`, the member, and whoever shares an account with them,
    is locked before anything is read.

    Raises the refusals of scan, visit, member, capability, lines, prescriptions and policy, then
    OpenQuoteElsewhere, then CeilingExceeded.
    """
    scan, visit = presence(desk, scan_id=bill.scan_id, visit_id=bill.visit_id)
    locked = members.lock_payers(member_id=scan.member_id, day=desk.day) if lock else None
    facts = members.member_facts(member_id=scan.member_id, day=desk.day)
    check_member(facts, desk=desk)
    merchants.check_capability(desk.terminal, bill.benefit_kind)
    lines, service_date = _lines_of(desk, bill, visit=visit)
    policy_id, policy, catalogue = rules_in_force(
        area_code=facts.area_code, national_codes=national_codes(lines), day=service_date
    )
    is_away = facts.area_code != desk.terminal.area_code
    listing = _treating_policy(desk, service_date) if is_away else policy
    if is_away or (visit is not None and visit.admission_date is not None):
        _add_catalogue_by_day(desk, lines, service_date=service_date, policy=listing)
    else:
        add_catalogue(lines, catalogue)
    prescribed = add_prescriptions(lines, member_id=scan.member_id, service_date=service_date)
    if bill.benefit_kind not in policy.kinds:
        raise BenefitKindUnknown(param="benefit_kind")
    circumstances.check_kind(policy, bill.benefit_kind, visit=visit)
    frame = circumstances.bill_frame(
        bill,
        visit=visit,
        prescribed=prescribed,
        at_pharmacy=desk.terminal.merchant_kind == "pharmacy",
        service_date=service_date,
    )
    if not policy.in_force_on(policy.rules_day(frame)):
        # A stay under the rules of its first day, which an earlier version has.
        policy_id, policy = _policy_of(frame, policy, area_code=facts.area_code)
    money = _money(scan.member_id, policy, frame, now=desk.now)
    replaces = tuple(
        quote.quote_id
        for quote in money.open_quotes
        if quote.terminal_id == desk.terminal.terminal_id
    )
    relatives = _relatives(desk, facts, policy, but_for=frozenset(replaces), locked=locked)
    member = covered_member(facts, policy=policy, desk=desk, service_date=service_date)
    site = calculator_site(desk)
    calculator_lines = tuple(line.for_calculator() for line in lines)
    if is_away and listing is not None:
        calculator_lines = benefits.as_listed_by(
            listing, calculator_lines, member=member, site=site, bill=frame
        )
    arguments: dict[str, Any] = {
        "policy": policy,
        "member": member,
        "site": site,
        "bill": replace(
            frame,
            lines=calculator_lines,
            relative_accounts=_within(relatives, bill.relative_limit_fen),
        ),
        "year_to_date": money.counted(),
        "account_available_fen": money.available_fen(but_for=frozenset(replaces)),
    }
    result = circumstances.priced_or_refused(arguments)
    if lock:
        # An estimate reserves nothing, so another till's quote does not stand in its way.
        check_no_open_quote(desk, money.open_quotes, reads_year_to_date=result.reads_year_to_date)
    check_ceiling(scan, total_fen=result.total_fen)
    return Priced(
        scan=scan,
        visit=visit,
        facts=facts,
        lines=tuple(lines),
        money=money,
        policy_id=policy_id,
        policy=policy,
        inputs=benefits.canonical_inputs(**arguments),
        result=result,
        benefit_kind=bill.benefit_kind,
        disease_code=bill.disease_code or "",
        service_date=service_date,
        replaces=replaces,
    )


def _policy_of(
    frame: benefits.Bill, policy: benefits.Policy, *, area_code: str
) -> tuple[int, benefits.Policy]:
    policy_id, found = policy_in_force(area_code=area_code, day=policy.rules_day(frame))
    if frame.kind not in found.kinds:
        raise BenefitKindUnknown(param="benefit_kind")
    if not found.in_force_on(found.rules_day(frame)):
        # Two versions that each send the bill to the other: no rules for it at all.
        raise PolicyMissing
    return policy_id, found


def _money(
    member_id: int, policy: benefits.Policy, frame: benefits.Bill, *, now: datetime
) -> MoneyFacts:
    year = policy.year_of(frame)
    money = money_facts(member_id=member_id, benefit_year=year, now=now)
    if frame.stay:
        carried = stay_amounts(member_id=member_id, stay=frame.stay, but_year=year)
        money = replace(money, carried=carried)
    return money


def _relatives(
    desk: Desk,
    facts: MemberFacts,
    policy: benefits.Policy,
    *,
    but_for: frozenset[UUID],
    locked: frozenset[int] | None,
) -> tuple[RelativeFacts, ...]:
    """Relatives' accounts that may pay; under a lock, only those of members who are locked too."""
    if not facts.has_sharings or not policy.has_payer("relative_account"):
        return ()
    found = relative_accounts(
        member_id=facts.member_id, day=desk.day, now=desk.now, but_for=but_for
    )
    # A sharing that was entered between the lock and this look waits for the next bill.
    return tuple(each for each in found if locked is None or each.holder_id in locked)


def _within(
    relatives: Sequence[RelativeFacts], limit_fen: int | None
) -> tuple[benefits.RelativeAccount, ...]:
    """The accounts as the calculator takes them, named by their rows, cut to what is wanted."""
    accounts = []
    left = limit_fen
    for each in relatives:
        amount = each.available_fen if left is None else min(left, each.available_fen)
        accounts.append(benefits.RelativeAccount(str(each.account_id), amount))
        if left is not None:
            left -= amount
    return tuple(accounts)


def _treating_policy(desk: Desk, day: date) -> benefits.Policy | None:
    """The rules of the desk's own area, whose catalogue counts for people insured elsewhere
    (就医地目录). An area that has none here has its catalogue's figures and nothing beside them."""
    try:
        _row, policy = policy_in_force(area_code=desk.terminal.area_code, day=day)
    except PolicyMissing:
        return None
    return policy


def _add_catalogue_by_day(
    desk: Desk, lines: Sequence[BillLine], *, service_date: date, policy: benefits.Policy | None
) -> None:
    """The word of this area's catalogue on each line is that of the line's own day."""
    by_day: dict[date, list[BillLine]] = {}
    for line in lines:
        by_day.setdefault(line.service_date or service_date, []).append(line)
    versions = catalogue_versions(
        area_code=desk.terminal.area_code,
        national_codes=national_codes(lines),
        days=list(by_day),
        policy=policy,
    )
    for day, of_the_day in by_day.items():
        add_catalogue(of_the_day, versions[day])


def presence(
    desk: Desk, *, scan_id: UUID | None, visit_id: UUID | None
) -> tuple[ScanFacts, VisitFacts | None]:
    """The scan that a bill stands on, and its visit.

    A pharmacy purchase needs a live scan for selling. A visit may be billed under a live scan for
    billing; on the day it was opened it needs none of its own, because the scan that opened it
    shows presence at this merchant on this day. Raises NotFound, ScanExpired, ScanNotForThisUse,
    VisitClosed, FieldInvalid.
    """
    merchant_id = desk.terminal.merchant_id
    if visit_id is None:
        if scan_id is None:
            raise FieldInvalid(
                param="scan_id", field="scan_id", problem=_("give a scan_id or a visit_id")
            )
        scan = live_scan(scan_id=scan_id, merchant_id=merchant_id, now=desk.now)
        if scan.use not in SELLING_USES:
            raise ScanNotForThisUse(param="scan_id")
        return scan, None
    visit = open_visit(visit_id=visit_id, merchant_id=merchant_id)
    if scan_id is not None and scan_id != visit.scan_id:
        scan = live_scan(scan_id=scan_id, merchant_id=merchant_id, now=desk.now)
        if scan.member_id != visit.member_id:
            # Somebody else's code on this person's visit: for this visit there is no such scan.
            raise NotFound(param="scan_id")
        if scan.use not in BILLING_USES:
            raise ScanNotForThisUse(param="scan_id")
        return scan, visit
    if (
        visit.scan_id is None
        or visit.business_date != desk.day
        # Going home is shown anew, also on the first day.
        or visit.discharge_date is not None
    ):
        raise ScanNotForThisUse(param="scan_id")
    return accepted_scan(scan_id=visit.scan_id, merchant_id=merchant_id), visit


def _lines_of(
    desk: Desk, bill: BillRequest, *, visit: VisitFacts | None
) -> tuple[list[BillLine], date]:
    if visit is None:
        return read_lines(desk, bill.lines or []), desk.day
    if bill.lines is not None:
        raise FieldInvalid(
            param="lines", field="lines", problem=_("a visit's lines are uploaded as a fee batch")
        )
    rows = unsettled_lines(visit_id=visit.visit_id, fee_batch_ids=bill.fee_batch_ids)
    if not rows:
        raise BillEmpty(param="visit_id")
    if bill.fee_batch_ids:
        check_batches(visit_id=visit.visit_id, fee_batch_ids=bill.fee_batch_ids)
    if visit.admission_date is None:
        # One settlement of an outpatient visit prices one service date: the policy and the
        # catalogue are those of that day. A stay is billed as a whole.
        service_date = rows[0]["service_date"]
        rows = [row for row in rows if row["service_date"] == service_date]
    else:
        service_date = visit.discharge_date or max(row["service_date"] for row in rows)
    if len(rows) > 10_000:
        raise TooManyLines(param="visit_id", most=10_000)
    lines = [
        BillLine(
            no=number,
            code=row["code"],
            national_code=row["national_code"],
            name=row["name"],
            quantity=row["quantity"],
            unit_price=row["unit_price"],
            amount_fen=row["amount_fen"],
            split_pack=row["split_pack"],
            trace_codes=tuple(msgspec.json.decode(row["trace_codes"])),
            prescription=row["prescription_number"],
            facts=None,
            row_id=row["id"],
            service_date=row["service_date"],
        )
        for number, row in enumerate(rows, start=1)
    ]
    # Each batch was looked at alone when it was uploaded.
    check_traces(lines)
    return lines, service_date


def check_no_open_quote(
    desk: Desk, quotes: Sequence[OpenQuote], *, reads_year_to_date: bool
) -> None:
    """Deductibles and tiers are not additive: at most one live quote of a member reads them.

    Raises OpenQuoteElsewhere with who holds it and the seconds left; a quote of this very till is
    replaced.
    """
    if not reads_year_to_date:
        return
    for quote in quotes:
        if quote.reads_year_to_date and quote.terminal_id != desk.terminal.terminal_id:
            left = max(1, int((quote.expires_at - desk.now).total_seconds()))
            held_by = institutions.merchant_name(merchant_id=quote.merchant_id)
            raise OpenQuoteElsewhere(seconds_left=left, held_by=held_by)


def check_ceiling(scan: ScanFacts, *, total_fen: int) -> None:
    """The citizen's ceiling is over everything settled under the scan. Raises CeilingExceeded."""
    if scan.ceiling_fen is None:
        return
    if settled_under_scan(scan_id=scan.scan_id) + total_fen > scan.ceiling_fen:
        raise CeilingExceeded(ceiling_fen=scan.ceiling_fen)
