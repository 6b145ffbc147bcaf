"""Many who want the same at one moment: F20, F21, F23, and every settlement refunded twice (R01).

Everything goes over HTTP to real processes. What may come out is a closed list for each pair; that
nothing else came out, and that the books are sound afterwards, is what is shown.
"""

import contextlib
import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

from ybm_client import Refused, Terminal

from launch.supervisor import Program
from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import System, answered, enrolled
from tests.faults.programme.wire import Sent, exchanged, signed

T = TypeVar("T")
TERMINALS = 8
CLIENTS = 20
# A code lives a minute; so many are minted at a time.
AT_A_TIME = 25
CHANGED = 10


def together(pool: ThreadPoolExecutor, acts: Sequence[Callable[[], T]]) -> list[T]:
    """Do all acts at the same moment."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        barrier.wait(30)
        return act()

    return [doing.result() for doing in [pool.submit(run, act) for act in acts]]


def outcome(act: Callable[[], Any]) -> str:
    """`accepted`, or the code of the refusal. An unknown outcome is asked again by the caller's
    key, which `act` must keep."""
    try:
        answered(lambda: act() and "")
    except Refused as refused:
        return refused.code
    return "accepted"


@fault("F20", "one code presented by eight terminals at once", small=50, full=1_000)
def one_code_eight_terminals(stage: Stage, stroke: Stroke) -> None:
    """Exactly one scan of each code is accepted; in the full run by four web processes."""
    with contextlib.ExitStack() as ends:
        system = (
            ends.enter_context(stage.own(stroke, change=_four_processes))
            if stroke.full
            else stage.system()
        )
        _present_codes(system, stroke)


def _four_processes(program: Program) -> Program:
    if program.name != "web":
        return program
    command = list(program.command)
    command[command.index("--workers") + 1] = "4"
    return dataclasses.replace(program, command=command)


def _present_codes(system: System, stroke: Stroke) -> None:
    tills = [till for till, _ in enrolled(system, TERMINALS)]
    before = Counter(system.run.ground("scans"))
    accepted: Counter[int] = Counter()

    def present(till: Terminal, code: str) -> bool:
        key = str(uuid4())
        try:
            answered(
                lambda: str(
                    till.scan(code, use="pharmacy_purchase", idempotency_key=key)["scan_id"]
                )
            )
        except Refused as refused:
            return refused.code != "code_used"
        return True

    def all_of_them() -> None:
        with ThreadPoolExecutor(TERMINALS) as pool:
            while stroke.fired < stroke.number:
                many = min(AT_A_TIME, stroke.number - stroke.fired)
                for code in system.run.ground("codes", number=many)["codes"]:
                    took = together(
                        pool,
                        [lambda t=till, c=code: present(t, c) for till in tills],  # type: ignore[misc]
                    )
                    accepted[sum(took)] += 1
                    stroke.hit()

    system.run.under_watch(all_of_them, at_most_s=3_600)
    stroke.expect(set(accepted) == {1}, f"accepted so many times: {dict(accepted)}")
    after = Counter(system.run.ground("scans"))
    stroke.expect(
        after[""] - before[""] == stroke.number,
        f"{after[''] - before['']} scans were accepted for {stroke.number} codes",
    )


@fault("F21", "every settlement submitted twice and then by eight at once", small=40, full=1_000)
def submitted_twice(stage: Stage, stroke: Stroke) -> None:
    """One effect, ten equal answers; with other content under the same key, a refusal."""
    system = stage.system()
    till, scan_id = system.run.tills[0]
    port = system.run.plan.port

    def ask(sent: Sent) -> tuple[int, bytes]:
        while True:
            status, content = exchanged(port, sent)
            # Passing trouble stores nothing and asks for exactly this.
            if status != 503:
                return status, content

    def one(pool: ThreadPoolExecutor) -> None:
        key = str(uuid4())
        bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
        sent = signed(till, "/api/v1/settlements", bill, key=key)
        answers = [ask(sent), ask(sent)]
        answers += together(pool, [lambda: ask(sent)] * TERMINALS)
        stroke.expect(len(set(answers)) == 1, f"different answers under {key}")
        stroke.expect(answers[0][0] == 201, f"answered {answers[0]}")
        system.run.told["settlements"].append(json.loads(answers[0][1])["settlement_id"])
        if stroke.fired % CHANGED == 0:
            other = signed(till, "/api/v1/settlements", {**bill, "account_limit_fen": 1}, key=key)
            stroke.expect(ask(other)[0] == 409, "other content under the same key passed")
        stroke.hit()

    def all_of_them() -> None:
        with ThreadPoolExecutor(TERMINALS) as pool:
            while stroke.fired < stroke.number:
                one(pool)

    system.run.under_watch(all_of_them, at_most_s=3_600)


PAIRS = ("settle settle", "refund refund", "settle refund", "confirm confirm", "confirm release",
         "settle revoke", "settle suspend", "scan revoke", "cap cap")  # fmt: skip


@fault("F23", "pairs of acts that exclude or disturb each other", small=36, full=5_000)
def pairs_raced(stage: Stage, stroke: Stroke) -> None:
    """Settle, refund, confirm, release, suspend and revoke against each other."""
    system = stage.system()
    tills = enrolled(system, 2, whose=7)
    seen: Counter[str] = Counter()

    def all_of_them() -> None:
        with ThreadPoolExecutor(2) as pool:
            while stroke.fired < stroke.number:
                name = PAIRS[stroke.fired % len(PAIRS)]
                seen[f"{name}: {' '.join(sorted(_pair(system, stroke, pool, tills, name)))}"] += 1
                stroke.hit()

    system.run.under_watch(all_of_them, at_most_s=3_600)
    stroke.say("; ".join(f"{count}× {what}" for what, count in sorted(seen.items())))


def _pair(
    system: System,
    stroke: Stroke,
    pool: ThreadPoolExecutor,
    tills: list[tuple[Terminal, str]],
    name: str,
) -> list[str]:
    """Race one pair and hold what came out against what may."""
    told = system.run.told
    keys = [str(uuid4()), str(uuid4())]
    (one, scan_one), (two, scan_two) = tills
    # Two codes of one person, so that both tills have a scan of their own.
    scans = [scan_one, scan_two]

    def settle(side: int, **more: Any) -> Callable[[], str]:
        till = tills[side][0]
        bill = more or {
            "scan_id": scans[side], "benefit_kind": "pharmacy_account", "lines": [line()]
        }  # fmt: skip

        def act() -> str:
            settled = till.settle(idempotency_key=keys[side], **bill)
            told["settlements"].append(settled["settlement_id"])
            return str(settled["settlement_id"])

        return act

    def refund(side: int, settlement_id: str) -> Callable[[], str]:
        def act() -> str:
            refunded = tills[side][0].refund(settlement_id, "raced", idempotency_key=keys[side])
            told["refunds"].append(refunded["refund_id"])
            return str(refunded["refund_id"])

        return act

    def quote(till: Terminal, scan_id: str) -> str:
        quoted = till.quote(scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()])
        return str(quoted["quote_id"])

    def asked(what: str, **given: Any) -> Callable[[], str]:
        return lambda: str(system.run.ground(what, **given))

    undo: Callable[[], Any] = lambda: None  # noqa: E731
    allowed: tuple[set[str], ...]
    acts: list[Callable[[], str]]
    match name:
        case "settle settle":
            acts, allowed = [settle(0), settle(1)], ({"accepted"}, {"accepted"})
        case "refund refund":
            sold = answered(settle(0))
            keys[0] = str(uuid4())
            acts = [refund(0, sold), refund(1, sold)]
            allowed = ({"accepted", "already_refunded"}, {"accepted", "already_refunded"})
        case "settle refund":
            sold = answered(settle(1))
            keys[1] = str(uuid4())
            acts, allowed = [settle(0), refund(1, sold)], ({"accepted"}, {"accepted"})
        case "confirm confirm":
            quoted = quote(one, scan_one)
            acts = [settle(0, quote_id=quoted), settle(1, quote_id=quoted)]
            allowed = ({"*"}, {"*"})
        case "confirm release":
            quoted = quote(one, scan_one)
            acts = [
                settle(0, quote_id=quoted),
                lambda: str(one.release(quoted, idempotency_key=keys[1])),
            ]
            allowed = ({"*"}, {"*"})
        case "settle revoke":
            acts = [settle(0), asked("voucher", whose=7, act="suspend")]
            allowed = ({"*"}, {"accepted"})
            undo = asked("voucher", whose=7, act="resume")
        case "settle suspend":
            acts = [settle(0), asked("merchant", state="suspended")]
            allowed = ({"*"}, {"accepted"})
            undo = asked("merchant", state="active")
        case "scan revoke":
            (code,) = system.run.ground("codes", number=1, whose=7)["codes"]
            acts = [
                lambda: str(two.scan(code, "pharmacy_purchase", idempotency_key=keys[0])),
                asked("voucher", whose=7, act="suspend"),
            ]
            allowed = ({"*"}, {"accepted"})
            undo = asked("voucher", whose=7, act="resume")
        case _:
            # The person allowed one such purchase by that code, and no second.
            (code,) = system.run.ground("codes", number=1, whose=7, ceiling_fen=1_500)["codes"]
            scans[:] = [one.scan(code, "pharmacy_purchase")["scan_id"]] * 2
            acts, allowed = [settle(0), settle(1)], ({"*"}, {"*"})
    came = together(pool, [lambda act=act: outcome(act) for act in acts])  # type: ignore[misc]
    undo()
    for got, may in zip(came, allowed, strict=True):
        stroke.expect("*" in may or got in may, f"{name}: {came}")
    if name in ("refund refund", "confirm confirm", "confirm release", "cap cap"):
        stroke.expect(came.count("accepted") == 1, f"{name}: {came}")
    return came


@fault("R01", "every settlement refunded twice at once by twenty clients", small=60, full=5_000)
def refunded_twice(stage: Stage, stroke: Stroke) -> None:
    """As many succeed as there are settlements, as many are refused, every account is as before."""
    system = stage.system()
    tills = enrolled(system, CLIENTS)
    before = system.run.ground("balances")["fen"]
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def sell(number: int) -> str:
        till, scan_id = tills[number % CLIENTS]
        key = str(uuid4())
        return answered(
            lambda: str(
                till.settle(
                    scan_id=scan_id, benefit_kind="pharmacy_account", lines=[line()],
                    idempotency_key=key,
                )["settlement_id"]
            )
        )  # fmt: skip

    def give_back(job: tuple[int, str]) -> None:
        client, settlement_id = job
        key = str(uuid4())
        try:
            refund_id = answered(
                lambda: str(
                    tills[client][0].refund(settlement_id, "twice", idempotency_key=key)[
                        "refund_id"
                    ]
                )
            )
        except Refused as refused:
            with lock:
                counts[refused.code] += 1
            return
        with lock:
            counts["accepted"] += 1
            system.run.told["refunds"].append(refund_id)

    def all_of_them() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            sold = list(pool.map(sell, range(stroke.number)))
            system.run.told["settlements"] += sold
            # Both refunds of one settlement stand next to each other in the queue, at two tills.
            jobs = [
                ((number + n * 7) % CLIENTS, settlement_id)
                for number, settlement_id in enumerate(sold)
                for n in (0, 1)
            ]
            list(pool.map(give_back, jobs))

    system.run.under_watch(all_of_them, at_most_s=7_200)
    stroke.hit(counts["accepted"])
    refused = sum(counts.values()) - counts["accepted"]
    stroke.say(f"{counts['accepted']} succeeded, {refused} were refused: {dict(counts)}")
    stroke.expect(
        counts["accepted"] == refused == stroke.number, f"not {stroke.number} of each: {counts}"
    )
    after = system.run.ground("balances")["fen"]
    stroke.expect(after == before, "an account is not back where it was")
