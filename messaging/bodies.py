"""Bodies of requests, decoded strictly by msgspec into structs.

Strict means: no unknown member, no number where a text belongs, nothing longer than its column.
What fits is well formed; whether it is true is for the services. The shapes are each app's own.
"""

import re
from typing import Any, TypeVar

import msgspec
from django.utils.translation import gettext_lazy as _
from msgspec import Struct

from .refusals import Refusal


class BodyNotJson(Refusal):
    """The body is not JSON in UTF-8."""

    code = "body_not_json"
    text = _("The body is not valid JSON.")


class FieldInvalid(Refusal):
    """A field is missing, unknown, or not of its form."""

    code = "field_invalid"
    text = _("%(field)s: %(problem)s")


class Payload(Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every body."""


P = TypeVar("P", bound=Payload)

# As long as the columns that keep what was to blame.
_LONGEST = 200

_AT = re.compile(r" - at `\$?\.?(.*)`$")
_MISSING = re.compile(r"^Object (?:missing required|contains unknown) field `(.+?)`")


def decode(kind: type[P], body: bytes) -> P:
    """The body as that shape. Raises BodyNotJson, or FieldInvalid naming the field."""
    try:
        payload = msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        # The shape is judged while reading, so the rest may not even be JSON, and the field that
        # is named may have a name that no database can hold.
        if body and not _is_storable(body):
            raise BodyNotJson from None
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BodyNotJson from None
    if b"\\u0000" in body and not _is_storable(body):
        raise BodyNotJson
    return payload


def _is_storable(body: bytes) -> bool:
    """JSON without U+0000, which JSON's texts may hold and PostgreSQL's may not."""
    try:
        value = msgspec.json.decode(body)
        return b"\\u0000" not in body or not _holds_nul(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


def _invalid(message: str) -> FieldInvalid:
    place = _AT.search(message)
    problem = message[: place.start()] if place else message
    field = place[1] if place else ""
    if missing := _MISSING.match(message):
        field = f"{field}.{missing[1]}" if field else missing[1]
    # Names are the sender's own and may be as long as the body.
    field = _shortened(field or "body")
    problem = _shortened(problem)
    return FieldInvalid(param=field, field=field, problem=problem)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def to_json(value: Any) -> str:
    """Compact JSON text, as it is stored and sent."""
    return msgspec.json.encode(value).decode()
