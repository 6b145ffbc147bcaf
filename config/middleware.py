"""The request id: one name for a request in its answer, its rows and its log lines."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from config.logs import request_id
from messaging.ids import new_id

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Takes `X-Request-Id` where it is well formed, else makes one; answers it back."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if _ACCEPTED.fullmatch(given) else new_id().hex
        request.request_id = identifier  # type: ignore[attr-defined]
        token = request_id.set(identifier)
        try:
            response: HttpResponse = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-Id"] = identifier
        return response
