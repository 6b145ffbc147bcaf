"""The machine on the services at length: `python -m tests.machine --sequences 4096 --seed 7`.

In chunks, each a run of the suite's own test with a seed and a database transaction of its own: a
transaction of thousands of sequences would grow slower with each. As many at a time as there are
processors, each lane of them with a test database beside the one that DATABASE_URL names. Prints
which rules and pairs of rules were reached by all of them together.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.machine.rules import MoneyMachine, report

CHUNK = 256
ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Run the chunks. Answers 1 when product and model part in any of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine")
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    chunks = [
        (asked.seed + place, min(CHUNK, asked.sequences - first))
        for place, first in enumerate(range(0, asked.sequences, CHUNK))
    ]
    lanes: SimpleQueue[str] = SimpleQueue()
    for lane in range(os.cpu_count() or 1):
        lanes.put(str(lane))
    whole: dict[str, Counter[str]] = {}
    parted = False
    with (
        tempfile.TemporaryDirectory(prefix="machine-") as folder,
        ThreadPoolExecutor(lanes.qsize()) as pool,
    ):
        for (seed, size), told in zip(
            chunks, pool.map(lambda chunk: _chunk(*chunk, Path(folder), lanes), chunks), strict=True
        ):
            print(f"seed {seed}: {size} sequences{'' if told else ' PART'}", flush=True)
            parted = parted or not told
            for name, counts in (told or {}).items():
                whole.setdefault(name, Counter()).update(counts)
    if parted:
        return 1
    print("\n".join(report(together(whole))))
    return 0


def _chunk(
    seed: int, size: int, folder: Path, lanes: SimpleQueue[str]
) -> dict[str, dict[str, int]] | None:
    """What was reached by so many sequences of a seed; None where the two part."""
    lane = lanes.get()
    told = folder / f"{seed}.json"
    database = os.environ.get("DATABASE_URL", "")
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-n", "0", "--show-capture=no",
                "tests/machine/test_machine.py", "-k", "model_says",
            ],
            cwd=ROOT,
            env={
                **os.environ,
                **({"DATABASE_URL": f"{database}_{lane}"} if database else {}),
                "MACHINE_SERVICES": str(size),
                "MACHINE_SEED": str(seed),
                "MACHINE_TOLD": str(told),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    finally:
        lanes.put(lane)
    if done.returncode:
        print(done.stdout.decode(errors="replace"), flush=True)
        return None
    found: dict[str, dict[str, int]] = json.loads(told.read_text())
    return found


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
