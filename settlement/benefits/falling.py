"""Where a bigger bill lowers what the funds pay: found on the calculator itself, to the fen.

Such rules are published (a deductible that is a share of the cost, a threshold that only has to be
reached), so nothing is forbidden here; whoever writes a policy is told.  Each situation that the
rules tell apart is searched from nothing to ten million yuan, at the beginning of a benefit year
and with nothing on an account, unless it is the account that a package makes pay first.  The search
does not know what the rules mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from settlement.benefits.calculation import calculate
from settlement.benefits.pieces import Look, Piece, TooManyLooks, look_at, pieces
from settlement.benefits.policy import UNPAID, Layer, Policy
from settlement.benefits.rehearsing import at_any_time
from settlement.benefits.situations import Case, Named, Situation, cases, choices
from settlement.benefits.values import OWN_PAYERS, BenefitsError, LayerTrace, Line, Result
from settlement.money import yuan

# The bills looked at: up to ten million yuan, beyond any bill.
UP_TO_FEN: Final = 1_000_000_000
# The bills in range to which the part that grows is added, in fen.
BESIDE_FEN: Final = (100_000, 1_000_000, 10_000_000)
# The most ways through the rules of one kind that are searched.
MOST_CASES: Final = 400
# The most calculations for one kind: half a minute for the rules of a city.
MOST_LOOKS: Final = 200_000

# What grows: the bill in range itself; cost outside the scope beside it; or, beside a part in range
# that the account may not pay, a part that it may, with as much on the account as it asks for.
Grows = Literal["in_range", "out_of_scope", "for_account"]


@dataclass(frozen=True, slots=True)
class Fall:
    """One stretch of bills over which the funds' part goes down.

    ``grows`` says which part of the bill grows; ``beside_fen`` is the bill in range that stays the
    same while another part grows, 0 when it is the one that grows.  ``from_fen`` is the
    amount at which the payment turns down from ``before_fen``, ``to_fen`` the one at which it has
    come down to ``after_fen``: the ends of straight pieces, to the fen.  At ``again_fen`` it is
    ``before_fen`` again (None: never, up to UP_TO_FEN).  ``place`` names the layer and the key that
    bring it about.
    """

    kind: str
    grows: Grows
    beside_fen: int
    from_fen: int
    before_fen: int
    to_fen: int
    after_fen: int
    again_fen: int | None
    place: str
    # Each fact that tells those concerned from others, with its values.
    who: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def said(self) -> str:
        """One line for the writer of the file, with its keys and words, amounts in yuan."""
        who = "; ".join([f"kinds {self.kind}", *(f"{n} {', '.join(v)}" for n, v in self.who)])
        grown, beside = "a bill in range", ""
        if self.grows == "out_of_scope":
            grown = "cost outside the scope"
            beside = f" beside {yuan(self.beside_fen)} in range"
        elif self.grows == "for_account":
            grown = "a part for the account"
            beside = f" beside {yuan(self.beside_fen)} that is not for it"
        again = f"not again {yuan(self.before_fen)} up to {yuan(UP_TO_FEN)}"
        if self.again_fen is not None:
            again = f"again {yuan(self.before_fen)} at {yuan(self.again_fen)}"
        return (
            f"{self.place}: a bigger bill lowers the fund's part ({who}): {grown} of "
            f"{yuan(self.from_fen)}{beside} gets {yuan(self.before_fen)}, one of "
            f"{yuan(self.to_fen)} gets {yuan(self.after_fen)}, {again}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The falls of a policy, and the kinds of benefit that have more ways than were searched."""

    falls: tuple[Fall, ...]
    not_searched_whole: tuple[str, ...] = ()


def falling(
    policy: Policy,
    *,
    kinds: Sequence[str] | None = None,
    most_cases: int = MOST_CASES,
    most_looks: int = MOST_LOOKS,
    every_case: bool = False,
) -> Report:
    """Every fall of the policy, by kind of benefit (None: all of its kinds).

    A fall that is the same for several people is told once.  Ways through the rules that cannot
    have one (see `may_fall`) are left out unless ``every_case``; of the others ``most_cases`` a
    kind are searched, by ``most_looks`` calculations.  A fall of a fen a layer or less is rounding
    and is not reported.
    """
    found: list[Fall] = []
    not_whole: list[str] = []
    for kind in policy.kinds if kinds is None else kinds:
        concerned = [
            case
            for case in cases(policy, kind)
            if every_case or may_fall(case.layers) or _account_gets_more(policy, case)
        ]
        budget = _Budget(most_looks)
        alike: dict[Fall, list[Named]] = {}
        try:
            for case in concerned[:most_cases]:
                for fall in _falls_of(at_any_time(policy), case, budget):
                    alike.setdefault(fall, []).extend(case.alike)
        except TooManyLooks:
            not_whole.append(kind)
        else:
            if len(concerned) > most_cases:
                not_whole.append(kind)
        values = {name: len(each) for name, each in choices(policy, kind).items()}
        found += [_with_who(fall, named, values) for fall, named in alike.items()]
    return Report(tuple(found), tuple(not_whole))


