"""Random sequences of acts on the real services beside the pure model of them: R02.

The suite's own machine (tests/machine), on a PostgreSQL of its own that no fault strikes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from launch.serving import ROOT
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.servers import PrivatePostgres, end, spawn

SMALL = 20
FULL = 4_096
# Seconds that a sequence may take with everything else at work, and those of the beginning.
EACH_S = 5
FIRST_S = 120
# What the machine prints of itself: each chunk that ended well, and of all together.
CHUNK = re.compile(r"^seed \d+: (\d+) sequences$", re.MULTILINE)
TOLD = re.compile(r"^(under|rules|pairs|not reached|refusals): .*$", re.MULTILINE)


def _begin(stage: Stage, *, seed: int) -> subprocess.Popen[bytes]:
    postgres = PrivatePostgres(stage.folder / "machine-postgres")
    stage.ends.callback(postgres.stop)
    postgres.make()
    postgres.start()
    environment = {
        name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
    }
    process = spawn(
        [
            # Where the faults want the processor, they come first.
            "nice", sys.executable, "-m", "tests.machine",
            "--sequences", str(FULL if stage.full else SMALL), "--seed", str(seed),
        ],
        log=stage.folder / "machine.log",
        environment={
            **environment,
            "DATABASE_URL": postgres.url(),
            "VAR_DIR": str(stage.folder / "machine"),
        },
        folder=ROOT,
    )  # fmt: skip
    stage.ends.callback(end, process)
    return process


def sequences(log: Path) -> tuple[int, list[str]]:
    """How many sequences a log says ended well, and its lines about them."""
    text = log.read_text(errors="replace")
    lines = [found.group() for found in TOLD.finditer(text)]
    return sum(int(number) for number in CHUNK.findall(text)), lines


@fault(
    "R02",
    "random sequences on the services beside the model",
    small=SMALL,
    full=FULL,
)
def machine(stage: Stage, stroke: Stroke) -> None:
    """The product answers as the model does, and ends every step with the same money."""
    process = _begin(stage, seed=stroke.chance.randrange(10**6))
    try:
        status = process.wait(FIRST_S + EACH_S * stroke.number)
    finally:
        end(process)
    number, lines = sequences(stage.folder / "machine.log")
    stroke.hit(number)
    stroke.expect(status == 0, f"the product and the model part: {stage.folder / 'machine.log'}")
    for text in lines:
        stroke.say(text)
