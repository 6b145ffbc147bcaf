"""The API document says what the API does: every route, every shape, every example, every refusal.

`RECORD_EXAMPLES=1 pytest tests/settlement/test_api_document.py` writes the examples anew from the
run that is checked here.
"""

import json
import os
from datetime import datetime
from io import StringIO
from typing import Any

import jsonschema
import msgspec
import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from config.http import STATUS
from messaging.refusals import vocabulary
from settlement.documentation import book
from settlement.documentation.answers import Problem
from settlement.documentation.entries import ENTRIES
from tests.settlement.documented_run import Run, documented_run
from tests.world import World, line

# Refused on pages, or where a citizen activates a voucher: no terminal meets them.
NOT_FOR_TERMINALS = {
    "not_signed_in",
    "operator_not_active",
    "voucher_exists",
    "debt_not_owed",
    "credit_limit_below_use",
    "credit_repays_too_much",
    "credit_line_changed",
    "credit_line_missing",
    "member_number_unknown",
    "merchant_code_unknown",
}
# Addresses under /api/v1 that are the document itself.
NOT_OPERATIONS = {"/api/v1/openapi.json"}


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return found


@pytest.fixture
def run(world: World, now: datetime) -> Run:
    with time_machine.travel(now, tick=False):
        return documented_run(world)


@pytest.fixture
def world(db: None, now: datetime) -> World:
    with time_machine.travel(now, tick=False):
        return World.made()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def routes(resolver: URLResolver, prefix: str = "/") -> set[tuple[str, str]]:
    """Method and path of every view of the framework below a resolver."""
    found: set[tuple[str, str]] = set()
    for pattern in resolver.url_patterns:
        path = prefix + "".join(
            part if index % 2 == 0 else "{" + part.partition(":")[2].rstrip(">") + "}"
            for index, part in enumerate(_parts(str(pattern.pattern)))
        )
        if isinstance(pattern, URLResolver):
            found |= routes(pattern, path)
        elif isinstance(pattern, URLPattern) and (kind := getattr(pattern.callback, "cls", None)):
            found |= {(method.upper(), path) for method in ("get", "post") if hasattr(kind, method)}
    return found


def _parts(pattern: str) -> list[str]:
    parts: list[str] = []
    for piece in pattern.split("<"):
        inside, closed, after = piece.partition(">")
        parts += [f"{inside}>", after] if closed else [inside]
    return parts


def test_every_route_is_documented_and_every_documented_route_exists(
    document: dict[str, Any],
) -> None:
    real = {
        (method, path)
        for method, path in routes(get_resolver())
        if path.startswith(("/api/v1/", "/.well-known/")) and path not in NOT_OPERATIONS
    }
    assert set(operations(document)) == real
    assert len(real) > 20


def test_the_document_is_valid_and_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command(
        "spectacular",
        "--validate",
        "--fail-on-warn",
        file=str(tmp_path / "openapi.yaml"),
        stdout=StringIO(),
    )
    assert (tmp_path / "openapi.yaml").stat().st_size > 10_000


def test_every_operation_is_told_whole(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        name = operation["operationId"]
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}, name
        assert operation["summary"].strip(), name
        success = next(code for code in operation["responses"] if code.startswith("2"))
        content = operation["responses"][success]["content"]["application/json"]
        assert content.get("example") or content.get("examples"), name
        if name == "voucher_keys":
            continue
        entry = ENTRIES[name]
        headers = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        assert ("Signature" in headers) == entry.signed, name
        assert ("Idempotency-Key" in headers) == (entry.signed and method == "POST"), name
        assert ("requestBody" in operation) == (method == "POST"), name
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}, name
    assert set(ENTRIES) <= {o["operationId"] for o in operations(document).values()}


