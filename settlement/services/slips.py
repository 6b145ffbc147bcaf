"""Issuing a slip: what somebody takes away is kept, and everybody after gets the very same.

That a slip was issued is a fact about the settlement: `selectors.slips.slip_was_issued`. The
service changes no money, and answers from what is stored when asked again.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from messaging import sql
from messaging.bodies import to_json
from messaging.days import moment
from settlement import benefits
from settlement.selectors.slips import sheet_sha256, slip


def issue_slip(
    *,
    settlement_id: UUID,
    language: benefits.Language,
    audience: benefits.Audience,
    issued_by: str,
    now: datetime,
    member_id: int | None = None,
    merchant_id: int | None = None,
) -> dict[str, Any]:
    """The slip as issued, in the form of `selectors.slips.slip`; the first time it is stored.

    Two who ask at once get one and the same. Raises NotFound, SlipNotReproducible.
    """

    def found() -> dict[str, Any]:
        return slip(
            settlement_id=settlement_id,
            language=language,
            audience=audience,
            member_id=member_id,
            merchant_id=merchant_id,
        )

    before = found()
    if before["issued_at"] is not None:
        return before
    sha256 = sheet_sha256(before["slip"])
    with transaction.atomic(durable=True):
        stored = sql.fetch(
            "INSERT INTO settlement_slipissue (settlement_id, language, audience, sheet, sha256,"
            " issued_by, issued_at) VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (settlement_id, language, audience) DO NOTHING RETURNING id",
            (
                settlement_id,
                language,
                audience,
                to_json(before["slip"]),
                sha256,
                issued_by,
                now,
            ),
        )
    if stored:
        return {**before, "issued_at": moment(now), "sha256": sha256}
    # Somebody was faster: theirs is the slip that was issued.
    return found()
