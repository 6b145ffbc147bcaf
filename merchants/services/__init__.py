"""What is decided and written about merchants, split by noun.

Who may act (`access`), terminals and their keys (`terminals`), item lists (`items`), institutions
with their agreements and operators (`institutions`), and the keys that sign the server's answers
(`answer_keys`).
"""

from .access import (
    AgreementNotInForce,
    CapabilityMissing,
    MerchantSuspended,
    TerminalRevoked,
    check_capability,
    check_merchant,
    check_terminal,
)
from .answer_keys import (
    current_answer_key,
    ensure_answer_key,
    forget_answer_key,
    published_answer_keys,
    rotate_answer_key,
)
from .institutions import add_operator, register_merchant, set_merchant_state
from .items import ItemInput, SavedItems, initials_of, save_items
from .terminals import (
    EnrolmentCodeUnknown,
    EnrolmentCodeUsed,
    KeyInUse,
    PublicKeyInvalid,
    enrol_terminal,
    issue_enrolment_code,
    key_id_of,
    page_terminal,
    revoke_terminal,
    roll_terminal_key,
)

__all__ = [
    "AgreementNotInForce",
    "CapabilityMissing",
    "EnrolmentCodeUnknown",
    "EnrolmentCodeUsed",
    "ItemInput",
    "KeyInUse",
    "MerchantSuspended",
    "PublicKeyInvalid",
    "SavedItems",
    "TerminalRevoked",
    "add_operator",
    "check_capability",
    "check_merchant",
    "check_terminal",
    "current_answer_key",
    "enrol_terminal",
    "ensure_answer_key",
    "forget_answer_key",
    "initials_of",
    "issue_enrolment_code",
    "key_id_of",
    "page_terminal",
    "published_answer_keys",
    "register_merchant",
    "revoke_terminal",
    "roll_terminal_key",
    "rotate_answer_key",
    "save_items",
    "set_merchant_state",
]
