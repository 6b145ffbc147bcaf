"""The server code: its bytes, its one spelling, its refusals and their order."""

from __future__ import annotations

import base64
import json
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qrcode.constants import ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import MODE_NUMBER, QRData

from tests.voucher import server_code_vectors
from voucher import tokens
from voucher.handles import open_handle, seal_handle
from voucher.suites import ED25519

# A busy machine must not fail the codec for one slow example.
unhurried = settings(deadline=None)

DOCS = Path(tokens.__file__).parent.parent / "docs"
VECTORS = json.loads((DOCS / "vectors" / "server_code_v1.json").read_text(encoding="utf-8"))
FORMAT_TEXT = (DOCS / "codes.md").read_text(encoding="utf-8")
ISSUED_AT = 1_767_225_600


def signing_key(key_id: int = 2, **changes: Any) -> tokens.SigningKey:
    key = tokens.SigningKey(
        key_id=key_id,
        algorithm="Ed25519",
        private_key=ED25519.load_private(bytes([key_id % 256]) * 32),
        handle_key=bytes([255 - key_id % 256]) * 32,
        not_before=ISSUED_AT - 1000,
        not_after=ISSUED_AT + 1000,
    )
    return replace(key, **changes)


KEY = signing_key()
KEYS = {2: KEY.verifying_key(), 3: signing_key(3).verifying_key()}


def minted(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "voucher_number": 1_000_001,
        "scope": tokens.ANYWHERE,
        "key": KEY,
        "issued_at": ISSUED_AT,
        "lifetime_s": 60,
        "randomness": b"\x01" * 8,
    }
    return tokens.mint(**(arguments | changes))


GOOD = minted()


def refusal_of(
    text: object, *, keys: Mapping[int, tokens.VerifyingKey] = KEYS, now: int = ISSUED_AT
) -> str:
    with pytest.raises(tokens.CodeRefused) as caught:
        tokens.read(text, keys=keys, now=now)
    return caught.value.code


# --- round trip -----------------------------------------------------------------------------------

scopes = st.builds(
    tokens.Scope,
    use=st.sampled_from(tokens.Use),
    merchant_kind=st.sampled_from(tokens.MerchantKind),
    ceiling_fen=st.none() | st.integers(1, 2**24 - 1),
    merchant_id=st.none() | st.integers(1, 2**32 - 1),
    delegation=st.none() | st.integers(1, 2**64 - 1),
)


@unhurried
@given(
    voucher_number=st.integers(0, 2**64 - 1),
    scope=scopes,
    key_id=st.integers(0, 2**16 - 1),
    issued_at=st.integers(0, 2**32 - 1),
    lifetime_s=st.integers(1, 60),
    age_s=st.integers(-5, 59),
    randomness=st.binary(min_size=8, max_size=8),
)
def test_what_is_minted_is_read_back_exactly(
    voucher_number: int,
    scope: tokens.Scope,
    key_id: int,
    issued_at: int,
    lifetime_s: int,
    age_s: int,
    randomness: bytes,
) -> None:
    key = signing_key(key_id, not_before=issued_at, not_after=issued_at + 1)
    text = minted(
        voucher_number=voucher_number,
        scope=scope,
        key=key,
        issued_at=issued_at,
        lifetime_s=lifetime_s,
        randomness=randomness,
    )
    assert re.fullmatch(r"1[0-9]{253}", text)
    code = tokens.read(
        text, keys={key_id: key.verifying_key()}, now=issued_at + min(age_s, lifetime_s - 1)
    )
    assert code == tokens.ServerCode(
        voucher_number=voucher_number,
        handle=code.handle,
        key_id=key_id,
        issued_at=issued_at,
        expires_at=issued_at + lifetime_s,
        scope=scope,
    )
    assert open_handle(handle=code.handle, key=key.handle_key) == voucher_number


def test_a_verifier_without_the_handle_key_reads_all_but_the_voucher_number() -> None:
    stand_alone = {2: replace(KEYS[2], handle_key=None)}
    code = tokens.read(GOOD, keys=stand_alone, now=ISSUED_AT)
    assert code.voucher_number is None
    assert code == replace(tokens.read(GOOD, keys=KEYS, now=ISSUED_AT), voucher_number=None)


def test_both_keys_are_read_while_one_takes_over_from_the_other() -> None:
    for key in (KEY, signing_key(3)):
        assert tokens.read(minted(key=key), keys=KEYS, now=ISSUED_AT).key_id == key.key_id


