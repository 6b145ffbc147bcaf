"""Bodies: what fits its shape comes out as it was; anything else is named, and nothing breaks."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from messaging.bodies import BodyNotJson, FieldInvalid, Payload, decode


class Part(Payload):
    """A nested part."""

    text: Annotated[str, Meta(max_length=10)]
    number: int = 0


class Whole(Payload):
    """The body of these tests."""

    parts: list[Part] = []
    note: str | None = None


def test_what_fits_comes_out_as_it_was() -> None:
    assert decode(Whole, b'{"parts":[{"text":"a","number":3}],"note":"b"}') == Whole(
        parts=[Part(text="a", number=3)], note="b"
    )
    assert decode(Whole, b"") == Whole()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"parts":[{"text":"a"},{"text":7}]}', "parts[1].text"),
        ('{"parts":[{"number":1}]}', "parts[0].text"),
        ('{"parts":[{"text":"a","more":1}]}', "parts[0].more"),
        ('{"parts":[{"text":"12345678901"}]}', "parts[0].text"),
        ('{"parts":7}', "parts"),
        ('{"wrong":7}', "wrong"),
        ("7", "body"),
    ],
)
def test_the_field_to_blame_is_named_with_its_place(body: str, field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        decode(Whole, body.encode())
    assert refused.value.param == field


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"wrong":7',
        b'{"note":"\\u0000"}',
        b'{"\\u0000":1}',
        b'{"parts":[{"text":"\\u0000"}]}',
        b'{"note":"\\ud800"}',
        b"[" * 100_000,
        b'{"note":' * 100_000,
        b"\xff",
    ],
)
def test_what_cannot_be_read_or_kept_is_not_json(body: bytes) -> None:
    with pytest.raises(BodyNotJson):
        decode(Whole, body)


def test_a_backslash_before_what_looks_like_a_nul_is_text() -> None:
    assert decode(Whole, rb'{"note":"\\u0000"}').note == r"\u0000"


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _refusal(body: bytes) -> BodyNotJson | FieldInvalid | None:
    try:
        decode(Whole, body)
    except (BodyNotJson, FieldInvalid) as refused:
        return refused
    return None


@given(value=_ANYTHING)
def test_any_json_is_taken_or_refused_with_a_sentence(value: Any) -> None:
    refused = _refusal(json.dumps(value).encode())
    assert refused is None or refused.sentence()


@given(body=st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused_by_a_name_that_can_be_kept(body: bytes) -> None:
    refused = _refusal(body)
    assert refused is None or "\x00" not in (refused.param or "")


@pytest.mark.parametrize(
    "body", [b'{"%s":1}' % (b"x" * 1_000_000), b'{"parts":[{"text":"a","%s":1}]}' % (b"x" * 5_000)]
)
def test_a_name_as_long_as_the_body_is_not_said_back_whole(body: bytes) -> None:
    """Said in three places of an answer that is kept, it made each request a row five times it."""
    with pytest.raises(FieldInvalid) as refused:
        decode(Whole, body)
    assert len(refused.value.param or "") <= 200
    assert len(refused.value.sentence()) <= 500