def test_every_refusal_that_a_terminal_can_meet_is_documented_at_some_operation() -> None:
    documented = {
        code
        for entry in ENTRIES.values()
        for code in book.refusals_of(entry, writes=entry.request is not None)
    }
    assert documented - {"try_again"} == set(vocabulary()) - NOT_FOR_TERMINALS
    assert documented - {"try_again"} <= set(STATUS)


def test_the_run_meets_every_operation_with_its_documented_status(run: Run) -> None:
    assert run.statuses == {
        "problem": 422,
        **{name: entry.status for name, entry in ENTRIES.items()},
    }, {name: run.exchanges[name] for name in run.statuses if run.statuses[name] >= 400}


def test_real_answers_are_of_the_documented_shapes_member_for_member(
    run: Run, document: dict[str, Any]
) -> None:
    for name, exchange in run.exchanges.items():
        shape = Problem if name == "problem" else ENTRIES[name].answer
        msgspec.convert(exchange["answer"], type=shape, strict=False)
        _validate(document, shape.__name__, exchange["answer"])
        if name != "problem" and (wanted := ENTRIES[name].request):
            _validate(document, wanted.__name__, exchange["request"])


def _validate(document: dict[str, Any], name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_an_answer_with_a_member_that_no_shape_names_would_be_noticed(run: Run) -> None:
    answer = {**run.exchanges["release"]["answer"], "surprise": 1}
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.convert(answer, type=ENTRIES["release"].answer, strict=False)


def figures(value: Any, where: str = "") -> dict[str, Any]:
    """Every member's place with its kind, and with its value where it is money or a word."""
    if isinstance(value, dict):
        return {k: v for name in value for k, v in figures(value[name], f"{where}.{name}").items()}
    if isinstance(value, list):
        return {
            k: v for n, part in enumerate(value) for k, v in figures(part, f"{where}[{n}]").items()
        }
    exact = where.endswith(("_fen", ".payer", ".state", ".reason", ".code", ".status"))
    return {where: value if exact and ".one_time_code" not in where else type(value).__name__}


def test_the_recorded_examples_are_what_a_real_run_answers(run: Run) -> None:
    if os.environ.get("RECORD_EXAMPLES"):
        book.EXAMPLES.write_text(
            json.dumps(run.exchanges, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        book.examples.cache_clear()
    assert set(book.examples()) == set(run.exchanges)
    for name, exchange in run.exchanges.items():
        assert figures(book.examples()[name]) == figures(exchange), name


BAD = [
    ("scan", "scans", {"evidence": {"type": "voucher_code", "value": "1" * 254}, "use": "deposit"}),
    ("scan", "scans", {"evidence": {"type": "face", "value": "x"}, "use": "deposit"}),
    ("scan", "scans", {"evidence": {"type": "voucher_code", "value": "9"}, "use": "nothing"}),
    ("estimate", "estimates", {"benefit_kind": "chronic", "lines": [line()]}),
    ("quote", "quotes", b"{"),
    ("settle", "settlements", {"quote_id": "00000000-0000-7000-8000-000000000000"}),
    ("refund", "refunds", {"settlement_id": "x", "reason": ""}),
    ("pick_up", "visits/00000000-0000-7000-8000-000000000000/pickups", {}),
]


@pytest.mark.parametrize(("name", "path", "body"), BAD, ids=lambda v: str(v)[:40])
def test_a_refusal_is_one_that_the_document_names_for_its_operation(
    world: World, now: datetime, document: dict[str, Any], name: str, path: str, body: Any
) -> None:
    with time_machine.travel(now, tick=False):
        reply = world.till().post(path, body)
    responses = next(o for o in operations(document).values() if o["operationId"] == name)[
        "responses"
    ]
    allowed = responses[str(reply.status)]["content"]["application/problem+json"]["schema"]
    assert reply["code"] in allowed["allOf"][1]["properties"]["code"]["enum"]


def test_the_page_of_the_document_is_served_with_the_reader() -> None:
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    assert b"swagger-ui-bundle" in page.content
