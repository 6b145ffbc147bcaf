"""A small made-up world for tests: one area with its policy, two institutions, a few people.

Everything is made through the services that a deployment would use where there are any; people and
numbers are invented. A `Till` is a terminal that signs its requests as a vendor's software does,
and sends them through the whole application.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone

from merchants import services as merchants
from merchants import signatures
from merchants.models import Merchant
from messaging.days import business_date
from settlement import benefits
from settlement.models import Account, Policy, Prescription, PrescriptionLine
from settlement.selectors.rules import compiled_policy
from settlement.services.catalogue import load_catalogue
from settlement.services.posting import post_due
from voucher import services as vouchers
from voucher import tokens
from voucher.models import ChosenInstitution, Enrolment, Entitlement, Filing, Member
from voucher.services import identity_columns

AREA = "370300"
POLICY_FILE = Path(__file__).parent.parent / "policies" / "370300-2022.toml"
SINCE = date(2022, 1, 1)

# national code, name, class, first pay bp, covered, prescription only, diseases
CATALOGUE = [
    ("XC01AAA001", "苯磺酸氨氯地平片", "A", 0, True, True, ["M03900"]),
    ("XC01AAA002", "缬沙坦胶囊", "B", 1000, True, True, ["M03900"]),
    ("XA10BAA003", "盐酸二甲双胍片", "A", 0, True, True, ["M01600"]),
    ("XJ01CAA004", "阿莫西林胶囊", "A", 0, True, False, []),
    ("ZZ00ZZZ005", "西洋参片", "C", 10000, False, False, []),
    ("001101000010000", "普通门诊诊察费", "A", 0, True, False, []),
    ("002501000020000", "血常规", "A", 0, True, False, []),
]
# own code, bar code, name, price, national code
ITEMS = [
    ("A1", "6900000000011", "苯磺酸氨氯地平片", "25", "XC01AAA001"),
    ("A2", "6900000000028", "缬沙坦胶囊", "36.8", "XC01AAA002"),
    ("A3", "6900000000035", "盐酸二甲双胍片", "12.5", "XA10BAA003"),
    ("A4", "6900000000042", "阿莫西林胶囊", "18.6", "XJ01CAA004"),
    ("A5", "6900000000059", "西洋参片", "128", "ZZ00ZZZ005"),
    ("A6", "6900000000066", "自制茶包", "9.9", ""),
]
SERVICES = [
    ("S1", "", "普通门诊诊察费", "15", "001101000010000"),
    ("S2", "", "血常规", "20", "002501000020000"),
    ("A4", "6900000000042", "阿莫西林胶囊", "18.6", "XJ01CAA004"),
]


def catalogue_file() -> bytes:
    """CATALOGUE as the file that an area would load, so that a search finds what it would there."""
    rows = [
        "national_code,name,kind,item_class,first_pay,covered,prescription_only,disease_codes,"
        "from_date"
    ]
    for code, name, item_class, first_pay_bp, covered, prescription_only, diseases in CATALOGUE:
        kind = "service" if code[0] == "0" else "drug"
        flags = ["yes" if flag else "no" for flag in (covered, prescription_only)]
        rate = f"{first_pay_bp / 100:g}%"
        rows.append(
            ",".join([code, name, kind, item_class, rate, *flags, " ".join(diseases), f"{SINCE}"])
        )
    return "\n".join(rows).encode()


def raw(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of its public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@dataclass
class Reply:
    """What came back, its signature verified."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    text: str

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


