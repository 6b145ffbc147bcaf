"""The one interface to whoever moves the money of a tender, and how its answers are read.

A provider may time out, do a thing twice, do it late, or say the contrary of what it did. So an
answer to an act is a claim; what counts is what the provider says when it is asked afterwards, and
of that only what is definite. An act under a reference is done at most once, so that every act may
be repeated, and a reference that was cancelled is closed for good, also when it had never been
heard of: an authorisation that arrives later finds it so. An adapter of a real service must see to
these three things.

No provider is called inside a transaction: it may take seconds, and what it did cannot be rolled
back.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from django.db import connection

log = logging.getLogger(__name__)

Standing = Literal["unheard_of", "under_way", "declined", "authorised", "captured", "closed"]
# Nothing is held under the reference, and nothing ever will be.
OVER: frozenset[Standing] = frozenset({"declined", "closed"})


class NoAnswer(Exception):
    """Whether the act was done is not known."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How a provider says that a reference stands. `amount_fen` is what it gave where that is less
    than was asked; `refunds` are the references of those that were done."""

    standing: Standing
    amount_fen: int | None = None
    provider_reference: str = ""
    refunds: frozenset[str] = frozenset()


class Provider(Protocol):
    """Amounts are fen. Every call may raise NoAnswer."""

    # There is nothing to ask afterwards: what the act answers is so.
    word_is_final: bool

    def authorise(self, reference: str, amount_fen: int, payment_code: str) -> Truth:
        """Reserve the amount with whoever shows the code. The code is used here and kept nowhere;
        kinds without one are given an empty text."""

    def capture(self, reference: str) -> Truth:
        """Take what is reserved."""

    def cancel(self, reference: str) -> Truth:
        """Give up what is reserved, and close the reference. What is captured stays."""

    def refund(self, reference: str, refund_reference: str, amount_fen: int) -> Truth:
        """Give back a part of what was captured."""

    def query(self, reference: str) -> Truth:
        """How it stands. What is not known for certain is `under_way` or `unheard_of`."""


def learn(provider: Provider, reference: str, act: Callable[[], Truth] | None = None) -> Truth:
    """Do the act, if there is one, and answer what the provider then holds to be true; `under_way`
    where it says nothing.

    Raises RuntimeError inside a transaction.
    """
    check_outside_transactions()
    if act is not None:
        claim = _answer(act)
        if claim is not None and provider.word_is_final:
            return claim
    return _answer(lambda: provider.query(reference)) or Truth("under_way")


def _answer(call: Callable[[], Truth]) -> Truth | None:
    try:
        return call()
    except NoAnswer:
        return None
    except Exception:
        # A fault of an adapter leaves it unknown what was done, like silence.
        log.exception("a payment service failed")
        return None


def check_outside_transactions() -> None:
    """Raises RuntimeError inside a transaction, but for the one around a test."""
    blocks = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
        raise RuntimeError("no provider is called inside a transaction")
