"""A local simulator of WeChat Pay and Alipay: a payment service with its own book that can time
out, do things twice or late, and lie about success, but never when it is asked for long enough.

Deterministic: what it does to a request is a function of seed, reference, call and how often that
was called before. Without a seed it is honest, except that the last four digits of a payment code
bring things about, for whoever tries a till:

| code ends in | brings about |
|---|---|
| 0051 | declined: not enough money |
| 0054 | authorised, and the capture refused later |
| 0091 | authorised without an answer; the truth is told at the fourth question |
| 0092 | never arrives, no answer |

Its book is a table, because the web processes and the workers must meet the same one. Its
transactions are durable, so that a call from inside another transaction fails loudly.
"""

import random
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from django.db import transaction

from settlement.models import SimulatedPayment

from .provider import NoAnswer, Truth

SILENT_QUERIES = 3


class Lie(StrEnum):
    """What becomes of a request and of its answer."""

    HONEST = "honest"
    LOST_ANSWER = "lost_answer"
    LOST_REQUEST = "lost_request"
    # Nothing was done, and the answer says that it was; and the other way round.
    FALSE_YES = "false_yes"
    FALSE_NO = "false_no"
    # Nobody answers, and the request arrives after others that were sent later.
    LATE = "late"
    TWICE = "twice"


# What is done to the n-th call of this name for this reference.
Liar = Callable[[str, str, int], Lie]


def honest(call: str, reference: str, nth: int) -> Lie:
    """Always."""
    return Lie.HONEST


def seeded(seed: int) -> Liar:
    """Every second request meets with something, and always the same for the same seed."""

    def lie(call: str, reference: str, nth: int) -> Lie:
        chance = random.Random(f"{seed}:{reference}:{call}:{nth}")  # noqa: S311
        # In the end it answers: a service that never does is no service.
        return chance.choice(list(Lie)) if nth < 6 and chance.random() < 0.5 else Lie.HONEST

    return lie


class SimulatedService:
    """One payment service. `notices` collects what it would send by itself, in the order in which
    it would arrive: reference and what it claims; some twice, and late ones after later ones."""

    word_is_final = False

    def __init__(self, *, lies: Liar = honest) -> None:
        self._lies = lies
        self._calls: Counter[tuple[str, str]] = Counter()
        self._late: list[Callable[[], None]] = []
        self.notices: list[tuple[str, str]] = []

    def authorise(self, reference: str, amount_fen: int, payment_code: str) -> Truth:
        """See Provider."""
        lost = payment_code.endswith("0092")

        def arrive() -> None:
            if not lost:
                _authorise(reference, amount_fen, payment_code)

        truth = self._request("authorise", reference, arrive, yes="authorised", no="declined")
        if lost or payment_code.endswith("0091"):
            raise NoAnswer
        return truth

    def capture(self, reference: str) -> Truth:
        """See Provider."""
        return self._request(
            "capture", reference, lambda: _capture(reference), yes="captured", no="closed"
        )

    def cancel(self, reference: str) -> Truth:
        """See Provider."""
        return self._request(
            "cancel", reference, lambda: _cancel(reference), yes="closed", no="captured"
        )

    def refund(self, reference: str, refund_reference: str, amount_fen: int) -> Truth:
        """See Provider."""
        return self._request(
            "refund",
            reference,
            lambda: _refund(reference, refund_reference, amount_fen),
            yes="captured",
            no="closed",
            refunds=frozenset({refund_reference}),
        )

    def query(self, reference: str) -> Truth:
        """See Provider. It may keep silent or say "under way"; whatever else it says is true."""
        lie = self._lie("query", reference)
        if lie in (Lie.LOST_ANSWER, Lie.LOST_REQUEST):
            raise NoAnswer
        if lie in (Lie.LATE, Lie.FALSE_NO, Lie.FALSE_YES):
            return Truth("under_way")
        return _told(reference)

    def deliver_late(self) -> None:
        """Let everything arrive that was held up, last sent first."""
        late, self._late = self._late, []
        for arrive in reversed(late):
            arrive()

    def _lie(self, call: str, reference: str) -> Lie:
        self._calls[call, reference] += 1
        return self._lies(call, reference, self._calls[call, reference] - 1)

    def _request(
        self,
        call: str,
        reference: str,
        arrive: Callable[[], None],
        *,
        yes: str,
        no: str,
        refunds: frozenset[str] = frozenset(),
    ) -> Truth:
        lie = self._lie(call, reference)
        if lie is Lie.LATE:
            self._late.append(arrive)
            self.notices.insert(0, (reference, yes))
            raise NoAnswer
        if lie not in (Lie.LOST_REQUEST, Lie.FALSE_YES):
            arrive()
            self.notices.append((reference, yes))
        if lie is Lie.TWICE:
            arrive()
            self.notices.append((reference, yes))
        if lie in (Lie.LOST_REQUEST, Lie.LOST_ANSWER):
            raise NoAnswer
        if lie is Lie.FALSE_YES:
            return Truth(yes, refunds=refunds)  # type: ignore[arg-type]
        if lie is Lie.FALSE_NO:
            return Truth(no)  # type: ignore[arg-type]
        return _truth(SimulatedPayment.objects.filter(pk=reference).first())