def test_a_code_fits_a_symbol_of_41_modules_and_two_digits_more_do_not() -> None:
    def symbol(text: str) -> QRCode:
        qr = QRCode(version=6, error_correction=ERROR_CORRECT_M, mask_pattern=0)
        qr.add_data(QRData(text, mode=MODE_NUMBER), optimize=0)
        qr.make(fit=False)
        return qr

    assert symbol(GOOD).modules_count == 41
    with pytest.raises(DataOverflowError):
        symbol(GOOD + "00")


# --- one spelling ---------------------------------------------------------------------------------


def test_every_change_of_one_digit_to_any_other_is_refused() -> None:
    refusals = {
        refusal_of(GOOD[:place] + digit + GOOD[place + 1 :])
        for place in range(len(GOOD))
        for digit in "0123456789"
        if digit != GOOD[place]
    }
    assert refusals == {
        "code_malformed",  # 2^840 or more
        "code_version_unknown",
        "code_key_unknown",
        "code_signature_invalid",
    }


def test_every_flipped_bit_is_refused() -> None:
    number = int(GOOD[1:])
    for bit in range(840):
        # The sixteen highest bits are the key id; flipping the lowest of them names key 3.
        expected = "code_key_unknown" if bit > 824 else "code_signature_invalid"
        assert refusal_of(f"1{number ^ 1 << bit:0253d}") == expected


OTHER_SPELLINGS = {
    "space before": " " + GOOD,
    "space after": GOOD + " ",
    "line end after": GOOD + "\r\n",
    "zero byte after": GOOD + "\0",
    "plus sign": "1+" + GOOD[2:],
    "minus sign": "1-" + GOOD[2:],
    "underscore between digits": GOOD[:100] + "_" + GOOD[101:],
    "full-width digits": GOOD.translate({ord(str(n)): 0xFF10 + n for n in range(10)}),
    "Arabic-Indic digits": GOOD.translate({ord(str(n)): 0x0660 + n for n in range(10)}),
    "superscript digit": GOOD[:-1] + "²",
    "soft hyphen inside": GOOD[:9] + "\u00ad" + GOOD[9:],
    "one digit fewer": GOOD[:-1],
    "one digit more": GOOD + "0",
    "one leading zero more": "10" + GOOD[1:],
    "one leading zero fewer": "1" + GOOD[2:],
    "plus 2^840": "1" + str(int(GOOD[1:]) + 2**840),
    "bytes": GOOD.encode(),
    "number": int(GOOD),
}


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_every_other_spelling_of_a_good_code_is_malformed(spelling: str) -> None:
    assert refusal_of(OTHER_SPELLINGS[spelling]) == "code_malformed"


# --- any input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        None,
        True,
        0,
        1.5,
        b"",
        bytearray(b"1" * 254),
        ["1" * 254],
        {"value": GOOD},
        "x" * 10_240,
        "1" * 10_240,
        "9" * 10_240,
        "\ud800" * 254,
        "医" * 254,
        "😀",
        "1" * 253 + "\x00",
    ],
)
def test_whatever_is_no_code_at_all_is_malformed(garbage: object) -> None:
    assert refusal_of(garbage) == "code_malformed"


def test_ten_thousand_random_strings_raise_nothing_but_refusals() -> None:
    chance = random.Random(20260101)
    alphabets = ("0123456789", "0123456789", "0123456789 +-_eE.", "".join(map(chr, range(0x700))))
    seen = set()
    for _ in range(10_000):
        length = chance.choice((0, 1, 18, 24, 28, 253, 254, 254, 254, 255, 512, 700))
        text = "".join(chance.choices(chance.choice(alphabets), k=length))
        seen.add(refusal_of(chance.choice(("", "1")) + text[1:] if text else text))
    assert seen >= {"code_malformed", "code_version_unknown", "code_key_unknown", "payment_code"}


@given(st.text() | st.text(alphabet="0123456789", max_size=600) | st.binary())
@settings(unhurried, max_examples=500)
def test_any_text_or_bytes_raise_nothing_but_refusals(text: str | bytes) -> None:
    with pytest.raises(tokens.CodeRefused):
        tokens.read(text, keys=KEYS, now=ISSUED_AT)


@unhurried
@given(st.binary(min_size=103, max_size=103))
def test_random_bytes_under_a_known_key_id_have_no_valid_signature(rest: bytes) -> None:
    assert refusal_of(server_code_vectors.text_of(b"\x00\x02" + rest)) == "code_signature_invalid"


