"""`python -m tests.settlement.demo_trade [BILLS]`: the demo data, and purchases of its people.

Fills the database that the environment names, which it migrates first. Every sixth purchase or so
is returned. Says how many were accepted and returned.
"""

import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from merchants.models import Merchant  # noqa: E402
from settlement.services import demo  # noqa: E402
from settlement.services.catalogue import load_policy_file  # noqa: E402
from tests.world import Till, World, line  # noqa: E402
from voucher.models import Member, Voucher  # noqa: E402

FOLDER = Path(settings.BASE_DIR) / "demo"
POLICY = Path(settings.BASE_DIR) / "policies" / "370300-2022.toml"
RETIREE = "DM370300000001"
# Code and price of what needs no prescription, as `demo/items_pharmacy.csv` has them.
GOODS = (("1009", "24.00"), ("1034", "46.50"))


def purchases(world: World, till: Till, bills: int) -> tuple[int, int]:
    """That many purchases by everybody in turn. Answers how many were accepted and returned."""
    active = Voucher.objects.filter(state="active").values("member_id")
    people = Member.objects.filter(pk__in=active).order_by("number")
    accepted = returned = 0
    for number, person in enumerate(islice(cycle(people), bills)):
        scan = till.post(
            "scans",
            {
                "evidence": {"type": "voucher_code", "value": world.code(person)},
                "use": "pharmacy_purchase",
            },
        )
        if scan.status != 201:
            # Some of them are there to be refused.
            continue
        chronic = person.number == RETIREE
        bill: dict[str, Any] = {
            "scan_id": scan["scan_id"],
            "benefit_kind": "chronic" if chronic else "pharmacy_account",
            "disease_code": "M03900" if chronic else None,
            "account_limit_fen": 700 if number % 3 else None,
            "lines": [line(code, str(1 + number % 4), price) for code, price in GOODS],
        }
        settled = till.post("settlements", bill)
        if settled.status != 201:
            continue
        accepted += 1
        if number % 6 == 0:
            given_back = {"settlement_id": settled["settlement_id"], "reason": "returned"}
            assert till.post("refunds", given_back).status == 201
            returned += 1
    return accepted, returned


def main(bills: int) -> None:
    """Fill the database."""
    call_command("migrate", verbosity=0)
    now = timezone.now()
    load_policy_file(path=POLICY, now=now)
    demo.load_demo(folder=FOLDER, now=now)
    pharmacy = Merchant.objects.get(code="P37030099001")
    retiree = Member.objects.get(number=RETIREE)
    world = World(None, pharmacy, pharmacy, retiree, retiree)  # type: ignore[arg-type]
    accepted, returned = purchases(world, world.till(), bills)
    print(f"{accepted} accepted, {returned} returned")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
