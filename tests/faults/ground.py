"""What a fault test does in the database of its deployment, as a process of its own.

python -m tests.faults.ground make            the small world
python -m tests.faults.ground serve           answers lines of {"ask": ..., "with": {...}}, in JSON

Whoever asks is a client without Django: a runner can ask several deployments, each with its own
database, one after the other.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.db import close_old_connections, connection  # noqa: E402
from django.db.models import Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from merchants import services as merchants  # noqa: E402
from merchants.models import Merchant  # noqa: E402
from messaging.models import Heartbeat, OutboxEntry  # noqa: E402
from settlement.models import (  # noqa: E402
    Account,
    LedgerTransaction,
    Posting,
    Refund,
    Scan,
    Settlement,
)
from settlement.selectors.certainty import board  # noqa: E402
from tests.ledger_checks import audited, violations  # noqa: E402
from tests.world import World  # noqa: E402
from voucher import services as vouchers  # noqa: E402
from voucher import tokens  # noqa: E402
from voucher.models import Member, SigningKey  # noqa: E402

PEOPLE = 24
# Enough that no account is empty before a programme ends; what is short would be paid in cash.
OPENING_FEN = 1_000_000_000
TOPICS = {"settlements": ("settlement", Settlement), "refunds": ("refund", Refund)}


def make() -> dict[str, Any]:
    """The small world with more people, committed."""
    # Keys that are a day old, as a deployment's are: a clock that jumps back finds them in force.
    yesterday = timezone.now() - timedelta(days=1)
    vouchers.ensure_signing_key(now=yesterday)
    world = World.made()
    merchants.ensure_answer_key(now=yesterday)
    for number in range(3, 1 + PEOPLE):
        world.person("赵某", number=f"3703{number:08d}")
    Account.objects.update(balance_fen=OPENING_FEN)
    return {}


def _members() -> list[Member]:
    return list(Member.objects.order_by("pk"))


def codes(number: int, whose: int | None = None, ceiling_fen: int | None = None) -> dict[str, Any]:
    """As many codes to scan: one of each member in turn, or all of one."""
    members = _members()
    now = timezone.now()
    scope = tokens.Scope() if ceiling_fen is None else tokens.Scope(ceiling_fen=ceiling_fen)
    minted = [
        vouchers.mint_code(
            member_id=members[(n if whose is None else whose) % len(members)].pk,
            scope=scope, now=now, lifetime_s=60,
        )
        for n in range(number)
    ]  # fmt: skip
    return {"codes": [code.text for code in minted]}


def enrolments(number: int) -> dict[str, Any]:
    """As many one-time codes to enrol a terminal of the pharmacy by."""
    now = timezone.now()
    merchant = Merchant.objects.get(kind="pharmacy")
    return {
        "enrolment": [
            merchants.issue_enrolment_code(
                merchant_id=merchant.pk, name=f"till {n}", now=now, lifetime_s=600
            )
            for n in range(number)
        ],
        "merchant_id": merchant.pk,
    }


def voucher(whose: int, act: str) -> dict[str, Any]:
    """Suspend or resume a member's voucher."""
    do = {"suspend": vouchers.suspend_voucher, "resume": vouchers.resume_voucher}[act]
    do(member_id=_members()[whose].pk, now=timezone.now())
    return {}


def merchant(state: str) -> dict[str, Any]:
    """Put the pharmacy into this state."""
    pharmacy = Merchant.objects.get(kind="pharmacy")
    merchants.set_merchant_state(merchant_id=pharmacy.pk, state=state)
    return {}


def rotate_keys() -> dict[str, Any]:
    """A new key for codes; the others stay in force for an hour. Answers which one was in use."""
    now = timezone.now()
    held = SigningKey.objects.filter(killed_at=None, not_before__lte=now, not_after__gt=now)
    before = [key.key_id for key in held]
    vouchers.rotate_signing_key(now=now, overlap=timedelta(hours=1))
    return {"in_force_before": before}


def kill_key(key_id: int) -> dict[str, Any]:
    """Refuse every code this key ever signed."""
    vouchers.kill_signing_key(key_id=key_id, now=timezone.now())
    return {}


def send_beat() -> dict[str, Any]:
    """Send the heartbeat task through the broker, as the beat process does."""
    from settlement.tasks import beat_through_queue

    beat_through_queue.apply_async(retry=False)
    return {}


def wake(number: int) -> dict[str, Any]:
    """So many wake-ups through the broker, each of which says nothing."""
    from settlement.tasks import post_outbox

    for _ in range(number):
        post_outbox.apply_async(retry=False)
    return {}


def beats() -> dict[str, Any]:
    """When each moving part was last seen."""
    return {row.name: row.seen_at.timestamp() for row in Heartbeat.objects.all()}


