"""`python -m bench.posting`: what one web process accepts a second, beside what one worker posts.

The two are measured apart, in turn, over the same settlements: first eight terminals settle while
no worker runs, then a worker posts what they left while nobody settles. So a round's acceptance is
the floor of its posting: a worker that posted less would fall behind for good. On SQLite and on a
PostgreSQL of the bench's own; docs/performance.md says how to read it.
"""

import argparse
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from bench import generator
from bench.measuring import Figures, Server
from bench.small import DATABASES, demo_area, in_a_process_of_its_own
from bench.stack import children, start_web, start_worker
from bench.terminals import TERMINALS, Signer
from launch.console import Trouble, say

# Signatures live two minutes, so a slice is signed just before it is sent.
SLICE = 400
POSTED_WITHIN_S = 120.0


def main(arguments: list[str]) -> int:
    """Measure on both databases, or on one. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.posting", description=__doc__)
    parser.add_argument("--settlements", type=int, default=1_600, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", choices=DATABASES, help="one database only")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside:
        _measure(chosen.on, settlements=chosen.settlements, rounds=chosen.rounds)
        return 0
    say("| database | accepted a second | posted a second | posted / accepted |")
    say("|---|---|---|---|")
    try:
        for kind in [chosen.on] if chosen.on else DATABASES:
            arguments = ["--settlements", str(chosen.settlements), "--rounds", str(chosen.rounds)]
            in_a_process_of_its_own("bench.posting", kind, arguments)
    except Trouble as trouble:
        say(str(trouble))
        return 1
    return 0


def _measure(kind: str, *, settlements: int, rounds: int) -> None:
    import django

    django.setup()
    from django.db import connection

    signers, people, goods = demo_area()
    figures = Figures()
    # The worker's log is read for its start, so each one begins its own.
    with children(Path(os.environ["VAR_DIR"]) / "log") as started:
        web = start_web(started, "web", environment=os.environ, workers=1)
        server = Server(web, {})
        tills = [Signer(terminal, port=web.port) for terminal in signers]
        scans = _scanned(server, tills, people)
        _accept(server, tills, scans, goods, SLICE)
        _post(started, connection)
        for _ in range(rounds):
            figures.note("accepted", _accept(server, tills, scans, goods, settlements))
            figures.note("posted", _post(started, connection))
        server.hang_up()
    say(
        f"| {kind} | {figures.shown('accepted')} | {figures.shown('posted')}"
        f" | {figures.ratio_shown('posted', 'accepted')} |"
    )


def _scanned(server: Server, tills: list[Signer], people: list[int]) -> list[str]:
    """A scan for each terminal, of another member as long as there are some."""
    import json

    from django.utils import timezone

    from voucher import services as vouchers
    from voucher import tokens

    requests = []
    for till, member_id in zip(tills, islice(cycle(people), TERMINALS), strict=True):
        minted = vouchers.mint_code(
            member_id=member_id, scope=tokens.Scope(), now=timezone.now(), lifetime_s=60
        )
        evidence = {"type": "voucher_code", "value": minted.text}
        body = {"evidence": evidence, "use": "pharmacy_purchase"}
        requests.append(till.post("scans", body, now=time.time()))
    load = generator.closed(server.lines(), requests, keep=True).only(201)
    return [
        json.loads(generator.body_of(load.answers[number]))["scan_id"]
        for number in range(TERMINALS)
    ]


def _accept(
    server: Server,
    tills: list[Signer],
    scans: list[str],
    goods: list[tuple[str, str]],
    settlements: int,
) -> float:
    """Settle that many bills of ten lines over eight connections. Answers the rate a second."""
    lines = [
        {
            "code": code,
            "quantity": "1",
            "unit_price": price,
            "amount_fen": round(float(price) * 100),
        }
        for code, price in goods
    ]
    done, seconds = 0, 0.0
    while done < settlements:
        now = time.time()
        requests = [
            tills[number % TERMINALS].post(
                "settlements",
                {
                    "scan_id": scans[number % TERMINALS],
                    "benefit_kind": "pharmacy_account",
                    # So that there are two payers, and an account lasts.
                    "account_limit_fen": 1,
                    "lines": lines,
                },
                now=now,
            )
            for number in range(min(SLICE, settlements - done))
        ]
        load = generator.closed(server.lines(), requests).only(201)
        done += load.done
        seconds += load.seconds
    return done / seconds


def _post(started, connection) -> float:  # type: ignore[no-untyped-def]
    """Have one worker post everything that waits. Answers the rate a second, from the end of its
    first batch to the end of the queue: starting is no posting."""
    from messaging.models import OutboxEntry

    def waiting() -> int:
        # A count that sees what others have committed meanwhile.
        return OutboxEntry.objects.count()

    full = waiting()
    worker = start_worker(started, environment=os.environ, processes=1)
    try:
        until = time.monotonic() + POSTED_WITHIN_S
        while (left := waiting()) == full:
            _in_time(until, left)
            time.sleep(0.002)
        begin = time.perf_counter()
        while now_left := waiting():
            _in_time(until, now_left)
            time.sleep(0.01)
        return left / (time.perf_counter() - begin)
    finally:
        started.stop(worker)
        connection.close()


def _in_time(until: float, left: int) -> None:
    if time.monotonic() > until:
        raise SystemExit(f"{left} settlements were not posted in time")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
