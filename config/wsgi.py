"""The WSGI application that granian serves: one handler for terminals, one for browsers.

Sessions, forms, languages and content policies are for browsers. A signed terminal request needs
none of them, and together they would cost more than the rest of its handling, so `/api/v1/` has a
handler whose only middleware is the request id.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_pages = get_wsgi_application()

from config.middleware import RequestId  # noqa: E402  (needs the settings loaded)
from config.startup import refuse_unsafe_start  # noqa: E402

refuse_unsafe_start()


class TerminalHandler(WSGIHandler):
    """Django's handler with the request id as its whole middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        # Django's type stubs leave out what its own handler calls here.
        inner = convert_exception_to_response(cast(Any, self)._get_response)
        self._middleware_chain = convert_exception_to_response(RequestId(inner))


_terminals = TerminalHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Hand the request to the handler its path names."""
    if environ["PATH_INFO"].startswith("/api/v1/"):
        return _terminals(environ, start_response)
    return _pages(environ, start_response)