@unhurried
@given(st.binary(min_size=39, max_size=39))
def test_any_signed_bytes_are_read_or_refused(rest: bytes) -> None:
    """A minter of the future, or a stolen key, may sign what ours never writes."""
    payload = b"\x00\x02" + rest
    text = server_code_vectors.text_of(
        payload + ED25519.sign(KEY.private_key, b"ybm-server-code-1\x00" + payload)
    )
    always = {2: replace(KEYS[2], not_before=0, not_after=2**32)}
    issued_at = int.from_bytes(rest[:4], "big")
    try:
        code = tokens.read(text, keys=always, now=issued_at)
    except tokens.CodeMalformed:
        return
    assert code.issued_at == issued_at
    assert code.handle == rest[5:21]


# --- age ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "refusal"),
    [
        (-6, "code_from_the_future"),
        (-5, None),
        (0, None),
        (29, None),
        (30, "code_expired"),
        (86_400, "code_expired"),
    ],
)
def test_a_code_of_thirty_seconds_is_judged_by_its_age(age_s: int, refusal: str | None) -> None:
    text = minted(lifetime_s=30)
    if refusal is None:
        assert tokens.read(text, keys=KEYS, now=ISSUED_AT + age_s).expires_at == ISSUED_AT + 30
    else:
        assert refusal_of(text, now=ISSUED_AT + age_s) == refusal


def test_a_wider_skew_admits_a_faster_clock_and_lengthens_no_life() -> None:
    assert tokens.read(GOOD, keys=KEYS, now=ISSUED_AT - 60, skew_s=60).issued_at == ISSUED_AT
    with pytest.raises(tokens.CodeExpired):
        tokens.read(GOOD, keys=KEYS, now=ISSUED_AT + 60, skew_s=60)


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("not_before", "not_after", "refusal"),
    [
        (ISSUED_AT, ISSUED_AT + 1, None),
        (ISSUED_AT + 1, ISSUED_AT + 2, "code_key_unknown"),
        (ISSUED_AT - 1, ISSUED_AT, "code_key_unknown"),
    ],
)
def test_a_key_counts_when_it_was_in_force_at_the_issue(
    not_before: int, not_after: int, refusal: str | None
) -> None:
    keys = {2: replace(KEYS[2], not_before=not_before, not_after=not_after)}
    if refusal is None:
        assert tokens.read(GOOD, keys=keys, now=ISSUED_AT + 30).key_id == 2
    else:
        assert refusal_of(GOOD, keys=keys, now=ISSUED_AT) == refusal


def test_a_killed_key_is_unknown_at_once() -> None:
    assert refusal_of(GOOD, keys={3: KEYS[3]}) == "code_key_unknown"


def test_another_key_under_the_same_id_does_not_verify() -> None:
    assert refusal_of(GOOD, keys={2: replace(KEYS[3], key_id=2)}) == "code_signature_invalid"


def test_a_swapped_key_id_does_not_verify() -> None:
    body = int(GOOD[1:]).to_bytes(105, "big")
    assert refusal_of(server_code_vectors.text_of(b"\x00\x03" + body[2:])) == (
        "code_signature_invalid"
    )


def test_a_key_of_an_unknown_algorithm_is_an_unknown_key() -> None:
    assert refusal_of(GOOD, keys={2: replace(KEYS[2], algorithm="ROT13")}) == "code_key_unknown"


def test_keys_show_no_secret_when_they_are_printed() -> None:
    for shown in (repr(KEY), repr(KEYS[2])):
        assert "handle_key" not in shown
        assert "private_key" not in shown
    assert "handle" not in repr(tokens.read(GOOD, keys=KEYS, now=ISSUED_AT))


def test_refusals_do_not_repeat_the_text_that_was_presented() -> None:
    for text in (GOOD + "0", "2" + GOOD[1:], GOOD[:-1] + "0", "130000000000000000"):
        with pytest.raises(tokens.CodeRefused) as caught:
            tokens.read(text, keys=KEYS, now=ISSUED_AT)
        assert not re.search(r"\d{10}", str(caught.value))


