"""The server's keys that sign the roots of sealed batches.

Keys of their own, because theirs must be verifiable as long as the books are kept: a code's key may
be killed within the minute and an answer's key ends after a year, and neither may take the proof of
the books along.
"""

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from messaging import sql, vault
from settlement.models import SealKey

_PURPOSE = "seal-key"


def current_seal_key(*, now: datetime) -> tuple[int, Ed25519PrivateKey]:
    """Number and private half of the latest key, made if there is none.

    Only under the sealer's lock, so that two sealers do not make one key each.
    """
    row = sql.fetch_one(
        "SELECT number, private_key_cipher FROM settlement_sealkey ORDER BY number DESC LIMIT 1"
    )
    if row is None:
        return _make(1, now=now)
    opened = vault.unseal(bytes(row[1]), purpose=_PURPOSE, data_key=vault.data_key_from_settings())
    return row[0], Ed25519PrivateKey.from_private_bytes(opened)


def make_next_seal_key(*, now: datetime) -> int:
    """A key that signs from now on; the earlier ones go on verifying what they signed. Its number.

    Only under the sealer's lock.
    """
    number, _private_key = current_seal_key(now=now)
    return _make(number + 1, now=now)[0]


def _make(number: int, *, now: datetime) -> tuple[int, Ed25519PrivateKey]:
    private_key = Ed25519PrivateKey.generate()
    cipher = vault.seal(
        private_key.private_bytes_raw(), purpose=_PURPOSE, data_key=vault.data_key_from_settings()
    )
    sql.insert_rows(
        SealKey,
        ("number", "public_key", "private_key_cipher", "made_at"),
        [(number, private_key.public_key().public_bytes_raw(), cipher, now)],
    )
    return number, private_key
