"""How a page's script is answered: JSON that is never stored, and refusals as problem+json.

Scripts count down to moments of the server, and the clock of a phone or a till may be minutes off;
so every answer says in `Server-Time` what time it is here, in milliseconds of Unix time.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from merchants.endpoint import refused, try_again
from messaging.inbox import Answer
from messaging.refusals import Refusal, TryAgain

log = logging.getLogger(__name__)


class NotSignedIn(Refusal):
    """The session ended, or never was."""

    code = "not_signed_in"
    text = _("You are signed out. Sign in again; what was already accepted stays accepted.")


class OperatorNotActive(Refusal):
    """Signed in, but not as somebody who works at a counter."""

    code = "operator_not_active"
    text = _("This login does not work at a counter. Ask your manager to switch it on.")


def send(answer: Answer, *, now: datetime) -> HttpResponse:
    """The answer as a page's script gets it: same status, same body."""
    kind = "application/problem+json" if answer.status >= 400 else "application/json"
    response = HttpResponse(answer.body.encode(), status=answer.status, content_type=kind)
    response["Cache-Control"] = "no-store"
    response["Server-Time"] = str(int(now.timestamp() * 1000))
    if answer.replayed:
        response["Idempotent-Replay"] = "true"
    return response


def as_answer(value: Any) -> Answer:
    """A value as a 200 answer. Moments become RFC 3339 texts."""
    return Answer(200, msgspec.json.encode(value).decode())


def json_view(
    view: Callable[..., Answer],
) -> Callable[..., HttpResponse]:
    """Make a view of a function that takes `request` and `now` and returns an Answer or refuses."""

    @wraps(view)
    def answered(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        request_id: str = request.request_id  # type: ignore[attr-defined]
        try:
            answer = view(request, now=now, **kwargs)
        except Refusal as refusal:
            answer = refused(refusal, request_id=request_id)
        except (TryAgain, OperationalError, InterfaceError):
            log.warning("passing trouble behind a page", exc_info=True)
            answer = try_again(request_id=request_id)
        return send(answer, now=now)

    return answered
