"""Signing keys: made, rotated and killed here, and turned from rows into keys that work.

Private halves and handle keys are kept sealed under the deployment's data key; opened ones stay in
this process, found again by their own cipher text, so that a row decides every time and nothing
outlives it. A row is never deleted: its number must never be given to another key.

Codes are signed with the key in force that ends first. A key made by rotation is therefore known to
every verifier (they keep the published set for up to half an hour) before its first code.
"""

import os
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from django.db.models import Max, QuerySet

from messaging import sql, vault
from voucher import tokens
from voucher.handles import HANDLE_KEY_BYTES
from voucher.models import SigningKey
from voucher.suites import ED25519, SUITES

KEY_LIFETIME = timedelta(days=90)
# What is left of the last key's life when `ensure_signing_key` makes the next one.
RENEWED_BEFORE_END = timedelta(days=7)
# The last code of a key lives this long after the key; then the key need not be known any more.
LAST_CODE = timedelta(seconds=tokens.LONGEST_LIFETIME_S)

_PRIVATE = "signing-key"
_HANDLE = "handle-key"


def ensure_signing_key(*, now: datetime) -> SigningKey:
    """The key in force longest; one is made where none is, or where the last one nears its end.

    Called at first start and daily. Takes the key lock, so that eight processes that start at once
    make one key.
    """
    with transaction.atomic():
        _lock_keys()
        last = _living(now).order_by("not_after").last()
        if last is not None and last.not_after - now > RENEWED_BEFORE_END:
            return last
        return _make_key(now)


def rotate_signing_key(*, now: datetime, overlap: timedelta) -> SigningKey:
    """Make the next key, published and in force at once, and let the others end after `overlap`.

    Until then codes are still signed with the older one. Give at least half an hour, so that every
    verifier has fetched the set; zero changes over at once. Raises ValueError for less than zero.
    """
    if overlap < timedelta(0):
        raise ValueError("an overlap is not negative")
    with transaction.atomic():
        _lock_keys()
        end = _whole_second(now + overlap)
        _living(now).filter(not_after__gt=end, not_before__lt=end).update(not_after=end)
        return _make_key(now)


def kill_signing_key(*, key_id: int, now: datetime) -> None:
    """Refuse every code this key ever signed from the commit on; make another if none is left.

    Killing a killed key changes nothing. Raises SigningKey.DoesNotExist.
    """
    with transaction.atomic():
        _lock_keys()
        key = SigningKey.objects.get(key_id=key_id)
        if key.killed_at is None:
            key.killed_at = now
            key.save(update_fields=["killed_at"])
        if not _living(now).exists():
            _make_key(now)


def signing_key(
    *,
    key_id: int,
    algorithm: str,
    private_key_cipher: bytes,
    handle_key_cipher: bytes,
    not_before: datetime,
    not_after: datetime,
) -> tokens.SigningKey:
    """The key of a row, ready to mint with."""
    return _signing_key(
        key_id,
        algorithm,
        bytes(private_key_cipher),
        bytes(handle_key_cipher),
        _unix(not_before),
        _unix(not_after),
        vault.data_key_from_settings(),
    )


def verifying_keys(*, now: datetime) -> dict[int, tokens.VerifyingKey]:
    """The keys that a code presented now may be signed with, by id. One statement each time: a key
    killed a moment ago is not among them."""
    rows = sql.fetch(
        "SELECT key_id, algorithm, public_key, handle_key_cipher, not_before, not_after"
        " FROM voucher_signingkey WHERE killed_at IS NULL AND not_after > %s",
        (now - LAST_CODE,),
        kinds=(None, None, None, None, "datetime", "datetime"),
    )
    data_key = vault.data_key_from_settings()
    return {
        row[0]: _verifying_key(
            row[0], row[1], bytes(row[2]), bytes(row[3]), _unix(row[4]), _unix(row[5]), data_key
        )
        for row in rows
    }


def _living(now: datetime) -> QuerySet[SigningKey]:
    """Keys that are in force now or later and were not killed."""
    return SigningKey.objects.filter(killed_at__isnull=True, not_after__gt=now)


def _make_key(now: datetime) -> SigningKey:
    data_key = vault.data_key_from_settings()
    private_key = Ed25519PrivateKey.generate()
    begin = _whole_second(now)
    return SigningKey.objects.create(
        key_id=(SigningKey.objects.aggregate(last=Max("key_id"))["last"] or 0) + 1,
        algorithm=ED25519.name,
        public_key=private_key.public_key().public_bytes_raw(),
        private_key_cipher=vault.seal(
            private_key.private_bytes_raw(), purpose=_PRIVATE, data_key=data_key
        ),
        handle_key_cipher=vault.seal(
            os.urandom(HANDLE_KEY_BYTES), purpose=_HANDLE, data_key=data_key
        ),
        not_before=begin,
        not_after=begin + KEY_LIFETIME,
    )


def _lock_keys() -> None:
    """One writer of keys at a time. Readers, who sign and verify, are not kept waiting."""
    if connection.vendor == "postgresql":
        sql.run("LOCK TABLE voucher_signingkey IN SHARE ROW EXCLUSIVE MODE")


def _whole_second(moment: datetime) -> datetime:
    # Codes count whole seconds: with a fraction, a key could be in force by its row and not by a
    # code's own figures.
    return moment.replace(microsecond=0)


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())


@lru_cache(maxsize=64)
def _signing_key(
    key_id: int,
    algorithm: str,
    private_key_cipher: bytes,
    handle_key_cipher: bytes,
    not_before: int,
    not_after: int,
    data_key: bytes,
) -> tokens.SigningKey:
    return tokens.SigningKey(
        key_id=key_id,
        algorithm=algorithm,
        private_key=SUITES[algorithm].load_private(
            vault.unseal(private_key_cipher, purpose=_PRIVATE, data_key=data_key)
        ),
        handle_key=vault.unseal(handle_key_cipher, purpose=_HANDLE, data_key=data_key),
        not_before=not_before,
        not_after=not_after,
    )


@lru_cache(maxsize=256)
def _verifying_key(
    key_id: int,
    algorithm: str,
    public_key: bytes,
    handle_key_cipher: bytes,
    not_before: int,
    not_after: int,
    data_key: bytes,
) -> tokens.VerifyingKey:
    return tokens.VerifyingKey(
        key_id=key_id,
        algorithm=algorithm,
        public_key=SUITES[algorithm].load_public(public_key),
        handle_key=vault.unseal(handle_key_cipher, purpose=_HANDLE, data_key=data_key),
        not_before=not_before,
        not_after=not_after,
    )
