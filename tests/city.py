"""A city with one of the shipped policies: a hospital of the third level, a pharmacy, its people.

What the small world of `tests.world` has in one area, here for any: used where the kinds of benefit
that a hospital bills are tried. `today` sets the clock of everything behind a till.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import time_machine
from django.utils import timezone

from merchants import services as merchants
from merchants.models import Merchant
from settlement import benefits
from settlement.models import CatalogueItem, Policy
from settlement.selectors.rules import compiled_policy
from tests.world import Reply, Till, World
from voucher.models import Member, Sharing

POLICIES = Path(__file__).parent.parent / "policies"
SINCE = date(2022, 1, 1)

# national code, name, class, first pay in basis points, group
CATALOGUE = [
    ("XA01", "甲类药", "A", 0, ""),
    ("XB01", "乙类药", "B", 1000, ""),
    ("XC01", "丙类药", "C", 10_000, ""),
    ("XD01", "双通道药", "A", 0, ""),
    ("001", "床位费", "A", 0, "bed"),
    ("002", "护理费", "A", 0, "nursing"),
]
BENEFITS = [
    "registration",
    "admission",
    "inpatient",
    "outpatient",
    "chronic",
    "dual_channel",
    "two_disease",
    "pharmacy_account",
    "tcm_day",
    "out_of_area",
]


# A city where later bills are priced again when an earlier one comes back.
RESTATES = """
format = 1
version = "RESTATES"
area = "370300"
title = { zh = "重算", en = "Restates" }
effective_from = 2010-01-01
rounding = "half_up"
refund_with_later = "restate"

[benefit_year]
starts = "01-01"
source = "assumption"

[kinds]
outpatient = { zh = "门诊", en = "outpatient" }
pharmacy_account = { zh = "药店", en = "pharmacy" }

[catalogue]
order = ["out_of_scope", "over_limit", "first_pay", "away_first_pay"]
source = "assumption"

[[layer]]
name = "pool"
title = { zh = "统筹", en = "Pool" }
payer = "pool"
base = ["in_range"]
source = "assumption"

[[layer.deductible]]
amount = 500
per = "year"
counts_in = "own.deductible"
source = "assumption"

[[layer.rate]]
rate = "80%"
source = "assumption"

[[layer.cap]]
amount = 1000
per = "year"
counts_in = "pool.paid"
source = "assumption"

[layer.counts]
base = "pool.base"

[[layer]]
name = "account"
title = { zh = "个人账户", en = "Account" }
payer = "account"
base = ["unpaid"]
source = "assumption"

[[layer.rate]]
rate = "100%"
source = "assumption"

[[layer]]
name = "relatives"
title = { zh = "家庭共济", en = "Relatives" }
payer = "relative_account"
base = ["unpaid"]
source = "assumption"

[[layer.rate]]
rate = "100%"
source = "assumption"
"""


@contextmanager
def today(year: int, month: int, day: int) -> Iterator[None]:
    """Half past ten of a Beijing day."""
    with time_machine.travel(datetime(year, month, day, 2, 30, tzinfo=UTC), tick=False):
        yield


def item(code: str, yuan: int, **more: Any) -> dict[str, Any]:
    """One line of so many yuan of a catalogue item."""
    return {
        "national_code": code,
        "quantity": "1",
        "unit_price": str(yuan),
        "amount_fen": yuan * 100,
        **more,
    }


@dataclass
class City:
    """One area of the deployment. Its hospital's till is `hospital_till()`, and so on."""

    area: str
    policy: Policy
    hospital: Merchant
    pharmacy: Merchant
    world: World

    @classmethod
    def made(cls, area: str, *, text: str | None = None) -> "City":
        """Make the city with the policy that the product ships for the area, or with `text`."""
        merchants.forget_answer_key()
        if text is None:
            (path,) = POLICIES.glob(f"{area}-*.toml")
            text = path.read_text()
        policy = load_policy(text, area=area)
        CatalogueItem.objects.bulk_create(
            CatalogueItem(
                area_code=area,
                national_code=code,
                name=name,
                kind="service" if code[0] == "0" else "drug",
                item_class=item_class,
                first_pay_bp=first_pay_bp,
                covered=item_class != "C",
                prescription_only=False,
                drug_group=group,
                from_date=SINCE,
            )
            for code, name, item_class, first_pay_bp, group in CATALOGUE
        )
        hospital, pharmacy = (
            merchants.register_merchant(
                code=f"{letter}{area}99001",
                name=name,
                kind=kind,
                level=level,
                area_code=area,
                agreement_number=f"T-{area}-{letter}",
                agreement_from=SINCE,
                capabilities=BENEFITS,
            )
            for letter, name, kind, level in (
                ("H", "测试医院", "hospital", 3),
                ("P", "测试药房", "pharmacy", 0),
            )
        )
        nobody = Member()
        world = World(policy, pharmacy, hospital, nobody, nobody)
        return cls(area, policy, hospital, pharmacy, world)

    def person(self, number: int, **facts: Any) -> Member:
        """Somebody insured here; by default employed, with 1,000 yuan on the account."""
        return World.person("张试验", number=f"{self.area}{number:06d}", area=self.area, **facts)

    def hospital_till(self) -> Till:
        """A terminal of the hospital."""
        return self.world.till(self.hospital)

    def pharmacy_till(self) -> Till:
        """A terminal of the pharmacy."""
        return self.world.till(self.pharmacy)

    def scan(self, till: Till, member: Member, *, use: str = "settlement") -> str:
        """The member shows a code there."""
        return self.world.scan(till, member=member, use=use)

    def visit(self, till: Till, member: Member, *, kind: str, **facts: Any) -> str:
        """Open a visit, an admission with kind "inpatient"."""
        use = "admission" if kind == "inpatient" else "registration"
        opened = till.post(
            "visits", {"scan_id": self.scan(till, member, use=use), "kind": kind, **facts}
        )
        assert opened.status == 201, opened.text
        return str(opened["visit_id"])

    def fees(self, till: Till, visit_id: str, *lines: dict[str, Any], **more: Any) -> Reply:
        """Upload lines to a visit."""
        reply = till.post(f"visits/{visit_id}/fee-batches", {"lines": list(lines), **more})
        assert reply.status == 201, reply.text
        return reply

    def discharge(self, till: Till, visit_id: str) -> Reply:
        """End a stay today."""
        reply = till.post(f"visits/{visit_id}/discharge", {})
        assert reply.status == 200, reply.text
        return reply


def load_policy(text: str, *, area: str) -> Policy:
    """A policy row of this text."""
    # Row ids come again from test to test.
    compiled_policy.cache_clear()
    compiled = benefits.load_policy(text, name="test")
    assert compiled.area == area
    return Policy.objects.create(
        area_code=area,
        version=compiled.version,
        from_date=compiled.effective_from,
        until_date=compiled.effective_until,
        text=text,
        sha256=compiled.sha256,
        loaded_at=timezone.now(),
    )


def share_account(holder: Member, with_member: Member, *, rank: int = 1) -> Sharing:
    """Let the holder's account pay the member's bills (家庭共济)."""
    return Sharing.objects.create(member=with_member, holder=holder, rank=rank, from_date=SINCE)


def paid(reply: Reply) -> dict[str, int]:
    """What each payer pays, in fen."""
    assert reply.status in (200, 201), reply.text
    return {share["payer"]: share["amount_fen"] for share in reply["shares"]}
