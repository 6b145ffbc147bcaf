"""A scan: evidence of presence presented once, for a declared use, and what came of it.

The code is spent and the Scan row written in the same commit as the answer, refusals included: a
valid code is burnt whatever the scan then comes to. No member lock is taken: nothing of the
member's is written, and what is read here is read again under the lock by quote and settlement.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from merchants import services as merchants
from messaging import sql
from messaging.days import moment
from messaging.ids import new_id
from messaging.refusals import Refusal
from settlement.models import Scan
from settlement.requests import ScanRequest
from settlement.selectors.coverage import scan_answer
from settlement.selectors.rules import area_is_connected
from settlement.services.desk import Desk
from voucher import selectors as members
from voucher import services as vouchers
from voucher.selectors import MemberFacts
from voucher.tokens import MerchantKind, Scope, Use

# Evidence of the field that this system has a place for and no connection to yet.
PORTS = frozenset({"national_code", "identity_card", "social_security_card", "face"})
# What an agreement has to cover before people insured elsewhere are served (异地联网).
OUT_OF_AREA = "out_of_area"


class EvidenceUnknown(Refusal):
    """No such type of evidence."""

    code = "evidence_unknown"
    text = _("This type of evidence is not known.")


class EvidenceNotConnected(Refusal):
    """A type that exists, without a connection to whoever can check it."""

    code = "evidence_not_connected"
    text = _("This type of evidence is not connected in this deployment.")


class UseUnknown(Refusal):
    """No such use."""

    code = "use_unknown"
    text = _("The declared use is not known.")


class CodeNotForThisUse(Refusal):
    """The citizen narrowed the code to another use."""

    code = "code_not_for_this_use"
    text = _("The citizen limited this code to another use.")


class CodeNotForThisMerchant(Refusal):
    """The citizen narrowed the code to others."""

    code = "code_not_for_this_merchant"
    text = _("The citizen limited this code to another institution or kind of institution.")


class OutOfAreaNotConnected(Refusal):
    """Insured in another pooling area."""

    code = "out_of_area_not_connected"
    text = _("The person is insured in another area, which is not connected in this deployment.")


def record_scan(desk: Desk, request: ScanRequest) -> dict[str, Any]:
    """Spend the code, judge it, write the row, answer who is covered and for what.

    Answers the scan as `scan_answer` describes it; raises any refusal of the code, its scope, the
    voucher or the enrolment, after the row that remembers it is written.
    """
    scan_id = new_id()
    facts: MemberFacts | None = None
    ceiling_fen: int | None = None
    refusal: Refusal | None = None
    try:
        use = _known_use(request.use)
        _check_evidence_type(request.evidence.type)
        presented = vouchers.present_code(
            text=request.evidence.value, scan_id=scan_id, now=desk.now
        )
        ceiling_fen = presented.scope.ceiling_fen
        facts = members.member_by_voucher(voucher_number=presented.voucher_number, day=desk.day)
        _check_scope(presented.scope, use=use, desk=desk)
        check_member(facts, desk=desk)
    except Refusal as found:
        refusal = found
    expires_at = desk.now + timedelta(seconds=settings.SCAN_LIFETIME_S)
    sql.insert_rows(
        Scan,
        (
            "id",
            "terminal",
            "merchant",
            "operator",
            "evidence_type",
            "use",
            "member",
            "code",
            "ceiling_fen",
            "scanned_at",
            "expires_at",
            "business_date",
            "request_id",
        ),
        [
            (
                scan_id,
                desk.terminal.terminal_id,
                desk.terminal.merchant_id,
                desk.operator,
                request.evidence.type,
                request.use,
                facts.member_id if facts else None,
                refusal.code if refusal else "",
                ceiling_fen,
                desk.now,
                expires_at,
                desk.day,
                desk.request_id,
            )
        ],
    )
    if refusal is not None:
        raise refusal
    assert facts is not None
    return scan_answer(
        scan_id=str(scan_id),
        use=request.use,
        expires_at=moment(expires_at),
        ceiling_fen=ceiling_fen,
        facts=facts,
        terminal=desk.terminal,
        day=desk.day,
    )


def _known_use(word: str) -> Use:
    try:
        use = Use.from_word(word)
    except ValueError:
        raise UseUnknown(param="use") from None
    if use is Use.ANY:
        # A code may allow any use; a terminal must say which one it is.
        raise UseUnknown(param="use")
    return use


def _check_evidence_type(word: str) -> None:
    if word in PORTS:
        raise EvidenceNotConnected(param="evidence.type")
    if word != "voucher_code":
        raise EvidenceUnknown(param="evidence.type")


def _check_scope(scope: Scope, *, use: Use, desk: Desk) -> None:
    if scope.use not in (Use.ANY, use):
        raise CodeNotForThisUse(param="use")
    if scope.merchant_kind is not MerchantKind.ANY and (
        scope.merchant_kind.name.lower() != desk.terminal.merchant_kind
    ):
        raise CodeNotForThisMerchant
    if scope.merchant_id is not None and scope.merchant_id != desk.terminal.merchant_id:
        raise CodeNotForThisMerchant


def check_member(facts: MemberFacts, *, desk: Desk) -> None:
    """What every step asks of the person: voucher, life, enrolment, entitlement, area.

    Somebody insured elsewhere is served where that area has its rules in this deployment and the
    merchant's agreement covers care away from home (异地就医).
    """
    members.check_may_use(facts, day=desk.day)
    if facts.area_code != desk.terminal.area_code:
        if not area_is_connected(facts.area_code, day=desk.day):
            raise OutOfAreaNotConnected
        merchants.check_capability(desk.terminal, OUT_OF_AREA)
