"""The format of the ledger's seals: digests, roots, signatures, and lines of the file outside.

**Digest** of a ledger transaction: SHA-256 of the UTF-8 bytes of one JSON array without spaces and
with nothing escaped but what JSON must escape,

    ["ybm-seal-1",7,"post_settlement:0192…","settlement","370300","2026-11-20","2026-11-01",
     "2026-11-20T02:30:00.000000Z",[[1,"fund:370300:pool",-800],[2,"merchant:3:due",800]]]

that is the format's name, the seal's seq, then of the transaction key, kind, area, business date,
accounting month and moment of posting (UTC, six places), then leg, account and fen of each posting
by ascending leg. The row's id is not in it: it says nothing about money, and a restore may change
it.

**Root** of a batch: SHA-256 of the ASCII text `ybm-root-1`, a line feed, the batch's number, first
and last seq as decimal text with a line feed after each, its moment (as above) and a line feed, the
number of the signing key and a line feed, the root of the batch before (32 bytes, zeros before the
first) and the digests in order of seq (32 bytes each).

**Signature**: Ed25519 by the server's seal key over `ybm-signed-root-1`, a line feed and the root.

**Line** of the file outside the database, one a batch in order: a JSON object with `batch`,
`first_seq`, `last_seq`, `sealed_at`, `key` (number), `public_key`, `previous`, `root`, `signature`
(hexadecimal), keys in that order, no spaces, ended by a line feed.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

BEFORE_THE_FIRST = bytes(32)


class LineUnreadable(ValueError):
    """A line of the file that is not a root's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ledger transaction as it is sealed; `legs` are leg, account and fen by ascending leg."""

    key: str
    kind: str
    area_code: str
    business_date: date
    accounting_month: date
    posted_at: datetime
    legs: Sequence[tuple[int, str, int]]

    @classmethod
    def of(cls, row: Sequence[Any], legs: Sequence[tuple[int, str, int]]) -> "Sealed":
        """From key to moment as a row of the database has them, and the legs."""
        key, kind, area_code, business_date, accounting_month, posted_at = row
        return cls(key, kind, area_code, business_date, accounting_month, posted_at, legs)


@dataclass(frozen=True, slots=True)
class Root:
    """A batch's place in the chain, signed."""

    batch: int
    first_seq: int
    last_seq: int
    sealed_at: datetime
    key: int
    public_key: bytes
    previous: bytes
    root: bytes
    signature: bytes


def moment_text(moment: datetime) -> str:
    """An aware moment as the format has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest_of(sealed: Sealed, *, seq: int) -> bytes:
    """32 bytes."""
    content = [
        "ybm-seal-1",
        seq,
        sealed.key,
        sealed.kind,
        sealed.area_code,
        sealed.business_date.isoformat(),
        sealed.accounting_month.isoformat(),
        moment_text(sealed.posted_at),
        sealed.legs,
    ]
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


class Chain:
    """The root of one batch, fed digest by digest, so that a batch of any size takes no room."""

    def __init__(
        self,
        *,
        batch: int,
        first_seq: int,
        last_seq: int,
        sealed_at: datetime,
        key: int,
        previous: bytes,
    ) -> None:
        head = f"ybm-root-1\n{batch}\n{first_seq}\n{last_seq}\n{moment_text(sealed_at)}\n{key}\n"
        self._hash = hashlib.sha256(head.encode("ascii") + previous)

    def add(self, digest: bytes) -> None:
        self._hash.update(digest)

    def root(self) -> bytes:
        """32 bytes over everything added."""
        return self._hash.digest()


def chained(digests: Iterable[bytes], chain: Chain) -> bytes:
    """The root of a chain over these digests."""
    for digest in digests:
        chain.add(digest)
    return chain.root()


def _signed_bytes(root: bytes) -> bytes:
    return b"ybm-signed-root-1\n" + root


def sign(root: bytes, *, private_key: Ed25519PrivateKey) -> bytes:
    """64 bytes."""
    return private_key.sign(_signed_bytes(root))


def is_signed(root: bytes, *, signature: bytes, public_key: bytes) -> bool:
    """Whether the key signed this root. False for a key or a signature that is none."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _signed_bytes(root))
    except (InvalidSignature, ValueError):
        return False
    return True


def line_of(root: Root) -> str:
    """The line of the file, with its line feed."""
    content = {
        "batch": root.batch,
        "first_seq": root.first_seq,
        "last_seq": root.last_seq,
        "sealed_at": moment_text(root.sealed_at),
        "key": root.key,
        "public_key": root.public_key.hex(),
        "previous": root.previous.hex(),
        "root": root.root.hex(),
        "signature": root.signature.hex(),
    }
    return json.dumps(content, separators=(",", ":")) + "\n"


def read_line(line: str) -> Root:
    """The root that a line tells. Raises LineUnreadable for any other spelling of it, too."""
    try:
        content = json.loads(line)
        root = Root(
            batch=int(content["batch"]),
            first_seq=int(content["first_seq"]),
            last_seq=int(content["last_seq"]),
            sealed_at=datetime.strptime(content["sealed_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(
                tzinfo=UTC
            ),
            key=int(content["key"]),
            public_key=bytes.fromhex(content["public_key"]),
            previous=bytes.fromhex(content["previous"]),
            root=bytes.fromhex(content["root"]),
            signature=bytes.fromhex(content["signature"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LineUnreadable("not a line of the seal file") from error
    if line_of(root) != line:
        raise LineUnreadable("not the one spelling of its root")
    return root
