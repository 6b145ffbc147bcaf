"""What a fault test does in the database of its deployment, as a process of its own.

python -m tests.faults.ground make            the small world; prints one-time codes
python -m tests.faults.ground codes <n>       a fresh code for each of n members
python -m tests.faults.ground audit           reads acknowledged ids, prints what is wrong
"""

import json
import sys
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402

from merchants import services as merchants  # noqa: E402
from merchants.models import Merchant  # noqa: E402
from settlement.models import LedgerTransaction, Refund, Settlement  # noqa: E402
from tests.ledger_checks import audited, violations  # noqa: E402
from tests.world import World  # noqa: E402
from voucher.models import Member  # noqa: E402

TILLS = 4
OPENING_FEN = 100_000


def make() -> dict[str, Any]:
    """The small world with a few more people, committed."""
    world = World.made()
    for number in range(3, 3 + TILLS):
        world.person("赵某", number=f"37030000000{number}")
    return {}


def codes(number: int) -> dict[str, Any]:
    """One-time codes to enrol by, and codes to scan, as many of each."""
    now = timezone.now()
    merchant = Merchant.objects.get(kind="pharmacy")
    members = list(Member.objects.order_by("pk")[:number])
    return {
        "enrolment": [
            merchants.issue_enrolment_code(
                merchant_id=merchant.pk, name=f"till {n}", now=now, lifetime_s=600
            )
            for n in range(number)
        ],
        "codes": [World.code(None, member) for member in members],  # type: ignore[arg-type]
    }


def audit(acknowledged: dict[str, list[str]]) -> dict[str, Any]:
    """Everything that is wrong, judged against what the tills were told."""
    from settlement.models import Account

    opening = dict.fromkeys(Account.objects.values_list("pk", flat=True), OPENING_FEN)
    wrong = violations(opening=opening) + audited(opening=opening)
    for name, model in (("settlements", Settlement), ("refunds", Refund)):
        told = acknowledged[name]
        stored = {str(pk): state for pk, state in model.objects.values_list("pk", "state")}
        topic = f"post_{name[:-1]}"
        posted = dict.fromkeys(
            LedgerTransaction.objects.filter(kind=name[:-1]).values_list("key", flat=True), 1
        )
        for identifier in told:
            if stored.get(identifier) != "posted":
                wrong.append(f"{name} {identifier} was acknowledged, is {stored.get(identifier)}")
            elif f"{topic}:{identifier}" not in posted:
                wrong.append(f"{name} {identifier} is not in the ledger")
        wrong += [f"{name} {pk} is there and no till was told" for pk in stored.keys() - set(told)]
    return {"wrong": wrong, "settlements": Settlement.objects.count()}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make"]:
            answer = make()
        case ["codes", count]:
            answer = codes(int(count))
        case ["audit"]:
            answer = audit(json.load(sys.stdin))
        case _:
            raise SystemExit(__doc__)
    print("\n" + json.dumps(answer))
