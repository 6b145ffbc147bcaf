"""The machine on the services at length: `python -m tests.machine --sequences 4096 --seed 7`.

In chunks, each a run of the suite's own test with a seed and a database transaction of its own: a
transaction of thousands of sequences would grow slower with each. On the database that DATABASE_URL
names. Prints which rules and pairs of rules were reached by all of them together.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.machine.rules import MoneyMachine, report

CHUNK = 256
ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Run the chunks one after the other. Answers 1 at the first one in which the two part."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine")
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    whole: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="machine-") as folder:
        told = Path(folder) / "told.json"
        for place, first in enumerate(range(0, asked.sequences, CHUNK)):
            seed = asked.seed + place
            size = min(CHUNK, asked.sequences - first)
            if code := _chunk(size, seed=seed, told=told):
                print(f"product and model part at seed {seed}, {size} sequences", flush=True)
                return code
            for name, counts in json.loads(told.read_text()).items():
                whole.setdefault(name, Counter()).update(counts)
    print("\n".join(report(together(whole))))
    return 0


def _chunk(size: int, *, seed: int, told: Path) -> int:
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-n", "0", "--show-capture=no",
            "tests/machine/test_machine.py", "-k", "model_says",
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "MACHINE_SERVICES": str(size),
            "MACHINE_SEED": str(seed),
            "MACHINE_TOLD": str(told),
        },
        check=False,
    ).returncode  # fmt: skip


def counted(machine: type[MoneyMachine]) -> dict[str, dict[str, int]]:
    """What a machine reached, as plain values."""
    return {
        "reached": dict(machine.reached),
        "pairs": {f"{first} {second}": n for (first, second), n in machine.pairs.items()},
        "refusals": dict(machine.refusals),
        "begun": dict(machine.begun),
    }


def together(whole: dict[str, Counter[str]]) -> type[MoneyMachine]:
    """A machine that reached all of that."""
    pairs = Counter({tuple(pair.split(" ")): n for pair, n in whole["pairs"].items()})
    return type("Machine", (MoneyMachine,), {**whole, "pairs": pairs})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
