"""The base of every signed endpoint: whose request it is, and the signed answer to it.

A request is read in a fixed order: shape, digest, key, signature, age, then what the terminal and
its merchant may do. A refusal found here has no inbox entry to remember it and is counted in a
tally instead. The module knows no operation; subclasses answer with `messaging.inbox.Answer`.
"""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from rest_framework.views import APIView

from config.http import TRY_AGAIN, problem
from merchants import selectors, services, signatures
from messaging.days import business_date
from messaging.inbox import Answer
from messaging.refusals import Refusal, TryAgain
from messaging.tallies import count_refusal

log = logging.getLogger(__name__)


class SignatureMissing(Refusal):
    """Nothing is signed."""

    code = "signature_missing"
    text = _("The request is not signed.")


class SignatureMalformed(Refusal):
    """Signed in another way than the profile's."""

    code = "signature_malformed"
    text = _("The signature headers do not follow the profile in the signing guide.")


class SignatureInvalid(Refusal):
    """The signature does not fit."""

    code = "signature_invalid"
    text = _("The signature does not fit the request and the terminal's key.")


class SignatureStale(Refusal):
    """Signed too long ago, or in the future."""

    code = "signature_stale"
    text = _("The request was signed too long ago or ahead of time: check the terminal's clock.")


class DigestMissing(Refusal):
    """A body nobody vouches for."""

    code = "digest_missing"
    text = _("The request has content but no Content-Digest.")


class DigestMismatch(Refusal):
    """Other content than was signed."""

    code = "digest_mismatch"
    text = _("The content is not what its digest says.")


class IdempotencyKeyMissing(Refusal):
    """A write without a key."""

    code = "idempotency_key_missing"
    text = _("A write needs an Idempotency-Key.")


class IdempotencyKeyMalformed(Refusal):
    """A key of another form."""

    code = "idempotency_key_malformed"
    text = _("The Idempotency-Key must be 1 to 255 visible ASCII characters.")


class BodyTooLarge(Refusal):
    """More than the server reads."""

    code = "body_too_large"
    text = _("The request is larger than the server accepts.")


_REFUSALS: dict[str, type[Refusal]] = {
    kind.code: kind
    for kind in (
        SignatureMissing,
        SignatureMalformed,
        SignatureInvalid,
        SignatureStale,
        DigestMissing,
        DigestMismatch,
        IdempotencyKeyMissing,
        IdempotencyKeyMalformed,
    )
}


def refused(refusal: Refusal, *, request_id: str) -> Answer:
    """The answer that a refusal becomes, in the active language."""
    body = problem(refusal, request_id=request_id)
    return Answer(
        status=body["status"],
        body=msgspec.json.encode(body).decode(),
        code=refusal.code,
        param=refusal.param or "",
    )


def check_key(key: str) -> None:
    """What the signed profile asks of a key, for edges that have no signature.

    Raises IdempotencyKeyMalformed.
    """
    if not signatures.is_idempotency_key(key):
        raise IdempotencyKeyMalformed(param="Idempotency-Key")


def try_again(*, request_id: str) -> Answer:
    """The answer to passing trouble: the same key may be sent again, and is worked at most once.

    Nothing was stored, unless the connection was lost at the commit itself, which nobody can tell.
    """
    body = {
        "type": f"/docs/refusals#{TryAgain.code}",
        "title": "try again",
        "status": TRY_AGAIN,
        "code": TryAgain.code,
        "detail": str(
            _(
                "The system is busy. Send the same request again, with the same key: it is done"
                " at most once."
            )
        ),
        "param": None,
        "request_id": request_id,
    }
    return Answer(TRY_AGAIN, msgspec.json.encode(body).decode(), code=TryAgain.code)


