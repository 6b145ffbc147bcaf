"""`python -m bench.certainty`: within which time everything becomes final, beside the stated times.

A mix on the real stack, two web processes and a worker: scans that are billed and that are not,
quotes that are confirmed, released and left, settlements in one step and in two, confirmed and
left, refunds, and payments by a simulated service that times out, repeats, reorders and lies. Then
it waits until nothing is open, and prints what the certainty board (`manage.py certainty`) says.
The lifetimes are short, so that their ends come in minutes; docs/performance.md says how to read
it. Ends with 1 when anything was overdue or stayed open.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import generator
from bench.generator import Load
from bench.measuring import Server
from bench.small import DATABASES, demo_area, in_a_process_of_its_own
from bench.stack import children, start_web, start_worker
from bench.terminals import TERMINALS, Signer
from launch.console import Trouble, say

LIFETIMES = {
    "SCAN_LIFETIME_S": "60",
    "QUOTE_LIFETIME_S": "15",
    "TENDER_CERTAINTY_S": "30",
    "TENDER_CAPTURE_S": "60",
    "POSTING_SWEEP_S": "1",
}
CONFIRM_WITHIN_S = 10
# The shortest that a service may keep lying takes minutes: it is asked after twice the time again.
FINAL_WITHIN_S = 900.0
KNOWN_WITHIN_S = 90.0
LOOK_EVERY_S = 0.5
TRIES = 5
PAYMENT_CODE = "134567890123456789"
NOT_KNOWN = ("asked", "unknown")


def main(arguments: list[str]) -> int:
    """Measure on both databases, or on one. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.certainty", description=__doc__)
    parser.add_argument("--waves", type=int, default=4, help="of purchases, one after the other")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated payment service")
    parser.add_argument("--on", choices=DATABASES, help="one database only")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside:
        return _measure(chosen.on, waves=chosen.waves)
    say("| database | what | number | stated s | p50 s | p99 s | worst s | of stated | overdue |")
    say("|---|---|---|---|---|---|---|---|---|")
    environment = {**LIFETIMES, "TENDER_SIMULATOR_SEED": str(chosen.seed)}
    try:
        for kind in [chosen.on] if chosen.on else DATABASES:
            in_a_process_of_its_own(
                "bench.certainty", kind, ["--waves", str(chosen.waves)], more=environment
            )
    except Trouble as trouble:
        say(str(trouble))
        return 1
    return 0


def _measure(kind: str, *, waves: int) -> int:
    import django

    django.setup()
    signers, people, goods = demo_area()
    with children(Path(os.environ["VAR_DIR"]) / "log") as started:
        web = start_web(started, "web", environment=os.environ, workers=2)
        start_worker(started, environment=os.environ, processes=1)
        server = Server(web, {})
        mix = Mix(server, [Signer(till, port=web.port) for till in signers], people, goods)
        for _ in range(waves):
            mix.wave()
        still_open = mix.until_final()
        server.hang_up()
    _show(kind, mix)
    if still_open:
        say(f"still open after {FINAL_WITHIN_S:.0f} s: {', '.join(still_open)}")
    return 1 if still_open or mix.overdue else 0


