"""Codes: minted for a member's page, and spent when a terminal presents one.

Minting writes no row; a code is spent by a row whose key is the code's own handle. What the code
says is `voucher/tokens.py`'s business, whether the person may use the insurance is asked of the
selectors, and what the scan came to is recorded by whoever called.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from messaging import sql
from messaging.refusals import Refusal
from voucher import tokens
from voucher.handles import RANDOMNESS_BYTES
from voucher.selectors import VoucherMissing, check_voucher_state

from .keys import ensure_signing_key, signing_key, verifying_keys


class CodeMalformed(Refusal):
    """Not one of our codes."""

    code = "code_malformed"
    text = _("This is not a medical-insurance code.")


class CodeVersionUnknown(Refusal):
    """A form of code that this system does not read."""

    code = "code_version_unknown"
    text = _("This form of medical-insurance code is not known here.")


class CodeKeyUnknown(Refusal):
    """Signed with a key that is not ours, not in force then, or killed."""

    code = "code_key_unknown"
    text = _("The key that signed this code is not valid. Please show a new code.")


class CodeSignatureInvalid(Refusal):
    """Changed on the way, or forged."""

    code = "code_signature_invalid"
    text = _("The code's signature is not genuine.")


class CodeExpired(Refusal):
    """Genuine, but too old."""

    code = "code_expired"
    text = _("The code has expired. Please show a new one.")


class CodeFromTheFuture(Refusal):
    """Genuine, but issued later than now."""

    code = "code_from_the_future"
    text = _("The code was issued at a later time than now.")


class PaymentCodePresented(Refusal):
    """A wallet's payment code; the text is dropped."""

    code = "payment_code"
    text = _("This is a payment code, not a medical-insurance code. It was not kept.")


class CodeUsed(Refusal):
    """The code was spent before."""

    code = "code_used"
    text = _("This code has already been used. Please show a new one.")


_REFUSALS: dict[str, type[Refusal]] = {
    refusal.code: refusal
    for refusal in (
        CodeMalformed,
        CodeVersionUnknown,
        CodeKeyUnknown,
        CodeSignatureInvalid,
        CodeExpired,
        CodeFromTheFuture,
        PaymentCodePresented,
    )
}


@dataclass(frozen=True, slots=True)
class MintedCode:
    """A new code, good in [`issued_at`, `expires_at`), whole seconds UTC."""

    text: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Presented:
    """A genuine code that this call has spent."""

    voucher_number: int
    handle: UUID
    scope: tokens.Scope
    issued_at: datetime


# The voucher and, of the keys in force, the one that ends first: one statement for each code.
_VOUCHER_AND_KEY = (
    "SELECT v.number, v.state, k.key_id, k.algorithm, k.private_key_cipher, k.handle_key_cipher,"
    " k.not_before, k.not_after"
    " FROM voucher_voucher v LEFT JOIN voucher_signingkey k"
    " ON k.killed_at IS NULL AND k.not_before <= %s AND k.not_after > %s"
    " WHERE v.member_id = %s ORDER BY k.not_after, k.key_id LIMIT 1"
)
_VOUCHER_AND_KEY_KINDS = (None, None, None, None, None, None, "datetime", "datetime")


def mint_code(*, member_id: int, scope: tokens.Scope, now: datetime, lifetime_s: int) -> MintedCode:
    """A code for the member's voucher, good for `lifetime_s` (1 to 60) seconds from `now`.

    Writes no row, except that where no signing key is in force one is made. Raises VoucherMissing,
    VoucherSuspended, VoucherClosed; ValueError for another lifetime.
    """
    row = _voucher_and_key(member_id, now)
    if row is not None and row[2] is None:
        ensure_signing_key(now=now)
        row = _voucher_and_key(member_id, now)
    if row is None:
        raise VoucherMissing
    check_voucher_state(row[1])
    issued_at = int(now.timestamp())
    text = tokens.mint(
        voucher_number=row[0],
        scope=scope,
        key=signing_key(
            key_id=row[2],
            algorithm=row[3],
            private_key_cipher=row[4],
            handle_key_cipher=row[5],
            not_before=row[6],
            not_after=row[7],
        ),
        issued_at=issued_at,
        lifetime_s=lifetime_s,
        randomness=os.urandom(RANDOMNESS_BYTES),
    )
    return MintedCode(
        text=text,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        expires_at=datetime.fromtimestamp(issued_at + lifetime_s, UTC),
    )


def _voucher_and_key(member_id: int, now: datetime) -> tuple[Any, ...] | None:
    return sql.fetch_one(_VOUCHER_AND_KEY, (now, now, member_id), kinds=_VOUCHER_AND_KEY_KINDS)


def present_code(*, text: str, scan_id: UUID, now: datetime) -> Presented:
    """Verify a presented text and spend the code it is, in the caller's transaction.

    A genuine code is spent whatever the caller then decides: the row goes with the caller's commit.
    A rival with the same code waits for that commit and is refused. Raises, in this order, the
    refusals of `tokens.read` (their codes are the same words), then CodeUsed; RuntimeError outside
    a transaction, where a refusal could not be committed together with the spent code.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("present_code is called inside a transaction")
    try:
        code = tokens.read(text, keys=verifying_keys(now=now), now=int(now.timestamp()))
    except tokens.CodeRefused as refused:
        # The cause is cut off: nothing of the presented text may reach a log with the traceback.
        raise _REFUSALS[refused.code](param="evidence.value") from None
    assert code.voucher_number is not None  # our own keys always have the handle key
    handle = UUID(bytes=code.handle)
    spent = sql.fetch(
        "INSERT INTO voucher_spentcode (handle, scan_id, spent_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (handle) DO NOTHING RETURNING handle",
        (handle, scan_id, now),
    )
    if not spent:
        raise CodeUsed(param="evidence.value")
    return Presented(
        voucher_number=code.voucher_number,
        handle=handle,
        scope=code.scope,
        issued_at=datetime.fromtimestamp(code.issued_at, UTC),
    )
