"""The signing profile: known answers, published vectors, and everything that must be refused."""

import base64
import json
import string
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from merchants.signatures import (
    AnswerKeyUnknown,
    DigestMismatch,
    DigestMissing,
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureRefused,
    SignatureStale,
    check,
    content_digest,
    parse_request,
    request_signature,
    sign_answer,
    sign_request,
    signature_base,
    verify_answer,
    wire_path,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "docs/vectors/http_signatures.json").read_text(encoding="utf-8")
)
KEYS: dict[str, Any] = {
    name: load_pem_private_key(key["private_key_pem"].encode(), None)
    for name, key in VECTORS["keys"].items()
}
TERMINAL_KEY = KEYS["t-vector-1"]
SERVER_KEY = KEYS["server-vector-1"]
NOW = 1_767_225_600

WRITE: dict[str, Any] = {
    "method": "POST",
    "authority": "ybm.example",
    "path": "/api/v1/settlements",
    "query": "a=1",
    "body": b'{"cash_fen":1234}',
}
READ: dict[str, Any] = WRITE | {"method": "GET", "body": b""}


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def signed(message: dict[str, Any], *, created: int = NOW, key: str | None = "key-1") -> Any:
    return lowered(
        sign_request(
            **message,
            private_key=TERMINAL_KEY,
            key_id="t-1",
            created=created,
            idempotency_key=None if message["method"] == "GET" else key,
        )
    )


def accept(message: dict[str, Any], headers: dict[str, str], *, now: int = NOW) -> Any:
    parsed = parse_request(**message, headers=headers)
    check(parsed, public_key=TERMINAL_KEY.public_key(), now=now)
    return parsed


def test_the_signature_base_and_key_of_rfc_9421_b_2_6_give_the_published_signature() -> None:
    base = signature_base(
        [
            ('"date"', "Tue, 20 Apr 2021 02:07:55 GMT"),
            ('"@method"', "POST"),
            ('"@path"', "/foo"),
            ('"@authority"', "example.com"),
            ('"content-type"', "application/json"),
            ('"content-length"', "18"),
        ],
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"',
    )
    # The vectors' terminal key is test-key-ed25519 of RFC 9421 appendix B.1.4.
    assert base64.b64encode(TERMINAL_KEY.sign(base)).decode() == (
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_the_digest_is_the_one_in_the_examples_of_rfc_9530() -> None:
    assert content_digest(b'{"hello": "world"}\n') == (
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    )


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda v: v["name"])
def test_a_published_request_is_accepted_and_made_again_to_the_byte(vector: Any) -> None:
    message = {name: vector[name] for name in ("method", "authority", "path", "query")}
    message["body"] = vector["body"].encode()
    parsed = parse_request(**message, headers=lowered(vector["headers"]))
    check(parsed, public_key=TERMINAL_KEY.public_key(), now=vector["created"])
    assert parsed.base.decode() == vector["signature_base"]
    assert parsed.keyid == vector["keyid"]
    assert parsed.input.created == vector["created"]
    assert parsed.idempotency_key == vector["idempotency_key"]
    assert (
        sign_request(
            **message,
            private_key=TERMINAL_KEY,
            key_id=vector["keyid"],
            created=vector["created"],
            idempotency_key=vector["idempotency_key"],
        )
        == vector["headers"]
    )


@pytest.mark.parametrize("vector", VECTORS["refused_requests"], ids=lambda v: v["name"])
def test_a_published_bad_request_is_refused_by_its_own_code(vector: Any) -> None:
    with pytest.raises(SignatureRefused) as refused:
        check(
            parse_request(
                method=vector["method"],
                authority=vector["authority"],
                path=vector["path"],
                query=vector["query"],
                headers=lowered(vector["headers"]),
                body=vector["body"].encode(),
            ),
            public_key=TERMINAL_KEY.public_key(),
            now=vector["now"],
        )
    assert refused.value.code == vector["code"]


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=lambda v: v["name"])
def test_a_published_answer_is_accepted_and_made_again_to_the_byte(vector: Any) -> None:
    declared = verify_answer(
        status=vector["status"],
        headers=lowered(vector["headers"]),
        body=vector["body"].encode(),
        request_signature=vector["request_signature"],
        keys={"server-vector-1": SERVER_KEY.public_key()},
    )
    assert (declared.keyid, declared.created) == (vector["keyid"], vector["created"])
    assert (
        sign_answer(
            status=vector["status"],
            body=vector["body"].encode(),
            request_signature=vector["request_signature"],
            private_key=SERVER_KEY,
            key_id=vector["keyid"],
            created=vector["created"],
        )
        == vector["headers"]
    )


