"""A made-up pharmacy and its terminals, and a till that signs as one."""

import base64
import json
from datetime import UTC, date, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from merchants import services, signatures
from merchants.models import Merchant, Terminal

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)


def register(code: str = "P37030099001", **changes: Any) -> Merchant:
    """A pharmacy with an agreement since 2026 began; `changes` are arguments of the service."""
    arguments: dict[str, Any] = {
        "code": code,
        "name": "康和大药房",
        "kind": "pharmacy",
        "area_code": "370300",
        "agreement_number": f"XY-{code}",
        "agreement_from": date(2026, 1, 1),
        "capabilities": ["chronic", "pharmacy_account"],
    }
    return services.register_merchant(**(arguments | changes))


def public_key(seed: int = 1) -> bytes:
    """The public half of a key made of one repeated byte."""
    return private_key(seed).public_key().public_bytes_raw()


def private_key(seed: int = 1) -> Ed25519PrivateKey:
    """The private half."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def enrol(merchant: Merchant, *, seed: int = 1, now: datetime = NOW) -> Terminal:
    """An active terminal of the merchant whose key is made of that byte."""
    code = services.issue_enrolment_code(
        merchant_id=merchant.pk, name="counter 1", now=now, lifetime_s=3600
    )
    return services.enrol_terminal(
        one_time_code=code, public_key=public_key(seed), name="", now=now
    )


class Till:
    """Sends what a terminal would, signed by a key, and reads the answer."""

    def __init__(self, *, key_id: str, seed: int = 1) -> None:
        self.key_id = key_id
        self.private_key = private_key(seed)
        self.client = Client()

    def send(
        self, method: str, path: str, body: Any = None, *, key: str = "k-1", query: str = ""
    ) -> Any:
        """The response, with its JSON as `.answer`."""
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = signatures.sign_request(
            method=method,
            authority="testserver",
            path=path,
            query=query,
            body=content,
            private_key=self.private_key,
            key_id=self.key_id,
            created=int(datetime.now(UTC).timestamp()),
            idempotency_key=None if method == "GET" else key,
        )
        response = self.client.generic(
            method,
            path + (f"?{query}" if query else ""),
            content,
            content_type="application/json",
            headers={**headers, "Host": "testserver"},
        )
        response.answer = json.loads(response.content)  # type: ignore[attr-defined]
        return response


def as_text(key: bytes) -> str:
    """32 bytes in base64url without padding, as the API carries them."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()
