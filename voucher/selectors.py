"""What can be asked about members: who they are, what they are entitled to, may they use it.

The facts of a scan or settlement are read by one hand-written statement. Nothing here
writes, and nothing here knows money: whether a benefit applies to a bill is the calculator's
business. An identity number leaves this module only through `identity_number`, which leaves a log
line each time.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from messaging import sql, vault
from messaging.refusals import Refusal
from voucher import tokens
from voucher.identity import masked_name
from voucher.models import Entitlement, Member, SigningKey, Voucher
from voucher.suites import SUITES

__all__ = [
    "EntitlementSuspended",
    "FilingFacts",
    "MemberDeceased",
    "MemberFacts",
    "NotEnrolled",
    "VoucherClosed",
    "VoucherMissing",
    "VoucherSuspended",
    "check_may_use",
    "check_voucher_state",
    "identity_number",
    "insured_months",
    "lock_member",
    "lock_members",
    "lock_payers",
    "masked_name",
    "member_by_voucher",
    "member_facts",
    "member_of_user",
    "merchant_reference",
    "published_keys",
]

log = logging.getLogger(__name__)


class VoucherMissing(Refusal):
    """No voucher has this number, or the member never activated one."""

    code = "voucher_missing"
    text = _("There is no electronic voucher for this person.")


class VoucherSuspended(Refusal):
    """The member, or the agency, put the voucher on hold."""

    code = "voucher_suspended"
    text = _("The electronic voucher is suspended.")


class VoucherClosed(Refusal):
    """The voucher was given up for good."""

    code = "voucher_closed"
    text = _("The electronic voucher is closed.")


class MemberDeceased(Refusal):
    """The day is after the member's death."""

    code = "member_deceased"
    text = _("The register says that this person has died.")


class NotEnrolled(Refusal):
    """No enrolment covers the day."""

    code = "not_enrolled"
    text = _("The person is not enrolled in the insurance on this day.")


class EntitlementSuspended(Refusal):
    """The enrolment gives nothing on the day: suspended, or no period of entitlement covers it."""

    code = "entitlement_suspended"
    text = _("The person's entitlement is suspended on this day.")