def test_the_published_set_is_ordered_and_holds_no_secret() -> None:
    document = tokens.published_keys([KEYS[3], KEYS[2]])
    assert [key["key_id"] for key in document["keys"]] == [2, 3]
    # The public key of the seed 02 02 … 02, 32 bytes in base64url without padding.
    assert document["keys"][0] == {
        "key_id": 2,
        "algorithm": "Ed25519",
        "public_key": "gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q",
        "not_before": "2025-12-31T23:43:20Z",
        "not_after": "2026-01-01T00:16:40Z",
    }
    shown = json.dumps(document)
    for secret in (KEY.handle_key, bytes([2]) * 32):
        assert secret.hex() not in shown
        assert base64.urlsafe_b64encode(secret).decode().rstrip("=") not in shown


# --- refusing to mint -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifetime_s": 0},
        {"lifetime_s": 61},
        {"issued_at": -1},
        {"issued_at": 2**32},
        {"issued_at": ISSUED_AT + 1000},
        {"issued_at": ISSUED_AT - 1001},
        {"voucher_number": -1},
        {"voucher_number": 2**64},
        {"randomness": b""},
        {"randomness": b"\x00" * 9},
        {"key": replace(KEY, algorithm="ROT13")},
    ],
)
def test_what_does_not_fit_the_format_is_not_minted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        minted(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ceiling_fen": 0},
        {"ceiling_fen": -1},
        {"ceiling_fen": 2**24},
        {"merchant_id": 0},
        {"merchant_id": 2**32},
        {"delegation": 0},
        {"delegation": 2**64},
    ],
)
def test_a_scope_that_has_no_place_on_the_wire_is_not_made(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        tokens.Scope(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"key_id": -1}, {"key_id": 2**16}, {"handle_key": b"short"}])
def test_a_key_that_does_not_fit_the_format_is_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(KEY, **wrong)


# --- handles --------------------------------------------------------------------------------------


def test_a_thousand_handles_of_one_voucher_share_nothing_a_stranger_could_follow() -> None:
    chance = random.Random(1)
    handles = [
        seal_handle(voucher_number=7, randomness=chance.randbytes(8), key=b"k" * 32)
        for _ in range(1000)
    ]
    assert len(set(handles)) == 1000
    for place in range(16):
        # 256 values are met by 1000 draws about 251 times; a byte that told the voucher would not
        # vary, and one that leaned would miss many.
        assert len({handle[place] for handle in handles}) > 200


def test_the_same_randomness_under_another_key_gives_another_handle() -> None:
    one, other = (
        seal_handle(voucher_number=7, randomness=b"r" * 8, key=key)
        for key in (b"k" * 32, b"l" * 32)
    )
    assert one != other
    assert open_handle(handle=one, key=b"l" * 32) != 7


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_handle_of_another_size_is_not_opened(size: int) -> None:
    with pytest.raises(ValueError):
        open_handle(handle=bytes(size), key=b"k" * 32)


# --- words and payment codes ----------------------------------------------------------------------


def test_uses_have_the_words_of_the_interface() -> None:
    words = [use.word for use in tokens.Use]
    assert words == [
        "any",
        "registration",
        "consultation",
        "settlement",
        "drug_pickup",
        "admission",
        "deposit",
        "pharmacy_purchase",
    ]
    assert [tokens.Use.from_word(word) for word in words] == list(tokens.Use)
    for unknown in ("", "ANY", "refund"):
        with pytest.raises(ValueError):
            tokens.Use.from_word(unknown)


@pytest.mark.parametrize(
    ("text", "is_payment_code"),
    [
        ("10" + "0" * 16, True),
        ("15" + "0" * 16, True),
        ("09" + "0" * 16, False),
        ("16" + "0" * 16, False),
        ("10" + "0" * 15, False),
        ("10" + "0" * 17, False),
        ("25" + "0" * 14, True),
        ("30" + "0" * 22, True),
        ("24" + "0" * 14, False),
        ("31" + "0" * 14, False),
        ("25" + "0" * 13, False),
        ("25" + "0" * 23, False),
        ("62" + "0" * 17, True),
        ("61" + "0" * 17, False),
        ("62" + "0" * 16, False),
        ("28" + "0" * 26, False),
        ("", False),
        ("１０" + "０" * 16, False),
        (GOOD, False),
        (None, False),
        (b"10" + b"0" * 16, False),
        ("\t10" + "0" * 16 + "\r\n", True),
    ],
)
def test_payment_codes_are_known_by_length_and_beginning(
    text: object, is_payment_code: bool
) -> None:
    assert tokens.looks_like_payment_code(text) is is_payment_code
    assert refusal_of(text if text != GOOD else "") == (
        "payment_code" if is_payment_code else "code_malformed"
    )


