"""The rules: what may happen next, whatever happened before."""

from collections import Counter
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.machine.books import Books, Goods

_GOODS = st.lists(
    st.tuples(st.sampled_from(["A4", "A4", "A5", "A6"]), st.integers(1, 40), st.integers(1, 6_000)),
    min_size=1,
    max_size=3,
).map(tuple)
_KINDS = st.sampled_from(["chronic", "chronic", "pharmacy_account"])
_PEOPLE = st.integers(0, 1)
# Two of one pharmacy, one of another.
_TILLS = st.integers(0, 2)
_WITH_LATER = st.sampled_from(["stand", "last_first", "restate"])
_ANY = st.integers(0, 10_000)


class MoneyMachine(RuleBasedStateMachine):
    """Drives the model alone; a subclass with a second backend compares the two at each step."""

    reached: ClassVar[Counter[str]] = Counter()
    pairs: ClassVar[Counter[tuple[str, str]]] = Counter()
    refusals: ClassVar[Counter[str]] = Counter()
    begun: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.last = "start"
        self.books: Books
        self.other: Any = None

    @initialize(
        categories=st.tuples(*[st.sampled_from(["active", "retired"])] * 2), with_later=_WITH_LATER
    )
    def open_the_books(self, categories: tuple[str, str], with_later: str) -> None:
        self.books = Books.opened(categories, with_later)
        self.other = self.second(categories, with_later)
        self.begun[with_later] += 1

    def second(self, categories: tuple[str, str], with_later: str) -> Any:
        """Another backend to compare with, or none."""
        return None

    def act(self, name: str, *arguments: Any) -> None:
        """Do it on every backend, compare, and note that it was reached."""
        expected = getattr(self.books, name)(*arguments)
        if self.other is not None:
            found = getattr(self.other, name)(*arguments)
            assert found[0] == expected[0], (name, arguments, found, expected)
            if expected[1] is not None and found[1] is not None:
                assert found[1] == expected[1], (name, arguments, found, expected)
        self.reached[name] += 1
        self.pairs[self.last, name] += 1
        if expected[0] != "ok":
            self.refusals[f"{name}: {expected[0]}"] += 1
        self.last = name

    @rule(person=_PEOPLE, till=_TILLS, goods=_GOODS, kind=_KINDS)
    def quote(self, person: int, till: int, goods: tuple[Goods, ...], kind: str) -> None:
        self.act("quote", person, till, goods, kind)

    @rule(
        person=_PEOPLE,
        till=_TILLS,
        goods=_GOODS,
        kind=_KINDS,
        within_s=st.sampled_from([None, None, 30]),
    )
    def settle(
        self, person: int, till: int, goods: tuple[Goods, ...], kind: str, within_s: int | None
    ) -> None:
        self.act("settle", person, till, goods, kind, within_s)

    @precondition(lambda self: self.books.quotes)
    @rule(which=_ANY)
    def confirm(self, which: int) -> None:
        # The latest first: an old one is nearly always over.
        self.act("confirm", len(self.books.quotes) - 1 - which % min(3, len(self.books.quotes)))

    @precondition(lambda self: self.books.quotes)
    @rule(which=_ANY)
    def release(self, which: int) -> None:
        self.act("release", which % len(self.books.quotes))

    @precondition(lambda self: self.books.sales)
    @rule(which=_ANY, data=st.data())
    def give_back_a_part(self, which: int, data: st.DataObject) -> None:
        index = which % len(self.books.sales)
        sale = self.books.sales[index]
        number = data.draw(st.integers(1, len(sale.goods)))
        quantity = data.draw(st.integers(1, sale.goods[number - 1][1]))
        self.act("give_back", index, {number: quantity})

    @precondition(lambda self: self.books.sales)
    @rule(which=_ANY)
    def give_back_everything(self, which: int) -> None:
        self.act("give_back", which % len(self.books.sales), None)

    @precondition(lambda self: self.books.sales)
    @rule(which=_ANY)
    def reverse(self, which: int) -> None:
        self.act("reverse", which % len(self.books.sales))

    @precondition(lambda self: self.books.sales)
    @rule(which=_ANY)
    def know(self, which: int) -> None:
        self.act("know", which % len(self.books.sales))

    @rule(seconds=st.sampled_from([1, 31, 121]))
    def wait(self, seconds: int) -> None:
        self.act("wait", seconds)

    @rule()
    def crash(self) -> None:
        self.act("crash")

    @rule()
    def post(self) -> None:
        self.act("post")

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "books"):
            return
        assert not self.books.wrong()
        if self.other is not None:
            assert self.other.accounts() == [who.account_fen for who in self.books.people]
            assert self.other.years() == [+who.year for who in self.books.people]
            assert self.other.standing() == [sale.standing_fen for sale in self.books.sales]


ACTS = (
    "quote",
    "settle",
    "confirm",
    "release",
    "give_back",
    "reverse",
    "know",
    "wait",
    "crash",
    "post",
)


def report(machine: type[MoneyMachine]) -> list[str]:
    """What was reached, in lines; pairs that were not are named."""
    missing = [
        f"{first} then {second}"
        for first in ACTS
        for second in ACTS
        if not machine.pairs[first, second]
    ]
    return [
        "under: " + ", ".join(f"{name} {n}" for name, n in sorted(machine.begun.items())),
        "rules: " + ", ".join(f"{name} {machine.reached[name]}" for name in ACTS),
        f"pairs: {len(ACTS) ** 2 - len(missing)} of {len(ACTS) ** 2}",
        *([f"not reached: {', '.join(missing)}"] if missing else []),
        "refusals: " + ", ".join(f"{name} {n}" for name, n in sorted(machine.refusals.items())),
    ]