@dataclass(frozen=True, slots=True)
class FilingFacts:
    """A chronic or special disease on file on the day; with no institutions it is good anywhere."""

    kind: str
    disease_code: str
    disease_name: str
    institution_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A member as the register had them on one day.

    Texts that nothing in the register gives are empty: `voucher_state` without a voucher, the
    enrolment's four without an enrolment in force, `entitlement_state` without a period of it.
    """

    member_id: int
    number: str
    name: str
    birth_date: date
    sex: str
    death_date: date | None
    voucher_state: str
    area_code: str
    scheme: str
    category: str
    entitlement_state: str
    filings: tuple[FilingFacts, ...]
    aid_category: str | None
    # Whether a relative's account may pay this member's bills on the day.
    has_sharings: bool

    @property
    def masked_name(self) -> str:
        """The name as a till may see it."""
        return masked_name(self.name)

    @property
    def pool_in_force(self) -> bool:
        """Whether the funds pay on the day."""
        return self.entitlement_state == Entitlement.State.IN_FORCE

    @property
    def account_in_force(self) -> bool:
        """Whether the member's own account may be used on the day.

        Contributions overdue or a waiting period freeze the funds; what is in the account is the
        member's all the same.
        """
        return self.entitlement_state in (
            Entitlement.State.IN_FORCE,
            Entitlement.State.ARREARS,
            Entitlement.State.WAITING,
        )

    def age_on(self, day: date) -> int:
        """Completed years on that day; born on 29 February, a year is completed on 1 March."""
        birthday_to_come = (day.month, day.day) < (self.birth_date.month, self.birth_date.day)
        return day.year - self.birth_date.year - birthday_to_come


def _in_force(table: str) -> str:
    """The clause that a half-open period of this table covers a day; takes the day twice."""
    return f"{table}.from_date <= %s AND ({table}.until_date IS NULL OR {table}.until_date > %s)"


# One row of `who`: a member between two schemes can have an enrolment in each, and the one that
# gives more counts, then employee insurance; of several aid categories the one begun last counts.
# Beside it each filing in force, once for each institution chosen for it.
_MEMBER = (
    "SELECT who.*, f.id, f.kind, f.disease_code, f.disease_name, c.institution_code FROM ("
    "SELECT m.id, m.number, m.name, m.birth_date, m.sex, m.death_date, v.state AS voucher_state,"
    " e.area_code, e.scheme, e.category, t.state, a.category AS aid,"
    f" EXISTS(SELECT 1 FROM voucher_sharing s WHERE s.member_id = m.id AND {_in_force('s')})"
    " AS shared"
    " FROM voucher_member m"
    " {voucher} JOIN voucher_voucher v ON v.member_id = m.id"
    f" LEFT JOIN voucher_enrolment e ON e.member_id = m.id AND {_in_force('e')}"
    f" LEFT JOIN voucher_entitlement t ON t.enrolment_id = e.id AND {_in_force('t')}"
    f" LEFT JOIN voucher_aidperiod a ON a.member_id = m.id AND {_in_force('a')}"
    " WHERE {key} = %s"
    " ORDER BY CASE t.state WHEN 'in_force' THEN 0 WHEN 'arrears' THEN 1 WHEN 'waiting' THEN 2"
    " WHEN 'suspended' THEN 3 WHEN 'deceased' THEN 4 ELSE 5 END,"
    " e.scheme, e.from_date DESC, t.from_date DESC, a.from_date DESC, a.id DESC LIMIT 1"
    ") who"
    f" LEFT JOIN voucher_filing f ON f.member_id = who.id AND {_in_force('f')}"
    f" LEFT JOIN voucher_choseninstitution c ON c.filing_id = f.id AND {_in_force('c')}"
    " ORDER BY f.id, c.institution_code"
)
_BY_VOUCHER = _MEMBER.format(voucher="INNER", key="v.number")
_BY_MEMBER = _MEMBER.format(voucher="LEFT", key="m.id")
_MEMBER_KINDS = (None, None, None, "date", None, "date", *(None,) * 6, "bool", *(None,) * 5)


def member_by_voucher(*, voucher_number: int, day: date) -> MemberFacts:
    """The facts of whoever holds this voucher, on that day. One statement.

    Raises VoucherMissing when no voucher has the number.
    """
    # Under a wrong handle key the number can be any 64 bits; the column holds 63 and PostgreSQL
    # refuses a larger one with an error.
    if voucher_number >= 1 << 63:
        raise VoucherMissing
    facts = _facts(_BY_VOUCHER, voucher_number, day)
    if facts is None:
        raise VoucherMissing
    return facts


def member_facts(*, member_id: int, day: date) -> MemberFacts:
    """The facts of a member of ours, on that day. One statement.

    Raises Member.DoesNotExist: a member's id never comes from outside.
    """
    facts = _facts(_BY_MEMBER, member_id, day)
    if facts is None:
        raise Member.DoesNotExist(f"no member has the id {member_id}")
    return facts


def _facts(statement: str, key: int, day: date) -> MemberFacts | None:
    rows = sql.fetch(statement, (*(day,) * 8, key, *(day,) * 4), kinds=_MEMBER_KINDS)
    if not rows:
        return None
    row = rows[0]
    return MemberFacts(
        member_id=row[0],
        number=row[1],
        name=row[2],
        birth_date=row[3],
        sex=row[4],
        death_date=row[5],
        voucher_state=row[6] or "",
        area_code=row[7] or "",
        scheme=row[8] or "",
        category=row[9] or "",
        entitlement_state=row[10] or "",
        filings=_filings(row[13:] for row in rows),
        aid_category=row[11],
        has_sharings=row[12],
    )


def _filings(rows: Iterable[tuple[Any, ...]]) -> tuple[FilingFacts, ...]:
    chosen: dict[int, list[str]] = {}
    named: dict[int, tuple[str, str, str]] = {}
    for filing_id, kind, disease_code, disease_name, institution_code in rows:
        if filing_id is None:
            continue
        named[filing_id] = (kind, disease_code, disease_name)
        codes = chosen.setdefault(filing_id, [])
        if institution_code is not None:
            codes.append(institution_code)
    return tuple(FilingFacts(*named[key], tuple(codes)) for key, codes in chosen.items())


def lock_member(*, member_id: int) -> None:
    """Hold the member's row for the rest of the transaction, before anything of theirs is read.

    A statement of its own: in READ COMMITTED a statement that waits for a lock re-reads only the
    row it waited for, so a join in it would show what its other tables held before the wait.
    Raises Member.DoesNotExist, and RuntimeError outside a transaction, where a lock holds nothing.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("lock_member is called inside a transaction")
    statement = "SELECT id FROM voucher_member WHERE id = %s"
    if sql.fetch_one(statement + sql.for_update(), (member_id,)) is None:
        raise Member.DoesNotExist(f"no member has the id {member_id}")