# --- vectors --------------------------------------------------------------------------------------


def disagreements(module: Any) -> list[str]:
    """Return the names of the published vectors on which a reader answers otherwise."""
    published = {
        key["key_id"]: module.VerifyingKey(
            key_id=key["key_id"],
            algorithm=key["algorithm"],
            public_key=ED25519.load_public(bytes.fromhex(key["public_key"])),
            handle_key=bytes.fromhex(key["handle_key"]),
            not_before=key["not_before"],
            not_after=key["not_after"],
        )
        for key in VECTORS["keys"]
        if key["key_id"] in VECTORS["published_keys"]
    }

    def answer(vector: dict[str, Any]) -> object:
        try:
            return module.read(
                vector["text"], keys=published, now=vector["read_at"], skew_s=VECTORS["skew_s"]
            )
        except module.CodeRefused as refused:
            return refused.code
        except Exception as crash:
            return crash

    wrong = [one["name"] for one in VECTORS["negative"] if answer(one) != one["refusal"]]
    for one in VECTORS["positive"]:
        inputs = one["inputs"]
        expected = module.ServerCode(
            voucher_number=inputs["voucher_number"],
            handle=bytes.fromhex(one["handle"]),
            key_id=inputs["key_id"],
            issued_at=inputs["issued_at"],
            expires_at=one["expires_at"],
            scope=module.Scope(
                use=module.Use(inputs["use"]),
                merchant_kind=module.MerchantKind(inputs["merchant_kind"]),
                ceiling_fen=inputs["ceiling_fen"] or None,
                merchant_id=inputs["merchant_id"] or None,
                delegation=inputs["delegation"] or None,
            ),
        )
        if answer(one) != expected:
            wrong.append(one["name"])
    return wrong


def test_the_published_vectors_are_the_ones_the_generator_makes() -> None:
    stored = (DOCS / "vectors" / "server_code_v1.json").read_text(encoding="utf-8")
    assert stored == server_code_vectors.as_text()


def test_the_reader_agrees_with_every_published_vector() -> None:
    assert disagreements(tokens) == []


def test_the_published_vectors_show_every_refusal() -> None:
    every = {refusal.code for refusal in tokens.CodeRefused.__subclasses__()}
    assert {vector["refusal"] for vector in VECTORS["negative"]} == every


@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_the_minter_writes_every_published_code(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]
    [key] = [key for key in VECTORS["keys"] if key["key_id"] == inputs["key_id"]]
    assert vector["text"] == tokens.mint(
        voucher_number=inputs["voucher_number"],
        scope=tokens.Scope(
            use=tokens.Use(inputs["use"]),
            merchant_kind=tokens.MerchantKind(inputs["merchant_kind"]),
            ceiling_fen=inputs["ceiling_fen"] or None,
            merchant_id=inputs["merchant_id"] or None,
            delegation=inputs["delegation"] or None,
        ),
        key=tokens.SigningKey(
            key_id=key["key_id"],
            algorithm=key["algorithm"],
            private_key=ED25519.load_private(bytes.fromhex(key["private_key"])),
            handle_key=bytes.fromhex(key["handle_key"]),
            not_before=key["not_before"],
            not_after=key["not_after"],
        ),
        issued_at=inputs["issued_at"],
        lifetime_s=inputs["lifetime_s"],
        randomness=bytes.fromhex(inputs["randomness"]),
    )


