"""A Redis that forgets, fills up or comes and goes, and messages repeated: F05 to F07, F22.

A message is only a wake-up, so the worst that any of this may cost is the sweep's interval.
"""

import base64
import contextlib
import json
import subprocess
import sys
import time
from uuid import uuid4

import redis

from launch.serving import ROOT
from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import System
from tests.faults.programme.wire import exchanged, signed

QUEUE_MOVES_WITHIN_S = 60.0
# What a till may wait while its broker is in trouble.
ANSWER_S = 1.0


def answers_in_time(system: System, stroke: Stroke, number: int) -> None:
    """So many sales while the broker is in trouble: none waits for it."""
    took = []
    for _ in range(number):
        began = time.monotonic()
        system.sell()
        took.append(time.monotonic() - began)
    # The watch that sells looks every 0.2 s, and one answer in ten may meet a busy machine.
    late = [seconds for seconds in took if seconds > ANSWER_S + 0.2]
    stroke.expect(len(late) <= number // 10, f"{len(late)} of {number} answers took over 1 s: "
                  f"{max(took):.1f} s at worst")  # fmt: skip


@fault("F05", "Redis gone with everything it held", small=1, full=20, needs=["redis"])
def redis_forgets(stage: Stage, stroke: Stroke) -> None:
    """kill -9, sales go on, and it comes back empty."""
    system = stage.system()
    with system.load():
        for _ in range(stroke.number):
            system.pause(0.5 + stroke.chance.random())
            stage.redis.kill()
            answers_in_time(system, stroke, 5 if not stroke.full else 50)
            stroke.hit()
            stage.redis.start()
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F06", "Redis full, and a Redis that evicts", small=2, full=20, needs=["redis"])
def redis_full(stage: Stage, stroke: Stroke) -> None:
    """Full, it takes no message and costs no posting; one that evicts is refused at the start."""
    system = stage.system()
    client = redis.Redis.from_url(stage.redis.url)
    try:
        for _ in range(stroke.number - 1):
            client.config_set("maxmemory", "1mb")
            try:
                client.set("one too many", "x" * 1000)
            except redis.exceptions.OutOfMemoryError:
                stroke.hit()
            since = time.monotonic()
            system.sell(5)
            stroke.recovered(system.recovered(since))
            client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "allkeys-lru")
        refused = _production_start(system, stage.redis.url)
        client.config_set("maxmemory-policy", "noeviction")
        if "Redis evicts" in refused:
            stroke.hit()
        stroke.expect("Redis evicts" in refused, f"a Redis that evicts is not refused: {refused}")
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
        client.close()


def _production_start(system: System, broker: str) -> str:
    """What a production start says about itself, in a process of its own."""
    tried = subprocess.run(
        [
            sys.executable, "-c",
            "import django; django.setup();"
            "from config.startup import refuse_unsafe_start; refuse_unsafe_start()",
        ],
        cwd=ROOT,
        env={
            **system.run.plan.environment, "DEPLOYMENT": "production", "CELERY_BROKER_URL": broker,
            "SECRET_KEY": "a key of this test", "DATA_KEY": base64.b64encode(b"k" * 32).decode(),
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if tried.returncode == 0 else tried.stderr[-500:]


@fault("F07", "Redis restarted five times in a row", small=1, full=10, needs=["redis"])
def reconnect_storm(stage: Stage, stroke: Stroke) -> None:
    """Afterwards a message moves through the real queue again, not only the sweep."""
    system = stage.system()
    for _ in range(stroke.number):
        with system.load():
            for _ in range(5):
                stage.redis.kill()
                system.pause(1.0 if stroke.full else 0.3)
                stage.redis.start()
                system.pause(1.0 if stroke.full else 0.3)
            since = time.monotonic()
            stroke.hit()
            stroke.recovered(system.recovered(since))
        moved_s = queue_moves(system)
        stroke.expect(moved_s is not None, "the worker consumes nothing after the storm")
        if moved_s is not None:
            stroke.say(f"a message moved through the queue after {moved_s:.1f} s")


def queue_moves(system: System) -> float | None:
    """Seconds until a heartbeat comes through the broker; it is sent again every few seconds."""
    began, wall = time.monotonic(), time.time()
    while time.monotonic() - began < QUEUE_MOVES_WITHIN_S:
        with contextlib.suppress(AssertionError):
            system.run.ground("send_beat")
        if system.run.watch(
            lambda: system.run.ground("beats").get("queue", 0.0) > wall, at_most_s=4
        ):
            return time.monotonic() - began
    return None


@fault("F22", "messages repeated, out of order and late", small=200, full=10_000)
def repeated_messages(stage: Stage, stroke: Stroke) -> None:
    """Signed requests go out one to five times, shuffled, and wake-ups by the dozen beside them."""
    system = stage.system()
    till, scan_id = system.run.tills[0]
    bill = {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": [line()]}
    answers: dict[str, set[tuple[int, bytes]]] = {}
    while stroke.fired < stroke.number:
        requests = []
        for _ in range(min(30, stroke.number)):
            key = str(uuid4())
            sent = signed(till, "/api/v1/settlements", bill, key=key)
            requests += [(key, sent)] * stroke.chance.randint(1, 5)
        stroke.chance.shuffle(requests)
        system.run.ground("wake", number=20)
        for key, sent in requests:
            answers.setdefault(key, set()).add(exchanged(system.run.plan.port, sent))
            stroke.hit()
    stroke.expect(
        all(len(got) == 1 for got in answers.values()), "a repeated request got another answer"
    )
    accepted = [body for got in answers.values() for status, body in got if status == 201]
    stroke.expect(len(accepted) == len(answers), "a sale was not accepted")
    system.run.told["settlements"] += [json.loads(body)["settlement_id"] for body in accepted]
    stroke.recovered(system.recovered(time.monotonic()))
