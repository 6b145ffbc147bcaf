"""The plain values that go into a calculation and come out of it.

They carry facts and figures only: amounts in fen, rates in basis points, days as Beijing dates.
They know no rule, no row and no text for people; `canonical` writes them as JSON and `explanation`
turns a result into sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

Scheme = Literal["employee", "resident"]
SiteKind = Literal["pharmacy", "hospital", "clinic"]
ItemClass = Literal["A", "B", "C", "none"]

SCHEMES: Final[tuple[Scheme, ...]] = ("employee", "resident")
SITE_KINDS: Final[tuple[SiteKind, ...]] = ("pharmacy", "hospital", "clinic")
ITEM_CLASSES: Final[tuple[ItemClass, ...]] = ("A", "B", "C", "none")

# The order of the payers on a slip.  A policy names the ones its area has.
PAYERS: Final = (
    "pool",
    "large_amount",
    "major_illness",
    "civil_servant",
    "medical_aid",
    "second_aid",
    "hospital_waiver",
    "commercial",
    "account",
    "relative_account",
    "cash",
)
# Money that is the member's own, or a relative's: everything else is what "the fund" pays.
OWN_PAYERS: Final = frozenset({"account", "relative_account", "cash"})

# Why a line is left outside the fund's part.  The first seven concern the line itself; the others
# are the reason of the layer that would have paid its in-range part.
LINE_REASONS: Final = (
    "not_in_catalogue",
    "class_c",
    "needs_prescription",
    "not_for_this_disease",
    "amenity",
    "restricted_use",
    "counted_in_part",
    "pool_frozen",
    "disease_not_filed",
    "institution_not_chosen",
    "no_rate_for_this_case",
    "no_fund_for_this_kind",
)
# Why a layer paid nothing.  A layer that paid has an empty reason.
LAYER_REASONS: Final = (
    "pool_frozen",
    "account_frozen",
    "disease_not_filed",
    "institution_not_chosen",
    "no_rate_for_this_case",
    "nothing_in_base",
    "within_deductible",
    "cap_reached",
    "account_empty",
    "account_not_wanted",
    "rounds_to_nothing",
    "nothing_stated",
)


class BenefitsError(ValueError):
    """The inputs cannot be priced: an impossible amount, an unknown kind, a day out of force.

    ``code`` is a stable word for callers, ``param`` names the offending input.
    """

    def __init__(self, code: str, param: str, detail: str) -> None:
        super().__init__(f"{param}: {detail}")
        self.code = code
        self.param = param
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Filing:
    """A registration the member holds, such as a chronic disease (门诊慢特病备案).

    ``institution_codes`` are the chosen institutions; empty means any.
    """

    kind: str
    disease_code: str
    institution_codes: tuple[str, ...] = ()
    # In force from the first day up to, but without, the last; None is open.
    from_date: date | None = None
    until_date: date | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """Whom the bill is for, as of the service date."""

    scheme: Scheme
    category: str
    age: int | None
    aid: str | None
    # In arrears the pool is frozen and the account stays usable.
    pool_in_force: bool
    account_in_force: bool
    filings: tuple[Filing, ...] = ()
    sex: str | None = None
    # Whole months of unbroken insurance, for rules that go by them.
    insured_months: int | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Where the care was given; ``level`` is 0 for unrated, then 1 to 3.

    ``marks`` are words a policy gives a meaning to, such as "contracted" or "tcm".
    """

    kind: SiteKind
    level: int
    institution_code: str
    area: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UseRestriction:
    """For whom and where the catalogue lets the funds pay for an item (限定支付范围).

    Everything stated must hold; what is not stated does not matter. ``text`` is the catalogue's own
    wording. ``diagnoses`` are beginnings of diagnosis codes, one of which a diagnosis of the bill
    must have; ages are whole years, from the first up to, but without, the second; ``levels`` are
    those of the institution, for a filled prescription of the prescribing one.
    """

    diagnoses: tuple[str, ...] = ()
    sex: str | None = None
    age_from: int | None = None
    age_below: int | None = None
    levels: tuple[int, ...] = ()
    emergency: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill with what the catalogue says of its item on the service date."""

    no: int
    code: str
    name: str
    amount_fen: int
    item_class: ItemClass
    first_pay_bp: int
    over_limit_fen: int
    covered: bool
    account_ok: bool
    # A valid prescription reference is attached.
    prescription: bool
    prescription_only: bool
    # Chronic diseases under which the item may be claimed; empty means any.
    disease_codes: tuple[str, ...] = ()
    # A drug group with its own first pay in the policy, such as "negotiated"; empty means none.
    group: str = ""
    # The item's own restriction, in the catalogue; None for the many that have none.
    restriction: UseRestriction | None = None


@dataclass(frozen=True, slots=True)
class RelativeAccount:
    """A relative's account that may pay (家庭共济): whose, and what it can give now."""

    holder: str
    available_fen: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be priced in one settlement.

    ``stay`` names the admission that an interim and a final bill share.  ``ordinal`` states which
    bill of the year this is when the accumulators do not know.  ``stated`` are (payer, fen) pairs
    that a slip says were paid elsewhere, for layers that take them over.
    """

    kind: str
    disease_code: str | None
    service_date: date
    lines: tuple[Line, ...]
    # How much of the account the member lets be used; None is all there is.
    account_limit_fen: int | None = None
    admission_date: date | None = None
    discharge_date: date | None = None
    days: int | None = None
    stay: str = ""
    ordinal: int | None = None
    # An emergency at the door (急诊), and a public one (疫情): two different things.
    emergency: bool = False
    public_emergency: bool = False
    diagnoses: tuple[str, ...] = ()
    package: str = ""
    # The level of the hospital whose prescription a pharmacy fills (双通道): its rates apply.
    prescribing_level: int | None = None
    stated: tuple[tuple[str, int], ...] = ()
    relative_accounts: tuple[RelativeAccount, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    payer: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class LineSplit:
    """One line taken apart; the four amounts sum to what the line charges.

    That is the line's amount, unless a price rule or a package makes it charge something else.

    ``first_pay_fen`` includes the extra first pay of care away from home.  ``reason`` is empty, or
    one of LINE_REASONS: why the fund leaves the line to the member.  ``restriction`` is the
    catalogue's wording of the restriction that the line does not meet, empty for any other reason.
    """

    no: int
    out_of_scope_fen: int
    over_limit_fen: int
    first_pay_fen: int
    in_range_fen: int
    account_ok: bool
    reason: str
    restriction: str = ""


@dataclass(frozen=True, slots=True)
class FirstPayTrace:
    """One reason for first pay, over all lines: ``amount_fen`` of ``base_fen`` stays behind.

    ``step`` is "item" (the catalogue's own rate, ``rule`` -1, rates may differ by line), "group" (a
    [[catalogue.first_pay]] of the policy) or "away" (a [[catalogue.away_first_pay]]).
    """

    step: str
    rule: int
    base_fen: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class TierTrace:
    """One band of a layer: the part of the bill that fell in it and what it pays before any cap.

    ``from_fen`` and ``to_fen`` are the band's bounds as the policy counts them; None is no end.
    ``rate_rest`` are ten-thousandths of a basis point beyond ``rate_bp``, after adjustments.
    """

    from_fen: int
    to_fen: int | None
    rate_bp: int
    part_fen: int
    paid_fen: int
    rate_rest: int = 0


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One payer's step: base - deductible, by tiers, at most what the cap leaves.

    ``deductible_left_fen`` is what was still to be met before this bill, ``over_cap_fen`` what a
    cap kept from being paid.  The rules are positions in the policy's lists, -1 for none, so that
    texts and sources can be looked up again without being stored.

    The last three say what the others only imply: the cost that counts once a cap on the cost has
    cut it, where the bands begin, and what a fixed or stated amount comes to.  Only a fresh
    calculation has them: they follow from its inputs, and are neither stored, hashed nor compared.
    """

    name: str
    payer: str
    base_fen: int
    deductible_left_fen: int
    deductible_fen: int
    tiers: tuple[TierTrace, ...]
    cap_left_fen: int | None
    over_cap_fen: int
    paid_fen: int
    reason: str
    deductible_rule: int = -1
    rate_rule: int = -1
    cap_rule: int = -1
    counted_fen: int = field(default=0, compare=False)
    bands_from_fen: int = field(default=0, compare=False)
    amount_fen: int = field(default=0, compare=False)

    def tiers_after_cap(self) -> tuple[int, ...]:
        """What each tier pays in the end: a cap on the payment cuts the last fen first."""
        left = self.paid_fen
        kept = []
        for tier in self.tiers:
            kept.append(min(left, tier.paid_fen))
            left -= kept[-1]
        return tuple(kept)


