"""Terminals and their keys: enrolled by a one-time code, rolled by the old key, revoked at once.

A key id is made from the terminal and its public key, so that a client that never got the answer to
a roll can work out the name of its new key. Requests and their signatures are not known here.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, Operator, Terminal
from messaging.refusals import Refusal

from .access import TerminalRevoked

# Crockford's base 32: no I, L, O or U, so nothing is misread; 12 of them are 60 random bits.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("ILO", "110")
_GROUPS, _GROUP = 3, 4


class EnrolmentCodeUnknown(Refusal):
    """No such code, or no longer."""

    code = "enrolment_code_unknown"
    text = _("This one-time code is not known or has expired. Ask for a new one.")


class EnrolmentCodeUsed(Refusal):
    """Another device was enrolled with it."""

    code = "enrolment_code_used"
    text = _("This one-time code was already used by another terminal. Ask for a new one.")


class KeyInUse(Refusal):
    """One key, one terminal (一机一码)."""

    code = "key_in_use"
    text = _("This public key belongs or belonged to another terminal. Make a new key.")


class PublicKeyInvalid(Refusal):
    """Not a key that could ever verify anything."""

    code = "public_key_invalid"
    text = _("The public key must be the 32 raw bytes of an Ed25519 key.")


def key_id_of(*, terminal_id: int, public_key: bytes) -> str:
    """The id of a terminal's key: `t`, the terminal's number, `-`, and the first 20 hexadecimal
    digits of the SHA-256 of its 32 raw bytes."""
    return f"t{terminal_id}-{hashlib.sha256(public_key).hexdigest()[:20]}"


def _spelt(one_time_code: str) -> str:
    text = one_time_code.upper().translate(_MISREAD)
    return "".join(character for character in text if character in _ALPHABET)


def _code_hash(one_time_code: str) -> str:
    # 60 random bits that live a day: a plain hash is out of reach of trying them all in that time.
    return hashlib.sha256(b"ybm:enrolment:" + _spelt(one_time_code).encode()).hexdigest()


# Points of small order (which RFC 8032 leaves to the caller) verify signatures that nobody made:
# y is 0, 1, -1 or that of the points of order 8, with either sign.
_P = 2**255 - 19
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _P - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


def _check_public_key(public_key: bytes) -> None:
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    if len(public_key) != 32 or y >= _P or y in _SMALL_ORDER:
        raise PublicKeyInvalid(param="public_key")


def _check_key_is_new(public_key: bytes) -> None:
    # Also a revoked terminal's key: it may have been copied. The key id cannot collide, since it
    # holds the terminal's number, so a race that is lost here leaves one key with two
    # terminals of whoever holds it, and no error.
    if Terminal.objects.filter(public_key=public_key).exists():
        raise KeyInUse(param="public_key")


def issue_enrolment_code(*, merchant_id: int, name: str, now: datetime, lifetime_s: int) -> str:
    """A one-time code, like `ABCD-EFGH-JKMN`, by which one device becomes the merchant's terminal.

    Only its hash is stored: this is the one time that it can be read. Lower case, missing dashes
    and O for 0 or I and L for 1 are forgiven when it is typed in.
    """
    drawn = "".join(secrets.choice(_ALPHABET) for _ in range(_GROUPS * _GROUP))
    Terminal.objects.create(
        merchant_id=merchant_id,
        name=name,
        enrolment_code_hash=_code_hash(drawn),
        enrolment_expires_at=now + timedelta(seconds=lifetime_s),
    )
    return "-".join(drawn[at : at + _GROUP] for at in range(0, len(drawn), _GROUP))


def enrol_terminal(*, one_time_code: str, public_key: bytes, name: str, now: datetime) -> Terminal:
    """The terminal that the code was issued for, with this key (32 raw bytes) from now on.

    The same code with the same key answers the same terminal again, so an answer that was lost can
    be asked for once more. An empty `name` keeps the one it was issued under. Raises
    PublicKeyInvalid, EnrolmentCodeUnknown, EnrolmentCodeUsed, KeyInUse.
    """
    _check_public_key(public_key)
    with transaction.atomic(durable=True):
        terminal = (
            Terminal.objects.select_for_update(of=("self",))
            .select_related("merchant")
            .filter(enrolment_code_hash=_code_hash(one_time_code))
            .first()
        )
        if terminal is None or terminal.enrolment_expires_at is None:
            raise EnrolmentCodeUnknown(param="one_time_code")
        if terminal.state != Terminal.State.AWAITING:
            same = bytes(terminal.public_key) == public_key
            if same and terminal.state == Terminal.State.ACTIVE:
                return terminal
            raise EnrolmentCodeUsed(param="one_time_code")
        if terminal.enrolment_expires_at <= now:
            raise EnrolmentCodeUnknown(param="one_time_code")
        _check_key_is_new(public_key)
        terminal.state = Terminal.State.ACTIVE
        terminal.name = name or terminal.name
        terminal.enrolled_at = now
        _take_key(terminal, public_key, "state", "name", "enrolled_at")
    return terminal


def _take_key(terminal: Terminal, public_key: bytes, *also: str) -> None:
    terminal.public_key = public_key
    terminal.key_id = key_id_of(terminal_id=terminal.pk, public_key=public_key)
    terminal.save(update_fields=["public_key", "key_id", *also])


def roll_terminal_key(*, terminal_id: int, public_key: bytes, now: datetime) -> str:
    """The id of the terminal's new key; the old one is nobody's from this commit on.

    Inside the caller's transaction. Raises PublicKeyInvalid, TerminalRevoked, KeyInUse.
    """
    _check_public_key(public_key)
    terminal = Terminal.objects.select_for_update().get(pk=terminal_id)
    if terminal.state != Terminal.State.ACTIVE:
        raise TerminalRevoked
    _check_key_is_new(public_key)
    _take_key(terminal, public_key)
    assert terminal.key_id is not None
    return terminal.key_id


def revoke_terminal(*, terminal_id: int, now: datetime) -> Terminal:
    """The terminal out of service, with effect at its next request; doing it again changes nothing.

    An unused one-time code dies with it. Raises Terminal.DoesNotExist.
    """
    with transaction.atomic(durable=True):
        terminal = Terminal.objects.select_for_update().get(pk=terminal_id)
        if terminal.state != Terminal.State.REVOKED:
            terminal.state = Terminal.State.REVOKED
            terminal.revoked_at = now
            terminal.save(update_fields=["state", "revoked_at"])
    return terminal


def page_terminal(*, operator: Operator, now: datetime) -> Terminal:
    """The terminal as which the operator's browser acts, made when first used.

    One an operator, so that two counters of a merchant are two tills to each other. A revoked one
    stays revoked: that is how an operator's pages are switched off.
    """
    pages = Terminal.objects.filter(
        merchant_id=operator.merchant_id, kind=Terminal.Kind.PAGE, name=operator.code
    )
    terminal = pages.first()
    if terminal is not None:
        return terminal
    with transaction.atomic():
        # The merchant's row stands in for the one that is missing: of two first requests one waits.
        Merchant.objects.select_for_update().get(pk=operator.merchant_id)
        terminal = pages.first()
        if terminal is None:
            terminal = Terminal.objects.create(
                merchant_id=operator.merchant_id,
                name=operator.code,
                kind=Terminal.Kind.PAGE,
                state=Terminal.State.ACTIVE,
                enrolled_at=now,
            )
    return terminal
