"""Makes `docs/vectors/server_code_v1.json`, the published test vectors of the server code.

It writes the bytes with `struct` and `cryptography` alone and imports nothing of `voucher`, so that
agreement between the two is evidence and not an echo. The keys are published and therefore worth
nothing. The vectors are fixed: `python -m tests.voucher.server_code_vectors` prints them again, and
a test compares the file with that; a change of an existing one is a change of the format.
"""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

ISSUED_AT = 1_767_225_600  # 2026-01-01T00:00:00Z
DAY_S = 86_400
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, section 5.1
DOMAIN = b"ybm-server-code-1\x00"


def _bytes_for(name: str, size: int = 32) -> bytes:
    return sha256(f"server code v1 test vectors: {name}".encode()).digest()[:size]


def _key(key_id: int, first_day: int, last_day: int) -> dict[str, Any]:
    seed = _bytes_for(f"signing key {key_id}")
    return {
        "key_id": key_id,
        "algorithm": "Ed25519",
        "private_key": seed.hex(),
        "public_key": Ed25519PrivateKey.from_private_bytes(seed).public_key()
        .public_bytes_raw().hex(),
        "handle_key": _bytes_for(f"handle key {key_id}").hex(),
        "not_before": ISSUED_AT + first_day * DAY_S,
        "not_after": ISSUED_AT + last_day * DAY_S,
    }  # fmt: skip


# Keys 2 and 3 overlap, as they do while one takes over from the other. Key 9 signs nothing that is
# accepted: it is not published.
KEYS = {key["key_id"]: key for key in (_key(2, -30, 30), _key(3, 0, 60), _key(9, -30, 30))}
PUBLISHED = (2, 3)

INPUTS: dict[str, Any] = {
    "key_id": 2,
    "issued_at": ISSUED_AT,
    "lifetime_s": 60,
    "voucher_number": 1_000_001,
    "randomness": "0001020304050607",
    "use": 0,
    "merchant_kind": 0,
    "ceiling_fen": 0,
    "merchant_id": 0,
    "delegation": 0,
    "reserved": 0,
}


def payload_of(inputs: dict[str, Any]) -> bytes:
    """Return the 41 bytes that are signed; the inputs may be ones that no minter would write."""
    sealer = Cipher(AES256(bytes.fromhex(KEYS[inputs["key_id"]]["handle_key"])), ECB()).encryptor()
    handle = sealer.update(
        struct.pack(">Q", inputs["voucher_number"]) + bytes.fromhex(inputs["randomness"])
    )
    return (
        struct.pack(">HIB", inputs["key_id"], inputs["issued_at"], inputs["lifetime_s"])
        + handle
        + struct.pack(">B", inputs["use"] * 16 + inputs["merchant_kind"])
        + struct.pack(">I", inputs["ceiling_fen"])[1:]
        + struct.pack(">IQ", inputs["merchant_id"], inputs["delegation"])
        + struct.pack(">H", inputs["reserved"])
    )


def signature_of(payload: bytes, *, key_id: int, domain: bytes = DOMAIN) -> bytes:
    """Return the 64 bytes of the test key's signature."""
    seed = bytes.fromhex(KEYS[key_id]["private_key"])
    return Ed25519PrivateKey.from_private_bytes(seed).sign(domain + payload)


def text_of(body: bytes, *, version: str = "1") -> str:
    """Return the digits of 105 bytes."""
    return version + str(int.from_bytes(body, "big")).rjust(253, "0")


def _minted(**changes: Any) -> tuple[dict[str, Any], bytes, bytes]:
    inputs = INPUTS | changes
    payload = payload_of(inputs)
    return inputs, payload, signature_of(payload, key_id=inputs["key_id"])


def _positive(name: str, *, read_at: int = ISSUED_AT, **changes: Any) -> dict[str, Any]:
    inputs, payload, signature = _minted(**changes)
    return {
        "name": name,
        "inputs": inputs,
        "payload": payload.hex(),
        "signature": signature.hex(),
        "text": text_of(payload + signature),
        "read_at": read_at,
        "handle": payload[7:23].hex(),
        "expires_at": inputs["issued_at"] + inputs["lifetime_s"],
    }


def _positives() -> list[dict[str, Any]]:
    return [
        _positive("any use anywhere"),
        _positive("read in its last second", read_at=ISSUED_AT + 59),
        _positive("the minter's clock runs five seconds ahead", read_at=ISSUED_AT - 5),
        _positive("one second of life", lifetime_s=1),
        _positive("other randomness, another handle", randomness="0706050403020100"),
        _positive("the smallest voucher number", voucher_number=0),
        _positive("the largest voucher number", voucher_number=2**64 - 1),
        _positive("signed with the key that takes over", key_id=3),
        _positive(
            "the first second of a key's life",
            key_id=3,
            issued_at=KEYS[3]["not_before"],
            read_at=KEYS[3]["not_before"],
        ),
        _positive(
            "issued in a key's last second and read after it",
            issued_at=KEYS[2]["not_after"] - 1,
            read_at=KEYS[2]["not_after"] + 10,
        ),
        *(_positive(f"use {use} only", use=use) for use in range(1, 8)),
        *(_positive(f"merchant kind {kind} only", merchant_kind=kind) for kind in range(1, 4)),
        _positive("a ceiling of one fen", ceiling_fen=1),
        _positive("the highest ceiling", ceiling_fen=2**24 - 1),
        _positive("one merchant only", merchant_id=40_001),
        _positive("shown under a delegation", delegation=5_000_000_007),
        _positive(
            "everything narrowed at once",
            use=7,
            merchant_kind=1,
            ceiling_fen=20_000,
            merchant_id=2**32 - 1,
            delegation=2**64 - 1,
        ),
    ]


