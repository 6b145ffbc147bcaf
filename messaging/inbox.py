"""Requests remembered by key with their answers: the same key is worked once and answered alike.

`answer_once` is the envelope of every write. It claims the key, lets the work decide and write, and
commits the answer together with whatever the work wrote. A refusal is a commit like any other
answer; only passing trouble rolls back, and then nothing is stored. It knows no domain and no HTTP
status but what it is handed to store.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from . import sql, vault
from .refusals import Refusal


class KeyReused(Refusal):
    """The key was used before for other content."""

    code = "idempotency_key_reused"
    text = _("This idempotency key was already used for a different request.")


class OutcomeUnknown(Refusal):
    """Nobody of this circle ever sent that key."""

    code = "outcome_unknown"
    text = _("No request with this key was received from your institution.")


@dataclass(frozen=True, slots=True)
class Request:
    """What identifies a request. `circle` is who else may ask for its outcome."""

    actor: str
    circle: str
    key: str
    path: str
    body: bytes
    request_id: str
    # The answer names a person in full: it is kept encrypted.
    private: bool = False
    # An advisory lock (PostgreSQL's pair of numbers) that the work holds shared until its commit.
    shares_lock: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is stored and sent. `body` is the exact text; `code` is empty when accepted."""

    status: int
    body: str
    code: str = ""
    param: str = ""
    replayed: bool = False


def content_hash(*, path: str, body: bytes) -> str:
    """SHA-256 over path and body, 64 hexadecimal digits."""
    return hashlib.sha256(path.encode() + b"\n" + body).hexdigest()


def answer_once(
    request: Request,
    *,
    now: datetime,
    work: Callable[[], Answer],
    refused: Callable[[Refusal], Answer],
) -> Answer:
    """Work the request once, or answer what it was answered before.

    `work` makes every decision before its first write and raises Refusal to refuse; `refused` turns
    that into the answer to store. Raises KeyReused, and lets database errors through after rolling
    everything back.
    """
    digest = content_hash(path=request.path, body=request.body)
    with transaction.atomic(durable=True):
        lock, numbers = sql.shared_lock(request.shares_lock)
        claimed = sql.fetch(
            # The lock is taken with the row, before it: a statement of its own would cost every
            # bill a round trip. It answers nothing, so what it protects is read by later ones.
            f"{lock}INSERT INTO messaging_inboxentry (actor, key, circle, path, content_hash,"
            " status, code, param, body, request_id, received_at)"
            f" SELECT %s, %s, %s, %s, %s, NULL, '', '', '', %s, %s{' FROM held' if lock else ''}"
            " WHERE true ON CONFLICT (actor, key) DO NOTHING RETURNING id",
            (
                *numbers,
                request.actor,
                request.key,
                request.circle,
                # An address may be of any length; the hash has it whole.
                request.path[:200],
                digest,
                request.request_id,
                now,
            ),
        )
        if not claimed:
            return _stored(request, digest)
        try:
            answer = work()
        except Refusal as refusal:
            answer = refused(refusal)
        sql.run(
            "UPDATE messaging_inboxentry SET status = %s, code = %s, param = %s, body = %s"
            " WHERE id = %s",
            (
                answer.status,
                answer.code,
                answer.param[:200],
                _sealed(answer.body) if request.private else answer.body,
                claimed[0][0],
            ),
        )
    return answer


def amend(request: Request, answer: Answer) -> None:
    """Put another answer in the place of the stored one: that of a request whose work went on
    after its commit, outside of any transaction. Whoever asks again gets the later one."""
    with transaction.atomic(durable=True):
        sql.run(
            "UPDATE messaging_inboxentry SET body = %s WHERE actor = %s AND key = %s",
            (_sealed(answer.body) if request.private else answer.body, request.actor, request.key),
        )


# A stored answer is a JSON object, which begins with a brace: no answer looks sealed by chance.
_SEALED = "sealed:"
_PURPOSE = "inbox-answer"


def _sealed(body: str) -> str:
    sealed = vault.seal(body.encode(), purpose=_PURPOSE, data_key=vault.data_key_from_settings())
    return _SEALED + base64.b64encode(sealed).decode()


def _opened(stored: str) -> str:
    if not stored.startswith(_SEALED):
        return stored
    sealed = base64.b64decode(stored.removeprefix(_SEALED))
    return vault.unseal(sealed, purpose=_PURPOSE, data_key=vault.data_key_from_settings()).decode()


def _stored(request: Request, digest: str) -> Answer:
    row = sql.fetch_one(
        "SELECT content_hash, status, body, code, param FROM messaging_inboxentry"
        " WHERE actor = %s AND key = %s",
        (request.actor, request.key),
    )
    # A barred key has no content of its own: whatever comes under it gets its answer.
    if row is None or (row[0] and row[0] != digest):
        raise KeyReused
    return Answer(status=row[1], body=_opened(row[2]), code=row[3], param=row[4], replayed=True)


def bar(
    *,
    actors: Sequence[str],
    circle: str,
    key: str,
    refused: Callable[[], Answer],
    request_id: str,
    now: datetime,
) -> tuple[str, str, str] | None:
    """Make sure that nothing can come under the key any more, and say what came before.

    A request under way is waited for. Answers path, code (empty when it was accepted) and body of
    what was worked under the key by one of the actors, the latest; None when nothing was: whatever
    arrives from now on gets the answer `refused` makes. Inside the caller's transaction.
    """
    if not (key.isascii() and key.isprintable()):
        # No request can have come with such a key, nor ever will.
        return None
    barred = refused()
    for actor in sorted(actors):
        # One at a time, in one order: a rival that holds a later one must not wait for an earlier.
        sql.fetch(
            "INSERT INTO messaging_inboxentry (actor, key, circle, path, content_hash, status,"
            " code, param, body, request_id, received_at)"
            " VALUES (%s, %s, %s, %s, '', %s, %s, '', %s, %s, %s)"
            " ON CONFLICT (actor, key) DO NOTHING RETURNING id",
            (actor, key, circle, BARRED, barred.status, barred.code, barred.body, request_id, now),
        )
    row = sql.fetch_one(
        "SELECT path, code, body FROM messaging_inboxentry"
        f" WHERE {sql.among('actor')} AND key = %s AND content_hash <> '' AND status IS NOT NULL"
        " ORDER BY CASE WHEN code = '' THEN 0 ELSE 1 END, id DESC LIMIT 1",
        (sql.values(actors), key),
    )
    return None if row is None else (row[0], row[1], _opened(row[2]))


# The path of a key that was withdrawn before anything came under it.
BARRED = "barred"


def outcome(*, actor: str, circle: str, key: str) -> tuple[str, Answer]:
    """Path and answer of a request, asked by anyone of its circle. Raises OutcomeUnknown.

    Two of a circle may have used one key, each for something of its own; whoever asks means their
    own request if there is one, else the latest.
    """
    # No request can have come with any other key, and not every text can be asked of a database.
    if not (key.isascii() and key.isprintable()):
        raise OutcomeUnknown(param="idempotency_key")
    row = sql.fetch_one(
        "SELECT path, status, body, code, param FROM messaging_inboxentry"
        " WHERE circle = %s AND key = %s"
        " ORDER BY CASE WHEN actor = %s THEN 0 ELSE 1 END, id DESC LIMIT 1",
        (circle, key, actor),
    )
    if row is None:
        raise OutcomeUnknown(param="idempotency_key")
    return row[0], Answer(
        status=row[1], body=_opened(row[2]), code=row[3], param=row[4], replayed=True
    )
