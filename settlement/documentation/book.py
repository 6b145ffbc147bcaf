"""How the API document is put together from entries, shapes, refusals and a recorded run."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema, extend_schema_view

from config.documents import refusal_rows
from config.http import STATUS, SUCCESS, TRY_AGAIN
from messaging.refusals import TryAgain

from .answers import Problem
from .entries import ENTRIES, TAGS, Entry
from .refusals import SIGNATURE, WRITE

EXAMPLES = Path(__file__).with_name("examples.json")
_COMPONENT = "#/components/schemas/{name}"

_READ_COVERED = '("@method" "@authority" "@path" "@query")'
_WRITE_COVERED = '("@method" "@authority" "@path" "@query" "content-digest" "idempotency-key")'
_SIGNED = ';created=1767225600;keyid="t7-21fe31dfa154a261626b";alg="ed25519"'


def documented(endpoint: type) -> type:
    """Class decorator: name and summarise the endpoint's method, or both; `complete` says the
    rest."""
    summary = (endpoint.__doc__ or "").strip().splitlines()[0]
    if name := getattr(endpoint, "operation", None):
        described = extend_schema(
            operation_id=name,
            summary=summary,
            request={"application/json": {}},
            responses={SUCCESS[name]: {}},
        )
        endpoint = extend_schema_view(post=described)(endpoint)
        if not hasattr(endpoint, "reading"):
            return endpoint
    name = f"look_{endpoint.reading}"  # type: ignore[attr-defined]
    described = extend_schema(
        operation_id=name,
        summary=getattr(endpoint, "reading_summary", summary),
        parameters=list(getattr(endpoint, "parameters", ())),
        responses={200: {}},
    )
    return extend_schema_view(get=described)(endpoint)


@cache
def examples() -> dict[str, dict[str, Any]]:
    """The recorded run: by operation its `request` (null for a read) and `answer`; by `problem` a
    refusal."""
    recorded: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return recorded


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: fill in what `entries.py` knows of each operation."""
    shapes: set[type] = {Problem, *(entry.answer for entry in ENTRIES.values())}
    shapes |= {entry.request for entry in ENTRIES.values() if entry.request}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_COMPONENT)
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    requests = {entry.request.__name__ for entry in ENTRIES.values() if entry.request}
    for name, schema in components.items():
        # Requests are decoded strictly; answers may grow, and clients must not mind.
        schemas[name] = schema if name in requests else _open(schema)
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    for method, operation in _operations(result):
        if entry := ENTRIES.get(operation["operationId"]):
            _fill(operation, entry, method=method)
    return result


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in result["paths"].values():
        yield from path.items()


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


def _fill(operation: dict[str, Any], entry: Entry, *, method: str) -> None:
    name = operation["operationId"]
    recorded = examples().get(name, {})
    operation["tags"] = [entry.tag]
    if entry.description:
        operation["description"] = entry.description
    operation.pop("security", None)
    writes = method == "post"
    if entry.signed:
        operation.setdefault("parameters", []).extend(_signature_headers(writes=writes))
    operation.setdefault("parameters", []).append(
        _header("Accept-Language", "zh-hans (the default) or en", "en", required=False)
    )
    if entry.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(entry.request, recorded.get("request"))},
        }
    operation["responses"] = {
        str(entry.status): {
            "description": (entry.answer.__doc__ or "").strip().split("\n\n")[0],
            "headers": _answer_headers(writes=writes) if entry.signed else {},
            "content": {"application/json": _content(entry.answer, recorded.get("answer"))},
        },
        **_problems(refusals_of(entry, writes=writes)),
    }


def refusals_of(entry: Entry, *, writes: bool) -> tuple[str, ...]:
    """Every code that the operation may answer, in the order in which they are judged."""
    codes: list[str] = []
    if entry.signed:
        codes += SIGNATURE
        if writes:
            codes += WRITE
    codes += entry.refusals
    if entry.tag != "keys":
        codes.append(TryAgain.code)
    return tuple(dict.fromkeys(codes))


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    rows = refusal_rows()
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS.get(code, TRY_AGAIN), []).append(code)
    return {
        str(status): {
            "description": "\n".join(f"* `{code}`: {rows[code].meaning}" for code in found),
            "content": {
                "application/problem+json": {
                    "schema": {
                        "allOf": [
                            {"$ref": _COMPONENT.format(name="Problem")},
                            {"properties": {"code": {"enum": found}}},
                        ]
                    },
                    "example": _problem_example(found[0], status=status),
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _problem_example(code: str, *, status: int) -> dict[str, Any]:
    recorded = examples()["problem"]["answer"]
    if recorded["code"] == code:
        return recorded
    return {
        "type": f"/docs/refusals#{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": refusal_rows()[code].meaning.replace("`", ""),
        "param": None,
        "request_id": recorded["request_id"],
    }


def _content(shape: type, example: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _COMPONENT.format(name=shape.__name__)}}
    if example is not None:
        content["example"] = example
    return content


def _header(name: str, description: str, example: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "required": required,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def _signature_headers(*, writes: bool) -> list[dict[str, Any]]:
    headers = [
        _header(
            "Signature-Input",
            "What is signed (RFC 9421), in exactly this spelling: docs/signing.md.",
            f"sig1={_WRITE_COVERED if writes else _READ_COVERED}{_SIGNED}",
        ),
        _header("Signature", "`sig1=:` 64 bytes of Ed25519 in base64 `:`", "sig1=:…==:"),
    ]
    if writes:
        headers += [
            _header(
                "Content-Digest",
                "SHA-256 of the content (RFC 9530).",
                "sha-256=:bkMjDgO0EoKRgxUQvpejLbXwSWPMRlzwrNpnSf7QDuI=:",
            ),
            _header(
                "Idempotency-Key",
                "Names the act: the same key and content is done once and answered alike.",
                "3f1c9d7e-5a64-4c0b-9a39-0d3d3f0c6c11",
            ),
        ]
    return headers


def _answer_headers(*, writes: bool) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    headers: dict[str, Any] = {
        "Signature-Input": {"description": "Bound to your own signature.", **text},
        "Signature": {"description": "By one of the answer keys.", **text},
        "Content-Digest": {"description": "SHA-256 of this content.", **text},
        "X-Request-Id": {"description": "Quote it when you call.", **text},
    }
    if writes:
        headers["Idempotent-Replay"] = {
            "description": "`true` where the same key was answered before.",
            **text,
        }
    return headers
