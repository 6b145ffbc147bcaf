"""The API document's part of each signed endpoint, generated from the shapes themselves."""

from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema, extend_schema_view

from config.http import SUCCESS
from settlement import operations


def _schema(shape: type) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    return _inlined(schema, components)


def _inlined(node: Any, components: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        return _inlined(components[reference.rsplit("/", 1)[1]], components)
    return {key: _inlined(value, components) for key, value in node.items()}


def documented(endpoint: type) -> type:
    """Class decorator: describe the endpoint's one method in the API document."""
    summary = (endpoint.__doc__ or "").strip().splitlines()[0]
    if name := getattr(endpoint, "operation", None):
        described = extend_schema(
            operation_id=name,
            summary=summary,
            request={"application/json": _schema(operations.OPERATIONS[name].shape)},
            responses={SUCCESS[name]: {"type": "object"}},
        )
        return extend_schema_view(post=described)(endpoint)
    name = f"look_{endpoint.reading}"  # type: ignore[attr-defined]
    described = extend_schema(
        operation_id=name, summary=summary, responses={200: {"type": "object"}}
    )
    return extend_schema_view(get=described)(endpoint)
