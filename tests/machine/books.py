"""The pure model: what every act does to quotes, settlements, accounts, the year and the ledger.

Written from the design, not from the services: they are compared with it. Every change of state
goes through the written table.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from settlement import benefits, states
from settlement.benefits.restating import Settled, restated, with_lines
from settlement.benefits.returning import remaining_amount, result_of_rest, shares_back

POLICY = benefits.load_policy(
    (Path(__file__).parents[2] / "policies" / "370300-2022.toml").read_text(encoding="utf-8"),
    name="370300-2022",
)
DAY = date(2026, 11, 20)
QUOTE_LIVES_S = 120
OPENING_FEN = 100_000

# Own code: what the catalogue says of it. Covered; of class C; not mapped at all.
GOODS: dict[str, dict[str, Any]] = {
    "A4": {"item_class": "A", "first_pay_bp": 0, "covered": True, "account_ok": True},
    "A5": {"item_class": "C", "first_pay_bp": 10_000, "covered": False, "account_ok": True},
    "A6": {"item_class": "none", "first_pay_bp": 0, "covered": False, "account_ok": False},
}
# Code, quantity, unit price in fen.
Goods = tuple[str, int, int]


@dataclass
class Person:
    """A member: what the account holds, and what counts this year."""

    category: str
    account_fen: int = OPENING_FEN
    year: Counter[str] = field(default_factory=Counter)


@dataclass
class Quoted:
    """A quote, and what it would settle."""

    person: int
    till: int
    goods: tuple[Goods, ...]
    kind: str
    settled: Settled
    result: benefits.Result
    state: str
    expires_at: int


@dataclass
class Sale:
    """A settlement, what stands of it, and whether anybody is sure of it."""

    person: int
    goods: tuple[Goods, ...]
    settled: Settled
    original: benefits.Result
    shares: dict[str, int]
    delta: dict[str, int]
    # The year to date it counts from, which a restatement changes, and what accounts may give of
    # what remains of it.
    year: dict[str, int]
    account_fen: int
    returned: list[int]
    state: str
    confirm_by: int | None = None
    is_confirmed: bool = False
    is_reversed: bool = False
    returns: list[dict[str, Any]] = field(default_factory=list)

    @property
    def counts_on_the_year(self) -> bool:
        return self.standing_fen > 0 and self.original.reads_year_to_date

    @property
    def standing_fen(self) -> int:
        return sum(self.shares.values())


@dataclass
class Books:
    """All of it. An act answers its refusal's code, or "ok", and what it came to."""

    people: list[Person]
    with_later: str = "stand"
    now: int = 0
    quotes: list[Quoted] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    ledger: Counter[str] = field(default_factory=Counter)

    @classmethod
    def opened(cls, categories: Sequence[str], with_later: str = "stand") -> "Books":
        """Somebody of each category, with money on the account; what a return does to later
        settlements of the year."""
        return cls([Person(category) for category in categories], with_later)

    # ------------------------------------------------------------ pricing

    def _settled(self, person: int, goods: Sequence[Goods], kind: str, till: int) -> Settled:
        who = self.people[person]
        held = sum(quote.result.account_fen for quote in self._live(person) if quote.till != till)
        inputs: benefits.CalculationInputs = {
            "member": benefits.Member(
                scheme="employee",
                category=who.category,
                age=71,
                aid=None,
                pool_in_force=True,
                account_in_force=True,
                filings=(benefits.Filing("chronic", "M03900"),),
                sex="female",
            ),
            "site": benefits.Site("pharmacy", 0, f"P3703009900{1 + (till == 2)}", "370300"),
            "bill": benefits.Bill(
                kind=kind,
                disease_code="M03900" if kind == "chronic" else None,
                service_date=DAY,
                lines=tuple(
                    benefits.Line(
                        no=number,
                        code=code,
                        name=code,
                        amount_fen=quantity * price,
                        over_limit_fen=0,
                        prescription=False,
                        prescription_only=False,
                        **GOODS[code],
                    )
                    for number, (code, quantity, price) in enumerate(goods, start=1)
                ),
            ),
            "year_to_date": {name: fen for name, fen in who.year.items() if fen},
            "account_available_fen": max(0, who.account_fen - held),
        }
        return Settled(POLICY, inputs)

    def _live(self, person: int) -> list[Quoted]:
        return [
            quote
            for quote in self.quotes
            if quote.person == person and quote.state == "live" and quote.expires_at > self.now
        ]

    def _move(self, row: Any, entity: states.Entity, event: str, who: states.Actor) -> None:
        row.state = states.transition(entity, row.state, event, who=who).next

    def _price(
        self, person: int, till: int, goods: Sequence[Goods], kind: str
    ) -> tuple[str, Settled | None, benefits.Result | None]:
        settled = self._settled(person, goods, kind, till)
        result = benefits.calculate(policy=POLICY, **settled.inputs)
        elsewhere = [quote for quote in self._live(person) if quote.till != till]
        if result.reads_year_to_date and any(q.result.reads_year_to_date for q in elsewhere):
            return "open_quote_elsewhere", None, None
        return "ok", settled, result

    def _retire(self, person: int, till: int) -> None:
        for quote in self.quotes:
            if quote.person != person or quote.state != "live":
                continue
            if quote.expires_at <= self.now:
                self._move(quote, "quote", "run_out", "time")
            elif quote.till == till:
                self._move(quote, "quote", "replace", "till")

    # ------------------------------------------------------------ acts

    def quote(self, person: int, till: int, goods: tuple[Goods, ...], kind: str) -> tuple[str, Any]:
        """Hold what a bill uses."""
        code, settled, result = self._price(person, till, goods, kind)
        if settled is None or result is None:
            return code, None
        self._retire(person, till)
        state = states.transition("quote", states.NOTHING, "quote", who="till").next
        self.quotes.append(
            Quoted(person, till, goods, kind, settled, result, state, self.now + QUOTE_LIVES_S)
        )
        return "ok", _shares(result)

    def settle(
        self,
        person: int,
        till: int,
        goods: tuple[Goods, ...],
        kind: str,
        within_s: int | None,
    ) -> tuple[str, Any]:
        """A bill without a quote."""
        code, settled, result = self._price(person, till, goods, kind)
        if settled is None or result is None:
            return code, None
        self._retire(person, till)
        return "ok", self._accept(person, goods, settled, result, within_s)

    def confirm(self, index: int) -> tuple[str, Any]:
        """A quote, to the fen, or not at all."""
        quote = self.quotes[index]
        if quote.state == "expired" or (quote.state == "live" and quote.expires_at <= self.now):
            return "quote_expired", None
        if quote.state != "live":
            return "quote_not_live", None
        who = self.people[quote.person]
        year = {name: fen for name, fen in who.year.items() if fen}
        moved = quote.result.reads_year_to_date and year != quote.settled.inputs["year_to_date"]
        if moved or quote.result.account_fen > who.account_fen:
            return "quote_not_live", None
        for other in self.quotes:
            ran_out = other.state == "live" and other.expires_at <= self.now
            if other.person == quote.person and ran_out:
                self._move(other, "quote", "run_out", "time")
        self._move(quote, "quote", "confirm", "till")
        return "ok", self._accept(quote.person, quote.goods, quote.settled, quote.result, None)

    def release(self, index: int) -> tuple[str, Any]:
        """What a quote holds is free again."""
        quote = self.quotes[index]
        if quote.state in ("confirmed", "replaced"):
            return "quote_not_live", None
        if quote.state == "live":
            self._move(quote, "quote", "release", "till")
        return "ok", None

    def _accept(
        self,
        person: int,
        goods: tuple[Goods, ...],
        settled: Settled,
        result: benefits.Result,
        within_s: int | None,
    ) -> dict[str, int]:
        line = states.transition("settlement", states.NOTHING, "accept", who="till")
        assert line.posts == "settlement"
        who = self.people[person]
        who.account_fen -= result.account_fen
        who.year.update(result.year_to_date_delta)
        self.sales.append(
            Sale(
                person,
                goods,
                settled,
                result,
                _shares(result),
                dict(result.year_to_date_delta),
                dict(settled.inputs["year_to_date"]),
                result.account_fen,
                [0] * len(goods),
                line.next,
                None if within_s is None else self.now + within_s,
            )
        )
        return _shares(result)

    def give_back(self, index: int, wish: dict[int, int] | None) -> tuple[str, Any]:
        """Return quantities by line number, or whatever is left."""
        sale = self.sales[index]
        if not sale.standing_fen:
            return "already_refunded", None
        asked = wish or {
            number: quantity - sale.returned[number - 1]
            for number, (_code, quantity, _price) in enumerate(sale.goods, start=1)
        }
        after = list(sale.returned)
        for number, quantity in asked.items():
            after[number - 1] += quantity
            left = self._left(sale, number - 1, sale.returned)
            if after[number - 1] > sale.goods[number - 1][1] or not quantity:
                if wish is not None:
                    return "refund_too_much", None
            elif not left and wish is not None:
                return "refund_too_much", None
        return self._return(sale, after, kind="refund", to_nothing=wish is None)

    @staticmethod
    def _left(sale: Sale, place: int, returned: Sequence[int]) -> int:
        _code, quantity, price = sale.goods[place]
        return remaining_amount(
            quantity * price,
            quantity * 10_000,
            returned_e4=returned[place] * 10_000,
            returned_fen=0,
        )

    def _return(
        self, sale: Sale, after: list[int], *, kind: str, to_nothing: bool
    ) -> tuple[str, Any]:
        remaining = {
            place + 1: 0 if to_nothing else self._left(sale, place, after)
            for place in range(len(sale.goods))
        }
        rest = self._priced(sale, remaining, sale.year, sale.account_fen)
        back = shares_back(sale.shares, rest)
        if sum(back.values()) <= 0:
            return "refund_whole_only", None
        counted = dict(rest.year_to_date_delta) if rest else {}
        gone = Counter(sale.delta)
        gone.subtract(counted)
        rule = "stand" if kind == "reversal" else self.with_later
        place = next(number for number, each in enumerate(self.sales) if each is sale)
        later = [
            each
            for each in self.sales[place + 1 :]
            if each.person == sale.person and each.counts_on_the_year and any(gone.values())
        ]
        if rule == "last_first" and any(
            gone[name] for each in later for name, fen in each.year.items() if fen
        ):
            return "refund_last_first", None
        restated = self._restated(later, gone, back) if rule == "restate" else []
        if any(amount < 0 for amount in back.values()):
            return "refund_needs_payment", None
        line = states.transition("refund", states.NOTHING, "accept", who="till")
        who = self.people[sale.person]
        who.account_fen += back.get("account", 0)
        who.year.subtract(gone)
        sale.delta = counted
        sale.shares = _shares(rest) if rest else {}
        sale.returned = after
        for each, year, result in restated:
            each.year, each.account_fen = year, result.account_fen
            each.shares, each.delta = _shares(result), dict(result.year_to_date_delta)
        sale.returns.append({"state": line.next, "kind": kind, "back": back})
        return "ok", back

    @staticmethod
    def _priced(
        sale: Sale, remaining: dict[int, int], year: dict[str, int], account_fen: int
    ) -> benefits.Result | None:
        """What so much of a sale's lines comes to from a year to date."""
        inputs: benefits.CalculationInputs = {**sale.settled.inputs, "year_to_date": year}
        return result_of_rest(
            Settled(sale.settled.policy, inputs),
            remaining_fen=remaining,
            account_fen=account_fen,
            draws=(),
        )

    def _restated(
        self, later: Sequence[Sale], gone: Counter[str], back: dict[str, int]
    ) -> list[tuple[Sale, dict[str, int], benefits.Result]]:
        """Each later sale from the year it would have found, with that year; `gone` and `back` take
        in what they count and cost otherwise."""
        found = []
        spare = back.get("account", 0)
        for sale in later:
            year = {
                name: max(0, sale.year.get(name, 0) - gone[name]) for name in {*sale.year, *gone}
            }
            remaining = {
                number: self._left(sale, number - 1, sale.returned)
                for number in range(1, len(sale.goods) + 1)
            }
            was = sale.shares.get("account", 0)
            result = self._priced(sale, remaining, year, was + spare)
            assert result is not None
            spare += was - result.account_fen
            gone.update(sale.delta)
            gone.subtract(result.year_to_date_delta)
            for payer, fen in shares_back(sale.shares, result).items():
                back[payer] = back.get(payer, 0) + fen
            found.append((sale, year, result))
        for payer in [payer for payer, fen in back.items() if not fen]:
            del back[payer]
        return found

    def reverse(self, index: int) -> tuple[str, Any]:
        """Withdraw a settlement whose answer was lost."""
        sale = self.sales[index]
        if sale.is_reversed:
            return "ok", None
        if sale.is_confirmed or sale.returns:
            return "use_refund", None
        if not sale.standing_fen:
            return "ok", None
        sale.is_reversed, sale.confirm_by = True, None
        return self._return(sale, list(sale.returned), kind="reversal", to_nothing=True)

    def know(self, index: int) -> tuple[str, Any]:
        """The client confirms the result."""
        sale = self.sales[index]
        if sale.is_reversed:
            return "settlement_reversed", None
        sale.is_confirmed = True
        return "ok", None

    def wait(self, seconds: int) -> tuple[str, Any]:
        """Time passes, and what it undoes is undone."""
        self.now += seconds
        for sale in self.sales:
            if sale.confirm_by is None or sale.confirm_by > self.now or sale.is_confirmed:
                continue
            if not sale.standing_fen:
                sale.confirm_by = None
            elif sale.returns:
                sale.is_confirmed = True
            else:
                sale.is_reversed, sale.confirm_by = True, None
                self._return(sale, list(sale.returned), kind="reversal", to_nothing=True)
        return "ok", None

    def crash(self) -> tuple[str, Any]:
        """A till's request dies before its commit: nothing has happened."""
        return "ok", None

    def post(self) -> tuple[str, Any]:
        """The worker drains everything."""
        for sale in self.sales:
            if sale.state == "accepted":
                self._move(sale, "settlement", "post", "worker")
                self._legs(sale.person, _shares(sale.original), 1)
            for back in sale.returns:
                if back["state"] == "accepted":
                    line = states.transition("refund", back["state"], "post", who="worker")
                    back["state"] = line.next
                    self._legs(sale.person, back["back"], -1)
        return "ok", None

    def _legs(self, person: int, shares: dict[str, int], sign: int) -> None:
        for payer, amount in shares.items():
            giver = f"{payer}:{person}" if payer in ("account", "cash") else payer
            self.ledger[giver] -= sign * amount
            self.ledger["till" if payer == "cash" else "due"] += sign * amount

    # ------------------------------------------------------------ what must hold

    def _as_if_never_bought(self, own: Sequence[Sale], number: int) -> list[str]:
        """Where returns restate, the pool pays what it would pay had nothing of what came back been
        bought. A reversal restates nothing, so it ends the comparison."""
        if self.with_later != "restate" or any(sale.is_reversed for sale in own):
            return []
        standing = [sale for sale in own if sale.standing_fen]
        bills = []
        for sale in standing:
            remaining = {
                place + 1: self._left(sale, place, sale.returned)
                for place in range(len(sale.goods))
            }
            bills.append(with_lines(sale.settled, amounts_fen=remaining))
        results = restated(bills, year_to_date={})
        return [
            f"of {number} a pool pays {sale.shares.get('pool', 0)} for {result.share('pool')}"
            for sale, result in zip(standing, results, strict=True)
            if sale.shares.get("pool", 0) != result.share("pool")
        ]

    def wrong(self) -> list[str]:
        """Everything that does not hold, a sentence each."""
        found = []
        if sum(self.ledger.values()):
            found.append("the ledger does not sum to nothing")
        for number, who in enumerate(self.people):
            own = [sale for sale in self.sales if sale.person == number]
            spent = sum(sale.shares.get("account", 0) for sale in own)
            if who.account_fen != OPENING_FEN - spent or who.account_fen < 0:
                found.append(f"account {number} holds {who.account_fen} and gave {spent}")
            year: Counter[str] = Counter()
            for sale in own:
                year.update(sale.delta)
            if +year != +who.year or -who.year:
                found.append(f"year {number} is {who.year} and its parts come to {year}")
            live = [
                quote
                for quote in self.quotes
                if quote.person == number
                and quote.state == "live"
                and quote.expires_at > self.now
                and quote.result.reads_year_to_date
            ]
            if len(live) > 1:
                found.append(f"{len(live)} live quotes of {number} read the year")
            found += self._as_if_never_bought(own, number)
        for sale in self.sales:
            standing = sum(
                self._left(sale, place, sale.returned) for place in range(len(sale.goods))
            )
            gone = any(back["kind"] == "reversal" for back in sale.returns)
            if sale.standing_fen != (0 if gone else standing):
                found.append(f"a sale of {standing} stands with {sale.standing_fen}")
            if any(amount < 0 for amount in sale.shares.values()):
                found.append("a share that stands is negative")
        return found


def _shares(result: benefits.Result) -> dict[str, int]:
    return {share.payer: share.amount_fen for share in result.shares}
