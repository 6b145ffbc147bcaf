"""The command line: `--seed N`, `--only F01,F12`, `--full`, `--report FILE`, `--list`."""

import argparse
import contextlib
import os
import secrets
import signal
import sys
from pathlib import Path

from launch.serving import ROOT
from tests.faults.programme import catalogue, runner, stage
from tests.faults.programme.declared import CATALOGUE, planned

REPORT = ROOT / "var" / "faults" / "report.json"


def main(arguments: list[str]) -> int:
    """Run the programme. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.programme")
    parser.add_argument("--seed", type=int, default=None, help="replay this seed")
    parser.add_argument("--only", default="", help="faults by id, separated by commas")
    parser.add_argument("--full", action="store_true", default=os.environ.get("FAULTS") == "full")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--list", action="store_true", help="only list the faults")
    asked = parser.parse_args(arguments)
    catalogue.load()
    if asked.list:
        for one in CATALOGUE.values():
            needs = f", needs {', '.join(one.needs)}" if one.needs else ""
            print(f"{one.id} {one.title}: {one.small}, full {one.full}{needs}")
        return 0
    only = [name.strip() for name in asked.only.split(",") if name.strip()]
    if unknown := set(only) - set(CATALOGUE):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    seed = asked.seed if asked.seed is not None else secrets.randbelow(10**9)
    strokes = planned(seed, only=only, full=asked.full)
    rabbitmq = any("rabbitmq" in stroke.fault.needs for stroke in strokes)
    signal.signal(signal.SIGTERM, stage.interrupted)
    console = sys.stdout
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    try:
        # What the supervisor says of each death is not for a reader of a hundred of them.
        with (
            asked.report.with_suffix(".log").open("w", buffering=1) as log,
            contextlib.redirect_stdout(log),
        ):
            return runner.run(
                strokes,
                seed=seed,
                full=asked.full,
                open_stage=lambda: stage.stage(full=asked.full, rabbitmq=rabbitmq),
                report_at=asked.report,
                say=lambda text: print(text, file=console, flush=True),
            )
    except KeyboardInterrupt:
        print("stopped; every process of the run has been ended", flush=True)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
