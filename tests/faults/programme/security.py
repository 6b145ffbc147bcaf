"""Keys that change and die, malformed input, and one terminal that floods: F29 to F31."""

import http.client
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import uuid4

from ybm_client import Refused

from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import answered, enrolled
from tests.faults.programme.wire import Sent, exchanged, signed

PATHS = ("scans", "estimates", "quotes", "settlements", "refunds", "visits", "terminals/enrol")
# Of the small world: none of this may come back in an error.
PERSONAL = ("王测试", "李试验", "999999195001")
# The goal of the reference is a fifth; a shared machine is noisier than that by itself.
OTHERS_SLOWER_AT_MOST = 10.0


@fault("F29", "signing key rotated under load, and the old one killed", small=2, full=20)
def keys_rotated(stage: Stage, stroke: Stroke) -> None:
    """No code is refused by the rotation; after the kill every code of the dead key is."""
    system = stage.system()
    till, _ = system.run.tills[0]

    def scanned(code: str) -> str:
        key = str(uuid4())
        try:
            answered(lambda: str(till.scan(code, "pharmacy_purchase", idempotency_key=key)))
        except Refused as refused:
            return refused.code
        return "accepted"

    def codes(number: int) -> list[str]:
        return list(system.run.ground("codes", number=number)["codes"])

    with system.load():
        for _ in range(stroke.number):
            early = codes(6)
            old = system.run.ground("rotate_keys")["in_force_before"]
            came = system.run.under_watch(
                lambda early=early: [scanned(code) for code in (*early[:4], *codes(4))]  # type: ignore[misc]
            )
            stroke.expect(set(came) == {"accepted"}, f"a rotation refused: {Counter(came)}")
            for key_id in old:
                system.run.ground("kill_key", key_id=key_id)
            since = time.monotonic()
            dead = system.run.under_watch(lambda early=early: [scanned(c) for c in early[4:]])  # type: ignore[misc]
            alive = system.run.under_watch(lambda: [scanned(code) for code in codes(2)])
            stroke.expect("accepted" not in dead, f"a dead key's code was accepted: {dead}")
            stroke.expect(set(alive) == {"accepted"}, f"the living key was refused: {alive}")
            stroke.hit()
            stroke.recovered(system.recovered(since))


@fault("F30", "malformed requests and codes", small=600, full=100_000)
def malformed(stage: Stage, stroke: Stroke) -> None:
    """Nothing is accepted, nothing fails within, nobody's data comes back."""
    system = stage.system()
    till, scan_id = system.run.tills[0]
    (good_code,) = system.run.ground("codes", number=1)["codes"]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    scan = {"evidence": {"type": "voucher_code", "value": good_code}, "use": "pharmacy_purchase"}
    statuses: Counter[int] = Counter()
    lock_step = Random(stroke.chance.random())

    def spoilt(chance: Random) -> Sent:
        path = f"/api/v1/{chance.choice(PATHS)}"
        kind = chance.randrange(5)
        if kind == 0:
            body: bytes = chance.randbytes(chance.randrange(400))
        elif kind == 1:
            path = "/api/v1/scans"
            code = _mutated(good_code.encode(), chance).decode("latin-1")
            body = json.dumps(
                {**scan, "evidence": {"type": "voucher_code", "value": code}}
            ).encode()
            if code == good_code:
                body = b"{"
        elif kind == 2:
            body = _mutated(json.dumps(chance.choice([bill, scan])).encode(), chance) + b"}"
        elif kind == 3:
            body = _nonsense(chance)
        else:
            # Well-formed, and signed for other content.
            path = "/api/v1/settlements"
            sent = signed(till, path, bill, key=str(uuid4()))
            return Sent(path, sent.content + b" ", sent.headers)
        return signed(till, path, body, key=str(uuid4()))

    def send(seed: int) -> tuple[int, bytes]:
        while True:
            try:
                status, content = exchanged(system.run.plan.port, spoilt(Random(seed)))
            except (OSError, http.client.HTTPException):
                return 0, b""
            if status != 503:
                return status, content

    def all_of_them() -> None:
        with ThreadPoolExecutor(4) as pool:
            seeds = [lock_step.randrange(2**60) for _ in range(stroke.number)]
            for seed, (status, content) in zip(seeds, pool.map(send, seeds), strict=True):
                statuses[status] += 1
                stroke.hit()
                if not 400 <= status < 500:
                    stroke.wrong.append(f"malformed input {seed} was answered {status}")
                text = content.decode(errors="replace")
                if any(word in text for word in PERSONAL) or "Traceback" in text:
                    stroke.wrong.append(f"the refusal of {seed} says too much")

    system.run.under_watch(all_of_them, at_most_s=7_200)
    stroke.say(f"answered {dict(sorted(statuses.items()))}")
    stroke.recovered(system.recovered(time.monotonic()))


