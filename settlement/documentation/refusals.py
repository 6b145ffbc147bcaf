"""Refusals that several operations may meet alike, each group in the order of its judging."""

# Judged before anything else of a signed request, in this order.
SIGNATURE = (
    "body_too_large",
    "signature_missing",
    "digest_missing",
    "signature_malformed",
    "terminal_unknown",
    "signature_invalid",
    "signature_stale",
    "terminal_revoked",
    "merchant_suspended",
    "agreement_not_in_force",
)
WRITE = (
    "idempotency_key_missing",
    "idempotency_key_malformed",
    "digest_mismatch",
    "idempotency_key_reused",
    "key_reversed",
    "body_not_json",
    "field_invalid",
)
CODE = (
    "code_malformed",
    "code_version_unknown",
    "payment_code",
    "code_key_unknown",
    "code_signature_invalid",
    "code_from_the_future",
    "code_expired",
    "code_used",
    "code_not_for_this_use",
    "code_not_for_this_merchant",
)
MEMBER = (
    "voucher_missing",
    "voucher_suspended",
    "voucher_closed",
    "member_deceased",
    "not_enrolled",
    "entitlement_suspended",
    "out_of_area_not_connected",
)
LINES = (
    "bill_empty",
    "too_many_lines",
    "amount_negative",
    "quantity_not_positive",
    "amount_mismatch",
    "trace_code_repeated",
    "item_unknown",
)
PRESCRIPTIONS = (
    "prescription_unknown",
    "prescription_expired",
    "prescription_exhausted",
    "prescribers_differ",
)
SCAN = ("not_found", "scan_expired", "scan_not_for_this_use")
BILL = (
    *SCAN,
    "visit_closed",
    *MEMBER,
    "capability_missing",
    *LINES,
    *PRESCRIPTIONS,
    "policy_missing",
    "benefit_kind_unknown",
    "benefit_kind_not_for_visit",
    "package_unknown",
    "open_quote_elsewhere",
    "ceiling_exceeded",
)
