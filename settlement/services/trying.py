"""Try before buying: what a bill would cost a member, and what would change it.

The very calculator and the very facts of the member, without a merchant, a scan or a row: nothing
is reserved and nothing is written. What would change the price is found by pricing the same bill
again with one fact changed at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from messaging.bodies import FieldInvalid
from messaging.days import business_date
from settlement import benefits, money
from settlement.benefits.values import SiteKind
from settlement.requests import MOST_FEN
from settlement.selectors import catalogue
from settlement.selectors.money import money_facts
from settlement.selectors.rules import CatalogueFacts, rules_in_force
from settlement.services.lines import BillEmpty, BillLine, ItemUnknown, TooManyLines
from settlement.services.parties import calculator_member
from settlement.services.pricing import BenefitKindUnknown
from voucher import selectors as members

MOST_LINES = 50
# Nobody's institution: a person who chose some is at none of them.
_ANYWHERE = "-"


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing somebody means to buy: quantity and unit price (yuan) as decimal texts."""

    national_code: str
    quantity: str
    unit_price: str


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of merchant; `level` as for institutions, 0 for unrated."""

    name: str
    kind: SiteKind
    level: int


PLACES = (
    Place("pharmacy", "pharmacy", 0),
    Place("clinic", "clinic", 1),
    Place("hospital_2", "hospital", 2),
    Place("hospital_3", "hospital", 3),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Another price by one fact. `what` is prescription, filing, chosen_institution, place or
    equivalent; `which` names the place or the item; `personal_fen` is what the member would pay,
    `difference_fen` that less what they pay now."""

    what: str
    which: str
    personal_fen: int
    difference_fen: int


