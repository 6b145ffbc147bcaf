"""One run through every operation of the API: what its document shows as examples.

A morning at a pharmacy and a clinic, at a fixed moment, every request sent through the whole
application by a terminal that signs. Ids are fresh each time; figures are not.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from django.utils import timezone

from merchants import services as merchants
from settlement.services.tender.driving import drive_due
from tests.world import Reply, Till, World, line, raw


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half as the API takes it."""
    import base64

    return base64.urlsafe_b64encode(raw(key)).rstrip(b"=").decode()


@dataclass
class Run:
    """What was sent and answered, by operation; `statuses` are those answered."""

    exchanges: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    def keep(self, name: str, request: Any, reply: Reply) -> Reply:
        """Record an exchange, which must have the operation's own status."""
        self.exchanges[name] = {"request": request, "answer": reply.body}
        self.statuses[name] = reply.status
        return reply

    def post(self, name: str, till: Till, path: str, body: Any, **options: Any) -> Reply:
        """Send a write and record it."""
        return self.keep(name, body, till.post(path, body, **options))

    def get(self, name: str, till: Till, path: str) -> Reply:
        """Send a read and record it."""
        return self.keep(name, None, till.get(path))


def documented_run(world: World) -> Run:
    """Every operation once; raises AssertionError where one is refused."""
    run = Run()
    pharmacy = _enrolled(run, world)
    _terminal(run, pharmacy)
    _purchase(run, world, pharmacy)
    _visit(run, world)
    key = Ed25519PrivateKey.generate()
    run.post("roll", pharmacy, "terminals/roll", {"public_key": public_text(key)})
    keys = Client().get("/.well-known/answer-keys.json")
    run.keep("answer_keys", None, Reply(keys.status_code, keys.json(), {}, ""))
    return run


def _enrolled(run: Run, world: World) -> Till:
    code = merchants.issue_enrolment_code(
        merchant_id=world.pharmacy.pk, name="counter 1", now=timezone.now(), lifetime_s=600
    )
    key = Ed25519PrivateKey.generate()
    wish = {"one_time_code": code, "public_key": public_text(key), "name": "counter 1"}
    answer = Client().post(
        "/api/v1/terminals/enrol", json.dumps(wish), content_type="application/json"
    )
    run.keep("enrol", wish, Reply(answer.status_code, answer.json(), {}, answer.content.decode()))
    body = answer.json()
    return Till(world.pharmacy, key, body["key_id"], body["terminal_id"])


def _terminal(run: Run, till: Till) -> None:
    run.post(
        "save_items",
        till,
        "items",
        {
            "items": [
                {
                    "code": "B1",
                    "name": "阿司匹林肠溶片",
                    "unit_price": "15.6",
                    "barcode": "6900000000103",
                    "spec": "100mg×30片",
                    "unit": "盒",
                    "national_code": "",
                }
            ]
        },
    )
    run.get("look_items", till, "items?query=amxl&limit=5")
    run.get("look_catalogue", till, "catalogue?query=X&limit=1")


def _scan(world: World, use: str) -> dict[str, Any]:
    return {"evidence": {"type": "voucher_code", "value": world.code()}, "use": use}


def _earlier_this_year(world: World, till: Till) -> None:
    """Enough bought before to have used up the year's deductible, so that the pool pays."""
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": [line("A1", "44", "25", prescription=world.prescription(quantity="44"))],
        # The account is left alone, so that it has something to pay with below.
        "account_limit_fen": 0,
    }
    settled = till.post("settlements", bill)
    assert settled.status == 201, settled.text
    world.post_everything()