SOURCE = Path(tokens.__file__).read_text(encoding="utf-8")
AGE = SOURCE[SOURCE.index("    expires_at = issued_at") : SOURCE.index("    return ServerCode(")]
SIGNATURE = "    if not suite.verifies("
EARLY_FIELDS = "    issued_at, lifetime_s = _PAYLOAD.unpack(payload)[1:3]\n"
LIFETIME = "0 < lifetime_s <= LONGEST_LIFETIME_S:\n        raise CodeMalformed"
# What a reader could get wrong, as the lines to change in ours.
MUTANTS = {
    "the signature is not checked": [("not suite.verifies(", "suite.verifies is None and (")],
    "age is judged before the signature": [
        (AGE, ""),
        (SIGNATURE, EARLY_FIELDS + AGE + SIGNATURE),
    ],
    "digits of other scripts count": [("isinstance(text, str) and text.isascii() and ", "")],
    "the number may be 2^840": [("number >= _BODY_LIMIT", "number > _BODY_LIMIT")],
    "the number is taken modulo 2^840": [
        ("if number >= _BODY_LIMIT:", "number %= _BODY_LIMIT\n    if False:")
    ],
    "a text is stripped first": [
        ("    if looks_like_payment_code(text)", "    text = text.strip()\n    if False")
    ],
    "the length is not looked at": [("len(text) != TEXT_DIGITS or ", "")],
    "the version is not looked at": [
        (" or text[0] != VERSION", ""),
        ("if text[0] != VERSION and", "if False and"),
    ],
    "reserved bytes are ignored": [("if reserved != 0", "if False")],
    "a life may be zero": [(LIFETIME, LIFETIME.replace("<", "<=", 1))],
    "a life may be 61 s": [(LIFETIME, LIFETIME.replace("S:", "S + 1:"))],
    "a key counts for ever": [("return self.not_before <= moment < self.not_after", "return True")],
    "a key counts one second too long": [("moment < self.not_after", "moment <= self.not_after")],
    "a key is judged at presentation": [("key.in_force_at(issued_at)", "key.in_force_at(now)")],
    "skew lengthens a life": [("now >= expires_at", "now >= expires_at + skew_s")],
    "the last second is lost": [("now >= expires_at", "now >= expires_at - 1")],
    "no skew is allowed": [("issued_at > now + skew_s", "issued_at > now")],
    "the domain is left out": [("signature, _DOMAIN + payload", "signature, payload")],
    "use and kind change places": [
        ("Use(kinds >> 4)", "Use(kinds & 0x0F)"),
        ("MerchantKind(kinds & 0x0F)", "MerchantKind(kinds >> 4)"),
    ],
    "payment codes are not known": [("if looks_like_payment_code(text)", "if False")],
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_published_vectors_catch_a_wrong_reader(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCE
    for right, wrong in MUTANTS[name]:
        assert source.count(right) == 1, f"the mutant no longer applies: {right!r}"
        source = source.replace(right, wrong)
    mutant = ModuleType("voucher_tokens_mutant")
    # dataclasses look their module up by name.
    monkeypatch.setitem(sys.modules, mutant.__name__, mutant)
    exec(compile(source, mutant.__name__, "exec"), mutant.__dict__)
    assert disagreements(mutant) != []


# --- the verifier in the documentation ------------------------------------------------------------


def published_test_keys() -> dict[str, Any]:
    """Return the key set of the vectors as it comes out of the well-known address."""
    document = tokens.published_keys(
        tokens.VerifyingKey(
            key_id=key["key_id"],
            algorithm=key["algorithm"],
            public_key=ED25519.load_public(bytes.fromhex(key["public_key"])),
            handle_key=None,
            not_before=key["not_before"],
            not_after=key["not_after"],
        )
        for key in VECTORS["keys"]
        if key["key_id"] in VECTORS["published_keys"]
    )
    read_back: dict[str, Any] = json.loads(json.dumps(document))
    return read_back


def test_the_verifier_in_the_documentation_agrees_with_every_vector() -> None:
    [listing] = re.findall(
        r"```python\n(# verify_server_code\.py\n.*?)```", FORMAT_TEXT, flags=re.DOTALL
    )
    example: dict[str, Any] = {}
    exec(compile(listing, "verify_server_code.py", "exec"), example)
    key_set = published_test_keys()
    for vector in VECTORS["positive"]:
        code = example["verify"](vector["text"], key_set, vector["read_at"])
        assert code.pop("handle").hex() == vector["handle"]
        assert code.pop("expires_at") == vector["expires_at"]
        only_the_server = ("voucher_number", "randomness", "reserved")
        told = {name: it for name, it in vector["inputs"].items() if name not in only_the_server}
        assert code == told
    for vector in VECTORS["negative"]:
        with pytest.raises(ValueError, match=f"^{vector['refusal']}$"):
            example["verify"](vector["text"], key_set, vector["read_at"])


def test_the_key_set_in_the_documentation_is_the_one_of_the_vectors() -> None:
    [shown] = re.findall(r"```json\n(.*?)```", FORMAT_TEXT, flags=re.DOTALL)
    assert json.loads(shown) == {"keys": published_test_keys()["keys"][:1]}


def test_the_worked_example_in_the_documentation_is_the_first_vector() -> None:
    text = re.sub(r"\s", "", FORMAT_TEXT)
    first = VECTORS["positive"][0]
    for part in (first["text"], first["payload"], first["signature"]):
        assert part in text