@dataclass(frozen=True, slots=True)
class Tried:
    """The answer: the result with its policy, the lines, and what would change it."""

    result: benefits.Result
    policy: benefits.Policy
    lines: tuple[BillLine, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """What is priced; one field of it differs in each thing that would change the price."""

    member: benefits.Member
    site: benefits.Site
    bill: benefits.Bill


def try_bill(
    *,
    member_id: int,
    wishes: Sequence[Wish],
    kind: str,
    place: Place,
    prescribed: bool,
    now: datetime,
) -> Tried:
    """Price the wishes for the member as of now; `prescribed` says all of it is on a prescription.

    Raises BillEmpty, TooManyLines, FieldInvalid, ItemUnknown, PolicyMissing, BenefitKindUnknown
    and what `voucher.selectors.check_may_use` raises.
    """
    day = business_date(now)
    facts = members.member_facts(member_id=member_id, day=day)
    members.check_may_use(facts, day=day)
    lines = _lines(wishes)
    _row, policy, entries = rules_in_force(
        area_code=facts.area_code,
        national_codes=sorted({line.national_code for line in lines}),
        day=day,
    )
    for line in lines:
        _enter(line, entries.get(line.national_code))
    if kind not in policy.kinds:
        raise BenefitKindUnknown(param="kind")
    funds = money_facts(member_id=member_id, benefit_year=policy.benefit_year(day), now=now)
    member = calculator_member(facts, policy=policy, day=day)
    filed = [filing for filing in member.filings if filing.kind == kind]
    case = _Case(
        member=member,
        site=benefits.Site(place.kind, place.level, _ANYWHERE, facts.area_code),
        bill=benefits.Bill(
            kind=kind,
            disease_code=_disease(filed, lines),
            service_date=day,
            lines=tuple(replace(line.for_calculator(), prescription=prescribed) for line in lines),
        ),
    )

    def priced(one: _Case) -> benefits.Result:
        return benefits.calculate(
            policy=policy,
            member=one.member,
            site=one.site,
            bill=one.bill,
            year_to_date=funds.year_to_date,
            account_available_fen=funds.available_fen(),
        )

    result = priced(case)
    changes = []
    others = [
        *_by_papers(case, kind=kind, prescribed=prescribed),
        *_by_place(case),
        *_by_equivalent(case, lines, area_code=facts.area_code, now=now),
    ]
    for what, which, other in others:
        personal_fen = priced(other).personal_fen
        if personal_fen != result.personal_fen:
            changes.append(Change(what, which, personal_fen, personal_fen - result.personal_fen))
    return Tried(result, policy, tuple(lines), tuple(changes))


def _lines(wishes: Sequence[Wish]) -> list[BillLine]:
    if not wishes:
        raise BillEmpty(param="lines")
    if len(wishes) > MOST_LINES:
        raise TooManyLines(param="lines", most=MOST_LINES)
    return [
        BillLine(
            no=number,
            code="",
            national_code=wish.national_code,
            name="",
            quantity=wish.quantity,
            unit_price=wish.unit_price,
            amount_fen=_amount(number, wish),
            split_pack=False,
            trace_codes=(),
            prescription="",
            facts=None,
        )
        for number, wish in enumerate(wishes, start=1)
    ]


def _amount(number: int, wish: Wish) -> int:
    """Quantity × price to the fen, half up, as a till rounds it."""
    for name, text, read in (
        ("quantity", wish.quantity, money.quantity_units),
        ("unit_price", wish.unit_price, money.unit_price_units),
    ):
        try:
            if read(text) == 0 and name == "quantity":
                raise ValueError
        except ValueError:
            where = f"lines[{number - 1}].{name}"
            problem = (
                _("expected a number above zero with at most four decimals")
                if name == "quantity"
                else _("expected yuan with at most six decimals")
            )
            raise FieldInvalid(param=where, field=where, problem=problem) from None
    product = money.quantity_times_price(wish.quantity, wish.unit_price)
    amount_fen = money.rounded_quotient(product, money.PRODUCT_UNITS_PER_FEN)
    if amount_fen > MOST_FEN:
        where = f"lines[{number - 1}].quantity"
        raise FieldInvalid(param=where, field=where, problem=_("the amount is too large"))
    return amount_fen


def _enter(line: BillLine, entry: CatalogueFacts | None) -> None:
    if entry is None:
        raise ItemUnknown(param=f"lines[{line.no - 1}].national_code", line_no=line.no)
    line.facts = entry
    line.name = entry.name


def _disease(filed: Sequence[benefits.Filing], lines: Sequence[BillLine]) -> str | None:
    """The filed disease that most of the lines may be claimed under."""

    def fitting(filing: benefits.Filing) -> int:
        return sum(
            not line.facts.disease_codes or filing.disease_code in line.facts.disease_codes
            for line in lines
            if line.facts
        )

    best = max(filed, key=fitting, default=None)
    return best.disease_code if best else None


def _by_papers(case: _Case, *, kind: str, prescribed: bool) -> Iterator[tuple[str, str, _Case]]:
    if not prescribed:
        lines = tuple(replace(line, prescription=True) for line in case.bill.lines)
        yield "prescription", "", replace(case, bill=replace(case.bill, lines=lines))
    filings = [filing for filing in case.member.filings if filing.kind == kind]
    if not filings:
        wanted = next((code for line in case.bill.lines for code in line.disease_codes), "")
        filing = benefits.Filing(kind, wanted)
        yield (
            "filing",
            wanted,
            replace(
                case,
                member=replace(case.member, filings=(*case.member.filings, filing)),
                bill=replace(case.bill, disease_code=wanted or None),
            ),
        )
    for code in sorted({code for filing in filings for code in filing.institution_codes}):
        yield (
            "chosen_institution",
            code,
            replace(case, site=replace(case.site, institution_code=code)),
        )


def _by_place(case: _Case) -> Iterator[tuple[str, str, _Case]]:
    for place in PLACES:
        if (place.kind, place.level) != (case.site.kind, case.site.level):
            site = replace(case.site, kind=place.kind, level=place.level)
            yield "place", place.name, replace(case, site=site)


def _by_equivalent(
    case: _Case, lines: Sequence[BillLine], *, area_code: str, now: datetime
) -> Iterator[tuple[str, str, _Case]]:
    """Each line's item for a centrally purchased one of its generic name, at that one's limit."""
    day = business_date(now)
    for at, line in enumerate(lines):
        own = catalogue.search(area_code=area_code, text=line.national_code, day=day, limit=1)
        if not own or "centrally_purchased" in own[0].marks:
            continue
        priced = [
            found
            for found in catalogue.equivalents(
                area_code=area_code, generic_name=own[0].generic_name, day=day, limit=3
            )
            if found.price_limit
        ]
        _row, _policy, entries = rules_in_force(
            area_code=area_code, national_codes=[found.national_code for found in priced], day=day
        )
        for found in priced:
            other = _instead(case.bill.lines[at], line, entries[found.national_code])
            rest = case.bill.lines
            bill = replace(case.bill, lines=(*rest[:at], other, *rest[at + 1 :]))
            yield "equivalent", found.name, replace(case, bill=bill)


def _instead(line: benefits.Line, own: BillLine, entry: CatalogueFacts) -> benefits.Line:
    wish = Wish(entry.national_code, own.quantity, entry.price_limit)
    other = replace(
        own,
        national_code=entry.national_code,
        name=entry.name,
        unit_price=entry.price_limit,
        amount_fen=_amount(own.no, wish),
        facts=entry,
    )
    return replace(other.for_calculator(), prescription=line.prescription)
