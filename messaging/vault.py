"""Encryption at rest and the keyed search hash, both under the deployment's data key.

AES-256-GCM with a random nonce; the purpose is bound in as associated data, so that a cipher text
moved to another column does not open. The data key is the caller's argument; only
`data_key_from_settings` knows where it is kept.
"""

import base64
import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = b"\x01"
_NONCE = 12


class VaultError(ValueError):
    """The cipher text is damaged, of another purpose, or sealed under another data key."""


@lru_cache(maxsize=64)
def _derived(data_key: bytes, purpose: str) -> bytes:
    return hmac.digest(data_key, b"ybm:" + purpose.encode(), hashlib.sha256)


@lru_cache(maxsize=4)
def _aead(data_key: bytes) -> AESGCM:
    return AESGCM(_derived(data_key, "seal"))


@lru_cache(maxsize=4)
def _decoded(text: str) -> bytes:
    key = base64.b64decode(text)
    if len(key) != 32:
        raise VaultError("DATA_KEY must be 32 bytes in base64")
    return key


def data_key_from_settings() -> bytes:
    """The 32 bytes of DATA_KEY. Raises VaultError when it is not 32 bytes."""
    return _decoded(settings.DATA_KEY)


def seal(plain: bytes, *, purpose: str, data_key: bytes) -> bytes:
    """Cipher text of `plain`, usable only for the same purpose."""
    nonce = os.urandom(_NONCE)
    return _VERSION + nonce + _aead(data_key).encrypt(nonce, plain, purpose.encode())


def unseal(sealed: bytes, *, purpose: str, data_key: bytes) -> bytes:
    """What was sealed. Raises VaultError."""
    sealed = bytes(sealed)
    if sealed[:1] != _VERSION:
        raise VaultError("unknown version of cipher text")
    nonce, cipher = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    try:
        return _aead(data_key).decrypt(nonce, cipher, purpose.encode())
    except InvalidTag as error:
        raise VaultError("cipher text does not open") from error


def search_hash(text: str, *, purpose: str, data_key: bytes) -> str:
    """64 hexadecimal digits by which an encrypted value can be found, and nobody without the key
    can try out identity numbers."""
    key = _derived(data_key, "search:" + purpose)
    return hmac.new(key, text.strip().upper().encode(), hashlib.sha256).hexdigest()
