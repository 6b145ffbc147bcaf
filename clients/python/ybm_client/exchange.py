"""Signed exchanges: send, send again, and believe nothing that the server did not sign.

Knows keys, signatures and repetitions. Knows nothing of scans or bills, and keeps no file.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ybm_client.errors import AnswerNotTrusted, OutcomeUnknown, Refused
from ybm_client.signing import KeyNotHeld, NotGenuine, sign_request, verify_answer
from ybm_client.transport import Answer, NoAnswer, NotTheServer, Transport

# "Not now": try_again from the server itself, or a proxy in front of it that found nobody home.
# Unsigned as they may be, they are never believed, only answered by trying again.
NOT_NOW = frozenset({502, 503, 504})
# `Retry-After` is as unsigned as the rest of such an answer: it may not halt the counter.
LONGEST_WAIT_S = 5

Json = dict[str, Any]


def json_object(content: bytes) -> Json | None:
    """The JSON object in these bytes, or None where they hold anything else."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class AnswerKeys:
    """The server's public keys for answers, each with the time in which it signs."""

    def __init__(self, published: Iterable[Mapping[str, Any]]) -> None:
        self.published = [dict(key) for key in published if key["algorithm"] == "Ed25519"]
        self.public: dict[str, Ed25519PublicKey] = {}
        self._time: dict[str, tuple[float, float]] = {}
        for key in self.published:
            text = key["public_key"]
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            self.public[key["key_id"]] = Ed25519PublicKey.from_public_bytes(raw)
            self._time[key["key_id"]] = (_moment(key["not_before"]), _moment(key["not_after"]))

    def in_force(self, key_id: str, moment: int) -> bool:
        """Whether a held key signs at this moment, in unix seconds."""
        not_before, not_after = self._time[key_id]
        return not_before <= moment < not_after


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _asked_wait_s(retry_after: str) -> int:
    # The form with a date is not used by this server, and needs a clock that agrees with it.
    if not re.fullmatch(r"[0-9]{1,4}", retry_after):
        return 0
    return min(int(retry_after), LONGEST_WAIT_S)


class Exchange:
    """One terminal's way of talking to the server."""

    def __init__(
        self,
        transport: Transport,
        *,
        key: Ed25519PrivateKey,
        key_id: str,
        answer_keys: AnswerKeys,
        language: str,
        pauses_s: Iterable[float],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.transport = transport
        self.answer_keys = answer_keys
        self._key = key
        self._key_id = key_id
        self._language = language
        self._pauses_s = tuple(pauses_s)
        self._clock = clock
        self._sleep = sleep
        self._clock_off_s = 0

    def call(self, method: str, path: str, query: str, content: bytes, key: str | None) -> Json:
        """The JSON a genuine answer carries; Refused, OutcomeUnknown or AnswerNotTrusted else.

        `key` is the idempotency key, None for a read.
        """
        answer, signature = self.send(method, path, query, content, key)
        body, created = self._believe(answer, signature, key)
        if answer.status >= 400 and body.get("code") == "signature_stale":
            # This terminal's clock is wrong. The server's is signed and bound to this request, so
            # it can be trusted to set ours by; the system clock is left alone.
            self._clock_off_s = created - int(self._clock())
            answer, signature = self.send(method, path, query, content, key)
            body, _ = self._believe(answer, signature, key)
        if answer.status >= 300:
            raise Refused(status=answer.status, body=body)
        return body

    def send(
        self, method: str, path: str, query: str, content: bytes, key: str | None
    ) -> tuple[Answer, str]:
        """Send until something other than "not now" answers, and give its answer back unverified.

        Every repetition is signed anew, because signatures age, but keeps its idempotency key.
        """
        trouble = ""
        asked_s = 0
        for pause_s in (None, *self._pauses_s):
            if pause_s is not None:
                self._sleep(max(pause_s, asked_s))
            headers = sign_request(
                method=method,
                authority=self.transport.authority,
                path=path,
                query=query,
                content=content,
                key=self._key,
                key_id=self._key_id,
                created=int(self._clock()) + self._clock_off_s,
                idempotency_key=key,
            )
            signature = headers["Signature"]
            headers["Accept"] = "application/json"
            headers["Accept-Language"] = self._language
            if content:
                headers["Content-Type"] = "application/json"
            target = f"{path}?{query}" if query else path
            try:
                answer = self.transport.exchange(method, target, headers, content)
            except NotTheServer as error:
                raise AnswerNotTrusted(str(error), idempotency_key=key) from error
            except NoAnswer as error:
                trouble, asked_s = str(error), 0
                continue
            if answer.status not in NOT_NOW:
                return answer, signature
            trouble = f"the server answered {answer.status}"
            asked_s = _asked_wait_s(answer.headers.get("retry-after", ""))
        raise OutcomeUnknown(trouble, idempotency_key=key)

    def _believe(self, answer: Answer, signature: str, key: str | None) -> tuple[Json, int]:
        """The body of an answer and the moment it was signed, or AnswerNotTrusted."""

        def untrusted(reason: str) -> AnswerNotTrusted:
            return AnswerNotTrusted(
                reason, idempotency_key=key, status=answer.status, content=answer.content
            )

        try:
            key_id, created = verify_answer(
                status=answer.status,
                headers=answer.headers,
                content=answer.content,
                request_signature=signature,
                keys=self.answer_keys.public,
            )
        except KeyNotHeld as error:
            raise untrusted(f"{error}; refresh_answer_keys() may know it") from error
        except NotGenuine as error:
            raise untrusted(str(error)) from error
        if not self.answer_keys.in_force(key_id, created):
            raise untrusted(f"the answer is signed with {key_id} outside that key's time")
        body = json_object(answer.content)
        if body is None:
            raise untrusted("the answer is not a JSON object")
        return body, created
