"""Enrol, roll, items and answer keys over HTTP, as a vendor's software meets them."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.test import Client
from django.utils import timezone

from merchants import services, signatures
from merchants.models import Item, Merchant, Terminal
from messaging.models import RefusalTally
from tests.merchants.tills import Till, as_text, enrol, public_key, register

ENROL = "/api/v1/terminals/enrol"
ITEM = {"code": "1001", "name": "阿莫西林胶囊", "unit_price": "12.5", "national_code": "XJ01"}


def published() -> dict[str, Ed25519PublicKey]:
    keys = Client().get("/.well-known/answer-keys.json").json()["keys"]
    return {
        key["key_id"]: Ed25519PublicKey.from_public_bytes(
            base64.urlsafe_b64decode(key["public_key"] + "=")
        )
        for key in keys
    }


def issue(merchant: Merchant) -> str:
    return services.issue_enrolment_code(
        merchant_id=merchant.pk, name="counter 1", now=timezone.now(), lifetime_s=3600
    )


def post(body: Any) -> Any:
    return Client().post(ENROL, body, content_type="application/json")


def test_enrolling_answers_the_terminal_its_merchant_and_the_answer_keys(
    pharmacy: Merchant,
) -> None:
    response = post(
        {"one_time_code": issue(pharmacy), "public_key": as_text(public_key()), "name": "counter 2"}
    )
    terminal = Terminal.objects.get()
    assert response.status_code == 201
    answer = response.json()
    assert answer["terminal_id"] == terminal.pk
    assert answer["key_id"] == terminal.key_id
    assert answer["merchant"] == {
        "code": "P37030099001",
        "name": "康和大药房",
        "kind": "pharmacy",
        "area_code": "370300",
    }
    assert {key["key_id"] for key in answer["answer_keys"]} == set(published())


def test_the_answer_to_enrolling_is_signed_over_no_request(pharmacy: Merchant) -> None:
    response = post({"one_time_code": issue(pharmacy), "public_key": as_text(public_key())})
    signatures.verify_answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=response.content,
        request_signature=None,
        keys=published(),
    )


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"one_time_code": "AAAA-BBBB-CCCC"}, 404, "enrolment_code_unknown", "one_time_code"),
        ({"one_time_code": 5}, 422, "field_invalid", "one_time_code"),
        ({"public_key": "AAAA"}, 422, "field_invalid", "public_key"),
        ({"public_key": "A" * 43}, 422, "public_key_invalid", "public_key"),
        ({"public_key": "é" * 43}, 422, "field_invalid", "public_key"),
        ({"name": "x" * 61}, 422, "field_invalid", "name"),
        ({"more": 1}, 422, "field_invalid", "more"),
    ],
)
def test_a_bad_enrolment_is_a_problem_that_names_the_field_and_is_counted(
    pharmacy: Merchant, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    wish = {"one_time_code": issue(pharmacy), "public_key": as_text(public_key())}
    response = post(wish | change)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["param"] == param
    assert response["Content-Type"] == "application/problem+json"
    assert "Signature" in response.headers
    assert RefusalTally.objects.get().code == code
    assert Terminal.objects.get().state == "awaiting"


@pytest.mark.parametrize("body", [b"\xff", b"[", b"x" * 10, b"[" * 5000, b'"text"', b"null"])
def test_an_enrolment_that_is_no_json_object_is_refused(pharmacy: Merchant, body: bytes) -> None:
    response = Client().post(ENROL, body, content_type="application/json")
    assert response.status_code in (400, 422)
    assert response.json()["code"] in ("body_not_json", "field_invalid")


def test_an_enrolment_is_read_in_the_readers_language(pharmacy: Merchant) -> None:
    response = Client().post(
        ENROL,
        {"one_time_code": "x", "public_key": as_text(public_key())},
        content_type="application/json",
        headers={"Accept-Language": "en"},
    )
    assert "one-time code is not known" in response.json()["detail"]


def test_a_body_beyond_the_servers_limit_is_refused_and_not_read(pharmacy: Merchant) -> None:
    response = Client().post(ENROL, b"x" * 3_000_000, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_only_posting_enrols(db: None) -> None:
    assert Client().get(ENROL).status_code == 405


def test_a_terminal_rolls_its_key_and_the_old_one_is_unknown_at_once(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    old = Till(key_id=str(terminal.key_id))
    response = old.send("POST", "/api/v1/terminals/roll", {"public_key": as_text(public_key(2))})
    assert response.status_code == 200
    new_id = response.answer["key_id"]
    assert new_id == services.key_id_of(terminal_id=terminal.pk, public_key=public_key(2))

    assert old.send("GET", "/api/v1/items", query="query=x").answer["code"] == "terminal_unknown"
    new = Till(key_id=new_id, seed=2)
    assert new.send("GET", "/api/v1/items", query="query=x").status_code == 200


def test_a_revoked_terminal_is_told_so_at_its_next_request(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    services.revoke_terminal(terminal_id=terminal.pk, now=timezone.now())
    response = Till(key_id=str(terminal.key_id)).send("GET", "/api/v1/items", query="query=x")
    assert (response.status_code, response.answer["code"]) == (401, "terminal_revoked")


def test_items_are_saved_once_for_a_key_and_found_again(pharmacy: Merchant) -> None:
    till = Till(key_id=str(enrol(pharmacy).key_id))
    body = {"items": [ITEM, {"code": "9001", "name": "红枣茶", "unit_price": "29.9"}]}
    first = till.send("POST", "/api/v1/items", body)
    again = till.send("POST", "/api/v1/items", body)
    assert (first.status_code, first.answer) == (200, {"saved": 2, "unmapped": ["9001"]})
    assert (again.status_code, again.content) == (200, first.content)
    assert again["Idempotent-Replay"] == "true"
    found = till.send("GET", "/api/v1/items", query="query=amxl&limit=5").answer["items"]
    assert found == [
        {
            "code": "1001",
            "barcode": "",
            "name": "阿莫西林胶囊",
            "initials": "amxljn",
            "spec": "",
            "unit": "",
            "unit_price": "12.5",
            "national_code": "XJ01",
            "mapped": True,
        }
    ]


def test_the_same_key_for_other_items_is_refused(pharmacy: Merchant) -> None:
    till = Till(key_id=str(enrol(pharmacy).key_id))
    till.send("POST", "/api/v1/items", {"items": [ITEM]})
    response = till.send("POST", "/api/v1/items", {"items": [ITEM | {"unit_price": "1"}]})
    assert (response.status_code, response.answer["code"]) == (409, "idempotency_key_reused")
    assert Item.objects.get().unit_price == "12.5"


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([], "items"),
        ([ITEM] * 1001, "items"),
        ([ITEM, ITEM], "items[1].code"),
        ([ITEM | {"unit_price": "-3"}], "items[0].unit_price"),
        ([ITEM | {"unit_price": 3}], "items[0].unit_price"),
        ([ITEM | {"colour": "red"}], "items[0].colour"),
        ([{"code": "1"}], "items[0].name"),
    ],
)
def test_bad_items_are_named_and_none_is_saved(
    pharmacy: Merchant, items: list[Any], param: str
) -> None:
    till = Till(key_id=str(enrol(pharmacy).key_id))
    response = till.send("POST", "/api/v1/items", {"items": items})
    assert (response.status_code, response.answer["code"]) == (422, "field_invalid")
    # msgspec says `[...]` for the place in a list.
    assert response.answer["param"].replace("[...]", f"[{param[6:7]}]") == param
    assert Item.objects.count() == 0


def test_an_item_with_a_null_character_is_refused(pharmacy: Merchant) -> None:
    till = Till(key_id=str(enrol(pharmacy).key_id))
    response = till.send("POST", "/api/v1/items", {"items": [ITEM | {"name": "药\x00"}]})
    assert (response.status_code, response.answer["code"]) == (400, "body_not_json")


def test_a_search_with_a_bad_limit_is_refused(pharmacy: Merchant) -> None:
    till = Till(key_id=str(enrol(pharmacy).key_id))
    response = till.send("GET", "/api/v1/items", query="query=a&limit=many")
    assert (response.status_code, response.answer["param"]) == (422, "limit")


def test_a_merchant_never_sees_anothers_items(pharmacy: Merchant) -> None:
    other = register(code="P37030099002")
    services.save_items(
        merchant_id=other.pk,
        items=[services.ItemInput(code="1", name="阿莫西林", unit_price="1")],
    )
    till = Till(key_id=str(enrol(pharmacy).key_id))
    assert till.send("GET", "/api/v1/items", query="query=amxl").answer == {"items": []}


def test_answer_keys_are_public_and_carry_their_dates(db: None) -> None:
    response = Client().get("/.well-known/answer-keys.json")
    (key,) = response.json()["keys"]
    assert (key["key_id"], key["algorithm"]) == ("server-1", "Ed25519")
    ends, begins = (
        datetime.fromisoformat(key[name].replace("Z", "+00:00"))
        for name in ("not_after", "not_before")
    )
    assert ends - begins == timedelta(days=365)
    assert "max-age" in response["Cache-Control"]


def test_the_api_document_names_these_endpoints(db: None) -> None:
    paths = json.loads(Client().get("/api/v1/openapi.json").content)["paths"]
    named = {
        operation["operationId"]
        for path in ("terminals/enrol", "terminals/roll", "items")
        for operation in paths[f"/api/v1/{path}"].values()
    }
    assert named == {"enrol", "roll", "look_items", "save_items"}
