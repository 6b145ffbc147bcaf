"""The server code: what the QR on a citizen's phone carries, minted and read here, byte by byte.

The module knows the wire format, the signature and the age of a code. It does not know whether the
code was spent, whose the voucher is or whether it is suspended: those are rows, and this module
reads none. Time, keys and randomness are arguments. `docs/codes.md` explains the format to authors
of other verifiers and `docs/vectors/server_code_v1.json` holds the test vectors.

A server code is 254 decimal digits: the version digit `1`, then a number of 105 bytes (big endian,
below 2^840) written with exactly 253 digits. The bytes, all integers unsigned and big endian:

    offset  bytes  field
         0      2  key_id
         2      4  issued_at, unix seconds
         6      1  lifetime, seconds, 1 to 60
         7     16  handle: AES-256 block over voucher_number u64 ‖ 8 random bytes
        23      1  use (high four bits) and merchant kind (low four bits)
        24      3  ceiling, fen, 0 for none
        27      4  merchant id, 0 for any
        31      8  delegation id, 0 for none
        39      2  reserved, zero
        41     64  signature over the ASCII text `ybm-server-code-1`, one zero byte, bytes 0 to 40

Key id 2, 1767225600 (2026-01-01T00:00:00Z), 60 s, any use at any merchant begins, after the
version digit and written as bytes, with `0002 6955b900 3c` and goes on with the handle.

Version digits `2` to `9` and `0` are left for other forms (device, paper); each has 150 to 600
digits, so that none can be taken for a payment code or for the national 28-digit code.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, ClassVar, Final

from voucher.handles import HANDLE_KEY_BYTES, open_handle, seal_handle
from voucher.suites import SIGNATURE_BYTES, SUITES, Suite

VERSION: Final = "1"
TEXT_DIGITS: Final = 254
LONGEST_LIFETIME_S: Final = 60

_PAYLOAD = struct.Struct(">HIB16sB3sIQH")
_BODY_BYTES: Final = _PAYLOAD.size + SIGNATURE_BYTES
_BODY_DIGITS: Final = TEXT_DIGITS - len(VERSION)
_BODY_LIMIT: Final = 1 << (8 * _BODY_BYTES)
_DOMAIN: Final = b"ybm-server-code-1\x00"
_FORM_DIGITS: Final = range(150, 601)


class CodeRefused(Exception):
    """A presented text is not a code this reader accepts; `code` is the word of the refusal.

    The text itself is never part of the message: messages reach logs, codes must not.
    """

    code: ClassVar[str]


class CodeMalformed(CodeRefused):
    """Not one of our codes, or one no minter of ours would write."""

    code = "code_malformed"


class CodeVersionUnknown(CodeRefused):
    """Shaped like one of our codes, of a form this reader does not read."""

    code = "code_version_unknown"


class CodeKeyUnknown(CodeRefused):
    """Signed with a key that is not in the set, or was not in force when the code was issued."""

    code = "code_key_unknown"


class CodeSignatureInvalid(CodeRefused):
    """The signature does not fit the content and the key."""

    code = "code_signature_invalid"


class CodeExpired(CodeRefused):
    """Genuine, but its lifetime is over."""

    code = "code_expired"


class CodeFromTheFuture(CodeRefused):
    """Genuine, but issued later than now by more than the clocks may differ."""

    code = "code_from_the_future"


class PaymentCodePresented(CodeRefused):
    """A wallet's payment code, scanned by mistake. It is worth money: do not pass it on."""

    code = "payment_code"


