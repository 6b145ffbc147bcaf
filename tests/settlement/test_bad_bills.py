"""Bad input to the writes: each fault has its own word and status, and leaves nothing half done."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merchants.models import Agreement, Merchant, Terminal
from messaging.models import InboxEntry, RefusalTally
from settlement.models import Scan
from settlement.operations import OPERATIONS
from tests.rows import added, counts
from tests.world import Reply, Till, World, line

# What each write is called by and where it lives; `{}` is an id of the address.
ADDRESSES = {
    "scan": "scans",
    "open_visit": "visits",
    "add_fees": "visits/{}/fee-batches",
    "discharge": "visits/{}/discharge",
    "prescribe": "visits/{}/prescriptions",
    "pick_up": "visits/{}/pickups",
    "estimate": "estimates",
    "quote": "quotes",
    "release": "quotes/{}/release",
    "settle": "settlements",
    "refund": "refunds",
    "reverse": "reversals",
    "confirm": "settlements/{}/confirm",
    "tender": "quotes/{}/tender",
    "open_shift": "shifts",
    "close_shift": "shifts/{}/close",
    "compare_totals": "totals/compare",
}
READS = ("scans/{}", "visits/{}", "settlements/{}", "settlements/{}/slip", "refunds/{}")
PRICING = ("estimates", "quotes", "settlements")


def refused(reply: Reply, code: str, status: int, *, param: str | None = None) -> None:
    assert (reply.body.get("code"), reply.status) == (code, status), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert "signature" in reply.headers
    assert reply["detail"]
    assert reply["request_id"] == reply.headers["x-request-id"]
    if param is not None:
        assert reply["param"] == param


def bill(scan_id: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "scan_id": scan_id,
        "benefit_kind": "pharmacy_account",
        "lines": list(lines) or [line()],
        **more,
    }


@pytest.fixture
def till(world: World) -> Till:
    return world.till()


@pytest.fixture
def scan_id(world: World, till: Till) -> str:
    return world.scan(till)


def test_every_write_has_its_address_here() -> None:
    assert set(ADDRESSES) == set(OPERATIONS)


BAD_LINES: list[tuple[str, dict[str, Any], str, int, str]] = [
    ("unknown item", line("NOPE"), "item_unknown", 422, "lines[0].code"),
    (
        "unknown national code",
        {**line(), "code": None, "national_code": "XX99"},
        "item_unknown",
        422,
        "lines[0].national_code",
    ),
    ("no code at all", {**line(), "code": None}, "field_invalid", 422, "lines[0].code"),
    ("negative amount", line(amount_fen=-1860), "amount_negative", 422, "lines[0].amount_fen"),
    ("one fen too much", line(amount_fen=1861), "amount_mismatch", 422, "lines[0].amount_fen"),
    ("one fen too little", line(amount_fen=1859), "amount_mismatch", 422, "lines[0].amount_fen"),
    (
        "quantity zero",
        line(quantity="0"),
        "quantity_not_positive",
        422,
        "lines[0].quantity",
    ),
    ("negative quantity", line() | {"quantity": "-1"}, "field_invalid", 422, "lines[0].quantity"),
    ("quantity in words", line() | {"quantity": "one"}, "field_invalid", 422, "lines[0].quantity"),
    ("quantity 1e3", line() | {"quantity": "1e3"}, "field_invalid", 422, "lines[0].quantity"),
    ("quantity NaN", line() | {"quantity": "NaN"}, "field_invalid", 422, "lines[0].quantity"),
    (
        "quantity in full-width digits",
        line() | {"quantity": "１"},
        "field_invalid",
        422,
        "lines[0].quantity",
    ),
    (
        "quantity of five places",
        line() | {"quantity": "1.00001"},
        "field_invalid",
        422,
        "lines[0].quantity",
    ),
    (
        "price in words",
        line() | {"unit_price": "free"},
        "field_invalid",
        422,
        "lines[0].unit_price",
    ),
    (
        "negative price",
        line() | {"unit_price": "-18.6"},
        "field_invalid",
        422,
        "lines[0].unit_price",
    ),
    (
        "an amount beyond any bill",
        line(amount_fen=10**12 + 1),
        "field_invalid",
        422,
        "lines[0].amount_fen",
    ),
    ("an amount of 2**70", line(amount_fen=2**70), "field_invalid", 422, ""),
    ("an amount of -2**70", line(amount_fen=-(2**70)), "", 422, ""),
    ("a float amount", line(amount_fen=18.6), "field_invalid", 422, "lines[0].amount_fen"),
    ("a text amount", line(amount_fen="1860"), "field_invalid", 422, "lines[0].amount_fen"),
    ("a null amount", line(amount_fen=None), "field_invalid", 422, "lines[0].amount_fen"),
    ("a boolean amount", line(amount_fen=True), "field_invalid", 422, "lines[0].amount_fen"),
    ("a number as quantity", line() | {"quantity": 1}, "field_invalid", 422, "lines[0].quantity"),
    ("a long code", line("A" * 41), "field_invalid", 422, "lines[0].code"),
    ("an empty code", line(""), "field_invalid", 422, "lines[0].code"),
    ("an unknown field", line(discount_fen=1), "field_invalid", 422, ""),
    (
        "an unknown prescription",
        line("A1", "1", "25", prescription="RX-0"),
        "prescription_unknown",
        422,
        "lines[0].prescription",
    ),
    (
        "a pack twice",
        line(trace_codes=["T1", "T1"]),
        "trace_code_repeated",
        422,
        "lines[0].trace_codes",
    ),
    ("101 packs", line(trace_codes=[f"T{n}" for n in range(101)]), "field_invalid", 422, ""),
    ("not a line", 7, "field_invalid", 422, "lines[0]"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(
    ("bad", "code", "status", "param"),
    [row[1:] for row in BAD_LINES],
    ids=[row[0] for row in BAD_LINES],
)
def test_a_bad_line_is_named_and_nothing_is_left_of_the_bill(
    till: Till, scan_id: str, bad: Any, code: str, status: int, param: str
) -> None:
    for address in PRICING:
        before = counts()
        reply = till.post(address, bill(scan_id, bad))
        refused(reply, code or reply["code"], status, param=param or None)
        assert added(before) == {"InboxEntry": 1}
        assert InboxEntry.objects.latest("pk").code == reply["code"]


def test_the_second_line_is_named_when_the_second_is_wrong(till: Till, scan_id: str) -> None:
    reply = till.post("quotes", bill(scan_id, line(), line("NOPE")))
    refused(reply, "item_unknown", 422, param="lines[1].code")
    assert "2" in reply["detail"]


BAD_BILLS: list[tuple[str, Callable[[str], dict[str, Any]], str, int, str]] = [
    ("no lines", lambda s: bill(s) | {"lines": []}, "bill_empty", 422, "lines"),
    (
        "lines missing",
        lambda s: {"scan_id": s, "benefit_kind": "pharmacy_account"},
        "bill_empty",
        422,
        "lines",
    ),
    ("501 lines", lambda s: bill(s, *[line()] * 501), "too_many_lines", 422, "lines"),
    ("10,000 lines", lambda s: bill(s, *[line()] * 10_000), "too_many_lines", 422, "lines"),
    ("a scan nobody made", lambda s: bill(str(uuid4())), "not_found", 404, "scan_id"),
    ("a scan id that is none", lambda s: bill("scan-1"), "field_invalid", 422, "scan_id"),
    (
        "a visit nobody opened",
        lambda s: bill(s) | {"visit_id": str(uuid4()), "lines": None},
        "not_found",
        404,
        "visit_id",
    ),
    (
        "neither scan nor visit",
        lambda s: bill(s) | {"scan_id": None},
        "field_invalid",
        422,
        "scan_id",
    ),
    (
        "a kind nobody covers",
        lambda s: bill(s, benefit_kind="dental"),
        "capability_missing",
        403,
        "",
    ),
    (
        "a kind in capitals",
        lambda s: bill(s, benefit_kind="CHRONIC"),
        "field_invalid",
        422,
        "benefit_kind",
    ),
    ("an unknown field", lambda s: bill(s, coupon="x"), "field_invalid", 422, "coupon"),
    (
        "a negative account limit",
        lambda s: bill(s, account_limit_fen=-1),
        "field_invalid",
        422,
        "account_limit_fen",
    ),
    (
        "an account limit of 2**70",
        lambda s: bill(s, account_limit_fen=2**70),
        "field_invalid",
        422,
        "account_limit_fen",
    ),
    ("a text for the lines", lambda s: bill(s) | {"lines": "all"}, "field_invalid", 422, "lines"),
]


@pytest.mark.parametrize(
    ("make", "code", "status", "param"),
    [row[1:] for row in BAD_BILLS],
    ids=[row[0] for row in BAD_BILLS],
)
def test_a_bad_bill_is_refused_by_its_own_word(
    till: Till,
    scan_id: str,
    make: Callable[[str], dict[str, Any]],
    code: str,
    status: int,
    param: str,
) -> None:
    for address in PRICING:
        before = counts()
        refused(till.post(address, make(scan_id)), code, status, param=param or None)
        assert added(before) == {"InboxEntry": 1}


def test_a_missing_field_is_named(till: Till, scan_id: str) -> None:
    for name in ("quantity", "unit_price", "amount_fen"):
        part = {key: value for key, value in line().items() if key != name}
        refused(till.post("estimates", bill(scan_id, part)), "field_invalid", 422)
    reply = till.post("estimates", {"scan_id": scan_id})
    refused(reply, "field_invalid", 422, param="benefit_kind")
    refused(till.post("scans", {"use": "settlement"}), "field_invalid", 422, param="evidence")


def test_a_scan_that_ran_out_is_refused_as_expired(till: Till, scan_id: str) -> None:
    scan = Scan.objects.get(pk=scan_id)
    Scan.objects.filter(pk=scan_id).update(expires_at=scan.scanned_at)
    for address in PRICING:
        refused(till.post(address, bill(scan_id)), "scan_expired", 410, param="scan_id")


def test_a_scan_for_another_use_buys_nothing(world: World, till: Till) -> None:
    scan_id = world.scan(till, use="drug_pickup")
    for address in PRICING:
        refused(till.post(address, bill(scan_id)), "scan_not_for_this_use", 409, param="scan_id")


def test_a_ceiling_is_over_everything_settled_under_the_scan(world: World, till: Till) -> None:
    from voucher.tokens import Scope

    scan_id = world.scan(till, scope=Scope(ceiling_fen=4_000))
    one = bill(scan_id, line("A4"))
    assert till.post("settlements", one).status == 201
    assert till.post("settlements", one).status == 201
    before = counts()
    refused(till.post("settlements", one), "ceiling_exceeded", 422)
    assert added(before) == {"InboxEntry": 1}
    refused(till.post("quotes", one), "ceiling_exceeded", 422)


# ---------------------------------------------------------------- bodies

BODIES: list[tuple[str, bytes, str, int]] = [
    ("not JSON", b"scan=1&use=2", "body_not_json", 400),
    ("half a JSON", b'{"use": "settl', "body_not_json", 400),
    ("two JSONs", b"{}{}", "body_not_json", 400),
    ("bytes that are no text", b"\xff\xfe\x00{", "body_not_json", 400),
    ("text that is no UTF-8", b'{"use": "\xc3\x28"}', "", 0),
    ("JSON after a byte-order mark", b"\xef\xbb\xbf{}", "body_not_json", 400),
    ("a list", b"[]", "field_invalid", 422),
    ("a number", b"7", "field_invalid", 422),
    ("null", b"null", "field_invalid", 422),
    ("a text", b'"{}"', "field_invalid", 422),
    ("nothing", b"", "field_invalid", 422),
    ("an empty object", b"{}", "field_invalid", 422),
    ("nested a hundred thousand deep", b"[" * 100_000, "", 0),
    ("objects nested deep", b'{"use":' * 50_000 + b"1" + b"}" * 50_000, "", 0),
    ("a number of ten thousand digits", b'{"use": ' + b"9" * 10_000 + b"}", "", 0),
    ("infinity", b'{"use": Infinity}', "body_not_json", 400),
    ("1e999", b'{"use": 1e999}', "", 0),
]


@pytest.mark.parametrize(
    ("body", "code", "status"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
def test_a_body_that_cannot_be_read_is_refused_at_every_write(
    till: Till, body: bytes, code: str, status: int
) -> None:
    for name, address in ADDRESSES.items():
        if name in ("release", "discharge", "confirm") and body in (b"{}", b""):
            continue  # There it is the right body.
        before = counts()
        reply = till.post(address.format(uuid4()), body)
        refused(reply, code or reply["code"], status or reply.status)
        assert reply.status in (400, 422)
        assert added(before) == {"InboxEntry": 1}


TEXTS: list[tuple[str, str]] = [
    ("a NUL", r"\u0000"),
    ("half a surrogate pair", r"\ud800"),
    ("the other half", r"\udc00"),
    ("a surrogate pair the wrong way round", r"\udc00\ud800"),
]


@pytest.mark.parametrize("text", [row[1] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_text_that_a_database_cannot_hold_is_refused_wherever_it_stands(
    world: World, till: Till, scan_id: str, text: str
) -> None:
    def sent(value: Any) -> bytes:
        return json.dumps(value).replace("TEXT", text).encode()

    places = [
        ("scans", {"evidence": {"type": "voucher_code", "value": "1TEXT"}, "use": "settlement"}),
        ("estimates", bill(scan_id, line("ATEXT"))),
        ("settlements", bill(scan_id, line(name="TEXT", code=None, national_code="XJ01CAA004"))),
        ("settlements", bill(scan_id, line(trace_codes=["TEXT"]))),
        ("settlements", bill(scan_id, line(), disease_code="TEXT")),
        ("refunds", {"settlement_id": str(uuid4()), "reason": "TEXT"}),
    ]
    for path, value in places:
        before = counts()
        reply = till.post(path, sent(value))
        assert reply.status in (400, 422), (path, reply.text)
        assert added(before) == {"InboxEntry": 1}


def test_a_raw_control_character_never_breaks_anything(till: Till) -> None:
    for byte in (0, 1, 10, 31, 127):
        body = (
            b'{"evidence": {"type": "voucher_code", "value": "1'
            + bytes([byte])
            + b'"}, "use": "settlement"}'
        )
        assert till.post("scans", body).status in (400, 422)


def test_a_body_beyond_the_limit_is_not_read(till: Till) -> None:
    before = counts()
    reply = till.post("estimates", b" " * 3_000_000)
    refused(reply, "body_too_large", 413)
    assert added(before) == {"RefusalTally": 1}


# ---------------------------------------------------------------- signatures


def _tallied(code: str, *, actor: str = "") -> None:
    tally = RefusalTally.objects.get(code=code)
    assert (tally.count, tally.actor) == (1, actor)


UNSIGNED: list[tuple[str, dict[str, str | None], str]] = [
    ("no signature", {"Signature": None, "Signature-Input": None}, "signature_missing"),
    ("only half a signature", {"Signature": None}, "signature_missing"),
    ("nonsense for a signature", {"Signature": "yes"}, "signature_malformed"),
    ("another signature", {"Signature": f"sig1=:{'A' * 86}==:"}, "signature_invalid"),
    ("another body's digest", {"Content-Digest": f"sha-256=:{'A' * 43}=:"}, "digest_mismatch"),
    ("no digest", {"Content-Digest": None}, "digest_missing"),
    ("no key", {"Idempotency-Key": None}, "idempotency_key_missing"),
    ("another key", {"Idempotency-Key": "another"}, "signature_invalid"),
    ("a key with a line end", {"Idempotency-Key": "a\tb"}, "idempotency_key_malformed"),
    ("a key too long", {"Idempotency-Key": "k" * 256}, "idempotency_key_malformed"),
]


@pytest.mark.parametrize(
    ("spoil", "code"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED]
)
def test_a_request_not_properly_signed_is_counted_and_does_nothing(
    till: Till, scan_id: str, spoil: dict[str, str | None], code: str
) -> None:
    before = counts()
    reply = till.post("settlements", bill(scan_id), spoil=spoil)
    refused(reply, code, 400 if code.startswith("idempotency") else 401)
    assert added(before) == {"RefusalTally": 1}
    _tallied(code)


@pytest.mark.parametrize("seconds", [-121, -86_400, 125, 86_400])
def test_a_stale_request_is_refused_as_stale(till: Till, scan_id: str, seconds: int) -> None:
    till.clock_offset = timedelta(seconds=seconds)
    before = counts()
    refused(till.post("settlements", bill(scan_id)), "signature_stale", 401)
    assert added(before) == {"RefusalTally": 1}


def test_many_unsigned_requests_make_one_row_a_minute(till: Till) -> None:
    for _ in range(5):
        till.post("estimates", {}, spoil={"Signature": None, "Signature-Input": None})
    tallies = RefusalTally.objects.filter(code="signature_missing")
    # The minute may turn in between.
    assert tallies.count() <= 2
    assert sum(tally.count for tally in tallies) == 5


def test_an_unknown_key_is_refused_as_an_unknown_terminal(till: Till) -> None:
    till.key_id = "nobody"
    refused(till.post("estimates", {}), "terminal_unknown", 401)


def test_one_terminals_key_does_not_sign_for_another(world: World, till: Till) -> None:
    till.key_id = world.till().key_id
    refused(till.post("estimates", {}), "signature_invalid", 401)


def _revoked(till: Till) -> None:
    Terminal.objects.filter(pk=till.terminal_id).update(state="revoked")


def _suspended(till: Till) -> None:
    Merchant.objects.filter(pk=till.merchant.pk).update(state="suspended")


def _agreement_ended(till: Till) -> None:
    Agreement.objects.filter(merchant=till.merchant).update(state="ended")


def test_a_revoked_terminal_can_do_and_see_nothing_from_the_next_request_on(
    till: Till, scan_id: str
) -> None:
    assert till.post("estimates", bill(scan_id)).status == 200
    _revoked(till)
    before = counts()
    for address in ADDRESSES.values():
        refused(till.post(address.format(uuid4()), {}), "terminal_revoked", 401)
    for address in READS:
        refused(till.get(address.format(uuid4())), "terminal_revoked", 401)
    assert set(added(before)) == {"RefusalTally"}
    assert RefusalTally.objects.filter(
        actor=f"terminal:{till.terminal_id}", code="terminal_revoked"
    ).exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [(_suspended, "merchant_suspended"), (_agreement_ended, "agreement_not_in_force")],
)
def test_a_merchant_out_of_agreement_does_nothing_new_but_learns_what_it_did(
    world: World, till: Till, scan_id: str, change: Callable[[Till], None], code: str
) -> None:
    sold = till.post("settlements", bill(scan_id), key="sold-before")
    assert sold.status == 201
    change(till)
    before = counts()
    for name, address in ADDRESSES.items():
        reply = till.post(address.format(uuid4()), {})
        if OPERATIONS[name].past:
            # What only concerns what was done goes on: a drawer is counted, an answer made sure of.
            assert reply["code"] in ("field_invalid", "not_found")
        else:
            refused(reply, code, 403)
    assert added(before) == {"InboxEntry": len(ADDRESSES)}
    refused(till.get(f"scans/{scan_id}"), code, 403)
    # The till that lost the answer at midnight of the last day asks again, in whatever way.
    again = till.post("settlements", bill(scan_id), key="sold-before")
    assert (again.status, again.text) == (201, sold.text)
    assert till.get("outcomes/sold-before")["answer"] == sold.body
    assert till.get(f"settlements/{sold['settlement_id']}").status == 200
    assert till.get(f"settlements/{sold['settlement_id']}/slip").status == 200


# ---------------------------------------------------------------- other people's records


def test_nothing_of_another_merchant_can_be_used_or_seen(world: World, till: Till) -> None:
    scan_id = world.scan(till)
    quote = till.post("quotes", bill(scan_id))
    settled = till.post("settlements", bill(world.scan(till)))
    refund = till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    other = world.till(world.clinic)
    before = counts()
    tries = [
        other.post("estimates", bill(scan_id, benefit_kind="outpatient")),
        other.post("quotes", bill(scan_id, benefit_kind="outpatient")),
        other.post("settlements", bill(scan_id, benefit_kind="outpatient")),
        other.post("visits", {"scan_id": scan_id}),
        other.post("settlements", {"quote_id": quote["quote_id"]}),
        other.post(f"quotes/{quote['quote_id']}/release", {}),
        other.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"}),
        other.post(
            f"visits/{settled['visit_id']}/pickups",
            {"scan_id": scan_id, "settlement_id": settled["settlement_id"]},
        ),
        other.post(f"visits/{settled['visit_id']}/fee-batches", {"lines": [line()]}),
        other.post(
            f"visits/{settled['visit_id']}/prescriptions",
            {
                "prescriber": "x",
                "diagnosis": "x",
                "lines": [{"national_code": "XJ01CAA004", "quantity": "1"}],
            },
        ),
    ]
    for reply in tries:
        refused(reply, "not_found", 404)
    assert added(before) == {"InboxEntry": len(tries)}
    for address, identifier in (
        ("scans/{}", scan_id),
        ("visits/{}", settled["visit_id"]),
        ("settlements/{}", settled["settlement_id"]),
        ("settlements/{}/slip", settled["settlement_id"]),
        ("refunds/{}", refund["refund_id"]),
    ):
        stranger = other.get(address.format(identifier))
        refused(stranger, "not_found", 404)
        nobody = other.get(address.format(uuid4()))
        # Not even the answer tells an existing record of others from none at all.
        assert {**stranger.body, "request_id": ""} == {**nobody.body, "request_id": ""}
        assert till.get(address.format(identifier)).status == 200


# ---------------------------------------------------------------- addresses and methods

BAD_IDS = ["1", "none", "x" * 3000, "\x00", "1\x00", "💊" * 40, "' OR 1=1 --", "-1", "9" * 40, "%s"]


@pytest.mark.parametrize("identifier", BAD_IDS)
def test_a_bad_id_in_the_address_is_a_clear_refusal(till: Till, identifier: str) -> None:
    for name, address in ADDRESSES.items():
        if "{}" in address:
            refused(till.post(address.format(identifier), _least(name)), "field_invalid", 422)
    for address in READS:
        refused(till.get(address.format(identifier)), "field_invalid", 422)
    refused(till.get(f"outcomes/{identifier}"), "outcome_unknown", 404)


def _least(name: str) -> dict[str, Any]:
    """The smallest body of its shape."""
    return {
        "add_fees": {"lines": [line()]},
        "prescribe": {
            "prescriber": "x",
            "diagnosis": "x",
            "lines": [{"national_code": "XJ01CAA004", "quantity": "1"}],
        },
        "pick_up": {"scan_id": str(uuid4()), "settlement_id": str(uuid4())},
    }.get(name, {})


def test_a_method_that_an_address_does_not_take_is_405_with_the_ones_it_takes(till: Till) -> None:
    for name in ADDRESSES.values():
        path = f"/api/v1/{name.format(uuid4())}"
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            answer = till.client.generic(method, path)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["Allow"]
    assert till.get("estimates").status == 405
    assert till.client.post(f"/api/v1/scans/{uuid4()}").status_code == 405
    assert till.client.get("/api/v1/nowhere").status_code == 404


# ---------------------------------------------------------------- anything at all

_TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "voucher_code",
            "pharmacy_purchase",
            "chronic",
            "outpatient",
            "1",
            "18.6",
            "A4",
            "\x00",
            "\ud7ff",
        ]
    ),
)
_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-(2**80), max_value=2**80),
        st.floats(),
        _TEXTS,
        st.uuids().map(str),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)


def _fields_of(name: str) -> list[str]:
    return list(OPERATIONS[name].shape.__struct_fields__)


@st.composite
def _nearly_right(draw: st.DrawFn, name: str, known: dict[str, Any]) -> Any:
    """A body of the right fields, each with its right value, another right value, or anything."""
    body: dict[str, Any] = {}
    for field in _fields_of(name):
        match draw(st.integers(0, 4)):
            case 0:
                continue
            case 1:
                body[field] = draw(_JSON)
            case _:
                body[field] = known.get(field, draw(_JSON))
    if draw(st.integers(0, 9)) == 0:
        body[draw(_TEXTS)] = draw(_JSON)
    return body


_SLOW_IS_FINE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", ADDRESSES)
def test_no_body_whatever_breaks_a_write(world: World, name: str) -> None:
    at_clinic = ("open_visit", "add_fees", "discharge", "prescribe", "pick_up")
    merchant = world.clinic if name in at_clinic else None
    till = world.till(merchant)
    use = "registration" if merchant else "pharmacy_purchase"
    scan_id = world.scan(till, use=use)
    visit_id = None
    if merchant:
        visit_id = till.post("visits", {"scan_id": scan_id})["visit_id"]
    known: dict[str, Any] = {
        "scan_id": scan_id,
        "visit_id": visit_id,
        "evidence": {"type": "voucher_code", "value": world.code()},
        "use": use,
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
        "quote_id": None,
        "fee_batch_ids": None,
        "settlement_id": str(uuid4()),
        "reason": "x",
        "prescriber": "x",
        "diagnosis": "x",
        "kind": "outpatient",
        "registration_line": line("S1", "1", "15"),
        "valid_days": 3,
    }
    path = ADDRESSES[name].format(visit_id or uuid4())

    @_SLOW_IS_FINE
    @given(body=st.one_of(_JSON, _nearly_right(name, known)))
    def never_breaks(body: Any) -> None:
        reply = till.post(path, body)
        assert reply.status < 500 or reply["code"] in (
            "evidence_not_connected",
            "out_of_area_not_connected",
        ), reply.text

    never_breaks()


@_SLOW_IS_FINE
@given(body=st.binary(max_size=300))
def test_no_bytes_whatever_break_a_write(world: World, body: bytes) -> None:
    till = getattr(world, "_till", None) or world.till()
    world._till = till  # type: ignore[attr-defined]
    for address in ADDRESSES.values():
        assert 400 <= till.post(address.format(uuid4()), body).status < 500 or body in (b"", b"{}")