@dataclass(frozen=True, slots=True)
class PriceTrace:
    """A price that took the place of the lines' own amounts before benefits.

    ``step`` is "package" or "price_rule", ``rule`` its position in the policy's list; the lines
    came to ``listed_fen`` and charge ``charged_fen``.
    """

    step: str
    rule: int
    listed_fen: int
    charged_fen: int


@dataclass(frozen=True, slots=True)
class RelativeDraw:
    """What one relative's account pays."""

    holder: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Result:
    """Who pays which fen of a bill, and every figure on the way there."""

    total_fen: int
    # In the order of PAYERS; a payer of nothing is left out.
    shares: tuple[Share, ...]
    # In the order of line numbers, whatever the order of the bill.
    line_splits: tuple[LineSplit, ...]
    # Where the first pay of the lines comes from; the amounts sum to theirs.
    first_pays: tuple[FirstPayTrace, ...]
    # In the order of the policy; layers that concern another kind or scheme are left out.
    layers: tuple[LayerTrace, ...]
    # The whole accumulators of the benefit year after this bill, and what it added.
    year_to_date_after: Mapping[str, int]
    year_to_date_delta: Mapping[str, int]
    # Whether a figure depended on the year to date: such a quote cannot coexist with another.
    reads_year_to_date: bool
    benefit_year: int
    policy_name: str
    policy_version: str
    policy_sha256: str
    engine_version: str
    # Packages and price rules that changed what the lines charge.
    prices: tuple[PriceTrace, ...] = ()
    # What the hospital is paid for a package that leaves the shares alone; None without one.
    hospital_payment_fen: int | None = None
    relative_draws: tuple[RelativeDraw, ...] = ()

    def share(self, payer: str) -> int:
        """What one payer pays, in fen; 0 for a payer with no share."""
        return sum(share.amount_fen for share in self.shares if share.payer == payer)

    @property
    def fund_fen(self) -> int:
        """Everything that is not the member's account, a relative's account, or cash."""
        return sum(s.amount_fen for s in self.shares if s.payer not in OWN_PAYERS)

    @property
    def account_fen(self) -> int:
        return self.share("account")

    @property
    def cash_fen(self) -> int:
        return self.share("cash")

    @property
    def personal_fen(self) -> int:
        """What the funds leave: account, relatives' accounts and cash."""
        return self.total_fen - self.fund_fen
