"""Run the pure model at length: `MACHINE_EXAMPLES=4096 python -m tests.machine`."""

import os
import sys

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.rules import ACTS, MoneyMachine, report


def main() -> int:
    """Exit code 0 when everything held and every pair of rules was reached."""
    examples = int(os.environ.get("MACHINE_EXAMPLES", "4096"))
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    print(f"{examples} cases on the pure model")
    print("\n".join(report(MoneyMachine)))
    return 0 if all(MoneyMachine.pairs[a, b] for a in ACTS for b in ACTS) else 1


if __name__ == "__main__":
    sys.exit(main())
