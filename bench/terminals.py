"""The eight terminals of the bench and the bytes they send: everything is signed before the clock.

Knows keys, requests and the bill of ten lines that every settlement settles. Needs Django, to mint
codes as the server does and to read its settings; sends nothing itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from merchants import signatures

TERMINALS = 8
LINES_A_BILL = 10
DISEASE = "M03900"


@dataclass(frozen=True)
class Terminal:
    """An enrolled terminal of the seeded world, one of each of the first merchants."""

    number: int
    key_id: str
    merchant_id: int

    @property
    def key(self) -> Ed25519PrivateKey:
        """Its private key."""
        return terminal_key(self.number)


def terminal_key(number: int) -> Ed25519PrivateKey:
    """The key of a bench terminal: always the same, so that a kept template fits every run."""
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(f"bench terminal {number}".encode()).digest()
    )


def item_price_fen(number: int) -> int:
    """The price of every merchant's item of that number: 5 to 35 yuan."""
    return 500 + number * 37 % 3_000


def item_code(number: int) -> str:
    """A merchant's own code of an item."""
    return f"I{number:05d}"


def bill_lines(chosen: Sequence[int]) -> list[dict[str, Any]]:
    """Lines over items of the seeded lists, one or two packs of each."""
    lines = []
    for position, number in enumerate(chosen):
        quantity = 1 + position % 2
        price = item_price_fen(number)
        lines.append(
            {
                "code": item_code(number),
                "quantity": str(quantity),
                "unit_price": f"{price / 100:.2f}",
                "amount_fen": price * quantity,
            }
        )
    return lines


class Signer:
    """Makes complete HTTP requests of one terminal to one server."""

    def __init__(self, terminal: Terminal, *, port: int) -> None:
        self._key = terminal.key
        self._key_id = terminal.key_id
        self._authority = f"127.0.0.1:{port}"

    def post(self, path: str, body: dict[str, Any], *, now: float) -> bytes:
        """A signed POST to /api/v1/`path` under a new idempotency key."""
        content = json.dumps(body, separators=(",", ":")).encode()
        target = f"/api/v1/{path}"
        headers = signatures.sign_request(
            method="POST",
            authority=self._authority,
            path=target,
            query="",
            body=content,
            private_key=self._key,
            key_id=self._key_id,
            created=int(now),
            idempotency_key=uuid4().hex,
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (
            f"POST {target} HTTP/1.1\r\nHost: {self._authority}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n{head}\r\n"
        ).encode() + content


def get(path: str, *, port: int, cookie: str = "") -> bytes:
    """A plain GET."""
    more = f"Cookie: {cookie}\r\n" if cookie else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n".encode()
