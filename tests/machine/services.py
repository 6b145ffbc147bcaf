"""The product behind the same acts: signed requests through the whole application, real rows."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from uuid import uuid4

import time_machine
from django.db import OperationalError

from merchants import services as merchants
from merchants.models import Merchant
from messaging import outbox
from settlement.models import Account, Policy, Settlement, YearToDate
from settlement.selectors.rules import compiled_policy
from settlement.services.reversals import reverse_overdue
from tests.machine.books import Goods
from tests.world import AREA, ITEMS, SINCE, Reply, Till, World
from voucher.models import Filing, Member

START = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


def second_pharmacy() -> Merchant:
    """Another pharmacy of the city, with the same shelves."""
    merchant = merchants.register_merchant(
        code="P37030099002",
        name="测试二药房",
        kind="pharmacy",
        area_code=AREA,
        agreement_number="T-P-2",
        agreement_from=SINCE,
        capabilities=["chronic", "pharmacy_account"],
    )
    shelves = [
        merchants.ItemInput(
            code=code, barcode=barcode, name=name, unit_price=price, national_code=national
        )
        for code, barcode, name, price, national in ITEMS
    ]
    merchants.save_items(merchant_id=merchant.pk, items=shelves)
    return merchant


class Services:
    """The same acts as `books.Books`; everybody in it is new, so a database may be used again."""

    def __init__(
        self, world: World, tills: Sequence[Till], categories: Sequence[str], with_later: str
    ) -> None:
        self.world = world
        Policy.objects.filter(pk=world.policy.pk).update(
            text=f'refund_with_later = "{with_later}"\n{world.policy.text}'
        )
        compiled_policy.cache_clear()
        self.tills = tills
        self.clock = time_machine.travel(START, tick=False)
        self.time = self.clock.start()
        self.people = [self._person(category) for category in categories]
        self.quotes: list[tuple[str, int]] = []
        self.sales: list[tuple[str, str, int]] = []

    def close(self) -> None:
        """Give the clock back, with nothing left to do."""
        self.post()
        self.clock.stop()

    def _person(self, category: str) -> Member:
        number = Member.objects.count() + 100
        member = World.person("张试验", number=f"370300{number:06d}", category=category)
        Filing.objects.create(
            member=member, kind="chronic", disease_code="M03900", from_date=START.date()
        )
        return member

    def _bill(self, person: int, till: int, goods: Sequence[Goods], kind: str) -> dict[str, Any]:
        return {
            "scan_id": self.world.scan(self.tills[till], member=self.people[person]),
            "benefit_kind": kind,
            "disease_code": "M03900" if kind == "chronic" else None,
            "lines": [
                {
                    "code": code,
                    "quantity": str(quantity),
                    "unit_price": f"{price // 100}.{price % 100:02d}",
                    "amount_fen": quantity * price,
                }
                for code, quantity, price in goods
            ],
        }

    @staticmethod
    def _outcome(reply: Reply) -> tuple[str, Any]:
        if reply.status >= 400:
            return reply["code"], None
        shares = reply.body.get("shares")
        return "ok", shares and {each["payer"]: each["amount_fen"] for each in shares}

    def quote(self, person: int, till: int, goods: Sequence[Goods], kind: str) -> tuple[str, Any]:
        reply = self.tills[till].post("quotes", self._bill(person, till, goods, kind))
        if reply.status == 201:
            self.quotes.append((reply["quote_id"], till))
        return self._outcome(reply)

    def settle(
        self, person: int, till: int, goods: Sequence[Goods], kind: str, within_s: int | None
    ) -> tuple[str, Any]:
        bill = {**self._bill(person, till, goods, kind), "confirm_within_s": within_s}
        return self._sold(self.tills[till], bill, till)

    def confirm(self, index: int) -> tuple[str, Any]:
        quote_id, till = self.quotes[index]
        return self._sold(self.tills[till], {"quote_id": quote_id}, till)

    def _sold(self, till: Till, body: dict[str, Any], number: int) -> tuple[str, Any]:
        key = f"sale-{uuid4()}"
        reply = till.post("settlements", body, key=key)
        if reply.status == 201:
            self.sales.append((reply["settlement_id"], key, number))
        return self._outcome(reply)

    def release(self, index: int) -> tuple[str, Any]:
        quote_id, till = self.quotes[index]
        reply = self.tills[till].post(f"quotes/{quote_id}/release", {})
        return self._outcome(reply)[0], None

    def give_back(self, index: int, wish: dict[int, int] | None) -> tuple[str, Any]:
        settlement_id, _key, till = self.sales[index]
        body: dict[str, Any] = {"settlement_id": settlement_id, "reason": "returned"}
        if wish is not None:
            body["lines"] = [{"no": no, "quantity": str(n)} for no, n in wish.items()]
        return self._outcome(self.tills[till].post("refunds", body))

    def reverse(self, index: int) -> tuple[str, Any]:
        _settlement_id, key, till = self.sales[index]
        # From the other terminal of the same pharmacy, where it has one.
        reply = self.tills[(1, 0, 2)[till]].post("reversals", {"original_key": key})
        return self._outcome(reply)[0], None

    def know(self, index: int) -> tuple[str, Any]:
        settlement_id, _key, till = self.sales[index]
        reply = self.tills[till].post(f"settlements/{settlement_id}/confirm", {})
        return self._outcome(reply)[0], None

    def wait(self, seconds: int) -> tuple[str, Any]:
        self.time.shift(seconds)
        while reverse_overdue(now=datetime.now(UTC), limit=10):
            pass
        return "ok", None

    def crash(self) -> tuple[str, Any]:
        """The very last statement of a settlement fails: everything before it must be gone."""
        bill = self._bill(0, 0, [("A4", 1, 1_860)], "pharmacy_account")
        before = Settlement.objects.count()
        with mock.patch.object(outbox, "put", side_effect=OperationalError("gone")):
            reply = self.tills[0].post("settlements", bill)
        assert reply.status == 503, reply.text
        assert Settlement.objects.count() == before
        return "ok", None

    def post(self) -> tuple[str, Any]:
        self.world.post_everything()
        return "ok", None

    # ------------------------------------------------------------ what there is

    def accounts(self) -> list[int]:
        """What each account holds."""
        return [Account.objects.get(member=each).balance_fen for each in self.people]

    def years(self) -> list[Counter[str]]:
        """What counts for each this year."""
        found = []
        for member in self.people:
            row = YearToDate.objects.filter(member=member).first()
            found.append(+Counter(row.amounts if row else {}))
        return found

    def standing(self) -> list[int]:
        """What stands of each settlement."""
        rows = {
            str(row.pk): row.total_fen - row.refunded_fen
            for row in Settlement.objects.filter(member__in=self.people)
        }
        return [rows[settlement_id] for settlement_id, _key, _till in self.sales]
