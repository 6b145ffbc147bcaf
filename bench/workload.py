"""What the terminals of the bench do: scans, settlements, quotes, as requests ready to be sent.

Members come in a shuffled order and nobody twice before everybody has come once, as in a large
area. Codes live a minute and signatures two, so a slice is made just before it is sent, and never
while the clock runs.
"""

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from bench.generator import Load, body_of
from bench.terminals import (
    DISEASE,
    LINES_A_BILL,
    TERMINALS,
    Signer,
    Terminal,
    bill_lines,
    get,
    terminal_key,
)
from bench.world import ITEMS_A_MERCHANT
from merchants.models import Terminal as TerminalRow
from voucher import services as vouchers
from voucher import tokens
from voucher.models import Member, Voucher
from voucher.services.keys import signing_key

CODE_LIFETIME_S = 60
SESSIONS = 64


@dataclass(frozen=True)
class Scanned:
    """A scan that was accepted: what can be settled under it, and at which terminal."""

    scan_id: str
    terminal: int


class Workload:
    """The requests of eight terminals to one web server, over the database Django is set up for."""

    def __init__(self, *, seed: int) -> None:
        self._chance = random.Random(seed)
        self._terminals = [_terminal(number) for number in range(TERMINALS)]
        self._vouchers = list(Voucher.objects.values_list("member_id", "number").order_by("id"))
        self._chance.shuffle(self._vouchers)
        self._next = 0
        self._sessions: list[str] = []
        vouchers.ensure_signing_key(now=timezone.now())

    def _signers(self, port: int) -> list[Signer]:
        return [Signer(terminal, port=port) for terminal in self._terminals]

    def _voucher(self) -> tuple[int, int]:
        self._next += 1
        return self._vouchers[self._next % len(self._vouchers)]

    def scans(self, count: int, *, port: int) -> list[bytes]:
        """Scans of as many members, in turn at each terminal."""
        signers = self._signers(port)
        key = _living_key()
        requests = []
        for number in range(count):
            now = time.time()
            code = tokens.mint(
                voucher_number=self._voucher()[1],
                scope=tokens.Scope(),
                key=key,
                issued_at=int(now),
                lifetime_s=CODE_LIFETIME_S,
                randomness=os.urandom(8),
            )
            requests.append(
                signers[number % TERMINALS].post(
                    "scans",
                    {
                        "evidence": {"type": "voucher_code", "value": code},
                        "use": "pharmacy_purchase",
                    },
                    now=now,
                )
            )
        return requests

    @staticmethod
    def scanned(load: Load) -> list[Scanned]:
        """What a kept load of `scans` has made, in the order of its requests."""
        return [
            Scanned(json.loads(body_of(answer))["scan_id"], number % TERMINALS)
            for number, answer in sorted(load.answers.items())
        ]

    def _bill(self, scan: Scanned) -> dict[str, object]:
        return {
            "scan_id": scan.scan_id,
            "benefit_kind": "chronic",
            "disease_code": DISEASE,
            # Less than the bill leaves: so there is an account share and a cash share.
            "account_limit_fen": 1_000,
            "lines": bill_lines(self._chance.sample(range(ITEMS_A_MERCHANT), LINES_A_BILL)),
        }

    def settlements(self, scans: Sequence[Scanned], *, port: int) -> list[bytes]:
        """A bill of ten lines for each scan, settled in one call."""
        return self._bills("settlements", scans, port)

    def quotes(self, scans: Sequence[Scanned], *, port: int) -> list[bytes]:
        """A bill of ten lines for each scan, quoted."""
        return self._bills("quotes", scans, port)

    def _bills(self, path: str, scans: Sequence[Scanned], port: int) -> list[bytes]:
        signers = self._signers(port)
        now = time.time()
        return [signers[scan.terminal].post(path, self._bill(scan), now=now) for scan in scans]

    def confirmations(self, scans: Sequence[Scanned], quoted: Load, *, port: int) -> list[bytes]:
        """The settlement of each quote that a kept load of `quotes` has made."""
        signers = self._signers(port)
        now = time.time()
        requests = []
        for number, answer in sorted(quoted.answers.items()):
            quote = json.loads(body_of(answer))
            requests.append(
                signers[scans[number].terminal].post(
                    "settlements",
                    {"quote_id": quote["quote_id"], "cash_fen": quote["cash_fen"]},
                    now=now,
                )
            )
        return requests

    def code_pages(self, count: int, *, port: int) -> list[bytes]:
        """Requests of signed-in citizens for a fresh code, as their page sends them."""
        if not self._sessions:
            self._sessions = _sign_in([self._voucher()[0] for _ in range(SESSIONS)])
        kinds = [
            get("/me/code.json", port=port, cookie=f"sessionid={key}") for key in self._sessions
        ]
        return [kinds[number % SESSIONS] for number in range(count)]

    def mint_in_process(self, count: int) -> float:
        """Codes a second that one process mints through the service, with its statement each."""
        members = [self._voucher()[0] for _ in range(count)]
        begin = time.perf_counter()
        for member_id in members:
            vouchers.mint_code(
                member_id=member_id,
                scope=tokens.Scope(),
                now=timezone.now(),
                lifetime_s=CODE_LIFETIME_S,
            )
        return count / (time.perf_counter() - begin)


def _terminal(number: int) -> Terminal:
    public_key = terminal_key(number).public_key().public_bytes_raw()
    row = TerminalRow.objects.get(public_key=public_key)
    assert row.key_id is not None
    return Terminal(number, row.key_id, row.merchant_id)


def _living_key() -> tokens.SigningKey:
    row = vouchers.ensure_signing_key(now=timezone.now())
    return signing_key(
        key_id=row.key_id,
        algorithm=row.algorithm,
        private_key_cipher=bytes(row.private_key_cipher),
        handle_key_cipher=bytes(row.handle_key_cipher),
        not_before=row.not_before,
        not_after=row.not_after,
    )


def _sign_in(members: Sequence[int]) -> list[str]:
    """Session keys of users made for these members. Signing in itself is not measured: it happens
    once in weeks and is slow on purpose."""
    users = get_user_model()
    keys = []
    for member_id in members:
        user = users.objects.create_user(username=f"bench-{member_id}")
        Member.objects.filter(pk=member_id).update(user=user)
        session = SessionStore()
        session["_auth_user_id"] = str(user.pk)
        session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
        session["_auth_user_hash"] = user.get_session_auth_hash()
        session.create()
        assert session.session_key is not None
        keys.append(session.session_key)
    return keys
