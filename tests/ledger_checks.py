"""The invariants of the books, each a question to the rows that must find nothing.

Used after every race and every fault. The expectation is worked out here in its own words: nothing
of the posting code is called, because a check that shares code with what it checks agrees with its
mistakes. That total money is conserved is deliberately not among the questions that matter: a
settlement posted twice, or never, conserves it too.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import Sum

from messaging.models import InboxEntry, OutboxEntry
from settlement.models import (
    Account,
    LedgerTransaction,
    Posting,
    Refund,
    RelativeRefund,
    RelativeShare,
    RestatedShare,
    Scan,
    Settlement,
    TraceCode,
    YearToDate,
)
from settlement.money import quantity_units
from settlement.selectors.audit import audit
from voucher.models import SpentCode

# Fen by account row.
Balances = Mapping[int, int]


def balances() -> dict[int, int]:
    """What every account has now: take it before anything is settled, as the opening."""
    return dict(Account.objects.values_list("pk", "balance_fen"))


def violations(*, opening: Balances, drained: bool = True) -> list[str]:
    """Everything that is wrong, a sentence each. `opening` holds what the accounts began with
    outside the ledger; `drained` says that nothing may be left unposted."""
    return [
        *_acknowledged_and_there(),
        *(_everything_posted() if drained else _everything_will_be_posted()),
        *_posted_once_and_rightly(),
        *_balances_equal_their_entries(opening),
        *_year_to_date_is_the_sum_of_its_parts(),
        *_what_is_left_is_what_its_rest_comes_to(),
        *_restatements_sum_to_nothing(),
        *_sequences_without_gaps(),
        *_one_code_one_use(),
        *_packs_are_sold_once(),
    ]


def assert_sound(*, opening: Balances, drained: bool = True) -> None:
    """Raise AssertionError with everything that is wrong, by these checks or by the product's own
    audit: two pairs of eyes that share nothing."""
    wrong = violations(opening=opening, drained=drained) + audited(opening=opening)
    assert not wrong, "\n".join(wrong)


def audited(*, opening: Balances) -> list[str]:
    """The first wrong row of each check of the audit."""
    report = audit(
        path=settings.SEAL_FILE,
        now=datetime.now(UTC),
        opening={
            f"member:{row.member_id}:{row.kind}": opening[row.pk]
            for row in Account.objects.filter(pk__in=opening)
        },
    )
    return [
        f"audit, {check.name}: {check.first}" for check in report.checks.values() if check.wrong
    ]


def _answers(path: str) -> list[dict[str, Any]]:
    rows = InboxEntry.objects.filter(path=path, status=201).values_list("body", flat=True)
    return [json.loads(body) for body in rows]


def _acknowledged_and_there() -> list[str]:
    """I1 and half of I10: each accepted answer has its own row, and no row is without an answer."""
    wrong = [
        f"inbox {entry.pk} is committed without an answer"
        for entry in InboxEntry.objects.filter(status=None)
    ]
    for path, name, model in (
        ("settle", "settlement_id", Settlement),
        ("refund", "refund_id", Refund),
    ):
        told = Counter(answer[name] for answer in _answers(path))
        rows = model.objects.all()
        if model is Refund:
            # A reversal may be nobody's request: time makes it too.
            rows = rows.exclude(kind="reversal")
        stored = {str(pk) for pk in rows.values_list("pk", flat=True)}
        wrong += [f"{name} {pk} was acknowledged and is not there" for pk in told.keys() - stored]
        wrong += [f"{name} {pk} is there and nobody was told" for pk in stored - told.keys()]
        wrong += [f"{name} {pk} answers {n} requests" for pk, n in told.items() if n > 1]
    reversed_ = {answer["refund"]["refund_id"] for answer in _withdrawn() if answer["refund"]}
    stored = {str(pk) for pk in Refund.objects.values_list("pk", flat=True)}
    wrong += [f"reversal {pk} was acknowledged and is not there" for pk in reversed_ - stored]
    once = Refund.objects.filter(kind="reversal").values_list("settlement_id", flat=True)
    return wrong + [
        f"settlement {pk} is reversed {n} times" for pk, n in Counter(once).items() if n > 1
    ]


def _withdrawn() -> list[dict[str, Any]]:
    rows = InboxEntry.objects.filter(path="reverse", status=200).values_list("body", flat=True)
    return [json.loads(body) for body in rows]


def _everything_posted() -> list[str]:
    """I2."""
    wrong = [
        f"{type(row).__name__.lower()} {row.pk} is not posted"
        for model in (Settlement, Refund)
        for row in model.objects.exclude(state="posted")
    ]
    return wrong + [f"outbox {row.pk} is left over" for row in OutboxEntry.objects.all()]


def _everything_will_be_posted() -> list[str]:
    """I2 before the drain: what is not posted has its outbox row, what is posted has none."""
    waiting = {(row.topic, row.subject) for row in OutboxEntry.objects.all()}
    unposted = {
        (topic, pk)
        for topic, model in (("post_settlement", Settlement), ("post_refund", Refund))
        for pk in model.objects.filter(state="accepted").values_list("pk", flat=True)
    }
    return [
        f"{topic} {pk} is accepted and nobody will post it" for topic, pk in unposted - waiting
    ] + [f"{topic} {pk} waits and is posted or gone" for topic, pk in waiting - unposted]


def _expected_legs(row: Settlement | Refund, sign: int) -> Counter[tuple[str, int]]:
    settlement = row if isinstance(row, Settlement) else row.settlement
    legs: Counter[tuple[str, int]] = Counter()
    owed = taken = 0
    for share in row.shares.all():
        amount_fen = share.amount_fen
        if share.payer == "cash":
            legs[f"cash:{settlement.area_code}", -sign * amount_fen] += 1
            taken += amount_fen
        elif share.payer == "account":
            legs[f"member:{row.member_id}:personal", -sign * amount_fen] += 1
            owed += amount_fen
        elif share.payer == "relative_account":
            parts = (
                RelativeShare.objects.filter(settlement=row)
                if isinstance(row, Settlement)
                else RelativeRefund.objects.filter(refund=row)
            )
            assert sum(part.amount_fen for part in parts) == amount_fen
            for part in parts:
                legs[f"member:{part.account.member_id}:personal", -sign * part.amount_fen] += 1
            owed += amount_fen
        else:
            legs[f"fund:{settlement.area_code}:{share.payer}", -sign * amount_fen] += 1
            owed += amount_fen
    insured_in, treated_in = settlement.area_code, row.merchant.area_code
    if owed and insured_in != treated_in:
        legs[f"between:{insured_in}:{treated_in}", sign * owed] += 1
        legs[f"agency:{treated_in}:advanced", -sign * owed] += 1
    if owed:
        legs[f"merchant:{row.merchant_id}:due", sign * owed] += 1
    if taken:
        legs[f"merchant:{row.merchant_id}:till", sign * taken] += 1
    return legs


def _posted_once_and_rightly() -> list[str]:
    """I3, a settlement at a time: exactly the legs its shares call for, once."""
    expected: dict[str, Counter[tuple[str, int]]] = {}
    for row in Settlement.objects.filter(state="posted").prefetch_related("shares"):
        expected[str(row.pk)] = _expected_legs(row, 1)
    for refund in (
        Refund.objects.filter(state="posted")
        .select_related("settlement")
        .prefetch_related("shares")
    ):
        expected[str(refund.pk)] = _expected_legs(refund, -1)
    found: defaultdict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for key, account, amount_fen in Posting.objects.filter(
        transaction__kind__in=("settlement", "refund")
    ).values_list("transaction__key", "account", "amount_fen"):
        found[key.partition(":")[2]][account, amount_fen] += 1
    wrong = [
        f"{subject} should have the legs {dict(expected.get(subject, {}))}"
        f" and has {dict(found.get(subject, {}))}"
        for subject in expected.keys() | found.keys()
        if expected.get(subject, Counter()) != found.get(subject, Counter())
    ]
    wrong += [
        f"transaction {key} sums to {total}"
        for key, total in LedgerTransaction.objects.values_list("key").annotate(
            total=Sum("postings__amount_fen")
        )
        if total != 0
    ]
    return wrong


def _balances_equal_their_entries(opening: Balances) -> list[str]:
    """I5 and I6: opening + posted legs + legs of what is accepted and unposted; never negative."""
    wrong = []
    posted = dict(
        Posting.objects.filter(account__startswith="member:")
        .values_list("account")
        .annotate(total=Sum("amount_fen"))
    )
    unposted: Counter[int] = Counter()
    for row in Settlement.objects.filter(state="accepted"):
        unposted[row.member_id] -= row.account_fen
        for part in row.relative_shares.select_related("account"):
            unposted[part.account.member_id] -= part.amount_fen
    for refund in Refund.objects.filter(state="accepted"):
        unposted[refund.member_id] += refund.account_fen
        for part in refund.relative_refunds.select_related("account"):
            unposted[part.account.member_id] += part.amount_fen
    for account in Account.objects.all():
        due = (
            opening.get(account.pk, 0)
            + posted.get(f"member:{account.member_id}:personal", 0)
            + unposted[account.member_id]
        )
        if account.balance_fen != due:
            wrong.append(f"account {account.pk} holds {account.balance_fen}, its entries say {due}")
        if account.balance_fen < 0:
            wrong.append(f"account {account.pk} is negative")
    return wrong


def _year_to_date_is_the_sum_of_its_parts() -> list[str]:
    """What every settlement counts now, by member, year and accumulator: what it added, or what its
    latest return left of that."""
    due: Counter[tuple[int, int, str]] = Counter()
    for row in Settlement.objects.all():
        result = _turns(row)[-1]
        for name, amount_fen in (result["year_to_date_delta"] if result else {}).items():
            due[row.member_id, row.benefit_year, name] += amount_fen
    stored = {
        (row.member_id, row.benefit_year, name): amount_fen
        for row in YearToDate.objects.all()
        for name, amount_fen in row.amounts.items()
    }
    return [
        f"year to date {place} is {stored.get(place, 0)} and should be {due[place]}"
        for place in stored.keys() | due.keys()
        if stored.get(place, 0) != due[place]
    ]


def _turns(row: Settlement) -> list[dict[str, Any] | None]:
    """What a settlement came to, at first and after each return of its own or of an earlier one."""
    turns = [
        *row.refunds.values_list("member_seq", "result"),
        *row.restatements.values_list("refund__member_seq", "result"),
    ]
    return [row.result, *(result for _seq, result in sorted(turns, key=lambda turn: turn[0]))]


def _restatements_sum_to_nothing() -> list[str]:
    """A settlement that is restated costs what it cost: somebody pays what somebody gets back."""
    return [
        f"restatement {pk} moves {total} fen out of nowhere"
        for pk, total in RestatedShare.objects.values_list("restatement").annotate(
            total=Sum("amount_fen")
        )
        if total
    ]


def _what_is_left_is_what_its_rest_comes_to() -> list[str]:
    """I11: a settlement's shares less everything returned are the shares of its latest rest. What a
    refund gives back for settlements that it restates is theirs."""
    wrong = []
    for row in Settlement.objects.prefetch_related("shares"):
        left: Counter[str] = Counter({s.payer: s.amount_fen for s in row.shares.all()})
        refunds = list(row.refunds.order_by("member_seq").prefetch_related("shares"))
        for refund in refunds:
            for share in refund.shares.all():
                left[share.payer] -= share.amount_fen
            for share in RestatedShare.objects.filter(restatement__refund=refund):
                left[share.payer] += share.amount_fen
        for share in RestatedShare.objects.filter(restatement__settlement=row):
            left[share.payer] -= share.amount_fen
        result = _turns(row)[-1]
        rest = {s["payer"]: s["amount_fen"] for s in result["shares"]} if result else {}
        if {payer: amount for payer, amount in left.items() if amount} != rest:
            wrong.append(f"settlement {row.pk} leaves {dict(left)} and its rest comes to {rest}")
        if row.refunded_fen != sum(refund.total_fen for refund in refunds):
            wrong.append(f"settlement {row.pk} does not add its refunds up")
    return wrong


def _sequences_without_gaps() -> list[str]:
    taken: defaultdict[int, list[int]] = defaultdict(list)
    for model in (Settlement, Refund):
        for member_id, seq in model.objects.values_list("member_id", "member_seq"):
            taken[member_id].append(seq)
    return [
        f"member {member_id} has the sequence {sorted(seqs)}"
        for member_id, seqs in taken.items()
        if sorted(seqs) != list(range(1, len(seqs) + 1))
    ]


def _one_code_one_use() -> list[str]:
    """I7: each accepted scan spent a code of its own."""
    spent = Counter(SpentCode.objects.values_list("scan_id", flat=True))
    return [
        f"accepted scan {pk} spent {spent[pk]} codes"
        for pk in Scan.objects.filter(code="").values_list("pk", flat=True)
        if spent[pk] != 1
    ]


def _packs_are_sold_once() -> list[str]:
    """Every whole pack of a line that stands is claimed by its settlement; of one that came back in
    part, some may be; no other claim exists."""
    sold: Counter[tuple[str, str]] = Counter()
    perhaps: set[tuple[str, str]] = set()
    for row in Settlement.objects.prefetch_related("lines__returns"):
        for line in row.lines.all():
            if line.split_pack:
                continue
            packs = [(code, str(row.pk)) for code in line.trace_codes]
            returned = sum(part.quantity_e4 for part in line.returns.all())
            if not returned:
                sold.update(packs)
            elif returned < quantity_units(line.quantity):
                perhaps.update(packs)
    claimed = {(row.code, str(row.settlement_id)) for row in TraceCode.objects.all()}
    wrong = [f"pack {code} of settlement {pk} is not claimed" for code, pk in sold.keys() - claimed]
    wrong += [
        f"pack {code} is claimed by {pk} and not on it"
        for code, pk in claimed - sold.keys() - perhaps
    ]
    packs_sold = Counter(code for code, _ in sold)
    return wrong + [f"pack {code} was sold {n} times" for code, n in packs_sold.items() if n > 1]