def _negative(name: str, text: str, refusal: str, *, read_at: int = ISSUED_AT) -> dict[str, Any]:
    return {"name": name, "text": text, "read_at": read_at, "refusal": refusal}


def _signed(**changes: Any) -> str:
    _, payload, signature = _minted(**changes)
    return text_of(payload + signature)


def _negatives() -> list[dict[str, Any]]:
    _, payload, signature = _minted()
    good = text_of(payload + signature)
    number = int(good[1:])
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    second_spelling = r + (s + GROUP_ORDER).to_bytes(32, "little")
    under_key_3 = struct.pack(">H", 3) + payload[2:]
    expired = ISSUED_AT + 60
    return [
        _negative("empty", "", "code_malformed"),
        _negative("a space before", " " + good, "code_malformed"),
        _negative("a space after", good + " ", "code_malformed"),
        _negative("a line end after", good + "\n", "code_malformed"),
        _negative("a plus sign for the first zero", "1+" + good[2:], "code_malformed"),
        _negative("an underscore among the digits", good[:9] + "_" + good[10:], "code_malformed"),
        _negative(
            "full-width digits",
            "".join(chr(ord(digit) + 0xFEE0) for digit in good),
            "code_malformed",
        ),
        _negative("one Arabic-Indic digit", good[:-1] + "٣", "code_malformed"),
        _negative("letters", "a" * 254, "code_malformed"),
        _negative("a leading zero too many", "10" + good[1:], "code_malformed"),
        _negative("the last digit missing", good[:-1], "code_malformed"),
        _negative("a pack's bar code", "6900000000014", "code_malformed"),
        _negative("the national 28-digit form", "1" * 28, "code_malformed"),
        _negative("the number 2^840", "1" + str(2**840), "code_malformed"),
        _negative("the code's number plus 2^840", "1" + str(number + 2**840), "code_malformed"),
        _negative("all nines", "1" + "9" * 253, "code_malformed"),
        _negative("version 0", "0" + good[1:], "code_version_unknown"),
        _negative("version 2", "2" + good[1:], "code_version_unknown"),
        _negative("512 digits of another form", "2" * 512, "code_version_unknown"),
        _negative("a key nobody published", _signed(key_id=9), "code_key_unknown"),
        _negative(
            "a key not in force yet",
            _signed(key_id=3, issued_at=KEYS[3]["not_before"] - 1),
            "code_key_unknown",
            read_at=KEYS[3]["not_before"],
        ),
        _negative(
            "a key no longer in force",
            _signed(issued_at=KEYS[2]["not_after"]),
            "code_key_unknown",
            read_at=KEYS[2]["not_after"],
        ),
        _negative("all zeros", "1" + "0" * 253, "code_key_unknown"),
        _negative("the last digit changed", good[:-1] + str((int(good[-1]) + 1) % 10),
                  "code_signature_invalid"),
        _negative("the signature of another key", text_of(
            payload + signature_of(payload, key_id=3)), "code_signature_invalid"),
        _negative("the key id replaced", text_of(under_key_3 + signature),
                  "code_signature_invalid"),
        _negative("the signature's second spelling, S plus the group order",
                  text_of(payload + second_spelling), "code_signature_invalid"),
        _negative("signed without the domain", text_of(
            payload + signature_of(payload, key_id=2, domain=b"")), "code_signature_invalid"),
        _negative("signed for the domain of another form", text_of(
            payload + signature_of(payload, key_id=2, domain=b"ybm-device-code-1\x00")),
            "code_signature_invalid"),
        _negative("a life of zero seconds", _signed(lifetime_s=0), "code_malformed"),
        _negative("a life of 61 seconds", _signed(lifetime_s=61), "code_malformed"),
        _negative("use 8", _signed(use=8), "code_malformed"),
        _negative("merchant kind 4", _signed(merchant_kind=4), "code_malformed"),
        _negative("reserved bytes of one", _signed(reserved=1), "code_malformed"),
        _negative("the moment of expiry", good, "code_expired", read_at=expired),
        _negative("a year old", good, "code_expired", read_at=ISSUED_AT + 365 * DAY_S),
        _negative("six seconds from the future", good, "code_from_the_future",
                  read_at=ISSUED_AT - 6),
        _negative("a WeChat Pay code", "130000000000000000", "payment_code"),
        _negative("an Alipay code", "2800000000000000", "payment_code"),
        _negative("a UnionPay code", "6200000000000000000", "payment_code"),
        _negative("a payment code in spaces", " 130000000000000000\n", "payment_code"),
        # Two faults at once: the earlier judgement answers.
        _negative("expired and forged", good[:-1] + str((int(good[-1]) + 1) % 10),
                  "code_signature_invalid", read_at=expired),
        _negative("expired and of an unknown key", _signed(key_id=9), "code_key_unknown",
                  read_at=expired),
        _negative("expired and reserved bytes of one", _signed(reserved=1), "code_malformed",
                  read_at=expired),
        _negative("use 8 and forged",
                  text_of(payload_of(INPUTS | {"use": 8}) + signature), "code_signature_invalid"),
    ]  # fmt: skip


def vectors() -> dict[str, Any]:
    """Return the whole content of the published file."""
    return {
        "format": "server code, version 1",
        "note": "Keys are test keys. read_at, not_before and not_after are unix seconds; bytes are"
        " hexadecimal; zero in an input means not narrowed. The clock skew allowed is 5 s. A reader"
        " has the keys named in published_keys.",
        "skew_s": 5,
        "keys": list(KEYS.values()),
        "published_keys": list(PUBLISHED),
        "positive": _positives(),
        "negative": _negatives(),
    }


def as_text() -> str:
    """Return the file as it is stored."""
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
