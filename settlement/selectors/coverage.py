"""Who is covered and for what, as a till may see it after a scan."""

from datetime import date
from typing import Any

from merchants.selectors import TerminalFacts
from voucher import selectors as members
from voucher.selectors import MemberFacts


def scan_answer(
    *,
    scan_id: str,
    use: str,
    expires_at: str,
    ceiling_fen: int | None,
    facts: MemberFacts,
    terminal: TerminalFacts,
    day: date,
) -> dict[str, Any]:
    """Who is covered and for what. The name is masked.

    A pharmacy is told of a disease on file only where it may be claimed there: of the others it
    has nothing to do with. A hospital or clinic sees them all, to tell the person where to go.
    """
    filings = [
        (filing, not filing.institution_codes or terminal.merchant_code in filing.institution_codes)
        for filing in facts.filings
    ]
    return {
        "scan_id": scan_id,
        "use": use,
        "expires_at": expires_at,
        "member": {
            "name": facts.masked_name,
            "reference": members.merchant_reference(
                member_id=facts.member_id, merchant_id=terminal.merchant_id
            ),
            "age": facts.age_on(day),
            "sex": facts.sex,
        },
        "enrolment": {
            "area_code": facts.area_code,
            "scheme": facts.scheme,
            "category": facts.category,
        },
        "entitlement": {
            "state": facts.entitlement_state,
            "pool": facts.pool_in_force,
            "account": facts.account_in_force,
        },
        "benefits": [
            *(
                {
                    "kind": filing.kind,
                    "disease_code": filing.disease_code,
                    "disease_name": filing.disease_name,
                    "institution_chosen": chosen,
                }
                for filing, chosen in filings
                if chosen or terminal.merchant_kind != "pharmacy"
            ),
            {"kind": "outpatient"},
            {"kind": "pharmacy_account"},
        ],
        "limits": {"ceiling_fen": ceiling_fen},
    }
