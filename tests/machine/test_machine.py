"""The pure model holds by itself, and the product does what the model says, step by step."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from settlement.selectors.money import MoneyFacts
from settlement.services import acceptance, returning
from tests.machine.__main__ import counted, together
from tests.machine.books import Books
from tests.machine.rules import ACTS, MoneyMachine, report
from tests.machine.services import Services, second_pharmacy
from tests.world import World

ON_THE_MODEL = int(os.environ.get("MACHINE_EXAMPLES", "300"))
# From so many cases on every pair of rules must have been reached.
AT_LENGTH = 4_000
ON_THE_SERVICES = int(os.environ.get("MACHINE_SERVICES", "5"))


def run(
    machine: type[MoneyMachine], *, examples: int, steps: int = 25, shrink: bool = True
) -> None:
    """Drive it; raises whatever the first failing sequence raised. The same sequences each time,
    unless MACHINE_SEED names others."""
    chosen = os.environ.get("MACHINE_SEED")
    if chosen is not None:
        seed(int(chosen))(machine)
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=chosen is None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def fresh(base: type[MoneyMachine] = MoneyMachine) -> type[MoneyMachine]:
    """A machine with counters of its own."""
    counters: dict[str, Any] = {
        name: type(getattr(base, name))() for name in ("reached", "pairs", "refusals", "begun")
    }
    return type("Machine", (base,), counters)


def test_the_model_keeps_every_fen_whatever_comes_in_whatever_order() -> None:
    machine = fresh()
    run(machine, examples=ON_THE_MODEL)
    print("\n".join(report(machine)))
    assert set(machine.reached) >= {"quote", "settle", "confirm", "give_back", "reverse", "wait"}
    if ON_THE_MODEL >= AT_LENGTH:
        assert all(machine.pairs[first, second] for first in ACTS for second in ACTS)


def with_services(world: World) -> type[MoneyMachine]:
    """The model and the product, side by side."""
    tills = [*(world.till(name=f"machine {n}") for n in (1, 2)), world.till(second_pharmacy())]

    class Both(fresh()):  # type: ignore[misc]
        def second(self, categories: tuple[str, str], with_later: str) -> Services:
            return Services(world, tills, categories, with_later)

        def teardown(self) -> None:
            if self.other is not None:
                self.other.close()

    return Both


def test_the_product_does_what_the_model_says(world: World) -> None:
    machine = with_services(world)
    run(machine, examples=ON_THE_SERVICES, steps=15)
    print("\n".join(report(machine)))
    if told := os.environ.get("MACHINE_TOLD"):
        Path(told).write_text(json.dumps(counted(machine)))


def _returns_leave_the_year(patch: pytest.MonkeyPatch) -> None:
    real = Books._return

    def kept(self: Books, sale: Any, after: Any, **more: Any) -> Any:
        year = self.people[sale.person].year.copy()
        answer = real(self, sale, after, **more)
        self.people[sale.person].year = year
        return answer

    patch.setattr(Books, "_return", kept)


@pytest.mark.parametrize(
    "mutate",
    [
        _returns_leave_the_year,
        lambda patch: patch.setattr(Books, "_live", lambda *_: []),
        lambda patch: patch.setattr(Books, "_legs", lambda self, *_: self.ledger.update(x=1)),
    ],
    ids=["returns leave the year", "live quotes are not seen", "one leg only"],
)
def test_a_broken_model_is_found_out(
    monkeypatch: pytest.MonkeyPatch, mutate: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        run(fresh(), examples=300, shrink=False)


SERVICE_MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "holds are ignored": lambda patch: patch.setattr(
        MoneyFacts, "available_fen", lambda self, **_: max(0, self.balance_fen)
    ),
    "a return does not reach the account": lambda patch: patch.setattr(
        returning, "_move_accounts", lambda *_: None
    ),
    "the year is not written": lambda patch: patch.setattr(
        acceptance, "write_year_to_date", lambda **_: None
    ),
    "time undoes nothing": lambda patch: patch.setattr(
        "tests.machine.services.reverse_overdue", lambda **_: 0
    ),
}


@pytest.mark.parametrize("name", SERVICE_MUTANTS)
def test_a_broken_product_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    SERVICE_MUTANTS[name](monkeypatch)
    with pytest.raises(AssertionError):
        run(with_services(world), examples=80, shrink=False)


def test_chunks_of_sequences_are_told_together() -> None:
    machine = fresh()
    run(machine, examples=20)
    plain = json.loads(json.dumps(counted(machine)))
    twice = {name: Counter(counts) + Counter(counts) for name, counts in plain.items()}
    both = together(twice)
    assert both.pairs == Counter({pair: 2 * n for pair, n in machine.pairs.items()})
    assert sum(both.begun.values()) == 2 * sum(machine.begun.values())
    assert report(both)[2] == report(machine)[2]