def poison() -> dict[str, Any]:
    """An outbox row that nobody can work, one attempt before it is given up."""
    from uuid import uuid4

    from messaging import outbox

    most = getattr(outbox, "MAX_ATTEMPTS", None)
    if most is None:
        from django.conf import settings

        most = settings.POSTING_ATTEMPTS
    now = timezone.now()
    row = OutboxEntry.objects.create(
        topic="nobody", subject=uuid4(), created_at=now, due_at=now, attempts=most - 1
    )
    return {"id": row.pk}


def parked(take_away: bool = False) -> dict[str, Any]:
    """The rows that were given up."""
    rows = OutboxEntry.objects.exclude(parked_at=None)
    ids = list(rows.values_list("pk", flat=True))
    if take_away:
        rows.delete()
    return {"ids": ids}


def rerun() -> dict[str, Any]:
    """Give what was given up another start."""
    OutboxEntry.objects.exclude(parked_at=None).update(
        parked_at=None, attempts=0, last_error="", due_at=timezone.now()
    )
    return {}


def scans() -> dict[str, Any]:
    """How many scans were accepted, and how many refused by which code."""
    return dict(Counter(Scan.objects.values_list("code", flat=True)))


def audit(settlements: list[str], refunds: list[str]) -> dict[str, Any]:
    """Everything that is wrong, judged against what the tills were told."""
    opening = dict.fromkeys(Account.objects.values_list("pk", flat=True), OPENING_FEN)
    wrong = violations(opening=opening) + audited(opening=opening)
    missing = 0
    acknowledged = {"settlements": settlements, "refunds": refunds}
    for name, told in acknowledged.items():
        kind, model = TOPICS[name]
        stored = {str(pk): state for pk, state in model.objects.values_list("pk", "state")}
        posted = set(LedgerTransaction.objects.filter(kind=kind).values_list("key", flat=True))
        for identifier in told:
            if stored.get(identifier) != "posted":
                wrong.append(f"{name} {identifier} was acknowledged, is {stored.get(identifier)}")
                missing += 1
            elif f"post_{kind}:{identifier}" not in posted:
                wrong.append(f"{name} {identifier} is not in the ledger")
                missing += 1
        wrong += [f"{name} {pk} is there and no till was told" for pk in stored.keys() - set(told)]
    return {
        "wrong": wrong,
        "settlements": Settlement.objects.count(),
        "acknowledged": len(settlements) + len(refunds),
        "missing": missing,
        **_figures(),
    }


def overdue() -> dict[str, Any]:
    """How many of each kind are open beyond their stated time; none is said of."""
    return {row.kind: row.overdue for row in board(now=timezone.now()) if row.overdue}


def _figures() -> dict[str, int]:
    """Posted and posted more than once, by subject; and fen that came from or went nowhere."""
    given: Counter[str] = Counter()
    transactions: Counter[str] = Counter(
        key.partition(":")[2] for key in LedgerTransaction.objects.values_list("key", flat=True)
    )
    for key, fen in (
        Posting.objects.filter(amount_fen__gt=0)
        .values_list("transaction__key")
        .annotate(fen=Sum("amount_fen"))
    ):
        given[key.partition(":")[2]] += fen
    due = {
        str(pk): total
        for _, model in TOPICS.values()
        for pk, total in model.objects.values_list("pk", "total_fen")
    }
    double = [
        subject
        for subject, count in transactions.items()
        if count > 1 or given[subject] > due.get(subject, 0)
    ]
    entries = dict(
        Posting.objects.filter(account__startswith="member:")
        .values_list("account")
        .annotate(fen=Sum("amount_fen"))
    )
    off = sum(
        abs(held - OPENING_FEN - entries.get(f"member:{member}:personal", 0))
        for member, held in Account.objects.values_list("member_id", "balance_fen")
    )
    astray = Posting.objects.aggregate(fen=Sum("amount_fen"))["fen"] or 0
    return {"posted": len(transactions), "double": len(double), "delta_fen": off + abs(astray)}


def balances() -> dict[str, Any]:
    """Fen of every account, in the members' order."""
    return {
        "fen": list(Account.objects.order_by("member_id").values_list("balance_fen", flat=True))
    }


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    command.__name__: command
    for command in (
        audit, balances, beats, codes, enrolments, kill_key, merchant, overdue, parked, poison,
        rerun, rotate_keys,
        scans, send_beat, voucher, wake,
    )
}  # fmt: skip


def serve() -> None:
    """Answer until nobody asks any more. A database that was restarted is reached anew."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = COMMANDS[asked["ask"]](**asked["with"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        finally:
            close_old_connections()
            connection.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make"]:
            make()
        case ["serve"]:
            serve()
        case _:
            raise SystemExit(__doc__)