def lock_payers(*, member_id: int, day: date) -> frozenset[int]:
    """Hold the member's row and those of whoever shares an account with them, by ascending id.

    Answers whose rows are held. One statement, like `lock_member`, which it replaces where
    relatives may pay. Raises Member.DoesNotExist, and RuntimeError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("lock_payers is called inside a transaction")
    rows = sql.fetch(_PAYERS + sql.for_update(), (member_id, member_id, day, day))
    held = frozenset(row[0] for row in rows)
    if member_id not in held:
        raise Member.DoesNotExist(f"no member has the id {member_id}")
    return held


# The member's own id comes as a row, so that the index on ids answers for everybody.
_PAYERS = (
    "SELECT id FROM voucher_member WHERE id IN (SELECT %s UNION ALL"
    " SELECT h.id FROM voucher_sharing s JOIN voucher_member h ON h.number = s.holder_id"
    f" WHERE s.member_id = %s AND {_in_force('s')}) ORDER BY id"
)


def lock_members(member_ids: Iterable[int]) -> None:
    """Hold several members' rows, by ascending id. Raises RuntimeError outside a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("lock_members is called inside a transaction")
    sql.fetch(
        f"SELECT id FROM voucher_member WHERE {sql.among('id')} ORDER BY id" + sql.for_update(),
        (sql.values(sorted(set(member_ids))),),
    )


def insured_months(*, member_id: int, day: date) -> int:
    """Whole months of unbroken insurance up to the day, over whatever schemes and areas.

    An enrolment that begins on the day another ends, or before, goes on with it. 0 without one in
    force.
    """
    rows = sql.fetch(
        "SELECT from_date, until_date FROM voucher_enrolment WHERE member_id = %s"
        " AND from_date <= %s ORDER BY from_date DESC",
        (member_id, day),
        kinds=("date", "date"),
    )
    since: date | None = None
    # From the latest back: each that reaches what is known of the unbroken time makes it longer.
    for from_date, until_date in rows:
        reached = day + timedelta(days=1) if since is None else since
        if until_date is None or until_date >= reached:
            since = from_date if since is None else min(since, from_date)
    if since is None:
        return 0
    return (day.year - since.year) * 12 + day.month - since.month - (day.day < since.day)


def check_voucher_state(state: str) -> None:
    """Refuse unless the voucher is active.

    Raises VoucherMissing (the state is empty), VoucherSuspended, VoucherClosed.
    """
    if not state:
        raise VoucherMissing
    if state == Voucher.State.SUSPENDED:
        raise VoucherSuspended
    if state == Voucher.State.CLOSED:
        raise VoucherClosed


def check_may_use(facts: MemberFacts, *, day: date) -> None:
    """Refuse unless the insurance may be used at all on that day; the first reason found is given.

    In this order: VoucherMissing, VoucherSuspended, VoucherClosed, MemberDeceased (after the day of
    death, which itself is covered, or by entitlement), NotEnrolled, EntitlementSuspended. A waiting
    period or overdue contributions pass: the member's account may be used, see `pool_in_force`.
    """
    check_voucher_state(facts.voucher_state)
    if facts.death_date is not None and facts.death_date < day:
        raise MemberDeceased
    if facts.entitlement_state == Entitlement.State.DECEASED:
        raise MemberDeceased
    if not facts.area_code:
        raise NotEnrolled
    if not facts.account_in_force:
        raise EntitlementSuspended


def identity_number(member_id: int, *, reader: str = "", reason: str = "") -> str:
    """The member's identity number in clear, 18 characters.

    For whoever must have it: a hospital that opens a visit. Each call leaves a log line with the
    member's id, `reader` and `reason`, never the number. Raises Member.DoesNotExist.
    """
    row = sql.fetch_one("SELECT identity_cipher FROM voucher_member WHERE id = %s", (member_id,))
    if row is None:
        raise Member.DoesNotExist(f"no member has the id {member_id}")
    log.info("identity number of member %s shown to %r for %r", member_id, reader, reason)
    return vault.unseal(
        row[0], purpose="identity", data_key=vault.data_key_from_settings()
    ).decode()


def merchant_reference(*, member_id: int, merchant_id: int) -> str:
    """What this merchant may call this member by: 20 hexadecimal digits, keyed.

    The same for every visit to one merchant; two merchants cannot match theirs, and nobody without
    the data key can find the member from it.
    """
    return vault.search_hash(
        f"{merchant_id}:{member_id}",
        purpose="merchant-reference",
        data_key=vault.data_key_from_settings(),
    )[:20]


def member_of_user(user: Any) -> Member | None:
    """The member who signs in as this user, or None (also for nobody signed in)."""
    if user is None or not user.is_authenticated:
        return None
    return Member.objects.filter(user=user).first()


def published_keys(*, now: datetime) -> dict[str, list[dict[str, int | str]]]:
    """The content of `/.well-known/voucher-keys.json`: keys in force or to come, and those whose
    last code may still be alive. Killed ones are left out."""
    last_code = timedelta(seconds=tokens.LONGEST_LIFETIME_S)
    return tokens.published_keys(
        tokens.VerifyingKey(
            key_id=key.key_id,
            algorithm=key.algorithm,
            public_key=SUITES[key.algorithm].load_public(bytes(key.public_key)),
            handle_key=None,
            not_before=int(key.not_before.timestamp()),
            not_after=int(key.not_after.timestamp()),
        )
        for key in SigningKey.objects.filter(killed_at__isnull=True, not_after__gt=now - last_code)
    )
