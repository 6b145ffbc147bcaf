"""The one table from refusal code to HTTP status, and how a refusal is written as problem+json.

Nothing below the edge knows a status. RFC 9457 names the body's members; `code`, `param` and
`request_id` are our extension members.
"""

from typing import Any

from django.utils.functional import Promise

from messaging.refusals import Refusal

STATUS: dict[str, int] = {
    # What was sent cannot be read.
    "body_not_json": 400,
    "body_too_large": 413,
    "field_invalid": 422,
    "too_many_lines": 422,
    "amount_mismatch": 422,
    "quantity_not_positive": 422,
    "amount_negative": 422,
    "idempotency_key_missing": 400,
    "idempotency_key_malformed": 400,
    # Who sent it is not established.
    "signature_missing": 401,
    "signature_malformed": 401,
    "signature_invalid": 401,
    "signature_stale": 401,
    "digest_missing": 401,
    "digest_mismatch": 401,
    "terminal_unknown": 401,
    "terminal_revoked": 401,
    "not_signed_in": 401,
    # They may not do it.
    "merchant_suspended": 403,
    "agreement_not_in_force": 403,
    "capability_missing": 403,
    "operator_not_active": 403,
    # There is no such thing, or not for them.
    "not_found": 404,
    "outcome_unknown": 404,
    "enrolment_code_unknown": 404,
    # The code, or what else was presented.
    "code_malformed": 422,
    "code_version_unknown": 422,
    "code_key_unknown": 422,
    "code_signature_invalid": 422,
    "payment_code": 422,
    "code_from_the_future": 422,
    "code_expired": 410,
    "code_used": 409,
    "code_not_for_this_use": 403,
    "code_not_for_this_merchant": 403,
    "ceiling_exceeded": 422,
    "evidence_unknown": 422,
    "evidence_not_connected": 501,
    "use_unknown": 422,
    "scan_expired": 410,
    "scan_not_for_this_use": 409,
    # The person.
    "voucher_suspended": 403,
    "voucher_closed": 403,
    "voucher_missing": 404,
    "voucher_exists": 409,
    "member_deceased": 403,
    "not_enrolled": 403,
    "entitlement_suspended": 403,
    "out_of_area_not_connected": 501,
    # The bill.
    "bill_empty": 422,
    "item_unknown": 422,
    "prescription_unknown": 422,
    "prescription_expired": 422,
    "prescription_exhausted": 409,
    "prescribers_differ": 422,
    "trace_code_used": 409,
    "trace_code_repeated": 422,
    "benefit_kind_unknown": 422,
    "benefit_kind_not_for_visit": 422,
    "package_unknown": 422,
    "policy_missing": 422,
    "visit_closed": 409,
    # Quotes, settlements, refunds.
    "open_quote_elsewhere": 409,
    "quote_expired": 410,
    "quote_not_live": 409,
    "line_changed": 409,
    "cash_differs": 409,
    "tender_exceeds": 409,
    "tender_not_connected": 501,
    "tender_reference_used": 409,
    "tender_unknown": 409,
    "tender_incomplete": 409,
    "debt_not_owed": 409,
    "credit_limit_below_use": 409,
    "credit_repays_too_much": 409,
    "credit_line_changed": 409,
    "credit_line_missing": 404,
    "member_number_unknown": 404,
    "merchant_code_unknown": 404,
    "already_refunded": 409,
    "use_refund": 409,
    "not_reversible": 409,
    "settlement_reversed": 409,
    "key_reversed": 409,
    "refund_too_much": 422,
    "refund_whole_only": 422,
    "refund_needs_payment": 409,
    "refund_last_first": 409,
    "refund_needs_approval": 409,
    "refund_declined": 409,
    "already_picked_up": 409,
    "already_discharged": 409,
    "slip_not_reproducible": 409,
    "idempotency_key_reused": 409,
    "enrolment_code_used": 409,
    "key_in_use": 409,
    "public_key_invalid": 422,
    # Shifts.
    "shift_open": 409,
    "shift_closed": 409,
    "shift_of_another": 403,
}
TRY_AGAIN = 503

# The status of each operation's success.
SUCCESS: dict[str, int] = {
    "scan": 201,
    "open_visit": 201,
    "add_fees": 201,
    "discharge": 200,
    "prescribe": 201,
    "pick_up": 201,
    "estimate": 200,
    "quote": 201,
    "release": 200,
    "tender": 201,
    "settle": 201,
    "refund": 201,
    "reverse": 200,
    "confirm": 200,
    "open_shift": 201,
    "close_shift": 200,
    "compare_totals": 200,
}


def status_of(code: str) -> int:
    """The HTTP status of a refusal's code. Raises KeyError for one the table has forgotten."""
    return STATUS[code]


def problem(refusal: Refusal, *, request_id: str) -> dict[str, Any]:
    """The refusal as an RFC 9457 problem in the active language."""
    status = status_of(refusal.code)
    return {
        "type": f"/docs/refusals#{refusal.code}",
        "title": refusal.code.replace("_", " "),
        "status": status,
        "code": refusal.code,
        "detail": refusal.sentence(),
        "param": refusal.param,
        "request_id": request_id,
        # A detail may be a sentence that waits for its language.
        **{
            name: str(value) if isinstance(value, Promise) else value
            for name, value in refusal.details.items()
        },
    }