class Use(IntEnum):
    """What a code may be used for. The numbers are wire format: they are never reassigned."""

    ANY = 0
    REGISTRATION = 1
    CONSULTATION = 2
    SETTLEMENT = 3
    DRUG_PICKUP = 4
    ADMISSION = 5
    DEPOSIT = 6
    PHARMACY_PURCHASE = 7

    @property
    def word(self) -> str:
        """The name used in JSON and columns, such as `drug_pickup`."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Use:
        """Return the use of this word; raises ValueError for a word that is none."""
        for use in cls:
            if use.word == word:
                return use
        raise ValueError("no use has this word")


class MerchantKind(IntEnum):
    """Which kind of merchant a code is for. The numbers are wire format, never reassigned."""

    ANY = 0
    PHARMACY = 1
    HOSPITAL = 2
    CLINIC = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """What a code is narrowed to; the default is any use anywhere.

    `ceiling_fen` (at most 16,777,215) bounds the sum of everything settled under the scan,
    `merchant_id` (32 bits) names the one merchant, `delegation` (64 bits) the delegation under
    which someone else shows the code. None means not narrowed. Raises ValueError when a number
    does not fit; zero does not, for on the wire it is None.
    """

    use: Use = Use.ANY
    merchant_kind: MerchantKind = MerchantKind.ANY
    ceiling_fen: int | None = None
    merchant_id: int | None = None
    delegation: int | None = None

    def __post_init__(self) -> None:
        for name, value, bits in (
            ("ceiling_fen", self.ceiling_fen, 24),
            ("merchant_id", self.merchant_id, 32),
            ("delegation", self.delegation, 64),
        ):
            if value is not None and not 0 < value < 1 << bits:
                raise ValueError(f"{name} is None or from 1 to 2^{bits} - 1")


ANYWHERE: Final = Scope()


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half of a key, in force for codes issued in [`not_before`, `not_after`).

    Both moments are unix seconds. `handle_key` (32 bytes) opens voucher numbers and is the
    server's alone; a stand-alone verifier has None.
    """

    key_id: int
    algorithm: str
    public_key: Any
    handle_key: bytes | None = field(repr=False)
    not_before: int
    not_after: int

    def __post_init__(self) -> None:
        _check_key(self.key_id, self.handle_key)

    def in_force_at(self, moment: int) -> bool:
        """Say whether a code issued at this unix second may bear this key's signature."""
        return self.not_before <= moment < self.not_after


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key the server mints with; `private_key` is an object of the algorithm's suite."""

    key_id: int
    algorithm: str
    private_key: Any = field(repr=False)
    handle_key: bytes = field(repr=False)
    not_before: int
    not_after: int

    def __post_init__(self) -> None:
        _check_key(self.key_id, self.handle_key)

    def verifying_key(self) -> VerifyingKey:
        """Return the public half, with the handle key. Raises ValueError: unknown algorithm."""
        return VerifyingKey(
            key_id=self.key_id,
            algorithm=self.algorithm,
            public_key=_suite(self.algorithm).public_of(self.private_key),
            handle_key=self.handle_key,
            not_before=self.not_before,
            not_after=self.not_after,
        )


@dataclass(frozen=True, slots=True)
class ServerCode:
    """A genuine code in its lifetime [`issued_at`, `expires_at`), unix seconds.

    `handle` (16 bytes) is the one-use key. `voucher_number` is None for a reader without the
    handle key.
    """

    voucher_number: int | None
    handle: bytes = field(repr=False)
    key_id: int
    issued_at: int
    expires_at: int
    scope: Scope


def mint(
    *,
    voucher_number: int,
    scope: Scope,
    key: SigningKey,
    issued_at: int,
    lifetime_s: int,
    randomness: bytes,
) -> str:
    """Return the 254 digits of a new server code.

    `issued_at` is a unix second in which the key is in force, `lifetime_s` 1 to 60, `randomness`
    8 bytes from a secure source, never used twice for one voucher. Raises ValueError when an
    argument does not fit the format or the key.
    """
    if not 0 < lifetime_s <= LONGEST_LIFETIME_S:
        raise ValueError(f"a code lives 1 to {LONGEST_LIFETIME_S} seconds")
    if not 0 <= issued_at < 1 << 32:
        raise ValueError("issued_at is an unsigned number of 32 bits")
    if not key.not_before <= issued_at < key.not_after:
        raise ValueError("the key is not in force when the code is issued")
    payload = _PAYLOAD.pack(
        key.key_id,
        issued_at,
        lifetime_s,
        seal_handle(voucher_number=voucher_number, randomness=randomness, key=key.handle_key),
        scope.use << 4 | scope.merchant_kind,
        (scope.ceiling_fen or 0).to_bytes(3, "big"),
        scope.merchant_id or 0,
        scope.delegation or 0,
        0,
    )
    signature = _suite(key.algorithm).sign(key.private_key, _DOMAIN + payload)
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"a code carries a signature of {SIGNATURE_BYTES} bytes")
    return f"{VERSION}{int.from_bytes(payload + signature, 'big'):0{_BODY_DIGITS}d}"


