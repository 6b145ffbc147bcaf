"""The one-bill slip (一单制结算单): one settlement with every figure that led to its shares.

A slip is shown only if the calculator comes to the stored figures again; `_recomputed` is the one
place that judges it. A slip that was issued is shown as it was issued, with what became of the
settlement since beside it. Whose slips somebody may see is the caller's narrowing: a member's own,
a merchant's, or any for fund staff.
"""

import hashlib
import logging
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext_lazy as _

from messaging.days import moment
from messaging.refusals import Refusal
from settlement import benefits
from settlement.models import Settlement, SlipIssue
from settlement.selectors.presence import NotFound
from settlement.selectors.records import settlement_facts, settlement_standing
from settlement.selectors.rules import compiled_policy
from voucher.selectors import masked_name

log = logging.getLogger(__name__)


class SlipNotReproducible(Refusal):
    """The figures that are stored do not follow from what they were made of."""

    code = "slip_not_reproducible"
    text = _(
        "Worked out again, this settlement comes to other figures than the ones it was accepted"
        " with, so no slip of it is given out. Please tell the insurance office."
    )


def slip(
    *,
    settlement_id: UUID,
    language: benefits.Language,
    audience: benefits.Audience,
    member_id: int | None = None,
    merchant_id: int | None = None,
) -> dict[str, Any]:
    """A slip, JSON-able, amounts in fen: `slip` as it was issued, or as it would be issued now;
    `text`, its sentences to print; `issued_at` and `sha256`, null before it is issued; and under
    `current` what became of the settlement since.

    With `member_id` or `merchant_id` only that one's settlements are found. Raises NotFound,
    SlipNotReproducible.
    """
    rows = Settlement.objects.select_related("merchant", "member").filter(pk=settlement_id)
    if member_id is not None:
        rows = rows.filter(member_id=member_id)
    if merchant_id is not None:
        rows = rows.filter(merchant_id=merchant_id)
    row = rows.first()
    if row is None:
        raise NotFound(param="settlement_id")
    issued = SlipIssue.objects.filter(
        settlement_id=row.pk, language=language, audience=audience
    ).first()
    result = _recomputed(row, issued)
    sheet = issued.sheet if issued else _sheet(row, result, language, audience)
    return {
        "slip": sheet,
        "text": sheet["explanation"],
        "issued_at": moment(issued.issued_at) if issued else None,
        "sha256": issued.sha256 if issued else None,
        "current": settlement_standing(row),
    }


def slip_was_issued(settlement_id: UUID) -> bool:
    """Whether anybody took a slip of the settlement away, in whatever language and wording."""
    return SlipIssue.objects.filter(settlement_id=settlement_id).exists()


def sheet_sha256(sheet: dict[str, Any]) -> str:
    """The hash of a sheet: of its JSON without spaces, members in the order of their names."""
    return hashlib.sha256(msgspec.json.encode(sheet, order="deterministic")).hexdigest()


def _recomputed(row: Settlement, issued: SlipIssue | None) -> benefits.Result:
    """The result worked out anew from the stored inputs, which is the stored one to the fen; and
    the issued sheet, if there is one, is untouched. Raises SlipNotReproducible."""
    try:
        shown = benefits.result_from_dict(row.result)
        again = benefits.calculate(
            policy=compiled_policy(row.policy_id), **benefits.inputs_from(row.inputs)
        )
        same = benefits.trace_hash(again) == row.trace_hash == benefits.trace_hash(shown)
    except ValueError:
        # Inputs or a result that cannot even be read, or inputs that the policy does not price.
        same = False
    if issued is not None:
        same = same and issued.sha256 == sheet_sha256(issued.sheet)
        same = same and issued.sheet.get("trace_hash") == row.trace_hash
    if not same:
        log.error("the slip of settlement %s cannot be reproduced", row.pk)
        raise SlipNotReproducible(param="settlement_id")
    return again


def _sheet(
    row: Settlement,
    result: benefits.Result,
    language: benefits.Language,
    audience: benefits.Audience,
) -> dict[str, Any]:
    policy = compiled_policy(row.policy_id)
    facts = settlement_facts(row, result)
    return {
        **facts,
        **benefits.sheet_figures(result, policy=policy, language=language, audience=audience),
        "language": language,
        "audience": audience,
        "merchant": {"code": row.merchant.code, "name": row.merchant.name},
        "member": {"name": masked_name(row.member.name)},
        "benefit_title": policy.kinds[row.benefit_kind][language],
        "policy_title": policy.title[language],
        "lines": [
            # A layer's reason is told by the layer.
            {
                **line,
                "reason_text": benefits.line_reason(line["reason"] or "", language=language)
                or None,
            }
            for line in facts["lines"]
        ],
        # What had been given back when the slip was made: a later refund stands beside it.
        "refunded_fen": row.refunded_fen,
    }
