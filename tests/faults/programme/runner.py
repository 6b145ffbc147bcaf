"""Runs the strokes in their order, judges them, prints a line for each and a table, writes JSON."""

import json
import os
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from launch.serving import ROOT
from tests.faults.programme.declared import FIGURES, Stroke
from tests.faults.programme.needs import lacking


class Judge(Protocol):
    """What the runner asks of a stage."""

    full: bool

    def judge(self, stroke: Stroke) -> None: ...

    def discard(self) -> None: ...


Say = Callable[[str], None]


def run(
    strokes: Sequence[Stroke],
    *,
    seed: int,
    full: bool,
    open_stage: Callable[[], AbstractContextManager[Judge]],
    report_at: Path,
    say: Say,
) -> int:
    """Run them all. Answers the exit code: 0 only when nothing is wrong and everything fired."""
    began = time.monotonic()
    size = "full" if full else "small"
    say(f"fault programme: {len(strokes)} faults, {size}, seed {seed}")
    say(f"replay: python -m tests.faults.programme --seed {seed}{' --full' if full else ''}")
    for stroke in strokes:
        stroke.not_exercised = lacking(stroke.fault.needs)
        if stroke.not_exercised:
            say(progress(stroke, full=full))
    struck = [stroke for stroke in strokes if not stroke.not_exercised]
    if struck:
        with open_stage() as stage:
            say(f"servers and the prepared database stand after {time.monotonic() - began:.0f} s")
            for stroke in struck:
                if stroke.fault.ahead is not None:
                    stroke.fault.ahead(stage)
            for stroke in struck:
                _one(stage, stroke, say)
    seconds = time.monotonic() - began
    for row in table(strokes, full=full):
        say(row)
    report = as_report(strokes, seed=seed, full=full, seconds=seconds)
    report_at.parent.mkdir(parents=True, exist_ok=True)
    report_at.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    say(f"{seconds:.0f} s; the report is {report_at}")
    return 1 if report["failures"] else 0


def _one(stage: Judge, stroke: Stroke, say: Say) -> None:
    began = time.monotonic()
    try:
        stroke.fault.strike(stage, stroke)
        stage.judge(stroke)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        stroke.wrong.append(f"{type(error).__name__} at {where}: {error}"[:1000])
        if os.environ.get("FAULTS_TRACE"):
            say(traceback.format_exc())
        stage.discard()
    stroke.seconds = time.monotonic() - began
    say(progress(stroke, full=stage.full))


def progress(stroke: Stroke, *, full: bool) -> str:
    """One line, and one more for everything that is wrong or worth saying."""
    name = f"{stroke.fault.id} {stroke.fault.title}"
    if stroke.not_exercised:
        return f"  --   {name}: not exercised: {stroke.not_exercised}"
    failures = stroke.failures(full=full)
    head = f"  {'FAIL' if failures else 'ok  '} {name}: {stroke.fired} of {stroke.number}"
    if stroke.recoveries:
        head += f", back within {stroke.worst_recovery_s:.1f} s"
    if stroke.mutants:
        head += f", {sum(stroke.mutants.values())} of {len(stroke.mutants)} mutants killed"
    head += f" ({stroke.seconds:.0f} s)"
    return "\n".join([head, *(f"         {text}" for text in [*failures, *stroke.notes])])


def table(strokes: Sequence[Stroke], *, full: bool) -> list[str]:
    """All faults with their figures, and the sum of them."""
    rows = [f"{'':4} {'fired':>11} {'acknowl.':>9} {'posted':>7} {'missing':>7} {'double':>6}"
            f" {'delta':>6} {'worst s':>7}"]  # fmt: skip
    for stroke in strokes:
        if stroke.not_exercised:
            rows.append(f"{stroke.fault.id:4} not exercised: {stroke.not_exercised}")
            continue
        fired = f"{stroke.fired}/{stroke.number}"
        rows.append(f"{stroke.fault.id:4} {fired:>11} {_figures(stroke.figures)}"
                    f" {stroke.worst_recovery_s:7.1f}"
                    f"{'  FAILED' if stroke.failures(full=full) else ''}")  # fmt: skip
    total = total_of(strokes)
    fired = f"{sum(s.fired for s in strokes)}"
    worst = max((s.worst_recovery_s for s in strokes), default=0.0)
    rows.append(f"{'all':4} {fired:>11} {_figures(total)} {worst:7.1f}")
    mutants = [killed for stroke in strokes for killed in stroke.mutants.values()]
    rows.append(f"mutants killed: {sum(mutants)} of {len(mutants)}")
    return rows


def _figures(figures: Counter[str]) -> str:
    acknowledged, posted, missing, double, delta = (figures[name] for name in FIGURES)
    return f"{acknowledged:>9} {posted:>7} {missing:>7} {double:>6} {delta:>6}"


def total_of(strokes: Sequence[Stroke]) -> Counter[str]:
    """The figures of all strokes together."""
    total: Counter[str] = Counter()
    for stroke in strokes:
        total.update(stroke.figures)
    return total


def as_report(
    strokes: Sequence[Stroke], *, seed: int, full: bool, seconds: float
) -> dict[str, Any]:
    """Everything that the table says and more, as plain values."""
    total = total_of(strokes)
    mutants = {name: killed for stroke in strokes for name, killed in stroke.mutants.items()}
    failures = [
        f"{stroke.fault.id}: {text}" for stroke in strokes for text in stroke.failures(full=full)
    ]
    return {
        "seed": seed,
        "full": full,
        "commit": _commit(),
        "seconds": round(seconds, 1),
        "fired": sum(stroke.fired for stroke in strokes),
        **{name: total[name] for name in FIGURES},
        "worst_recovery_s": round(max((s.worst_recovery_s for s in strokes), default=0.0), 1),
        "mutants_killed": sum(mutants.values()),
        "mutants": mutants,
        "failures": failures,
        "faults": [
            {
                "id": stroke.fault.id,
                "title": stroke.fault.title,
                "planned": stroke.number,
                "fired": stroke.fired,
                "not_exercised": stroke.not_exercised,
                **{name: stroke.figures[name] for name in FIGURES},
                "recoveries_s": [round(value, 1) for value in stroke.recoveries],
                "failures": stroke.failures(full=full),
                "notes": stroke.notes,
                "seconds": round(stroke.seconds, 1),
            }
            for stroke in strokes
        ],
    }


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()