@dataclass
class Till:
    """A terminal of a merchant with its key, talking to the application through the test client."""

    merchant: Merchant
    key: Ed25519PrivateKey
    key_id: str
    terminal_id: int
    client: Client = field(default_factory=lambda: Client(raise_request_exception=True))
    clock_offset: timedelta = timedelta()

    def post(
        self,
        path: str,
        body: Any,
        *,
        key: str | None = None,
        language: str = "en",
        spoil: dict[str, str | None] | None = None,
    ) -> Reply:
        """POST to /api/v1/<path>, signed. `body` is JSON-able, or bytes sent as they are; `spoil`
        replaces or removes headers after signing."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send("POST", path, content, key or str(uuid4()), language, spoil or {})

    def get(self, path: str, *, language: str = "en") -> Reply:
        """GET /api/v1/<path>, signed."""
        return self._send("GET", path, b"", None, language, {})

    def _send(
        self,
        method: str,
        path: str,
        content: bytes,
        key: str | None,
        language: str,
        spoil: dict[str, str | None],
    ) -> Reply:
        target = f"/api/v1/{path}"
        bare, _, query = target.partition("?")
        headers: dict[str, str | None] = {
            "Accept-Language": language,
            **signatures.sign_request(
                method=method,
                authority="testserver",
                path=signatures.wire_path(bare),
                query=query,
                body=content,
                private_key=self.key,
                key_id=self.key_id,
                created=int((timezone.now() + self.clock_offset).timestamp()),
                idempotency_key=key,
            ),
            **spoil,
        }
        sent = {name: value for name, value in headers.items() if value is not None}
        response = self.client.generic(
            method, target, content, content_type="application/json", headers=sent
        )
        answered = {name.lower(): value for name, value in response.headers.items()}
        if "signature" in answered:
            keys = {
                row["key_id"]: Ed25519PublicKey.from_public_bytes(
                    __import__("base64").urlsafe_b64decode(row["public_key"] + "==")
                )
                for row in merchants.published_answer_keys(now=timezone.now())
            }
            signatures.verify_answer(
                status=response.status_code,
                headers=answered,
                body=response.content,
                request_signature=signatures.request_signature(
                    {name.lower(): value for name, value in sent.items()}
                ),
                keys=keys,
            )
        text = response.content.decode()
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = {}
        return Reply(response.status_code, decoded, answered, text)


@dataclass
class World:
    """What `made` has made."""

    policy: Policy
    pharmacy: Merchant
    clinic: Merchant
    retiree: Member
    worker: Member

    @classmethod
    def made(cls) -> "World":
        """Make everything, as of now."""
        merchants.forget_answer_key()
        compiled_policy.cache_clear()
        text = POLICY_FILE.read_text()
        compiled = benefits.load_policy(text, name="test")
        policy = Policy.objects.create(
            area_code=AREA,
            version=compiled.version,
            from_date=compiled.effective_from,
            until_date=compiled.effective_until,
            text=text,
            sha256=compiled.sha256,
            loaded_at=timezone.now(),
        )
        load_catalogue(area_code=AREA, content=catalogue_file())
        pharmacy = merchants.register_merchant(
            code="P37030099001",
            name="测试大药房",
            kind="pharmacy",
            area_code=AREA,
            agreement_number="T-P-1",
            agreement_from=SINCE,
            capabilities=["chronic", "pharmacy_account", "outpatient"],
        )
        clinic = merchants.register_merchant(
            code="H37030099002",
            name="测试卫生服务中心",
            kind="clinic",
            level=1,
            area_code=AREA,
            agreement_number="T-H-1",
            agreement_from=SINCE,
            capabilities=["registration", "outpatient", "chronic", "drug_pickup"],
        )
        for merchant, items in ((pharmacy, ITEMS), (clinic, SERVICES)):
            merchants.save_items(
                merchant_id=merchant.pk,
                items=[
                    merchants.ItemInput(
                        code=code,
                        barcode=barcode,
                        name=name,
                        unit_price=price,
                        national_code=national,
                    )
                    for code, barcode, name, price, national in items
                ],
            )
        retiree = cls.person("王测试", category="retired", number="370300000001")
        Filing.objects.create(
            member=retiree,
            kind="chronic",
            disease_code="M03900",
            disease_name="高血压",
            from_date=SINCE,
        )
        worker = cls.person("李试验", category="active", number="370300000002")
        return cls(policy, pharmacy, clinic, retiree, worker)

    @staticmethod
    def person(
        name: str,
        *,
        number: str,
        scheme: str = "employee",
        category: str = "active",
        state: str = "in_force",
        area: str = AREA,
        balance_fen: int = 100_000,
    ) -> Member:
        """A member with an enrolment, an entitlement, an account and an active voucher."""
        cipher, digest = identity_columns(f"999999195001{number[-6:]}")
        member = Member.objects.create(
            number=number,
            name=name,
            identity_cipher=cipher,
            identity_hash=digest,
            birth_date=date(1955, 3, 8),
            sex="female",
        )
        enrolment = Enrolment.objects.create(
            member=member, scheme=scheme, area_code=area, category=category, from_date=SINCE
        )
        Entitlement.objects.create(enrolment=enrolment, state=state, from_date=SINCE)
        Account.objects.create(member=member, balance_fen=balance_fen)
        vouchers.activate_voucher(member_id=member.pk, now=timezone.now())
        return member

    def till(self, merchant: Merchant | None = None, *, name: str = "till 1") -> Till:
        """An enrolled terminal, by default of the pharmacy."""
        merchant = merchant or self.pharmacy
        moment = timezone.now()
        code = merchants.issue_enrolment_code(
            merchant_id=merchant.pk, name=name, now=moment, lifetime_s=600
        )
        key = Ed25519PrivateKey.generate()
        terminal = merchants.enrol_terminal(
            one_time_code=code, public_key=raw(key), name=name, now=moment
        )
        assert terminal.key_id
        return Till(merchant, key, terminal.key_id, terminal.pk)

    def code(
        self, member: Member | None = None, *, scope: tokens.Scope | None = None, age_s: int = 0
    ) -> str:
        """A code of the member's phone, minted `age_s` seconds ago."""
        minted = vouchers.mint_code(
            member_id=(member or self.retiree).pk,
            scope=scope or tokens.Scope(),
            now=timezone.now() - timedelta(seconds=age_s),
            lifetime_s=60,
        )
        return minted.text

    def scan(
        self, till: Till, *, member: Member | None = None, use: str = "pharmacy_purchase", **kw: Any
    ) -> str:
        """Scan a fresh code; the scan's id."""
        reply = till.post(
            "scans",
            {
                "evidence": {"type": "voucher_code", "value": self.code(member, **kw)},
                "use": use,
            },
        )
        assert reply.status == 201, reply.text
        return str(reply["scan_id"])

    def prescription(
        self, *, quantity: str = "4", national_code: str = "XC01AAA001", days: int = 30
    ) -> str:
        """An external prescription of the retiree."""
        today = business_date(timezone.now())
        prescription = Prescription.objects.create(
            number=f"RX-{uuid4().hex[:12]}",
            member=self.retiree,
            institution_code="H37030099002",
            prescriber="测试医师",
            diagnosis="高血压",
            issued_date=today,
            until_date=today + timedelta(days=days),
        )
        PrescriptionLine.objects.create(
            prescription=prescription,
            national_code=national_code,
            quantity_e4=int(quantity) * 10_000,
        )
        return prescription.number

    def choose_institution(self, code: str) -> None:
        """Restrict the retiree's filing to one institution."""
        ChosenInstitution.objects.create(
            filing=self.retiree.filings.get(), institution_code=code, from_date=SINCE
        )

    def post_everything(self) -> int:
        """Work the outbox in this process until nothing is due."""
        done = 0
        while worked := post_due(now=datetime.now(UTC), limit=200):
            done += worked
        return done


def line(code: str = "A4", quantity: str = "1", price: str = "18.6", **more: Any) -> dict[str, Any]:
    """A bill line; the amount is worked out from quantity and price unless given."""
    fen = round(float(quantity) * float(price) * 100)
    return {
        "code": code,
        "quantity": quantity,
        "unit_price": price,
        "amount_fen": fen,
        **more,
    }