@pytest.mark.parametrize("vector", VECTORS["refused_answers"], ids=lambda v: v["name"])
def test_a_published_bad_answer_is_refused_by_its_own_code(vector: Any) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify_answer(
            status=vector["status"],
            headers=lowered(vector["headers"]),
            body=vector["body"].encode(),
            request_signature=vector["request_signature"],
            keys={"server-vector-1": SERVER_KEY.public_key()},
        )
    assert refused.value.code == vector["code"]


def test_the_vectors_hold_every_code() -> None:
    codes = {v["code"] for v in VECTORS["refused_requests"] + VECTORS["refused_answers"]}
    assert codes == {kind.code for kind in SignatureRefused.__subclasses__()}


# One covered part changed by one byte, each alone.
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("method", "PUT"),
        ("authority", "ybm.exampl"),
        ("path", "/api/v1/settlement"),
        ("path", "/api/v1/settlements/"),
        ("query", "a=2"),
        ("query", ""),
        ("query", "a=1&"),
    ],
)
def test_a_part_of_the_request_line_changed_by_one_byte_is_refused(part: str, value: str) -> None:
    headers = signed(WRITE)
    with pytest.raises(SignatureInvalid):
        accept(WRITE | {part: value}, headers)


@pytest.mark.parametrize(
    ("header", "old", "new", "refusal"),
    [
        ("content-digest", "=:", "=:A", DigestMismatch),
        ("idempotency-key", "key-1", "key-2", SignatureInvalid),
        ("idempotency-key", "key-1", "key-1 ", IdempotencyKeyMalformed),
        ("idempotency-key", "key-1", "key-1, key-1", IdempotencyKeyMalformed),
        ("idempotency-key", "key-1", "", IdempotencyKeyMissing),
        ("idempotency-key", "key-1", "k" * 256, IdempotencyKeyMalformed),
        ("idempotency-key", "key-1", "schlüssel", IdempotencyKeyMalformed),
        ("content-digest", "sha-256", "", DigestMismatch),
        ("content-digest", "sha-256", "SHA-256", DigestMismatch),
        ("signature-input", f"{NOW}", f"{NOW + 1}", SignatureInvalid),
        ("signature-input", f"{NOW}", f"{NOW}.0", SignatureMalformed),
        ("signature-input", f"{NOW}", f"-{NOW}", SignatureMalformed),
        ("signature-input", f"{NOW}", "1" * 13, SignatureMalformed),
        ("signature-input", f"{NOW}", "１", SignatureMalformed),
        ("signature-input", "t-1", "t-2", SignatureInvalid),
        ("signature-input", "t-1", "", SignatureMalformed),
        ("signature-input", "t-1", "t" * 65, SignatureMalformed),
        ("signature-input", "t-1", "t 1", SignatureMalformed),
        ("signature-input", ' "idempotency-key"', "", SignatureMalformed),
        ("signature-input", ' "@query"', "", SignatureMalformed),
        ("signature-input", '"ed25519"', '"hmac-sha256"', SignatureMalformed),
        ("signature-input", ';alg="ed25519"', "", SignatureMalformed),
        ("signature-input", f";created={NOW}", "", SignatureMalformed),
        ("signature-input", ";created", "; created", SignatureMalformed),
        ("signature-input", "sig1", "sig", SignatureMalformed),
        ("signature", "sig1", "sig2", SignatureMalformed),
        ("signature", "=:", "=", SignatureMalformed),
        ("signature", "==:", "==:\n", SignatureMalformed),
    ],
)
def test_a_header_changed_in_one_place_is_refused(
    header: str, old: str, new: str, refusal: type[SignatureRefused]
) -> None:
    headers = signed(WRITE)
    assert old in headers[header]
    headers[header] = headers[header].replace(old, new, 1)
    with pytest.raises(refusal):
        accept(WRITE, headers)


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        ("signature", SignatureMissing),
        ("signature-input", SignatureMissing),
        ("content-digest", DigestMissing),
        ("idempotency-key", IdempotencyKeyMissing),
    ],
)
def test_a_missing_header_is_named_by_its_own_code(
    header: str, refusal: type[SignatureRefused]
) -> None:
    headers = signed(WRITE)
    del headers[header]
    with pytest.raises(refusal):
        accept(WRITE, headers)


