"""What can go wrong between a terminal and the server, sorted by what the caller should do next."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Any failure this package reports by itself."""


class Refused(ClientError):
    """The server, provably, said no. Sending the same again will get the same answer.

    `code` is the machine's word (the list is in the server's documentation), `detail` a sentence
    for the person at the counter in the terminal's language, `param` the field or line to blame,
    `body` the whole answer with the extra members of this code.
    """

    def __init__(self, *, status: int, body: dict[str, Any]) -> None:
        self.code = str(body.get("code", ""))
        self.status = status
        self.detail = str(body.get("detail", ""))
        self.param: str | None = body.get("param")
        self.request_id: str | None = body.get("request_id")
        self.body = body
        super().__init__(f"{status} {self.code}: {self.detail}")


class OutcomeUnknown(ClientError):
    """No answer to be relied on arrived: the act may have been done or not.

    Ask with `terminal.outcome(error.idempotency_key)`, or call again with this very key: it is
    done once at most. The key is None for a read, which changes nothing and can just be repeated.
    """

    def __init__(self, reason: str, *, idempotency_key: str | None) -> None:
        self.reason = reason
        self.idempotency_key = idempotency_key
        super().__init__(f"{reason} (idempotency key {idempotency_key})")


class AnswerNotTrusted(OutcomeUnknown):
    """Something answered, but not provably the server: never book what it says.

    `status` and `content` are what was received, for the log; they may be forged.
    """

    def __init__(
        self, reason: str, *, idempotency_key: str | None, status: int = 0, content: bytes = b""
    ) -> None:
        super().__init__(reason, idempotency_key=idempotency_key)
        self.status = status
        self.content = content
