"""The vendors' client against a small server that checks requests and signs answers for real."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from ybm_client import AnswerNotTrusted, OutcomeUnknown, Refused, Terminal
from ybm_client.signing import KeyNotHeld, NotGenuine, sign_request, verify_answer

from merchants import signatures
from tests.clients.answering_server import OTHER_KEY, Server, published

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs/vectors/http_signatures.json").read_text(encoding="utf-8"))


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def terminal(server: Server, pauses: list[float]) -> Iterator[Terminal]:
    enrolled = Terminal.enrol(
        server.url, "ABCD-EFGH-JKLM", name="counter 1", timeout_s=5, sleep=pauses.append
    )
    server.seen.clear()
    yield enrolled
    enrolled.close()


def keys_seen(server: Server) -> list[str]:
    return [seen["headers"].get("idempotency-key") for seen in server.seen]


# -- agreement with the published vectors


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda v: v["name"])
def test_the_client_makes_each_published_request_to_the_byte(vector: Any) -> None:
    key = load_pem_private_key(VECTORS["keys"][vector["keyid"]]["private_key_pem"].encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    assert (
        sign_request(
            method=vector["method"],
            authority=vector["authority"],
            path=vector["path"],
            query=vector["query"],
            content=vector["body"].encode(),
            key=key,
            key_id=vector["keyid"],
            created=vector["created"],
            idempotency_key=vector["idempotency_key"],
        )
        == vector["headers"]
    )


def verify_vector(vector: Any) -> tuple[str, int]:
    key = load_pem_private_key(VECTORS["keys"]["server-vector-1"]["private_key_pem"].encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return verify_answer(
        status=vector["status"],
        headers={name.lower(): value for name, value in vector["headers"].items()},
        content=vector["body"].encode(),
        request_signature=f"sig1={vector['request_signature']}",
        keys={"server-vector-1": key.public_key()},
    )


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=lambda v: v["name"])
def test_the_client_believes_a_published_answer_only_when_it_is_bound(vector: Any) -> None:
    if vector["request_signature"] is None:
        with pytest.raises(NotGenuine):
            verify_vector(vector)
    else:
        assert verify_vector(vector) == (vector["keyid"], vector["created"])


@pytest.mark.parametrize("vector", VECTORS["refused_answers"], ids=lambda v: v["name"])
def test_the_client_refuses_each_published_bad_answer(vector: Any) -> None:
    with pytest.raises(NotGenuine) as refused:
        verify_vector(vector)
    assert isinstance(refused.value, KeyNotHeld) == (vector["code"] == "answer_key_unknown")


def test_the_client_imports_nothing_of_the_server() -> None:
    apps = {"config", "messaging", "voucher", "merchants", "settlement", "portal", "django"}
    for file in (ROOT / "clients/python/ybm_client").glob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in apps, f"{file.name}: {line}"


# -- enrolment and keeping


def test_enrolment_hands_in_a_public_key_and_gives_a_terminal_that_works(
    terminal: Terminal, server: Server
) -> None:
    assert (terminal.terminal_id, terminal.key_id) == (7, "t-abcd")
    assert terminal.merchant["name"] == "示例药店"
    terminal.scan("1" * 254, "pharmacy_purchase")
    assert server.seen[0]["refused"] is None


def test_an_unknown_one_time_code_is_refused_by_the_servers_code(server: Server) -> None:
    with pytest.raises(Refused) as refused:
        Terminal.enrol(server.url, "WRONG", name="counter 1")
    assert (refused.value.code, refused.value.status) == ("one_time_code_unknown", 404)


def test_a_saved_terminal_is_private_and_works_when_loaded(
    terminal: Terminal, server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "terminal.json"
    terminal.save(file)
    terminal.save(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["terminal.json"]
    loaded = Terminal.load(file)
    loaded.settlement("s-1")
    loaded.close()
    assert server.seen[0]["refused"] is None
    assert loaded.merchant == terminal.merchant


def test_a_saved_terminal_that_others_may_read_is_not_loaded(
    terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "terminal.json"
    terminal.save(file)
    file.chmod(0o640)
    with pytest.raises(PermissionError):
        Terminal.load(file)


# -- the calls

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Any]] = [
    (
        "scan",
        ("1" * 254, "pharmacy_purchase"),
        {},
        "POST",
        "/scans",
        {
            "evidence": {"type": "voucher_code", "value": "1" * 254},
            "use": "pharmacy_purchase",
        },
    ),
    ("scanned", ("sc-1",), {}, "GET", "/scans/sc-1", None),
    (
        "open_visit",
        ("sc-1",),
        {"department": "内科"},
        "POST",
        "/visits",
        {"scan_id": "sc-1", "kind": "outpatient", "department": "内科"},
    ),
    ("visit", ("v-1",), {}, "GET", "/visits/v-1", None),
    (
        "add_fees",
        ("v-1", [{"code": "A1", "amount_fen": 100}]),
        {"diagnoses": [{"code": "I10", "main": True}]},
        "POST",
        "/visits/v-1/fee-batches",
        {
            "lines": [{"code": "A1", "amount_fen": 100}],
            "diagnoses": [{"code": "I10", "main": True}],
        },
    ),
    (
        "prescribe",
        ("v-1", [{"national_code": "X", "quantity": "2"}]),
        {"prescriber": "d", "diagnosis": "I10"},
        "POST",
        "/visits/v-1/prescriptions",
        {
            "prescriber": "d",
            "diagnosis": "I10",
            "valid_days": 3,
            "lines": [{"national_code": "X", "quantity": "2"}],
        },
    ),
    (
        "pick_up",
        ("v-1",),
        {"scan_id": "sc-2", "settlement_id": "s-1"},
        "POST",
        "/visits/v-1/pickups",
        {"scan_id": "sc-2", "settlement_id": "s-1"},
    ),
    (
        "estimate",
        (),
        {"scan_id": "sc-1", "benefit_kind": "chronic", "lines": []},
        "POST",
        "/estimates",
        {"scan_id": "sc-1", "benefit_kind": "chronic", "lines": []},
    ),
    (
        "quote",
        (),
        {"scan_id": "sc-1", "visit_id": "v-1", "disease_code": None},
        "POST",
        "/quotes",
        {"scan_id": "sc-1", "visit_id": "v-1"},
    ),
    ("release", ("q-1",), {}, "POST", "/quotes/q-1/release", {}),
    (
        "pay",
        ("q-1", [{"kind": "cash", "amount_fen": 90}]),
        {},
        "POST",
        "/quotes/q-1/tender",
        {"parts": [{"kind": "cash", "amount_fen": 90}]},
    ),
    ("tender", ("q-1",), {}, "GET", "/quotes/q-1/tender", None),
    (
        "settle",
        ("q-1",),
        {"cash_fen": 0},
        "POST",
        "/settlements",
        {"quote_id": "q-1", "cash_fen": 0},
    ),
    ("settle", (), {"scan_id": "sc-1"}, "POST", "/settlements", {"scan_id": "sc-1"}),
    ("settlement", ("s-1",), {}, "GET", "/settlements/s-1", None),
    ("slip", ("s-1",), {}, "GET", "/settlements/s-1/slip", None),
    (
        "refund",
        ("s-1", "退货"),
        {},
        "POST",
        "/refunds",
        {"settlement_id": "s-1", "reason": "退货"},
    ),
    ("refunded", ("r-1",), {}, "GET", "/refunds/r-1", None),
    ("outcome", ("my key?",), {}, "GET", "/outcomes/my%20key%3F", None),
    ("put_items", ([{"code": "A1"}],), {}, "POST", "/items", {"items": [{"code": "A1"}]}),
]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "method", "path", "body"), CALLS, ids=lambda v: str(v)[:30]
)
def test_each_call_sends_its_signed_request_and_gives_the_answer(
    terminal: Terminal,
    server: Server,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    method: str,
    path: str,
    body: Any,
) -> None:
    server.script = [{"body": {"answered": name}}]
    assert getattr(terminal, name)(*args, **kwargs) == {"answered": name}
    (seen,) = server.seen
    assert seen["refused"] is None
    assert (seen["method"], seen["path"], seen["body"]) == (method, "/api/v1" + path, body)


def test_items_are_searched_with_a_signed_query(terminal: Terminal, server: Server) -> None:
    server.script = [{"status": 200, "body": {"items": [{"code": "A1"}]}}]
    assert terminal.items("阿莫西林 片&x", limit=5) == [{"code": "A1"}]
    (seen,) = server.seen
    assert seen["refused"] is None
    assert seen["query"].endswith("&limit=5")


def test_a_settlement_is_of_a_quote_or_of_a_bill_and_a_bill_has_no_other_members(
    terminal: Terminal, server: Server
) -> None:
    for wrong in ({}, {"quote_id": "q-1", "scan_id": "sc-1"}):
        with pytest.raises(ValueError):
            terminal.settle(**wrong)
    with pytest.raises(TypeError, match="benefit_sort"):
        terminal.quote(scan_id="sc-1", benefit_sort="chronic")
    assert server.seen == []


def test_a_connection_is_kept_over_calls(terminal: Terminal, server: Server) -> None:
    server.connections = 0
    for _ in range(5):
        terminal.settlement("s-1")
    assert (len(server.seen), server.connections) == (5, 1)


def test_a_refusal_carries_everything_the_server_said(terminal: Terminal, server: Server) -> None:
    body = {
        "type": "/docs/refusals#amount_differs",
        "status": 409,
        "code": "amount_differs",
        "detail": "第 2 行金额不符",
        "param": "lines[1].amount_fen",
        "request_id": "0123456789abcdef",
        "line_no": 2,
    }
    server.script = [{"status": 409, "body": body}]
    with pytest.raises(Refused) as refused:
        terminal.quote(scan_id="sc-1", idempotency_key="key-1")
    error = refused.value
    assert (error.status, error.code, error.param) == (409, "amount_differs", body["param"])
    assert (error.detail, error.request_id, error.body) == (
        body["detail"],
        body["request_id"],
        body,
    )
    assert keys_seen(server) == ["key-1"]


# -- trying again


@pytest.mark.parametrize(
    "trouble",
    [
        {"hang_up": True},
        {"status": 503, "body": {"code": "try_again"}},
        {"status": 503, "unsigned": True},
        {"status": 502, "unsigned": True, "raw": b"<h1>Bad Gateway</h1>"},
        {"status": 504, "unsigned": True},
    ],
    ids=["hang up", "try again", "unsigned 503", "bad gateway", "gateway timeout"],
)
def test_passing_trouble_is_tried_again_under_the_same_key(
    terminal: Terminal, server: Server, trouble: dict[str, Any]
) -> None:
    server.script = [trouble, trouble, {"body": {"settlement_id": "s-1"}}]
    assert terminal.settle("q-1") == {"settlement_id": "s-1"}
    keys = keys_seen(server)
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert [seen["refused"] for seen in server.seen] == [None] * 3


def test_each_act_has_a_key_of_its_own(terminal: Terminal, server: Server) -> None:
    terminal.settle("q-1")
    terminal.settle("q-1")
    assert len(set(keys_seen(server))) == 2


def test_trouble_that_does_not_pass_leaves_the_outcome_unknown_and_names_the_key(
    terminal: Terminal, server: Server, pauses: list[float]
) -> None:
    server.script = [{"hang_up": True}] * 4
    with pytest.raises(OutcomeUnknown) as unknown:
        terminal.settle("q-1", idempotency_key="key-1")
    assert unknown.value.idempotency_key == "key-1"
    assert keys_seen(server) == ["key-1"] * 4
    assert pauses == [0.0, 0.5, 1.5]


@pytest.mark.parametrize(
    ("retry_after", "waited_s"),
    [("1", 1), ("0", 0.0), ("3600", 5), ("-1", 0.0), ("²", 0.0), ("soon", 0.0), ("9" * 9, 0.0)],
)
def test_the_server_may_ask_for_a_longer_pause_but_not_for_any(
    terminal: Terminal, server: Server, pauses: list[float], retry_after: str, waited_s: float
) -> None:
    server.script = [{"status": 503, "headers": {"Retry-After": retry_after}}]
    terminal.settle("q-1")
    assert pauses == [waited_s]


def test_an_answer_that_takes_too_long_leaves_the_outcome_unknown(server: Server) -> None:
    release = threading.Event()
    terminal = Terminal.enrol(
        server.url, "ABCD-EFGH-JKLM", name="counter 1", timeout_s=0.2, pauses_s=()
    )
    server.script = [{"stall": release}]
    with pytest.raises(OutcomeUnknown) as unknown:
        terminal.settle("q-1", idempotency_key="key-1")
    release.set()
    assert unknown.value.idempotency_key == "key-1"
    assert not isinstance(unknown.value, AnswerNotTrusted)


def test_a_server_that_is_not_there_leaves_a_read_without_a_key_to_ask_for(
    terminal: Terminal, server: Server
) -> None:
    server.server_close()
    terminal.close()
    server.shutdown()
    with pytest.raises(OutcomeUnknown) as unknown:
        terminal.settlement("s-1")
    assert unknown.value.idempotency_key is None


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_a_firm_answer_is_not_tried_again(terminal: Terminal, server: Server, status: int) -> None:
    server.script = [{"status": status, "body": {"code": "no"}}]
    with pytest.raises(Refused):
        terminal.settle("q-1")
    assert len(server.seen) == 1


def test_threads_share_a_terminal(terminal: Terminal, server: Server) -> None:
    wrong: list[object] = []

    def work(name: str) -> None:
        for n in range(10):
            got = terminal.refund(f"{name}-{n}", "r")
            if got["echo"]["settlement_id"] != f"{name}-{n}":
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(server.seen) == 40
    assert all(seen["refused"] is None for seen in server.seen)


# -- trusting the answer


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 409, 500])
def test_an_unsigned_answer_is_not_trusted_whatever_it_says(
    terminal: Terminal, server: Server, status: int
) -> None:
    server.script = [{"status": status, "unsigned": True, "raw": b""}]
    with pytest.raises(AnswerNotTrusted) as untrusted:
        terminal.settle("q-1", idempotency_key="key-1")
    assert (untrusted.value.idempotency_key, untrusted.value.status) == ("key-1", status)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "forgery",
    [
        {"sent": b'{"total_fen":8001}', "raw": b'{"total_fen":8000}'},
        {"status": 409, "sent_status": 201},
        {"status": 201, "sent_status": 409},
        {"key": OTHER_KEY},
        {"key_id": "server-9"},
        {"bound_to": None},
        {"status": 409, "bound_to": None},
        {"bound_to": ":" + "A" * 86 + "==:"},
        {"headers": {"Content-Digest": "sha-256=:AAAA:"}},
        {"headers": {"Signature": "sig1=:AAAA:"}},
        {"headers": {"Signature": "sig1=:é:"}},
        {"headers": {"Signature-Input": "sig1=garbage"}},
        {"created": int(datetime(2025, 12, 31, tzinfo=UTC).timestamp())},
        {"created": int(datetime(2099, 1, 1, tzinfo=UTC).timestamp())},
        {"raw": b"[]"},
        {"raw": b"not json"},
    ],
    ids=lambda forgery: " ".join(forgery),
)
def test_an_answer_that_is_not_provably_the_servers_is_not_trusted(
    terminal: Terminal, server: Server, forgery: dict[str, Any]
) -> None:
    server.script = [forgery]
    with pytest.raises(AnswerNotTrusted) as untrusted:
        terminal.settle("q-1", idempotency_key="key-1")
    assert untrusted.value.idempotency_key == "key-1"
    assert len(server.seen) == 1


def test_the_answer_to_an_earlier_request_is_not_trusted_for_a_later_one(
    terminal: Terminal, server: Server
) -> None:
    terminal.settle("q-1")
    earlier = signatures.request_signature(server.seen[0]["headers"])
    server.script = [{"bound_to": earlier}]
    with pytest.raises(AnswerNotTrusted):
        terminal.settle("q-2")


@pytest.mark.parametrize("ahead_s", [-4000, 4000])
def test_a_wrong_clock_is_set_by_the_servers_signed_refusal(
    terminal: Terminal, server: Server, ahead_s: int
) -> None:
    server.clock_ahead_s = ahead_s
    terminal.settle("q-1", idempotency_key="key-1")
    assert [seen["refused"] for seen in server.seen] == ["signature_stale", None]
    assert keys_seen(server) == ["key-1", "key-1"]
    terminal.settle("q-2")
    assert len(server.seen) == 3


def test_a_clock_is_not_set_by_an_unsigned_refusal(terminal: Terminal, server: Server) -> None:
    server.script = [{"status": 401, "unsigned": True, "body": {"code": "signature_stale"}}]
    with pytest.raises(AnswerNotTrusted):
        terminal.settle("q-1")
    assert len(server.seen) == 1


def test_a_new_answer_key_is_believed_after_the_keys_are_fetched(
    terminal: Terminal, server: Server, tmp_path: Path
) -> None:
    step = {"key": OTHER_KEY, "key_id": "server-2"}
    server.script = [dict(step)]
    with pytest.raises(AnswerNotTrusted, match="refresh_answer_keys"):
        terminal.settle("q-1")
    server.published = [published("server-2", OTHER_KEY)]
    terminal.refresh_answer_keys()
    server.script = [dict(step)]
    terminal.settle("q-1")
    terminal.save(tmp_path / "terminal.json")
    saved = json.loads((tmp_path / "terminal.json").read_text(encoding="utf-8"))
    assert [key["key_id"] for key in saved["answer_keys"]] == ["server-2"]


def test_a_known_key_id_never_changes_its_key(terminal: Terminal, server: Server) -> None:
    server.published = [published("server-1", OTHER_KEY)]
    with pytest.raises(AnswerNotTrusted):
        terminal.refresh_answer_keys()
    terminal.settle("q-1")