def test_every_other_character_at_every_place_of_the_signature_is_refused() -> None:
    headers = signed(READ)
    good = headers["signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=:_-"
    for place in range(len("sig1=:"), len(good)):
        # Four rivals a place keep the run short; over the places every character is tried.
        for step in range(4):
            rival = alphabet[(place * 4 + step) % len(alphabet)]
            if rival == good[place]:
                continue
            with pytest.raises((SignatureInvalid, SignatureMalformed)):
                accept(READ, headers | {"signature": good[:place] + rival + good[place + 1 :]})


def test_a_signature_has_exactly_one_spelling() -> None:
    headers = signed(READ)
    good = headers["signature"]
    # The last character before the padding carries two bits; a lenient decoder drops the others,
    # so sixteen characters would spell the same 64 bytes.
    for rival in set(string.ascii_letters + string.digits + "+/") - {good[-4]}:
        with pytest.raises(SignatureRefused):
            accept(READ, headers | {"signature": good[:-4] + rival + good[-3:]})


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_needs_neither_digest_nor_key(method: str) -> None:
    message = READ | {"method": method}
    headers = lowered(sign_request(**message, private_key=TERMINAL_KEY, key_id="t-1", created=NOW))
    assert set(headers) == {"signature", "signature-input"}
    assert accept(message, headers).idempotency_key is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FROB"])
def test_every_method_that_may_write_must_sign_content_and_key(method: str) -> None:
    message = WRITE | {"method": method}
    assert accept(message, signed(message)).idempotency_key == "key-1"
    with pytest.raises(IdempotencyKeyMissing):
        parse_request(**message, headers=signed(READ))


def test_a_read_with_content_is_refused_because_nothing_signs_it() -> None:
    with pytest.raises(DigestMissing):
        parse_request(**READ | {"body": b"{}"}, headers=signed(READ))


def test_what_a_write_covers_is_malformed_on_a_read() -> None:
    with pytest.raises(SignatureMalformed):
        parse_request(**READ, headers=signed(WRITE))


@pytest.mark.parametrize("off", [-120, -1, 0, 1, 120])
def test_both_ends_of_the_window_are_accepted(off: int) -> None:
    accept(WRITE, signed(WRITE, created=NOW + off))


@pytest.mark.parametrize("off", [-121, 121, -10_000_000, 10_000_000])
def test_a_signature_outside_the_window_is_stale_by_the_seconds_it_is_off(off: int) -> None:
    with pytest.raises(SignatureStale) as refused:
        accept(WRITE, signed(WRITE, created=NOW + off))
    assert refused.value.seconds_off == off


def test_the_signature_is_judged_before_the_age() -> None:
    headers = signed(WRITE, created=NOW - 1000)
    parsed = parse_request(**WRITE, headers=headers)
    with pytest.raises(SignatureInvalid):
        check(parsed, public_key=SERVER_KEY.public_key(), now=NOW)


def test_the_host_is_signed_without_case() -> None:
    accept(WRITE | {"authority": "YBM.example"}, signed(WRITE))


@pytest.mark.parametrize("part", ["method", "authority", "path", "query"])
def test_a_line_break_or_a_letter_outside_ascii_in_a_covered_part_is_malformed(part: str) -> None:
    headers = signed(WRITE)
    for intruder in ('\n"@path": /x', "\r", "é", "\ud800"):
        with pytest.raises(SignatureMalformed):
            parse_request(**WRITE | {part: WRITE[part] + intruder}, headers=headers)


@pytest.mark.parametrize(
    ("decoded", "wire"),
    [
        ("/api/v1/items", "/api/v1/items"),
        ("/api/v1/outcomes/refund:7", "/api/v1/outcomes/refund%3A7"),
        ("/a b", "/a%20b"),
        ("/~-._", "/~-._"),
        ("/药", "/%E8%8D%AF"),
        ("/\ud800", "/%ED%A0%80"),
        ("", "/"),
    ],
)
def test_a_decoded_path_has_one_spelling_on_the_wire(decoded: str, wire: str) -> None:
    assert wire_path(decoded) == wire


ascii_text = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
keys_st = st.text(
    alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255
)


@given(
    path=ascii_text,
    query=ascii_text,
    body=st.binary(max_size=300),
    key=keys_st,
    created=st.integers(1, 10**12 - 1),
    seed=st.binary(min_size=32, max_size=32),
)
def test_whatever_is_signed_is_accepted_by_its_own_key_and_no_other(
    path: str, query: str, body: bytes, key: str, created: int, seed: bytes
) -> None:
    private_key = Ed25519PrivateKey.from_private_bytes(seed)
    message = WRITE | {"path": "/" + path, "query": query, "body": body}
    headers = lowered(
        sign_request(
            **message, private_key=private_key, key_id="t-1", created=created, idempotency_key=key
        )
    )
    parsed = parse_request(**message, headers=headers)
    check(parsed, public_key=private_key.public_key(), now=created)
    assert parsed.idempotency_key == key
    with pytest.raises(SignatureInvalid):
        check(parsed, public_key=SERVER_KEY.public_key(), now=created)


names_st = st.sampled_from(["signature", "signature-input", "content-digest", "idempotency-key"])


@settings(max_examples=400)
@given(
    garbage=st.dictionaries(names_st, st.text(max_size=200)),
    method=st.sampled_from(["GET", "POST", "DELETE"]) | st.text(max_size=8),
    path=st.text(max_size=30),
    query=st.text(max_size=30),
    authority=st.text(max_size=30),
    body=st.binary(max_size=50),
)
def test_garbage_is_refused_and_raises_nothing_else(
    garbage: dict[str, str], method: str, path: str, query: str, authority: str, body: bytes
) -> None:
    for headers in (garbage, signed(WRITE) | garbage):
        with pytest.raises(SignatureRefused):
            accept(
                {
                    "method": method,
                    "authority": authority,
                    "path": path,
                    "query": query,
                    "body": body,
                },
                headers,
            )
    with pytest.raises(SignatureRefused):
        verify_answer(status=200, headers=garbage, body=body, request_signature=None, keys={})
    wire_path(path)


@given(cut=st.data())
def test_a_header_cut_short_or_patched_anywhere_is_refused(cut: Any) -> None:
    headers = signed(WRITE)
    name = cut.draw(names_st)
    good = headers[name]
    start = cut.draw(st.integers(0, len(good) - 1))
    length = cut.draw(st.integers(0, 5))
    patch = cut.draw(st.text(max_size=5))
    changed = good[:start] + patch + good[start + length :]
    if changed == good:
        return
    with pytest.raises(SignatureRefused):
        accept(WRITE, headers | {name: changed})


def test_the_signature_of_a_request_is_found_even_when_the_rest_is_refused() -> None:
    headers = signed(WRITE)
    del headers["content-digest"]
    found = request_signature(headers)
    assert found is not None
    assert f"sig1={found}" == headers["signature"]


@pytest.mark.parametrize("text", ["", "sig1=::", "sig2=:AAAA:", "garbage", "sig1=:" + "A" * 88])
def test_a_signature_in_no_known_shape_binds_no_answer(text: str) -> None:
    assert request_signature({"signature": text}) is None
    assert request_signature({}) is None


def test_an_answer_bound_to_one_request_answers_no_other() -> None:
    first, second = (request_signature(signed(WRITE, key=key)) for key in ("key-1", "key-2"))
    keys = {"server-1": SERVER_KEY.public_key()}
    answer = {"status": 201, "body": b"{}"}
    headers = lowered(
        sign_answer(
            **answer,
            request_signature=first,
            private_key=SERVER_KEY,
            key_id="server-1",
            created=NOW,
        )
    )
    assert (
        verify_answer(**answer, headers=headers, request_signature=first, keys=keys).created == NOW
    )
    with pytest.raises(SignatureInvalid):
        verify_answer(**answer, headers=headers, request_signature=second, keys=keys)
    with pytest.raises(AnswerKeyUnknown):
        verify_answer(**answer, headers=headers, request_signature=first, keys={})


@pytest.mark.parametrize(
    "message",
    [
        {"idempotency_key": None},
        {"idempotency_key": ""},
        {"idempotency_key": "two words"},
        {"method": "GET", "idempotency_key": "key-1", "body": b""},
        {"method": "GET", "idempotency_key": None, "body": b"{}"},
        {"key_id": 'quote"'},
    ],
)
def test_what_could_not_be_verified_is_not_signed(message: dict[str, Any]) -> None:
    arguments = WRITE | {"key_id": "t-1", "idempotency_key": "key-1"} | message
    with pytest.raises(ValueError):
        sign_request(**arguments, private_key=TERMINAL_KEY, created=NOW)


def test_an_answer_is_bound_to_a_whole_signature_only() -> None:
    with pytest.raises(ValueError):
        sign_answer(
            status=200,
            body=b"",
            request_signature='x\n"@status": 500',
            private_key=SERVER_KEY,
            key_id="server-1",
            created=NOW,
        )
