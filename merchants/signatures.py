"""Signed requests of terminals and signed answers to them: shape, digest, signature, age.

The module knows one strict profile of RFC 9421 (HTTP Message Signatures, Ed25519) and RFC 9530
(Content-Digest, sha-256). It does not know which terminals exist, whether a key was revoked or
whether a message was seen before: those are rows, and this module reads none. The clock and the
keys are arguments. `docs/signing.md` explains the profile to vendors and
`docs/vectors/http_signatures.json` holds the test vectors.

A request carries, in exactly this spelling (one label, this order of components and parameters):

    Signature-Input: sig1=(COVERED);created=UNIX_SECONDS;keyid="KEY_ID";alg="ed25519"
    Signature: sig1=:BASE64_OF_64_BYTES:

    COVERED of GET, HEAD, OPTIONS   "@method" "@authority" "@path" "@query"
    COVERED of everything else      the same and "content-digest" "idempotency-key"

An answer is signed alike over `"@status" "content-digest" "signature";req;key="sig1"`, or over the
first two when the request carried no signature in the shape above.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

WINDOW_S: Final = 120
READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_READ_COVERED: Final = '("@method" "@authority" "@path" "@query")'
_WRITE_COVERED: Final = (
    '("@method" "@authority" "@path" "@query" "content-digest" "idempotency-key")'
)
_ANSWER_COVERED: Final = '("@status" "content-digest" "signature";req;key="sig1")'
_UNBOUND_COVERED: Final = '("@status" "content-digest")'

_KEY_ID: Final = r"[A-Za-z0-9_.:-]{1,64}"
# Strict text instead of a structured-field parser: a second spelling of a signature would be a
# second way to say the same thing, and the hot path would pay for reading it.
_INPUT = re.compile(
    r'sig1=((\([^()]*\));created=([1-9][0-9]{0,11});keyid="(' + _KEY_ID + r')";alg="ed25519")'
)
# 64 bytes are 86 characters, the last of which carries two bits: only these four are canonical.
_SIGNATURE = re.compile(r"sig1=(:([A-Za-z0-9+/]{85}[AQgw]==):)")
_BARE_SIGNATURE = re.compile(r":[A-Za-z0-9+/]{85}[AQgw]==:")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class SignatureRefused(Exception):
    """A message is not signed as the profile asks; `code` is the word of the refusal."""

    code: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.code)


class SignatureMissing(SignatureRefused):
    """There is no `Signature-Input` or no `Signature`."""

    code = "signature_missing"


class SignatureMalformed(SignatureRefused):
    """The signature headers, or a covered part, are not spelt as the profile asks."""

    code = "signature_malformed"


class IdempotencyKeyMissing(SignatureRefused):
    """A write without `Idempotency-Key`."""

    code = "idempotency_key_missing"


class IdempotencyKeyMalformed(SignatureRefused):
    """The key is not 1 to 255 visible ASCII characters, or was sent more than once."""

    code = "idempotency_key_malformed"


class DigestMissing(SignatureRefused):
    """There is content that no `Content-Digest` covers."""

    code = "digest_missing"


class DigestMismatch(SignatureRefused):
    """`Content-Digest` is not the one sha-256 of these very bytes."""

    code = "digest_mismatch"


class AnswerKeyUnknown(SignatureRefused):
    """An answer names a key that the reader does not hold."""

    code = "answer_key_unknown"


class SignatureInvalid(SignatureRefused):
    """The signature does not fit the message and the key."""

    code = "signature_invalid"


class SignatureStale(SignatureRefused):
    """Genuine, but made too long ago, or by a clock too far ahead.

    `seconds_off` is created minus now: negative when the terminal's clock is behind.
    """

    code = "signature_stale"

    def __init__(self, seconds_off: int) -> None:
        super().__init__()
        self.seconds_off = seconds_off


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """What the two signature headers say, nothing of it verified yet.

    `created` is in unix seconds, `signature` the 64 raw bytes, `params` the text after `sig1=`,
    which is signed as it stands.
    """

    keyid: str
    created: int
    signature: bytes
    params: str


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request of the right shape whose digest fits its content; its signature is yet to check.

    `base` is the signature base (RFC 9421 section 2.5), `idempotency_key` is None for reads.
    """

    input: SignatureInput
    base: bytes
    idempotency_key: str | None

    @property
    def keyid(self) -> str:
        """The id of the terminal key that is said to have signed."""
        return self.input.keyid