@dataclass(slots=True)
class _Budget:
    """Calculations that are left to the search of one kind."""

    looks: int

    def take(self) -> None:
        """One of them. Raises TooManyLooks when there is none."""
        if not self.looks:
            raise TooManyLooks
        self.looks -= 1


def may_fall(layers: Sequence[Layer]) -> bool:
    """Whether a bigger bill could lower what these layers pay.

    It cannot when every figure is a fixed amount and nothing is counted in two layers: then what a
    layer pays, and each part that it leaves, never goes down as its base goes up.
    """
    counted: set[str] = set()
    for layer in layers:
        own: set[str | None] = set()
        for deductible in layer.deductibles:
            if deductible.amount.of or deductible.whole_once_reached:
                return True
            own |= {deductible.counts_in, deductible.ceiling_in}
        for cap in layer.caps:
            if cap.amount.of:
                return True
            own.add(cap.counts_in)
        own |= {rate.counts_in for rate in layer.rates}
        own |= {name for _measure, name in layer.counts}
        names = {name for name in own if name is not None}
        if not counted.isdisjoint(names):
            return True
        counted |= names
    return False


def _falls_of(policy: Policy, case: Case, budget: _Budget) -> Iterable[Fall]:
    funds = [layer for layer in case.layers if layer.payer not in OWN_PAYERS]
    if not funds:
        return
    yield from _falls(policy, case.situation, "in_range", 0, budget)
    beside: list[Grows] = []
    if any(_sees_out_of_scope(policy, layer) for layer in funds):
        beside.append("out_of_scope")
    if _account_gets_more(policy, case):
        beside.append("for_account")
    for grows in beside:
        for beside_fen in BESIDE_FEN:
            falls = list(_falls(policy, case.situation, grows, beside_fen, budget))
            if falls:
                yield from falls
                break


def _account_gets_more(policy: Policy, case: Case) -> bool:
    """Whether a package's price, shared out over the lines, lets an account pay before a fund."""
    own = [layer.payer in OWN_PAYERS for layer in case.layers]
    return (
        any(package.sets == "charge" for package in policy.packages)
        and True in own
        and False in own[own.index(True) :]
    )


def _sees_out_of_scope(policy: Policy, layer: Layer) -> bool:
    """Whether cost outside the scope can change what the layer pays."""
    names = {each.name for each in policy.named_parts if each.of == "out_of_scope"}
    names |= {"out_of_scope", UNPAID}
    parts = {*layer.base, *(each.part for each in layer.base_parts)}
    amounts = [each.amount for each in layer.deductibles] + [each.amount for each in layer.caps]
    return not names.isdisjoint(part.removesuffix(".unpaid") for part in parts) or any(
        amount.of == "total" for amount in amounts
    )


def _falls(
    policy: Policy, situation: Situation, grows: Grows, beside_fen: int, budget: _Budget
) -> Iterable[Fall]:
    results: dict[int, Result] = {}

    def priced(fen: int) -> Result:
        if fen not in results:
            budget.take()
            results[fen] = _price(policy, situation, grows, beside_fen, fen)
        return results[fen]

    def look(fen: int) -> Look:
        result = priced(fen)
        return look_at(policy, result, result.fund_fen)

    try:
        straight = pieces(look, from_fen=0, up_to_fen=UP_TO_FEN, most_looks=budget.looks)
    except BenefitsError:
        # A bill that cannot be priced at all falls nowhere.
        return
    slack = len(priced(0).layers)
    for top, low, again in _dips(straight, lambda fen: priced(fen).fund_fen, slack):
        before, after = priced(top), priced(low)
        yield Fall(
            kind=situation.kind,
            grows=grows,
            beside_fen=beside_fen,
            from_fen=top,
            before_fen=before.fund_fen,
            to_fen=low,
            after_fen=after.fund_fen,
            again_fen=again,
            place=_cause(policy, before, after),
        )


