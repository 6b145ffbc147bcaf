"""The keys that sign the server's answers to terminals: made, published ahead, taken in turn.

A private key is sealed under the deployment's data key and opened once a process; which key signs
is looked at again every minute, so that a withdrawn key is gone a minute later everywhere.
"""

import base64
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import DatabaseError, transaction

from merchants.models import AnswerKey
from messaging import sql, vault

_PURPOSE = "answer-key"
LIFETIME = timedelta(days=365)
# A successor is made this long before the key in use ends, and signs only after a while: a client
# that reads the published set once a day then knows it before it meets it.
MADE_AHEAD = timedelta(days=30)
PUBLISHED_AHEAD = timedelta(days=7)
_LOOK_AGAIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Signer:
    key_id: str
    private_key: Ed25519PrivateKey
    not_before: datetime
    not_after: datetime
    looked_at: datetime

    def may_sign(self, now: datetime) -> bool:
        return self.not_before <= now < self.not_after


_lock = threading.Lock()
_signer: _Signer | None = None


def forget_answer_key() -> None:
    """Drop the key this process holds: it is read from its row when it is next needed."""
    global _signer
    _signer = None


def current_answer_key(*, now: datetime) -> tuple[str, Ed25519PrivateKey]:
    """The id and the private key that sign answers at this moment.

    Costs nothing but once a minute. When the database cannot be reached, the key at hand goes on
    signing: "try again" must be believed too. Makes the first key if there is none.
    """
    global _signer
    signer = _signer
    if signer is not None and signer.may_sign(now):
        if signer.looked_at <= now < signer.looked_at + _LOOK_AGAIN:
            return signer.key_id, signer.private_key
    else:
        signer = None
    with _lock:
        try:
            _signer = signer = _load(ensure_answer_key(now=now), now=now, held=signer)
        except DatabaseError:
            if signer is None:
                raise
    return signer.key_id, signer.private_key


def _load(row: AnswerKey, *, now: datetime, held: _Signer | None) -> _Signer:
    if held is not None and held.key_id == row.key_id:
        private_key = held.private_key
    else:
        private_key = Ed25519PrivateKey.from_private_bytes(
            vault.unseal(
                bytes(row.private_key_cipher),
                purpose=_PURPOSE,
                data_key=vault.data_key_from_settings(),
            )
        )
    return _Signer(row.key_id, private_key, row.not_before, row.not_after, looked_at=now)


def ensure_answer_key(*, now: datetime) -> AnswerKey:
    """The key that signs at this moment, made if there is none; its successor is made in time.

    Two processes that find none make one between them.
    """
    while True:
        # One read decides both whether a key is wanted and what it is called: a rival that saw the
        # same wants the same id, and only one gets it.
        known = list(AnswerKey.objects.all())
        rows = [row for row in known if row.not_after > now]
        signing = [row for row in rows if row.not_before <= now]
        if not signing:
            _make(known, not_before=now)
            continue
        current = max(signing, key=lambda row: (row.not_before, _number(row.key_id)))
        # A key that outlives the one in use takes over from it, whether or not it signs already.
        if max(row.not_after for row in rows) <= now + MADE_AHEAD:
            _make(known, not_before=now + PUBLISHED_AHEAD)
        return current


def _number(key_id: str) -> int:
    return int(key_id.rpartition("-")[2])


def _make(known: Iterable[AnswerKey], *, not_before: datetime) -> None:
    """Insert the key after those known, unless a rival just did."""
    number = max((_number(row.key_id) for row in known), default=0) + 1
    private_key = Ed25519PrivateKey.generate()
    sql.run(
        "INSERT INTO merchants_answerkey"
        " (key_id, public_key, private_key_cipher, not_before, not_after)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key_id) DO NOTHING",
        (
            f"server-{number}",
            private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
            vault.seal(
                private_key.private_bytes_raw(),
                purpose=_PURPOSE,
                data_key=vault.data_key_from_settings(),
            ),
            not_before,
            not_before + LIFETIME,
        ),
    )


def rotate_answer_key(*, now: datetime, withdraw: bool = False) -> AnswerKey:
    """A new key, published now and signing a week later, when every terminal knows it.

    With `withdraw`, for a key that leaked, it signs from now on, and all earlier keys end now and
    leave the published set; other processes follow within a minute.
    """
    with transaction.atomic():
        if withdraw:
            # Also one that has not begun: it stays as a row, so that no other key takes its id.
            AnswerKey.objects.filter(not_after__gt=now).update(not_after=now)
        else:
            ensure_answer_key(now=now)
        known = list(AnswerKey.objects.all())
        _make(known, not_before=now if withdraw else now + PUBLISHED_AHEAD)
    forget_answer_key()
    return max(AnswerKey.objects.all(), key=lambda row: _number(row.key_id))


def published_answer_keys(*, now: datetime) -> list[dict[str, Any]]:
    """The keys a terminal may meet, as `/.well-known/answer-keys.json` shows them, oldest first."""
    ensure_answer_key(now=now)
    rows = AnswerKey.objects.filter(not_after__gt=now).order_by("not_before", "key_id")
    return [
        {
            "key_id": row.key_id,
            "algorithm": "Ed25519",
            "public_key": base64.urlsafe_b64encode(bytes(row.public_key)).rstrip(b"=").decode(),
            "not_before": _text(row.not_before),
            "not_after": _text(row.not_after),
        }
        for row in rows
    ]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
