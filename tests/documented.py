"""Every refusal that any test's till meets is one that the API document names for its operation.

A plugin rather than a test: the suite provokes far more refusals than a list here could.
"""

import sys
from typing import Any

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let tills check what they are answered, where this run has tills at all."""
    if world := sys.modules.get("tests.world"):
        _watch(world.Till)


def _watch(till: Any) -> None:
    send = till._send

    def watched(self: Any, method: str, path: str, *rest: Any) -> Any:
        reply = send(self, method, path, *rest)
        if code := reply.body.get("code") if reply.status >= 400 else None:
            name = _operation(method, path)
            assert name is None or code in _documented(name, method), (
                f"{name} answered {code}, which settlement/documentation/entries.py does not name"
            )
        return reply

    till._send = watched


def _operation(method: str, path: str) -> str | None:
    from django.urls import Resolver404, resolve

    try:
        view = resolve(f"/api/v1/{path.partition('?')[0]}").func.cls
    except (Resolver404, AttributeError):
        return None
    if method == "GET" and (reading := getattr(view, "reading", None)):
        return f"look_{reading}"
    names = {
        "RollEndpoint": "roll",
        "EnrolEndpoint": "enrol",
        "ItemsEndpoint": "look_items" if method == "GET" else "save_items",
    }
    return str(getattr(view, "operation", None) or names[view.__name__])


def _documented(name: str, method: str) -> tuple[str, ...]:
    from settlement.documentation import book
    from settlement.documentation.entries import ENTRIES

    return book.refusals_of(ENTRIES[name], writes=method == "POST")
