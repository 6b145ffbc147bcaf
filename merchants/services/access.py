"""Whether a terminal may act, and for what: decisions on facts that were read, nothing else."""

from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, Terminal
from merchants.selectors import TerminalFacts
from messaging.refusals import Refusal


class TerminalRevoked(Refusal):
    """The terminal was taken out of service."""

    code = "terminal_revoked"
    text = _("This terminal was taken out of service. Enrol it again with a new one-time code.")


class MerchantSuspended(Refusal):
    """The institution itself may not act."""

    code = "merchant_suspended"
    text = _("The institution is suspended from the medical insurance.")


class AgreementNotInForce(Refusal):
    """No service agreement covers this day."""

    code = "agreement_not_in_force"
    text = _("The institution has no service agreement in force today.")


class CapabilityMissing(Refusal):
    """The agreement does not cover what is asked."""

    code = "capability_missing"
    text = _("The institution's agreement does not cover this kind of benefit.")


def check_terminal(facts: TerminalFacts) -> None:
    """Whether the terminal may speak at all. Raises TerminalRevoked."""
    if facts.terminal_state != Terminal.State.ACTIVE:
        raise TerminalRevoked


def check_merchant(facts: TerminalFacts) -> None:
    """Whether the terminal's institution may do something new.

    Not asked before a stored answer is given again or an outcome is looked up: what was accepted
    yesterday stays accepted, and the till must be able to learn it. Raises, in this order,
    MerchantSuspended, AgreementNotInForce.
    """
    if facts.merchant_state != Merchant.State.ACTIVE:
        raise MerchantSuspended
    if not facts.agreement_in_force:
        raise AgreementNotInForce


def check_capability(facts: TerminalFacts, kind: str) -> None:
    """Whether the agreements in force cover a kind of benefit or act: registration, consultation,
    outpatient, chronic, pharmacy_account, drug_pickup … Raises CapabilityMissing."""
    if kind not in facts.capabilities:
        raise CapabilityMissing