def _mutated(content: bytes, chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place]
            case _:
                changed.insert(place, chance.randrange(256))
    return bytes(changed)


def _nonsense(chance: Random) -> bytes:
    values: list[object] = [
        None, -1, 2**70, 1e308, "", "x" * 5_000, [], {}, "\u0000", "𝔘", True, [[[]]] * 50,
        "' OR 1=1 --", "{{7*7}}", "../../etc/passwd",
    ]  # fmt: skip
    names = ["scan_id", "benefit_kind", "lines", "evidence", "use", "settlement_id", "reason", "x"]
    return json.dumps(
        {chance.choice(names): chance.choice(values) for _ in range(chance.randint(0, 6))}
    ).encode()


@fault("F31", "one terminal floods", small=300, full=20_000)
def flood(stage: Stage, stroke: Stroke) -> None:
    """It asks ten times as much as the others do together; they are all answered."""
    system = stage.system()
    (noisy, noisy_scan), *others = enrolled(system, 3)
    bill = {"benefit_kind": "pharmacy_account", "lines": [line()]}

    def calm() -> list[float]:
        took = []
        for number in range(20):
            till, scan_id = others[number % len(others)]
            key = str(uuid4())
            began = time.monotonic()
            settlement_id = answered(
                lambda till=till, scan_id=scan_id, key=key: str(  # type: ignore[misc]
                    till.settle(scan_id=scan_id, idempotency_key=key, **bill)["settlement_id"]
                )
            )
            took.append(time.monotonic() - began)
            system.run.told["settlements"].append(settlement_id)
            time.sleep(0.02)
        return took

    before = system.run.under_watch(calm)
    with ThreadPoolExecutor(5) as pool:

        def shout(_: int) -> int:
            sent = signed(
                noisy, "/api/v1/estimates", {"scan_id": noisy_scan, **bill}, key=str(uuid4())
            )
            try:
                return exchanged(system.run.plan.port, sent)[0]
            except (OSError, http.client.HTTPException):
                return 0

        shouting = pool.submit(lambda: list(_quarter(shout, stroke.number)))
        during = system.run.under_watch(calm)
        statuses = Counter(system.run.under_watch(shouting.result, at_most_s=3_600))
    stroke.hit(sum(statuses.values()))
    stroke.expect(not statuses[500] and not statuses[0], f"the flood was answered {statuses}")
    slower = statistics.median(during) / max(statistics.median(before), 0.001)
    stroke.say(
        f"the others' median was {statistics.median(before) * 1000:.0f} ms and became"
        f" {statistics.median(during) * 1000:.0f} ms ({slower:.1f}×); the flood: {dict(statuses)}"
    )
    stroke.expect(slower < OTHERS_SLOWER_AT_MOST, f"the others became {slower:.1f}× slower")
    stroke.recovered(system.recovered(time.monotonic()))


def _quarter(act: Callable[[int], int], number: int) -> list[int]:
    """On four threads at once."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(act, range(number)))