@dataclass
class Mix:
    """The tills, and what they and the board have seen."""

    server: Server
    tills: list[Signer]
    people: list[int]
    goods: list[tuple[str, str]]
    # Seconds from asking for a settlement to its answer, by the tills' clock.
    answered_s: list[float] = field(default_factory=list)
    # The most that were overdue at one look, by kind.
    overdue: Counter[str] = field(default_factory=Counter)

    def wave(self) -> None:
        """One purchase and more of everybody at every till."""
        scans = self._scans()
        quotes = self._quotes(scans)
        self._end_quotes(quotes)
        paid = self._pay({n: quote for n, quote in quotes.items() if n % 8 >= 4})
        sold = self._settle(
            {n: {**self._bill(scan), "account_limit_fen": 1, **_two_steps(n)}
             for n, scan in scans.items() if n % 2 == 0}
        )  # fmt: skip
        self._send(
            {n: (f"settlements/{done['settlement_id']}/confirm", {})
             for n, done in sold.items() if _is_confirmed(n)}
        )  # fmt: skip
        returned = [done for n, done in sold.items() if n % 10 in (6, 8)] + paid[::2]
        self._send(
            {n: ("refunds", {"settlement_id": done["settlement_id"], "reason": "returned"})
             for n, done in enumerate(returned)}
        )  # fmt: skip
        self.look()

    def look(self) -> list[str]:
        """Ask the board, and note what is overdue. Answers the kinds of which some are open."""
        kinds = board_now()
        for row in kinds:
            self.overdue[row.kind] = max(self.overdue[row.kind], row.overdue)
        self.overdue += Counter()
        return [row.kind for row in kinds if row.open]

    def until_final(self) -> list[str]:
        """Wait until nothing is open. Answers the kinds that still are when time is up."""
        until = time.monotonic() + FINAL_WITHIN_S
        while (still_open := self.look()) and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
        return still_open

    # -- what tills do; numbers say whose turn at which till

    def _scans(self) -> dict[int, str]:
        from django.utils import timezone

        from voucher import services as vouchers
        from voucher import tokens

        requests = {}
        for n in range(TERMINALS * len(self.people)):
            minted = vouchers.mint_code(
                member_id=self.people[n // TERMINALS],
                scope=tokens.Scope(),
                now=timezone.now(),
                lifetime_s=60,
            )
            evidence = {"type": "voucher_code", "value": minted.text}
            requests[n] = ("scans", {"evidence": evidence, "use": "pharmacy_purchase"})
        return {n: done["scan_id"] for n, done in self._send(requests).items()}

    def _bill(self, scan_id: str) -> dict[str, Any]:
        lines = [
            {
                "code": code,
                "quantity": "1",
                "unit_price": price,
                "amount_fen": round(float(price) * 100),
            }
            for code, price in self.goods[:3]
        ]
        return {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": lines}

    def _quotes(self, scans: dict[int, str]) -> dict[int, dict[str, Any]]:
        """Three of four scans are quoted, all of it cash; the others are never billed so."""
        bills = {n: {**self._bill(scan), "account_limit_fen": 0} for n, scan in scans.items()}
        return self._send({n: ("quotes", bill) for n, bill in bills.items() if n % 4 != 1})

    def _end_quotes(self, quotes: dict[int, dict[str, Any]]) -> None:
        """Some are settled, some released, some left to run out."""
        self._settle({n: {"quote_id": q["quote_id"]} for n, q in quotes.items() if n % 8 == 0})
        self._send(
            {n: (f"quotes/{q['quote_id']}/release", {}) for n, q in quotes.items() if n % 8 == 2}
        )

    def _pay(self, quotes: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
        """Have the cash of quotes paid, and settle those of which it is known in time, but for some
        that the till forgets. Answers the settlements."""
        parts = {
            n: [{"kind": "wechat", "amount_fen": q["total_fen"], "payment_code": PAYMENT_CODE}]
            for n, q in quotes.items()
        }
        self._send(
            {n: (f"quotes/{quotes[n]['quote_id']}/tender", {"parts": part})
             for n, part in parts.items()}
        )  # fmt: skip
        waiting = {quote["quote_id"]: n for n, quote in quotes.items()}
        settled: list[dict[str, Any]] = []
        until = time.monotonic() + KNOWN_WITHIN_S
        while waiting and time.monotonic() < until:
            known = _known(list(waiting))
            paid = {waiting.pop(quote_id): state for quote_id, state in known.items()}
            done = self._settle(
                {n: {"quote_id": quotes[n]["quote_id"]}
                 for n, state in paid.items() if state == "authorised" and n % 8 != 7}
            )  # fmt: skip
            settled += done.values()
            if not known:
                self.look()
                time.sleep(LOOK_EVERY_S)
        return settled

    def _settle(self, bodies: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        return self._send(
            {n: ("settlements", body) for n, body in bodies.items()}, latencies=self.answered_s
        )

    def _send(
        self,
        requests: dict[int, tuple[str, dict[str, Any]]],
        *,
        latencies: list[float] | None = None,
    ) -> dict[int, dict[str, Any]]:
        """Send by the tills whose turn it is. Answers what was done; a quote may have run out
        meanwhile, and then that is refused; "try again" is sent again. Raises Trouble where
        anything else is answered."""
        if not requests:
            return {}
        signed = [
            self.tills[n % TERMINALS].post(path, body, now=time.time())
            for n, (path, body) in requests.items()
        ]
        done: dict[int, dict[str, Any]] = {}
        waiting = dict(zip(requests, signed, strict=True))
        for _ in range(TRIES):
            load: Load = generator.closed(self.server.lines(), list(waiting.values()), keep=True)
            if latencies is not None:
                latencies.extend(load.latencies_s)
            again = {}
            for n, (_place, answer) in zip(waiting, sorted(load.answers.items()), strict=True):
                status, body = int(answer[9:12]), json.loads(generator.body_of(answer))
                if status in (200, 201):
                    done[n] = body
                elif status == 503:
                    again[n] = waiting[n]
                elif body.get("code") not in ("quote_expired", "quote_not_live"):
                    raise Trouble(f"{requests[n][0]}: {status} {body}")
            waiting = again
            if not waiting:
                return done
        raise Trouble(f"{len(waiting)} requests were never answered")


def _is_confirmed(n: int) -> bool:
    return n % 10 == 2


def _two_steps(n: int) -> dict[str, int]:
    """Two of five of these are settled in two steps, of which one is confirmed."""
    return {"confirm_within_s": CONFIRM_WITHIN_S} if n % 10 in (0, 2) else {}


def _known(quote_ids: Sequence[str]) -> dict[str, str]:
    """The state of the payments that are certain by now, by quote."""
    from settlement.models import Tender

    rows = Tender.objects.filter(quote_id__in=quote_ids).exclude(state__in=NOT_KNOWN)
    return {str(quote_id): state for quote_id, state in rows.values_list("quote_id", "state")}


def board_now() -> list[Any]:
    """The board at this moment."""
    from django.utils import timezone

    from settlement.selectors.certainty import board

    return board(now=timezone.now())


def _show(kind: str, mix: Mix) -> None:
    answered = sorted(mix.answered_s)
    p50, p99 = (answered[int(len(answered) * share)] for share in (0.5, 0.99))
    say(
        f"| {kind} | settlement, answered | {len(answered)} | at once | {p50:.2f} | {p99:.2f}"
        f" | {answered[-1]:.2f} | – | – |"
    )
    for row in board_now():
        times = [
            "–" if seconds is None else f"{seconds:.1f}"
            for seconds in (row.p50_s, row.p99_s, row.worst_s)
        ]
        share = "–" if row.worst_s is None else f"{row.worst_s / row.limit_s:.2f}"
        say(
            f"| {kind} | {row.kind} | {row.finished} | {row.limit_s:.0f} | {' | '.join(times)}"
            f" | {share} | {mix.overdue[row.kind]} |"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
