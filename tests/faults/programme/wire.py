"""Signed requests as bytes, sent once, many times, late or spoilt: no honest client does so."""

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

from ybm_client import Terminal
from ybm_client.signing import sign_request


@dataclass(frozen=True)
class Sent:
    """A request ready to go out."""

    path: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


def signed(till: Terminal, path: str, body: Any, *, key: str, skew_s: int = 0) -> Sent:
    """A request as this till signs it; `body` is JSON-able, or bytes that are sent as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = sign_request(
        method="POST",
        authority=till._transport.authority,
        path=path,
        content=content,
        key=till._private_key,
        key_id=till.key_id,
        created=int(time.time()) + skew_s,
        idempotency_key=key,
    )
    return Sent(path, content, {**headers, "Content-Type": "application/json"})


def exchanged(port: int, sent: Sent, *, timeout_s: float = 20.0) -> tuple[int, bytes]:
    """Status and content of the answer. Raises OSError or HTTPException when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", sent.path, body=sent.content, headers=sent.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