def taken_fen(reference: str) -> int:
    """What the payer is short of by this reference: captured and not given back, or still held."""
    row = SimulatedPayment.objects.filter(pk=reference).first()
    if row is None or row.standing not in ("authorised", "captured"):
        return 0
    return row.amount_fen - sum(map(int, row.refunds.values()))


def _authorise(reference: str, amount_fen: int, payment_code: str) -> None:
    # Under a reference that is known already, a closed one too, nothing is done again.
    with transaction.atomic(durable=True):
        SimulatedPayment.objects.get_or_create(
            reference=reference,
            defaults={
                "amount_fen": amount_fen,
                "standing": "declined" if payment_code.endswith("0051") else "authorised",
                "refuses_capture": payment_code.endswith("0054"),
                "silent": SILENT_QUERIES if payment_code.endswith("0091") else 0,
            },
        )


def _capture(reference: str) -> None:
    with transaction.atomic(durable=True):
        row = SimulatedPayment.objects.select_for_update().filter(pk=reference).first()
        if row is None or row.standing != "authorised":
            return
        row.standing = "closed" if row.refuses_capture else "captured"
        row.save(update_fields=["standing"])


def _cancel(reference: str) -> None:
    with transaction.atomic(durable=True):
        row, is_new = SimulatedPayment.objects.select_for_update().get_or_create(
            reference=reference, defaults={"amount_fen": 0, "standing": "closed"}
        )
        if not is_new and row.standing == "authorised":
            row.standing = "closed"
            row.save(update_fields=["standing"])


def _refund(reference: str, refund_reference: str, amount_fen: int) -> None:
    with transaction.atomic(durable=True):
        row = SimulatedPayment.objects.select_for_update().filter(pk=reference).first()
        if row is None or row.standing != "captured":
            return
        refunds = {**row.refunds, refund_reference: amount_fen}
        if sum(refunds.values()) > row.amount_fen:
            return
        row.refunds = refunds
        row.save(update_fields=["refunds"])


def _told(reference: str) -> Truth:
    with transaction.atomic(durable=True):
        row = SimulatedPayment.objects.select_for_update().filter(pk=reference).first()
        if row is not None and row.silent:
            row.silent -= 1
            row.save(update_fields=["silent"])
            return Truth("under_way")
    return _truth(row)


def _truth(row: SimulatedPayment | None) -> Truth:
    if row is None:
        return Truth("unheard_of")
    return Truth(
        row.standing,  # type: ignore[arg-type]
        provider_reference=f"SIM{row.reference[-12:]}",
        refunds=frozenset(row.refunds),
    )