def _purchase(run: Run, world: World, till: Till) -> None:
    _earlier_this_year(world, till)
    scan = run.post("scan", till, "scans", _scan(world, "pharmacy_purchase"))
    run.get("look_scan", till, f"scans/{scan['scan_id']}")
    bill = {
        "scan_id": scan["scan_id"],
        "benefit_kind": "chronic",
        "disease_code": "M03900",
        "lines": [
            line("A1", "2", "25", prescription=world.prescription()),
            line("A6", "1", "9.9"),
        ],
    }
    wrong = {**bill, "lines": [bill["lines"][0], {**bill["lines"][1], "amount_fen": 1000}]}
    run.post("problem", till, "estimates", wrong)
    run.post("estimate", till, "estimates", bill)
    quote = till.post("quotes", bill)
    run.post("release", till, f"quotes/{quote['quote_id']}/release", {}, key="give-it-back")
    run.get("look_outcome", till, "outcomes/give-it-back")
    quote = run.post("quote", till, "quotes", bill)
    parts = [
        {
            "kind": "wechat",
            "amount_fen": quote["cash_fen"] - 90,
            "payment_code": "134567890123456789",
        },
        {"kind": "cash", "amount_fen": 90},
    ]
    tender = f"quotes/{quote['quote_id']}/tender"
    run.post("tender", till, tender, {"parts": parts})
    settled = run.post(
        "settle",
        till,
        "settlements",
        {"quote_id": quote["quote_id"], "cash_fen": quote["cash_fen"]},
    )
    world.post_everything()
    run.get("look_settlement", till, f"settlements/{settled['settlement_id']}")
    run.get("look_slip", till, f"settlements/{settled['settlement_id']}/slip")
    refund = run.post(
        "refund",
        till,
        "refunds",
        {"settlement_id": settled["settlement_id"], "reason": "wrong pack"},
    )
    world.post_everything()
    for _ in range(2):
        # The first look captures; only what is captured is sent back.
        drive_due(now=timezone.now(), limit=10)
    run.get("look_tender", till, tender)
    run.get("look_refund", till, f"refunds/{refund['refund_id']}")
    sale = {**bill, "lines": [bill["lines"][1]]}
    for name in ("lost-answer", "known-answer"):
        last = till.post("settlements", {**sale, "confirm_within_s": 60}, key=name)
        assert last.status == 201, last.text
    run.post("reverse", till, "reversals", {"original_key": "lost-answer"})
    run.post("confirm", till, f"settlements/{last['settlement_id']}/confirm", {})


def _visit(run: Run, world: World) -> None:
    till = world.till(world.clinic)
    scan = till.post("scans", _scan(world, "registration"))
    visit = run.post(
        "open_visit",
        till,
        "visits",
        {
            "scan_id": scan["scan_id"],
            "kind": "outpatient",
            "department": "内科",
            "doctor": "测试医师",
            "registration_line": line("S1", "1", "15"),
        },
    )
    address = f"visits/{visit['visit_id']}"
    run.post(
        "add_fees",
        till,
        f"{address}/fee-batches",
        {
            "doctor": "测试医师",
            "diagnoses": [{"code": "I10", "name": "原发性高血压", "main": True}],
            "lines": [line("S2", "1", "20"), line("A4", "1", "18.6")],
        },
    )
    run.post(
        "prescribe",
        till,
        f"{address}/prescriptions",
        {
            "prescriber": "测试医师",
            "diagnosis": "原发性高血压",
            "lines": [{"national_code": "XC01AAA001", "quantity": "2"}],
        },
    )
    settled = till.post(
        "settlements", {"visit_id": visit["visit_id"], "benefit_kind": "outpatient"}
    )
    assert settled.status == 201, settled.text
    again = till.post("scans", _scan(world, "drug_pickup"))
    run.post(
        "pick_up",
        till,
        f"{address}/pickups",
        {"scan_id": again["scan_id"], "settlement_id": settled["settlement_id"]},
    )
    world.post_everything()
    run.get("look_visit", till, address)
    admission = till.post(
        "visits",
        {
            "scan_id": till.post("scans", _scan(world, "registration"))["scan_id"],
            "kind": "inpatient",
        },
    )
    run.post("discharge", till, f"visits/{admission['visit_id']}/discharge", {})
