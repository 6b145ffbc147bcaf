"""The signing profile of docs/signing.md, written from that document and not from the server.

Knows how a request is signed and how an answer is verified. Knows no network, no clock and no
file. The server has its own implementation; the published vectors hold the two together.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

READS = ("GET", "HEAD", "OPTIONS")

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PARAMS = re.compile(
    r"(?P<covered>\(.*\));created=(?P<created>[1-9][0-9]{0,11})"
    r';keyid="(?P<keyid>[A-Za-z0-9_.:-]{1,64})";alg="ed25519"'
)


class NotGenuine(Exception):
    """An answer that the holder of a known server key did not give to this very request."""


class KeyNotHeld(NotGenuine):
    """The answer names a key that is not among those held."""


def digest_of(content: bytes) -> str:
    """`Content-Digest` of these bytes (RFC 9530)."""
    return "sha-256=:" + base64.b64encode(hashlib.sha256(content).digest()).decode() + ":"


def sign_request(
    *,
    method: str,
    authority: str,
    path: str,
    query: str = "",
    content: bytes = b"",
    key: Ed25519PrivateKey,
    key_id: str,
    created: int,
    idempotency_key: str | None = None,
) -> dict[str, str]:
    """The headers to send with a request.

    `authority` is the Host header as it is sent, `path` percent-encoded, `query` without its
    question mark, `created` unix seconds. Everything but a read needs `idempotency_key`.
    """
    covered = {
        "@method": method,
        "@authority": authority.lower(),
        "@path": path,
        "@query": "?" + query,
    }
    headers = {}
    if method not in READS:
        if idempotency_key is None or not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise ValueError("an idempotency key is 1 to 255 visible ASCII characters, no space")
        headers = {"Content-Digest": digest_of(content), "Idempotency-Key": idempotency_key}
        covered.update((name.lower(), value) for name, value in headers.items())
    names = " ".join(f'"{name}"' for name in covered)
    params = f'({names});created={created};keyid="{key_id}";alg="ed25519"'
    base = "".join(f'"{name}": {value}\n' for name, value in covered.items())
    signature = key.sign(f'{base}"@signature-params": {params}'.encode("ascii"))
    headers["Signature-Input"] = f"sig1={params}"
    headers["Signature"] = f"sig1=:{base64.b64encode(signature).decode()}:"
    return headers


def verify_answer(
    *,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    request_signature: str,
    keys: Mapping[str, Ed25519PublicKey],
) -> tuple[str, int]:
    """Check that the server gave this answer to the request with this `Signature` header.

    `headers` has lower-case names. Gives back the id of the server key and the moment of signing
    in unix seconds. Raises KeyNotHeld or NotGenuine, with a reason for the log.
    """
    label, _, params = headers.get("signature-input", "").partition("=")
    signed_label, _, signature = headers.get("signature", "").partition("=")
    if label != "sig1" or signed_label != "sig1":
        raise NotGenuine("the answer is not signed")
    declared = _PARAMS.fullmatch(params)
    if declared is None:
        raise NotGenuine("the answer's signature is not in the profile's shape")
    if declared["covered"] == '("@status" "content-digest")':
        raise NotGenuine("the answer is signed, but not as an answer to this request")
    if declared["covered"] != '("@status" "content-digest" "signature";req;key="sig1")':
        raise NotGenuine("the answer's signature does not cover what it must")
    if headers.get("content-digest") != digest_of(content):
        raise NotGenuine("the content is not the content that was signed")
    try:
        raw = base64.b64decode(signature[1:-1].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise NotGenuine("the answer's signature is not base64") from None
    if f":{base64.b64encode(raw).decode()}:" != signature:
        raise NotGenuine("the answer's signature is not canonical base64")
    key = keys.get(declared["keyid"])
    if key is None:
        raise KeyNotHeld(f"the answer is signed with the unknown key {declared['keyid']}")
    base = (
        f'"@status": {status}\n'
        f'"content-digest": {digest_of(content)}\n'
        f'"signature";req;key="sig1": {request_signature.partition("=")[2]}\n'
        f'"@signature-params": {params}'
    )
    try:
        key.verify(raw, base.encode("ascii"))
    except (InvalidSignature, UnicodeEncodeError):
        raise NotGenuine("the answer's signature does not fit") from None
    return declared["keyid"], int(declared["created"])
