"""Everything that writes a row of this app: vouchers, signing keys, codes.

The verbs are split by noun; callers import them from here.
"""

from .codes import (
    CodeExpired,
    CodeFromTheFuture,
    CodeKeyUnknown,
    CodeMalformed,
    CodeSignatureInvalid,
    CodeUsed,
    CodeVersionUnknown,
    MintedCode,
    PaymentCodePresented,
    Presented,
    mint_code,
    present_code,
)
from .identities import identity_columns
from .keys import ensure_signing_key, kill_signing_key, rotate_signing_key
from .vouchers import (
    VoucherExists,
    activate_voucher,
    close_voucher,
    new_voucher_number,
    resume_voucher,
    suspend_voucher,
)

__all__ = [
    "CodeExpired",
    "CodeFromTheFuture",
    "CodeKeyUnknown",
    "CodeMalformed",
    "CodeSignatureInvalid",
    "CodeUsed",
    "CodeVersionUnknown",
    "MintedCode",
    "PaymentCodePresented",
    "Presented",
    "VoucherExists",
    "activate_voucher",
    "close_voucher",
    "ensure_signing_key",
    "identity_columns",
    "kill_signing_key",
    "mint_code",
    "new_voucher_number",
    "present_code",
    "resume_voucher",
    "rotate_signing_key",
    "suspend_voucher",
]