class SignedEndpoint(APIView):
    """One class an endpoint. Subclasses implement `answer`, and never touch a signature."""

    # The address as the API document writes it, for tallies: ids would make a row each.
    route = ""
    http_method_names = ["get", "post"]

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing to negotiate: one representation, and the signature is the authentication."""

    def answer(
        self,
        *,
        terminal: selectors.TerminalFacts,
        body: bytes,
        key: str | None,
        request_id: str,
        now: datetime,
        params: dict[str, Any],
    ) -> Answer:
        """What the endpoint says. Raises Refusal."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Verify, hand over, sign."""
        now = timezone.now()
        request_id: str = request.request_id  # type: ignore[attr-defined]
        headers = {
            "signature": request.META.get("HTTP_SIGNATURE", ""),
            "signature-input": request.META.get("HTTP_SIGNATURE_INPUT", ""),
            "content-digest": request.META.get("HTTP_CONTENT_DIGEST", ""),
            "idempotency-key": request.META.get("HTTP_IDEMPOTENCY_KEY", ""),
        }
        language = translation.get_language_from_request(request)
        with translation.override(language):
            actor = ""
            try:
                if request.method not in ("GET", "POST") or not hasattr(
                    self, request.method.lower()
                ):
                    return self.http_method_not_allowed_plain()
                try:
                    body = request.body
                except RequestDataTooBig:
                    raise BodyTooLarge from None
                parsed = signatures.parse_request(
                    method=request.method,
                    authority=request.get_host(),
                    path=signatures.wire_path(request.path),
                    query=request.META.get("QUERY_STRING", ""),
                    headers=headers,
                    body=body,
                )
                terminal = selectors.terminal_by_key(key_id=parsed.keyid, day=business_date(now))
                signatures.check(
                    parsed,
                    public_key=Ed25519PublicKey.from_public_bytes(terminal.public_key),
                    now=int(now.timestamp()),
                    window_s=settings.SIGNATURE_WINDOW_S,
                )
                actor = f"terminal:{terminal.terminal_id}"
                services.check_terminal(terminal)
                params = {**request.GET.dict(), **kwargs} if request.GET else kwargs
                answer = self.answer(
                    terminal=terminal,
                    body=body,
                    key=parsed.idempotency_key,
                    request_id=request_id,
                    now=now,
                    params=params,
                )
            except signatures.SignatureRefused as problem_found:
                answer = self._counted(_REFUSALS[problem_found.code](), actor, request_id, now)
            except Refusal as refusal:
                answer = self._counted(refusal, actor, request_id, now)
            except (TryAgain, OperationalError, InterfaceError):
                log.warning("passing trouble", exc_info=True)
                answer = try_again(request_id=request_id)
            signed = signatures.request_signature(headers)
            try:
                return signed_response(answer, request_signature=signed, now=now)
            except (OperationalError, InterfaceError):
                # A process that never reached the database has no key to sign with. Clients take an
                # unsigned 503 for what it is, and send the same request again.
                log.warning("no answer key could be loaded", exc_info=True)
                return unsigned_try_again(request_id=request_id)

    def http_method_not_allowed_plain(self) -> HttpResponse:
        """405 with the methods there are."""
        allowed = [name.upper() for name in self.http_method_names if hasattr(self, name)]
        return HttpResponse(status=405, headers={"Allow": ", ".join(allowed)})

    def _counted(self, refusal: Refusal, actor: str, request_id: str, now: datetime) -> Answer:
        try:
            count_refusal(
                code=refusal.code,
                actor=actor,
                path=self.route,
                param=refusal.param or "",
                request_id=request_id,
                now=now,
            )
        except (DatabaseError, InterfaceError):
            # The refusal stands whether or not it could be counted.
            log.warning("a refusal could not be counted", exc_info=True)
        return refused(refusal, request_id=request_id)


def unsigned_try_again(*, request_id: str) -> HttpResponse:
    """The answer of a process that cannot sign."""
    return HttpResponse(
        try_again(request_id=request_id).body,
        status=TRY_AGAIN,
        content_type="application/problem+json",
        headers={"Retry-After": "1", "Cache-Control": "no-store"},
    )


def signed_response(
    answer: Answer, *, request_signature: str | None, now: datetime
) -> HttpResponse:
    """The answer over HTTP, signed over status, digest and the request's signature."""
    content = answer.body.encode()
    key_id, private_key = services.current_answer_key(now=now)
    headers = signatures.sign_answer(
        status=answer.status,
        body=content,
        request_signature=request_signature,
        private_key=private_key,
        key_id=key_id,
        created=int(now.astimezone(UTC).timestamp()),
    )
    # Without it the server would send the answer in chunks, as two writes.
    headers["Content-Length"] = str(len(content))
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    if answer.replayed:
        headers["Idempotent-Replay"] = "true"
    if answer.status == TRY_AGAIN:
        headers["Retry-After"] = "1"
    content_type = "application/problem+json" if answer.status >= 400 else "application/json"
    return HttpResponse(content, status=answer.status, content_type=content_type, headers=headers)
