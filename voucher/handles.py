"""Sealed handles: the 16 bytes that stand for a voucher number inside a code.

A handle is one AES-256 block over the voucher number and eight random bytes, under a key that only
the server has. Two handles of one voucher look unrelated to anyone else, minting needs no row, and
since a block cipher is a permutation the handle is also the code's one-use key. The module does not
authenticate: a handle is trusted only because the signature of the code around it is good.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

HANDLE_BYTES: Final = 16
HANDLE_KEY_BYTES: Final = 32
RANDOMNESS_BYTES: Final = 8

_PLAIN = struct.Struct(">Q8s")


def _cipher(key: bytes) -> Cipher[ECB]:
    # A single block of unique content is exactly what the bare permutation is for: no mode could
    # add anything, and there is no room in the code for an initialisation vector.
    return Cipher(AES256(key), ECB())  # noqa: S305


def seal_handle(*, voucher_number: int, randomness: bytes, key: bytes) -> bytes:
    """Return the 16-byte handle of a voucher number (unsigned, 64 bits).

    `randomness` is 8 bytes, fresh for each minting; `key` is 32 bytes. Raises ValueError for a
    number, randomness or key of another size.
    """
    if not 0 <= voucher_number < 1 << 64:
        raise ValueError("a voucher number is an unsigned number of 64 bits")
    if len(randomness) != RANDOMNESS_BYTES:
        raise ValueError(f"a handle needs {RANDOMNESS_BYTES} random bytes")
    encryptor = _cipher(key).encryptor()
    return encryptor.update(_PLAIN.pack(voucher_number, randomness)) + encryptor.finalize()


def open_handle(*, handle: bytes, key: bytes) -> int:
    """Return the voucher number sealed in a 16-byte handle.

    Under another key than the one that sealed it the answer is some other number, not an error.
    Raises ValueError for a handle or key of another size.
    """
    if len(handle) != HANDLE_BYTES:
        raise ValueError(f"a handle is {HANDLE_BYTES} bytes")
    decryptor = _cipher(key).decryptor()
    number: int = _PLAIN.unpack(decryptor.update(handle) + decryptor.finalize())[0]
    return number
