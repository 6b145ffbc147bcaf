"""The signature algorithms a code may be signed with, one small class each behind one interface.

A key carries its algorithm by name and `SUITES` maps the name to the class, so a second algorithm
(SM2 with SM3, a key held in a security module) is one more entry here and no change to a format.
This module knows raw key bytes and signatures; it knows neither codes nor where keys are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64


class Suite(Protocol):
    """What a code needs of a signature algorithm; key objects are opaque to the caller.

    Signatures are exactly `SIGNATURE_BYTES` long (raw r‖s where the algorithm has two numbers) and
    have one spelling: a second encoding of a good signature must not verify.
    """

    @property
    def name(self) -> str:
        """The name stored with a key and published in the key set."""
        ...

    def load_private(self, raw: bytes) -> Any:
        """Return the private key of these raw bytes, or raise ValueError."""
        ...

    def load_public(self, raw: bytes) -> Any:
        """Return the public key of these raw bytes, or raise ValueError."""
        ...

    def public_of(self, private_key: Any) -> Any:
        """Return the public half of a private key."""
        ...

    def public_bytes(self, public_key: Any) -> bytes:
        """Return the raw bytes that `load_public` reads."""
        ...

    def sign(self, private_key: Any, message: bytes) -> bytes:
        """Return the signature of the message."""
        ...

    def verifies(self, public_key: Any, signature: bytes, message: bytes) -> bool:
        """Say whether the signature is good. Never raises for any two byte strings."""
        ...


class Ed25519Suite:
    """Ed25519 of RFC 8032: 32-byte keys, 64-byte deterministic signatures.

    OpenSSL refuses S of the group order or above and compares the encoded R, so a signature has
    one spelling.
    """

    name: str = "Ed25519"

    def load_private(self, raw: bytes) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(raw)

    def load_public(self, raw: bytes) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(raw)

    def public_of(self, private_key: Ed25519PrivateKey) -> Ed25519PublicKey:
        return private_key.public_key()

    def public_bytes(self, public_key: Ed25519PublicKey) -> bytes:
        return public_key.public_bytes_raw()

    def sign(self, private_key: Ed25519PrivateKey, message: bytes) -> bytes:
        return private_key.sign(message)

    def verifies(self, public_key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
        try:
            public_key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


ED25519: Final = Ed25519Suite()

SUITES: Final[Mapping[str, Suite]] = MappingProxyType({ED25519.name: ED25519})
