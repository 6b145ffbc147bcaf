"""The terminals' own handler answers as the whole stack of middleware would, and faster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from django.test.client import ClientHandler

from config import wsgi
from tests.world import Reply, Till, World, line


class _ByTerminalHandler(ClientHandler):
    """The test client's handler with the middleware of `config.wsgi.TerminalHandler`."""

    load_middleware = wsgi.TerminalHandler.load_middleware


def _client(handler: type[ClientHandler]) -> Client:
    client = Client()
    client.handler = handler(enforce_csrf_checks=True)
    return client


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


# What a request id and a moment make different in any two answers.
_OWN = {"signature", "signature-input", "x-request-id", "content-digest", "content-length"}
# What the browsers' middleware adds for browsers.
_FOR_BROWSERS = {
    "content-language",
    "content-security-policy",
    "cross-origin-opener-policy",
    "referrer-policy",
    "vary",
    "x-content-type-options",
    "x-frame-options",
}


def _comparable(reply: Reply) -> dict[str, Any]:
    return {
        "status": reply.status,
        "body": {**reply.body, "request_id": ""} if "request_id" in reply.body else reply.body,
        "headers": {
            name: value for name, value in reply.headers.items() if name not in _OWN | _FOR_BROWSERS
        },
    }


Request = Callable[[Till, World], Reply]
REQUESTS: list[tuple[str, Request]] = [
    ("an estimate in Chinese", lambda t, w: t.post("estimates", _bill(w, t), language="zh-hans")),
    ("an estimate in English", lambda t, w: t.post("estimates", _bill(w, t), language="en")),
    ("a language nobody speaks", lambda t, w: t.post("estimates", {}, language="tlh;q=x")),
    ("a refusal", lambda t, w: t.post("settlements", {}, language="zh-hans")),
    ("a body that is not JSON", lambda t, w: t.post("scans", b"{")),
    ("a huge body", lambda t, w: t.post("scans", b" " * 3_000_000)),
    ("unsigned", lambda t, w: t.post("scans", {}, spoil={"Signature": None})),
    ("nothing found", lambda t, w: t.get(f"settlements/{uuid4().int}")),
    ("no such address", lambda t, w: t.get("nowhere")),
    ("another method", lambda t, w: t.get("estimates")),
]

_bills: dict[int, dict[str, Any]] = {}


def _bill(world: World, till: Till) -> dict[str, Any]:
    """One bill a world, so that both handlers are asked the same."""
    if id(world) not in _bills:
        _bills[id(world)] = {
            "scan_id": world.scan(till),
            "benefit_kind": "pharmacy_account",
            "lines": [line(), line("A6", "2", "9.9")],
        }
    return _bills[id(world)]


@pytest.mark.parametrize("ask", [row[1] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_both_handlers_give_the_same_answer(world: World, till: Till, ask: Request) -> None:
    answers = []
    for handler in (ClientHandler, _ByTerminalHandler):
        till.client = _client(handler)
        answers.append(ask(till, world))
    _bills.clear()
    whole, own = map(_comparable, answers)
    if whole["status"] == 404 and not whole["body"]:
        # Nobody's page: only its status matters.
        assert own["status"] == 404
        return
    assert own == whole
    assert answers[1].headers["x-request-id"]


def test_a_given_request_id_comes_back_and_a_bad_one_is_replaced(till: Till) -> None:
    till.client = _client(_ByTerminalHandler)
    given = till.post("scans", {}, spoil={"X-Request-Id": "till-7-0000042"})
    assert given["request_id"] == given.headers["x-request-id"] == "till-7-0000042"
    for bad in ("short", "x" * 65, "with blank 12", "<script>"):
        made = till.post("scans", {}, spoil={"X-Request-Id": bad})
        assert made["request_id"] == made.headers["x-request-id"] != bad


@contextmanager
def _recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    called: list[str] = []

    def record(name: str) -> Callable[..., Any]:
        return lambda environ, start_response: called.append(name) or []

    monkeypatch.setattr(wsgi, "_terminals", record("terminals"))
    monkeypatch.setattr(wsgi, "_pages", record("pages"))
    yield called


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/api/v1/scans", "terminals"),
        ("/api/v1/", "terminals"),
        ("/api/v1", "pages"),
        ("/api/docs/", "pages"),
        ("/", "pages"),
        ("/admin/", "pages"),
        ("//api/v1/scans", "pages"),
    ],
)
def test_only_the_signed_api_leaves_the_browsers_middleware_out(
    monkeypatch: pytest.MonkeyPatch, path: str, handler: str
) -> None:
    with _recorded(monkeypatch) as called:
        wsgi.application({"PATH_INFO": path}, lambda *_: None)
    assert called == [handler]


def test_the_handler_is_a_real_wsgi_handler_with_the_request_id_as_its_only_middleware() -> None:
    handler = wsgi.TerminalHandler()
    assert isinstance(handler, WSGIHandler)
    assert handler._view_middleware == []
    assert handler._exception_middleware == []