def _price(policy: Policy, situation: Situation, grows: Grows, beside_fen: int, fen: int) -> Result:
    lines: tuple[Line, ...]
    if grows == "in_range":
        lines = (_line(1, fen),)
    elif grows == "out_of_scope":
        lines = (_line(1, beside_fen), _line(2, fen, covered=False))
    else:
        lines = (_line(1, beside_fen, account_ok=False), _line(2, fen))
    return calculate(
        policy=policy,
        member=situation.member,
        site=situation.site,
        bill=situation.bill(lines),
        year_to_date={},
        account_available_fen=UP_TO_FEN if grows == "for_account" else 0,
    )


def _line(number: int, fen: int, *, covered: bool = True, account_ok: bool = True) -> Line:
    return Line(
        no=number,
        code="",
        name="",
        amount_fen=fen,
        item_class="A" if covered else "C",
        first_pay_bp=0,
        over_limit_fen=0,
        covered=covered,
        account_ok=covered and account_ok,
        prescription=True,
        prescription_only=False,
    )


def _dips(
    straight: Sequence[Piece], pays: Callable[[int], int], slack: int
) -> Iterable[tuple[int, int, int | None]]:
    """(where the payment turns down, where it is lowest, first bill back at the top or None)."""
    top = low = straight[0].from_fen
    for piece in straight:
        for fen in dict.fromkeys((piece.from_fen, piece.to_fen)):
            if pays(fen) >= pays(top):
                if pays(top) - pays(low) > slack:
                    yield top, low, _back(piece, pays, pays(top))
                elif fen == top + 1 and pays(piece.to_fen) < pays(fen) <= pays(top) + 1:
                    # The corner is the bill before; here the payment is only rounded up.
                    continue
                top = low = fen
            elif pays(fen) < pays(low):
                low = fen
    if pays(top) - pays(low) > slack:
        yield top, low, None


def _back(piece: Piece, pays: Callable[[int], int], level_fen: int) -> int:
    """The first bill of a rising piece for which the funds pay so much."""
    low, high = piece.from_fen, piece.to_fen
    while low < high:
        middle = (low + high) // 2
        if pays(middle) >= level_fen:
            high = middle
        else:
            low = middle + 1
    return low


def _cause(policy: Policy, before: Result, after: Result) -> str:
    """The layer and key by which the funds pay less: where the layer that loses most got it."""
    earlier = {trace.name: trace for trace in before.layers}
    later = [trace for trace in after.layers if trace.payer not in OWN_PAYERS]
    worst = max(later, key=lambda trace: earlier[trace.name].paid_fen - trace.paid_fen)
    was = earlier[worst.name]
    if worst.base_fen < was.base_fen:
        for price in after.prices:
            if price.step == "package":
                name = policy.packages[price.rule].name
                return f"{policy.name}: package {price.rule + 1} ({name}): sets"
        # Less reaches it: the first layer that leaves less of what it looks at.
        for trace in after.layers:
            if trace.name == worst.name:
                break
            if trace.deductible_fen < earlier[trace.name].deductible_fen:
                key = f"deductible {trace.deductible_rule + 1}"
                return f"{_place(policy, trace)}: {key}: {_deductible_key(policy, trace)}"
            if trace.over_cap_fen < earlier[trace.name].over_cap_fen:
                return f"{_place(policy, trace)}: cap {trace.cap_rule + 1}: amount"
        return f"{_place(policy, worst)}: base"
    if worst.deductible_left_fen > was.deductible_left_fen:
        key = f"deductible {worst.deductible_rule + 1}"
        return f"{_place(policy, worst)}: {key}: {_deductible_key(policy, worst)}"
    if (worst.cap_left_fen or 0) < (was.cap_left_fen or 0):
        return f"{_place(policy, worst)}: cap {worst.cap_rule + 1}: amount"
    return f"{_place(policy, worst)}: rate {worst.rate_rule + 1}: tiers"


def _deductible_key(policy: Policy, trace: LayerTrace) -> str:
    layer = next(layer for layer in policy.layers if layer.name == trace.name)
    rule = layer.deductibles[trace.deductible_rule]
    return "taken_off" if rule.whole_once_reached else "amount"


def _place(policy: Policy, trace: LayerTrace) -> str:
    position = [layer.name for layer in policy.layers].index(trace.name) + 1
    return f"{policy.name}: layer {position} ({trace.name})"


def _with_who(fall: Fall, alike: Sequence[Named], values: dict[str, int]) -> Fall:
    """The fall with the facts of those it concerns; a fact that makes no difference is left out."""
    by_name: dict[str, dict[str, None]] = {}
    for named in alike:
        for name, value in named:
            by_name.setdefault(name, {})[value] = None
    who = tuple(
        (name, tuple(found)) for name, found in by_name.items() if len(found) < values[name]
    )
    return replace(fall, who=who)