def read(
    text: object, *, keys: Mapping[int, VerifyingKey], now: int, skew_s: int = 5
) -> ServerCode:
    """Return what a presented text says, if it is a genuine server code of this moment.

    `now` is the unix second of presentation. `skew_s` is how far the minter's clock may run ahead
    of the reader's; it never lengthens a life. Whatever the text is, the answer is a `ServerCode`
    or one of these, the first that applies:

    payment_code, code_malformed, code_version_unknown (the shape), code_key_unknown (not in
    `keys`), code_signature_invalid, code_malformed (a signed field out of range),
    code_key_unknown (not in force at `issued_at`), code_from_the_future, code_expired.
    """
    body = _body(text)
    payload, signature = body[: _PAYLOAD.size], body[_PAYLOAD.size :]
    key = keys.get(int.from_bytes(payload[:2], "big"))
    suite = SUITES.get(key.algorithm) if key is not None else None
    if key is None or suite is None:
        raise CodeKeyUnknown("no key of this reader has this id")
    if not suite.verifies(key.public_key, signature, _DOMAIN + payload):
        raise CodeSignatureInvalid("the signature does not fit")

    key_id, issued_at, lifetime_s, handle, kinds, ceiling, merchant, delegation, reserved = (
        _PAYLOAD.unpack(payload)
    )
    if reserved != 0:
        raise CodeMalformed("the reserved bytes are not zero")
    if not 0 < lifetime_s <= LONGEST_LIFETIME_S:
        raise CodeMalformed("the lifetime is out of range")
    try:
        use, merchant_kind = Use(kinds >> 4), MerchantKind(kinds & 0x0F)
    except ValueError:
        raise CodeMalformed("the use or the merchant kind is none we know") from None
    if not key.in_force_at(issued_at):
        raise CodeKeyUnknown("the key was not in force when the code was issued")

    expires_at = issued_at + lifetime_s
    if issued_at > now + skew_s:
        raise CodeFromTheFuture("the code is issued later than now")
    if now >= expires_at:
        raise CodeExpired("the lifetime of the code is over")
    return ServerCode(
        voucher_number=(
            None if key.handle_key is None else open_handle(handle=handle, key=key.handle_key)
        ),
        handle=handle,
        key_id=key_id,
        issued_at=issued_at,
        expires_at=expires_at,
        scope=Scope(
            use=use,
            merchant_kind=merchant_kind,
            ceiling_fen=int.from_bytes(ceiling, "big") or None,
            merchant_id=merchant or None,
            delegation=delegation or None,
        ),
    )


def looks_like_payment_code(text: object) -> bool:
    """Say whether a text has the shape of a wallet's payment code, spaces around it or not.

    WeChat Pay: 18 digits beginning 10 to 15; Alipay: 16 to 24 digits beginning 25 to 30; UnionPay:
    19 digits beginning 62, as the wallets document for merchants. Ask this only of a text offered
    as a code: some identity card numbers have the first shape too.
    """
    if not isinstance(text, str):
        return False
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        return False
    head = digits[:2]
    return (
        (len(digits) == 18 and "10" <= head <= "15")
        or (16 <= len(digits) <= 24 and "25" <= head <= "30")
        or (len(digits) == 19 and head == "62")
    )


def published_keys(keys: Iterable[VerifyingKey]) -> dict[str, list[dict[str, int | str]]]:
    """Return the content of `/.well-known/voucher-keys.json`, ordered by key id.

    Handle keys are never part of it. Raises ValueError for a key of an unknown algorithm.
    """
    return {
        "keys": [
            {
                "key_id": key.key_id,
                "algorithm": key.algorithm,
                "public_key": base64.urlsafe_b64encode(
                    _suite(key.algorithm).public_bytes(key.public_key)
                )
                .rstrip(b"=")
                .decode(),
                "not_before": _rfc3339(key.not_before),
                "not_after": _rfc3339(key.not_after),
            }
            for key in sorted(keys, key=lambda key: key.key_id)
        ]
    }


def _body(text: object) -> bytes:
    """Return the 105 bytes a text of the right shape stands for, or raise a refusal."""
    if looks_like_payment_code(text):
        raise PaymentCodePresented("this is a payment code")
    # str.isdigit alone also accepts digits of other scripts, a second spelling of the same number.
    if not (isinstance(text, str) and text.isascii() and text.isdigit()):
        raise CodeMalformed("a code is written in decimal digits")
    if text[0] != VERSION and len(text) in _FORM_DIGITS:
        raise CodeVersionUnknown("this reader does not know this form of code")
    if len(text) != TEXT_DIGITS or text[0] != VERSION:
        raise CodeMalformed(f"a code has {TEXT_DIGITS} digits")
    number = int(text[1:])
    if number >= _BODY_LIMIT:
        raise CodeMalformed("the number of a code is below 2^840")
    return number.to_bytes(_BODY_BYTES, "big")


def _suite(algorithm: str) -> Suite:
    try:
        return SUITES[algorithm]
    except KeyError:
        raise ValueError(f"no signature suite is named {algorithm!r}") from None


def _check_key(key_id: int, handle_key: bytes | None) -> None:
    if not 0 <= key_id < 1 << 16:
        raise ValueError("a key id is an unsigned number of 16 bits")
    if handle_key is not None and len(handle_key) != HANDLE_KEY_BYTES:
        raise ValueError(f"a handle key is {HANDLE_KEY_BYTES} bytes")


def _rfc3339(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
