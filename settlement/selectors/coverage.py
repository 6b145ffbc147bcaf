"""Who is covered and for what, as a till may see it after a scan."""

from datetime import date
from typing import Any

from voucher import selectors as members
from voucher.selectors import MemberFacts


def scan_answer(
    *,
    scan_id: str,
    use: str,
    expires_at: str,
    ceiling_fen: int | None,
    facts: MemberFacts,
    merchant_id: int,
    merchant_code: str,
    day: date,
) -> dict[str, Any]:
    """Who is covered and for what. The name is masked: a pharmacy learns no more."""
    return {
        "scan_id": scan_id,
        "use": use,
        "expires_at": expires_at,
        "member": {
            "name": facts.masked_name,
            "reference": members.merchant_reference(
                member_id=facts.member_id, merchant_id=merchant_id
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
                    "institution_chosen": not filing.institution_codes
                    or merchant_code in filing.institution_codes,
                }
                for filing in facts.filings
            ),
            {"kind": "outpatient"},
            {"kind": "pharmacy_account"},
        ],
        "limits": {"ceiling_fen": ceiling_fen},
    }
