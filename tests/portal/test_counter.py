"""The counter's operations: the terminal API's own JSON, for the operator's merchant only."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from merchants.models import Terminal
from messaging.days import business_date
from settlement.models import FeeBatch, Line, Visit
from tests.world import World, line

pytestmark = pytest.mark.django_db(transaction=True)


def ask(client: Client, operation: str, body: object, *, key: str = "", query: str = ""):
    return client.post(
        f"/counter/ops/{operation}{query}",
        json.dumps(body),
        content_type="application/json",
        headers={"Idempotency-Key": key or str(uuid4())},
    )


def scan(client: Client, world: World, *, use: str = "pharmacy_purchase"):
    return ask(
        client,
        "scan",
        {"evidence": {"type": "voucher_code", "value": world.code()}, "use": use},
    )


def test_a_purchase_by_the_page_is_settled_once_for_one_key(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    bill = {
        "scan_id": scan(client, world).json()["scan_id"],
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    quote = ask(client, "quote", bill)
    assert quote.status_code == 201, quote.text
    confirm = {"quote_id": quote.json()["quote_id"], "cash_fen": quote.json()["cash_fen"]}
    first = ask(client, "settle", confirm, key="one-intent")
    again = ask(client, "settle", confirm, key="one-intent")
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again["Idempotent-Replay"] == "true"
    outcome = client.get("/counter/look/outcome?idempotency_key=one-intent").json()
    assert outcome["status"] == 201
    assert outcome["answer"] == first.json()


def test_the_page_acts_as_the_merchant_s_page_terminal(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    scan(client, world)
    terminal = Terminal.objects.get(kind="page")
    assert terminal.merchant == world.pharmacy
    Terminal.objects.update(state="revoked")
    assert scan(client, world).json()["code"] == "terminal_revoked"


def test_a_part_comes_back_by_the_page_and_the_rest_is_told(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    bill = {
        "scan_id": scan(client, world).json()["scan_id"],
        "benefit_kind": "pharmacy_account",
        "lines": [line("A4", "3", "18.6", trace_codes=["81-1", "81-2", "81-3"])],
    }
    quote = ask(client, "quote", bill).json()
    confirm = {"quote_id": quote["quote_id"], "cash_fen": quote["cash_fen"]}
    number = ask(client, "settle", confirm).json()["settlement_id"]
    part = {"no": 1, "quantity": "1", "trace_codes": ["81-2"]}
    wish = {"settlement_id": number, "reason": "顾客退货", "lines": [part]}
    unnamed = {**wish, "lines": [{"no": 1, "quantity": "1"}]}
    refused = ask(client, "refund", unnamed)
    # The page shows it at the field: where, and what, without the name that the API has for it.
    assert (refused.status_code, refused.json()["param"]) == (422, "lines[0].trace_codes")
    assert refused.json()["detail"] == f"lines[0].trace_codes: {refused.json()['problem']}"
    first = ask(client, "refund", wish, key="one-part")
    again = ask(client, "refund", wish, key="one-part")
    assert (first.status_code, again.content) == (201, first.content)
    record = client.get(f"/counter/look/settlement?settlement_id={number}").json()
    (left,) = record["lines"]
    assert (left["remaining_quantity"], left["remaining_fen"]) == ("2", 3_720)
    assert left["trace_codes"] == ["81-1", "81-3"]


def test_a_refusal_comes_as_the_api_s_problem(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    body = {"evidence": {"type": "voucher_code", "value": world.code(age_s=300)}, "use": "x"}
    answer = ask(client, "scan", {**body, "use": "pharmacy_purchase"})
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (410, "code_expired")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/counter/ops/scan", {}, 400, "idempotency_key_missing"),
        ("/counter/ops/drop_tables", {"Idempotency-Key": "k"}, 404, "not_found"),
        ("/counter/ops/scan", {"Idempotency-Key": "k"}, 400, "body_not_json"),
    ],
)
def test_a_request_out_of_form_has_its_own_code(
    signed_in: Callable[[str], Client],
    path: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = signed_in("pharmacist").post(
        path, b"{not json", content_type="application/json", headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("settlement", "field_invalid"),
        ("settlement?settlement_id=x", "field_invalid"),
        ("settlement?settlement_id=01a20000-0000-7000-8000-000000000000", "not_found"),
        ("outcome?idempotency_key=never", "outcome_unknown"),
        ("items?query=a&limit=x", "field_invalid"),
        ("items?query=a&now=1&terminal=2", ""),
        ("slip", "not_found"),
        ("nothing", "not_found"),
    ],
)
def test_a_read_is_answered_or_refused_by_name(
    signed_in: Callable[[str], Client], query: str, code: str
) -> None:
    answer = signed_in("pharmacist").get(f"/counter/look/{query}")
    assert answer.json().get("code", "") == code


def test_another_merchant_s_scan_is_not_found(
    signed_in: Callable[[str], Client], world: World
) -> None:
    scan_id = scan(signed_in("pharmacist"), world).json()["scan_id"]
    answer = signed_in("cashier").get(f"/counter/look/scan?scan_id={scan_id}")
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("", 401, "not_signed_in"), ("citizen", 403, "operator_not_active")],
)
def test_only_operators_reach_the_operations(
    signed_in: Callable[[str], Client], name: str, status: int, code: str
) -> None:
    client = signed_in(name) if name else Client()
    for answer in (ask(client, "scan", {}), client.get("/counter/look/visits_today")):
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_operator_who_was_switched_off_may_do_nothing_more(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("pharmacist")
    world.pharmacy.operators.update(active=False)
    assert scan(client, world).json()["code"] == "operator_not_active"


def test_a_write_without_the_csrf_token_is_refused(
    signed_in: Callable[[str], Client],
) -> None:
    client = signed_in("pharmacist")
    client.handler.enforce_csrf_checks = True
    assert ask(client, "scan", {}).status_code == 403


def test_a_visit_goes_through_its_four_steps(
    signed_in: Callable[[str], Client], world: World
) -> None:
    client = signed_in("cashier")
    scanned = scan(client, world, use="registration").json()
    opened = ask(client, "open_visit", {"scan_id": scanned["scan_id"], "doctor": "孙医师"})
    assert opened.status_code == 201, opened.text
    visit_id = opened.json()["visit_id"]
    query = f"?visit_id={visit_id}"
    fees = ask(client, "add_fees", {"lines": [line()]}, query=query)
    assert fees.status_code == 201, fees.text
    bill = {"scan_id": scanned["scan_id"], "visit_id": visit_id, "benefit_kind": "outpatient"}
    settled = ask(client, "settle", bill)
    assert settled.status_code == 201, settled.text
    pickup = scan(client, world, use="drug_pickup").json()
    handed = ask(
        client,
        "pick_up",
        {
            "scan_id": pickup["scan_id"],
            "settlement_id": settled.json()["settlement_id"],
        },
        query=query,
    )
    assert handed.status_code == 201, handed.text
    assert [row["visit_id"] for row in client.get("/counter/look/visits_today").json()["visits"]]


def listed(client: Client) -> list[str]:
    return [row["visit_id"] for row in client.get("/counter/look/visits_today").json()["visits"]]


def test_the_list_has_who_lies_in_hospital_or_went_home_with_something_to_pay(
    signed_in: Callable[[str], Client], world: World
) -> None:
    today = business_date(timezone.now())

    def visit(kind: str, *, admitted: int, home: int | None = None, owes: bool = False) -> str:
        made = Visit.objects.create(
            merchant=world.clinic,
            member=world.retiree,
            kind=kind,
            admission_date=today - timedelta(days=admitted) if kind == "inpatient" else None,
            discharge_date=None if home is None else today - timedelta(days=home),
            opened_at=timezone.now() - timedelta(days=admitted),
            business_date=today - timedelta(days=admitted),
        )
        if owes:
            batch = FeeBatch.objects.create(
                visit=made, number=1, service_date=today, total_fen=1, uploaded_at=timezone.now()
            )
            Line.objects.create(
                fee_batch=batch, number=1, name="x", quantity="1", unit_price="0.01", amount_fen=1
            )
        return str(made.pk)

    lying = visit("inpatient", admitted=400)
    home_today = visit("inpatient", admitted=9, home=0)
    home_and_owing = visit("inpatient", admitted=20, home=5, owes=True)
    admitted_today = visit("inpatient", admitted=0)
    visit("inpatient", admitted=20, home=5)
    visit("inpatient", admitted=400, home=91, owes=True)
    visit("outpatient", admitted=1, owes=True)
    Visit.objects.filter(pk=visit("inpatient", admitted=3)).update(closed_at=timezone.now())
    visit("pharmacy", admitted=0)
    assert listed(signed_in("cashier")) == [admitted_today, home_today, home_and_owing, lying]


def test_the_list_has_nobody_of_another_hospital(
    signed_in: Callable[[str], Client], world: World
) -> None:
    Visit.objects.create(
        merchant=world.pharmacy,
        member=world.retiree,
        kind="inpatient",
        admission_date=business_date(timezone.now()),
        opened_at=timezone.now(),
        business_date=business_date(timezone.now()),
    )
    assert listed(signed_in("cashier")) == []
