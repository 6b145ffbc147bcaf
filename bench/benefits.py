"""The calculator's cost in one process, beside a plain integer loop over the same lines.

    python -m bench.benefits [--repetitions 9]

Prints the median and spread of one 10-line and one 50-line outpatient bill in microseconds, of
reading and hashing its canonical form, and of the loop: multiply, divide, subtract, add.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from settlement.benefits import (
    Bill,
    Line,
    Member,
    Site,
    calculate,
    canonical_inputs,
    explain,
    load_policy,
    trace_hash,
)

CALLS = 400
POLICY_PATH = Path(__file__).resolve().parent.parent / "policies" / "370300-2022.toml"


def microseconds(call: Callable[[], object], repetitions: int) -> tuple[float, float, float]:
    """Median, lowest and highest cost of a call over the repetitions."""
    costs = []
    for _ in range(repetitions):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        costs.append((time.perf_counter() - started) / CALLS * 1e6)
    return statistics.median(costs), min(costs), max(costs)


def loop(lines: tuple[Line, ...]) -> int:
    """What the arithmetic alone costs: a first pay and a sum, one rate at the end."""
    in_range = 0
    for line in lines:
        rest = line.amount_fen - line.over_limit_fen
        in_range += rest - (rest * line.first_pay_bp + 5_000) // 10_000
    return (in_range * 7_500 + 5_000) // 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9)
    repetitions = parser.parse_args().repetitions
    text = POLICY_PATH.read_text(encoding="utf-8")
    policy = load_policy(text, name=POLICY_PATH.name)
    member = Member("employee", "retired", 67, None, True, True)
    site = Site("hospital", 2, "H1", "370300")
    rows: list[tuple[str, Callable[[], object]]] = []
    for count in (10, 50):
        lines = tuple(
            Line(
                no=number,
                code=f"X{number}",
                name="",
                amount_fen=1_000 + 37 * number,
                item_class="B" if number % 3 else "A",
                first_pay_bp=1_000 if number % 3 else 0,
                over_limit_fen=50 if number % 7 == 0 else 0,
                covered=number % 11 != 0,
                account_ok=number % 5 != 0,
                prescription=False,
                prescription_only=False,
            )
            for number in range(1, count + 1)
        )
        arguments = {
            "policy": policy,
            "member": member,
            "site": site,
            "bill": Bill("outpatient", None, date(2022, 5, 1), lines),
            "year_to_date": {"outpatient.deductible": 55_000},
            "account_available_fen": 10_000,
        }
        result = calculate(**arguments)  # type: ignore[arg-type]
        rows += [
            (f"{count} lines: plain loop", lambda lines=lines: loop(lines)),  # type: ignore[misc]
            (f"{count} lines: calculate", lambda a=arguments: calculate(**a)),  # type: ignore[misc]
            (f"{count} lines: canonical", lambda a=arguments: canonical_inputs(**a)),  # type: ignore[misc]
            (f"{count} lines: trace hash", lambda r=result: trace_hash(r)),  # type: ignore[misc]
            (f"{count} lines: explain", lambda r=result: explain(r, policy=policy)),  # type: ignore[misc]
        ]
    rows.append(("load the policy file", lambda: load_policy(text, name=POLICY_PATH.name)))
    print(f"{'one call, microseconds':<28}{'median':>10}{'lowest':>10}{'highest':>10}")
    for label, call in rows:
        median, low, high = microseconds(call, repetitions)
        print(f"{label:<28}{median:>10.1f}{low:>10.1f}{high:>10.1f}")


if __name__ == "__main__":
    main()
