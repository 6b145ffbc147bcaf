"""Guards taken out one at a time, and somebody must notice: F33.

Two kinds. The suite's own mutants (tests/test_mutants.py) run on this PostgreSQL, where row locks
are real. Beside them a deployment whose processes can be broken shows that what the programme
itself looks at is not blind, over HTTP and under kill -9. Each check must pass on the real product
first: one that always complains notices nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ybm_client import ClientError, Refused

from launch.serving import ROOT
from tests.faults.deployment import line
from tests.faults.mutations.apps import TWO_COMMITS
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.races import together
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import POSTING, System, answered, enrolled
from tests.faults.programme.wire import exchanged, signed
from tests.faults.servers import PrivatePostgres, end, spawn

SOON_S = 8.0
# Before the outbox row of a posting is deleted: legs, postings and state are written.
BEFORE_THE_ROW_IS_GONE = 4


def _unposted(system: System) -> bool:
    """What is sold is not posted."""
    sold = system.run.under_watch(lambda: system.settle(0))

    def posted() -> bool:
        left = system.unposted()
        return left is not None and sold not in left

    return not system.run.watch(posted, at_most_s=SOON_S)


def _posted_twice(system: System) -> bool:
    """A worker killed before the outbox row is gone: its settlement is posted more than once."""
    system.run.lay(POSTING, place=BEFORE_THE_ROW_IS_GONE)
    sold = system.run.under_watch(lambda: system.settle(0))
    assert system.run.watch(system.run.fired, at_most_s=SOON_S), "no worker died in mid-post"

    def gone() -> bool:
        return not system.sql("SELECT 1 FROM messaging_outboxentry WHERE subject::text = %s", sold)

    assert system.run.watch(gone, at_most_s=4 * SOON_S), "it was never posted after the kill"
    ((count,),) = system.sql(
        "SELECT count(*) FROM settlement_ledgertransaction WHERE key LIKE %s", f"%:{sold}"
    )
    return bool(count != 1)


def _code_accepted_again(system: System) -> bool:
    (code,) = system.run.ground("codes", number=1)["codes"]
    accepted = 0
    for till, _ in system.run.tills[:3]:
        try:
            till.scan(code, "pharmacy_purchase")
            accepted += 1
        except Refused:
            pass
    return accepted != 1


def _key_worked_again(system: System) -> bool:
    till, scan_id = system.run.tills[0]
    key = str(uuid4())
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    first, second = (till.settle(idempotency_key=key, **bill)["settlement_id"] for _ in range(2))
    return bool(first != second)


def _refunded_again(system: System) -> bool:
    """The second is accepted, or refused by another guard than the one that should."""
    till, _ = system.run.tills[0]
    sold = system.settle(0)
    said = []
    for _ in range(2):
        try:
            till.refund(sold, "returned")
            said.append("accepted")
        except Refused as refused:
            said.append(refused.code)
        except ClientError as error:
            said.append(str(error))
    return said != ["accepted", "already_refunded"]


def _rivals_disturbed(system: System) -> bool:
    tills = enrolled(system, 6, whose=9)

    def sell(till: int) -> str:
        terminal, scan_id = tills[till]
        bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
        try:
            for _ in range(4):
                key = str(uuid4())
                answered(lambda key=key: str(terminal.settle(idempotency_key=key, **bill)))  # type: ignore[misc]
        except ClientError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(tills)) as pool:
        troubles = together(
            pool,
            [lambda n=n: sell(n) for n in range(len(tills))],  # type: ignore[misc]
        )
    return any(troubles)


def _forgery_accepted(system: System) -> bool:
    till, scan_id = system.run.tills[0]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    real, till._private_key = till._private_key, Ed25519PrivateKey.generate()
    try:
        sent = signed(till, "/api/v1/estimates", bill, key=str(uuid4()))
    finally:
        till._private_key = real
    return exchanged(system.run.plan.port, sent)[0] != 401


NOTICES: dict[str, Callable[[System], bool]] = {
    "a spent code is not looked at": _code_accepted_again,
    "the inbox forgets keys": _key_worked_again,
    "what was refunded is not looked at": _refunded_again,
    "the member is not locked": _rivals_disturbed,
    "signatures are not verified": _forgery_accepted,
    TWO_COMMITS: _posted_twice,
    "nothing is left for the worker": _unposted,
}


def _noticed(system: System, notices: Callable[[System], bool], mutant: Path, name: str) -> bool:
    # A worker that a check killed comes back on this thread's watch.
    system.recovered(time.monotonic())
    mutant.write_text(name)
    try:
        return notices(system)
    finally:
        mutant.write_text("")


def suites_mutants(stage: Stage, stroke: Stroke) -> dict[str, bool]:
    """The suite's mutants on this PostgreSQL: by name, whether each was killed."""
    process = stage.begun.pop("mutants", None) or _begin(stage)
    try:
        process.wait(600)
    finally:
        end(process)
    found = killed_in(stage.folder / "mutants.xml")
    stroke.expect(bool(found), "the suite's mutants did not run")
    stroke.say(f"{len(found)} mutants of the suite")
    return found


def _begin(stage: Stage) -> subprocess.Popen[bytes]:
    # A server that no fault strikes: the suite runs while the others are at work.
    postgres = PrivatePostgres(stage.folder / "suite-postgres")
    stage.ends.callback(postgres.stop)
    postgres.make()
    postgres.start()
    environment = {
        name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
    }
    process = spawn(
        [
            # Where the faults want the processor, they come first.
            "nice", sys.executable, "-m", "pytest", "-q", "tests/test_mutants.py",
            f"--junitxml={stage.folder / 'mutants.xml'}",
        ],
        log=stage.folder / "mutants.log",
        environment={
            **environment, "DATABASE_URL": postgres.url(), "VAR_DIR": str(stage.folder / "suite"),
        },
        folder=ROOT,
    )  # fmt: skip
    stage.ends.callback(end, process)
    return process


def begin_ahead(stage: Stage) -> None:
    """The suite's mutants take half a minute of which nobody needs the result yet."""
    stage.begun["mutants"] = _begin(stage)


def killed_in(report: Path) -> dict[str, bool]:
    """Every mutant of a JUnit report, and whether the test that hunts it passed. One that was
    skipped was not killed."""
    if not report.exists():
        return {}
    return {
        case.attrib["name"]: len([child for child in case if child.tag != "properties"]) == 0
        for case in ElementTree.parse(report).iter("testcase")
        if case.attrib["name"].startswith("test_a_mutant")
    }


@fault(
    "F33",
    "guards taken out one at a time",
    small=len(NOTICES),
    full=len(NOTICES),
    ahead=begin_ahead,
)
def mutants(stage: Stage, stroke: Stroke) -> None:
    """Each is noticed, and nothing is noticed where all are in place."""
    stroke.mutants |= suites_mutants(stage, stroke)
    mutant = stage.folder / "mutant"
    mutant.write_text("")
    with stage.own(stroke, judged=False, environment={"FAULT_MUTANT": str(mutant)}) as system:
        for name, notices in NOTICES.items():
            complained = _noticed(system, notices, mutant, "")
            stroke.expect(not complained, f"complained of the real product: {name}")
        # The last one leaves something unposted for ever.
        for name, notices in NOTICES.items():
            stroke.mutants[name] = _noticed(system, notices, mutant, name)
            stroke.hit()