def content_digest(body: bytes) -> str:
    """The value of `Content-Digest` for these bytes, RFC 9530 section 2, sha-256 alone."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def signature_base(components: Iterable[tuple[str, str]], params: str) -> bytes:
    """The bytes that are signed, RFC 9421 section 2.5.

    Each component is its serialised identifier, quotes and parameters included, and its value.
    Raises SignatureMalformed where a part is not ASCII or holds a line break: a value with a line
    break could pretend to be two components.
    """
    lines = [f"{identifier}: {value}" for identifier, value in components]
    lines.append(f'"@signature-params": {params}')
    text = "\n".join(lines)
    if not text.isascii() or text.count("\n") != len(lines) - 1 or "\r" in text:
        raise SignatureMalformed
    return text.encode("ascii")


def is_idempotency_key(text: str) -> bool:
    """Whether a text may be an `Idempotency-Key`: 1 to 255 visible ASCII characters."""
    return _IDEMPOTENCY_KEY.fullmatch(text) is not None


def wire_path(decoded_path: str) -> str:
    """The path as the profile signs it, from one that a server has already percent-decoded.

    WSGI hands over the decoded path only, so the profile fixes one encoding: letters, digits and
    `-._~/` stand as they are, everything else is `%XX` of its UTF-8 bytes in capitals.
    """
    return quote(decoded_path, safe="/", errors="surrogatepass") or "/"


def request_signature(headers: Mapping[str, str]) -> str | None:
    """What an answer binds itself to: the request's signature as `:base64:`, unverified.

    None when there is none in the profile's shape. `headers` has lower-case names.
    """
    found = _SIGNATURE.fullmatch(headers.get("signature") or "")
    return found[1] if found else None


def _read_input(headers: Mapping[str, str], *, covered: str) -> SignatureInput:
    declared = _INPUT.fullmatch(headers["signature-input"])
    signature = _SIGNATURE.fullmatch(headers["signature"])
    if declared is None or signature is None or declared[2] != covered:
        raise SignatureMalformed
    return SignatureInput(
        keyid=declared[4],
        created=int(declared[3]),
        signature=base64.b64decode(signature[2]),
        params=declared[1],
    )


def _check_presence(headers: Mapping[str, str]) -> None:
    if not headers.get("signature-input") or not headers.get("signature"):
        raise SignatureMissing


def parse_request(
    *,
    method: str,
    authority: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> ParsedRequest:
    """Read a request's signature headers and compare its digest; verifies no signature.

    `method` is in capitals, `authority` the Host header, `path` percent-encoded as `wire_path`
    writes it, `query` the raw query without its question mark, `headers` has lower-case names.
    What is absent is refused before what is misspelt, and both before the digest is compared:
    SignatureMissing, IdempotencyKeyMissing, DigestMissing, IdempotencyKeyMalformed,
    SignatureMalformed, DigestMismatch. Nothing else is raised, whatever the headers hold.
    """
    _check_presence(headers)
    components = [
        ('"@method"', method),
        # RFC 9421 section 2.2.3: the host is compared without case.
        ('"@authority"', authority.lower()),
        ('"@path"', path or "/"),
        # RFC 9421 section 2.2.7: an empty query is a lone question mark.
        ('"@query"', f"?{query}"),
    ]
    key: str | None = None
    if method in READING_METHODS:
        if body:
            raise DigestMissing
        declared = _read_input(headers, covered=_READ_COVERED)
    else:
        key = headers.get("idempotency-key")
        digest = headers.get("content-digest")
        if not key:
            raise IdempotencyKeyMissing
        if not digest:
            raise DigestMissing
        if not is_idempotency_key(key):
            raise IdempotencyKeyMalformed
        declared = _read_input(headers, covered=_WRITE_COVERED)
        if digest != content_digest(body):
            raise DigestMismatch
        components += [('"content-digest"', digest), ('"idempotency-key"', key)]
    return ParsedRequest(
        input=declared,
        base=signature_base(components, declared.params),
        idempotency_key=key,
    )


def check(
    parsed: ParsedRequest, *, public_key: Ed25519PublicKey, now: int, window_s: int = WINDOW_S
) -> None:
    """Verify a parsed request; returns nothing, raises SignatureInvalid, then SignatureStale.

    `now` is in unix seconds. The age is judged last, so that only the holder of the key learns
    how far its clock is off. Both ends of the window are inside it.
    """
    try:
        public_key.verify(parsed.input.signature, parsed.base)
    except InvalidSignature:
        raise SignatureInvalid from None
    seconds_off = parsed.input.created - now
    if abs(seconds_off) > window_s:
        raise SignatureStale(seconds_off)


def _sign(
    components: Iterable[tuple[str, str]],
    *,
    covered: str,
    private_key: Ed25519PrivateKey,
    key_id: str,
    created: int,
) -> dict[str, str]:
    if not re.fullmatch(_KEY_ID, key_id):
        raise ValueError("a key id is 1 to 64 letters, digits or _ . : -")
    params = f'{covered};created={created};keyid="{key_id}";alg="ed25519"'
    signature = private_key.sign(signature_base(components, params))
    return {
        "Signature-Input": f"sig1={params}",
        "Signature": f"sig1=:{base64.b64encode(signature).decode('ascii')}:",
    }


def sign_request(
    *,
    method: str,
    authority: str,
    path: str,
    query: str,
    body: bytes,
    private_key: Ed25519PrivateKey,
    key_id: str,
    created: int,
    idempotency_key: str | None = None,
) -> dict[str, str]:
    """The headers that sign a request: the opposite of `parse_request` and `check`.

    Arguments as there; `created` in unix seconds. A write needs an `idempotency_key` and gets it
    back with its `Content-Digest`; a read takes neither key nor body. ValueError otherwise.
    """
    components = [
        ('"@method"', method),
        ('"@authority"', authority.lower()),
        ('"@path"', path or "/"),
        ('"@query"', f"?{query}"),
    ]
    headers: dict[str, str] = {}
    covered = _READ_COVERED
    if method in READING_METHODS:
        if body or idempotency_key is not None:
            raise ValueError("a read carries neither content nor an idempotency key")
    else:
        if idempotency_key is None or not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise ValueError("a write needs an idempotency key of 1 to 255 visible characters")
        digest = content_digest(body)
        headers = {"Content-Digest": digest, "Idempotency-Key": idempotency_key}
        components += [('"content-digest"', digest), ('"idempotency-key"', idempotency_key)]
        covered = _WRITE_COVERED
    return headers | _sign(
        components, covered=covered, private_key=private_key, key_id=key_id, created=created
    )


def _answer_components(
    *, status: int, digest: str, request_signature: str | None
) -> tuple[str, list[tuple[str, str]]]:
    components = [('"@status"', str(status)), ('"content-digest"', digest)]
    if request_signature is None:
        return _UNBOUND_COVERED, components
    # RFC 9421 section 2.4: a member of the request's Signature header, bound by the flag `req`.
    return _ANSWER_COVERED, [*components, ('"signature";req;key="sig1"', request_signature)]


def sign_answer(
    *,
    status: int,
    body: bytes,
    request_signature: str | None,
    private_key: Ed25519PrivateKey,
    key_id: str,
    created: int,
) -> dict[str, str]:
    """The headers that sign an answer and bind it to the request it answers.

    `request_signature` is what the function of that name found in the request; with None the
    answer is signed but could answer any request, which a client must not accept for one that it
    signed. `body` is the content as it goes over the wire, after any content coding.
    """
    if request_signature is not None and not _BARE_SIGNATURE.fullmatch(request_signature):
        raise ValueError("a request's signature is :base64 of 64 bytes:")
    digest = content_digest(body)
    covered, components = _answer_components(
        status=status, digest=digest, request_signature=request_signature
    )
    return {"Content-Digest": digest} | _sign(
        components, covered=covered, private_key=private_key, key_id=key_id, created=created
    )


def verify_answer(
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    request_signature: str | None,
    keys: Mapping[str, Ed25519PublicKey],
) -> SignatureInput:
    """Verify an answer to the request with this signature; gives back what its headers say.

    The age is left to the caller: an answer bound to a request is no older than that request.
    Raises SignatureMissing, DigestMissing, SignatureMalformed (also when the answer is bound
    though the request was not signed, or the other way round), DigestMismatch, AnswerKeyUnknown,
    SignatureInvalid.
    """
    _check_presence(headers)
    digest = headers.get("content-digest")
    if not digest:
        raise DigestMissing
    covered, components = _answer_components(
        status=status, digest=digest, request_signature=request_signature
    )
    declared = _read_input(headers, covered=covered)
    if digest != content_digest(body):
        raise DigestMismatch
    base = signature_base(components, declared.params)
    public_key = keys.get(declared.keyid)
    if public_key is None:
        raise AnswerKeyUnknown
    try:
        public_key.verify(declared.signature, base)
    except InvalidSignature:
        raise SignatureInvalid from None
    return declared
