"""Rows of the settlement app, split by noun."""

from .books import Account, LedgerTransaction, Posting, YearToDate
from .presence import FeeBatch, Line, Pickup, Prescription, PrescriptionLine, Scan, TraceCode, Visit
from .rules import CatalogueItem, NameEnding, Policy
from .settlements import (
    Hold,
    Quote,
    Refund,
    RefundLine,
    RefundShare,
    RelativeRefund,
    RelativeShare,
    Settlement,
    Share,
)
from .slips import SlipIssue

__all__ = [
    "Account",
    "CatalogueItem",
    "FeeBatch",
    "Hold",
    "LedgerTransaction",
    "Line",
    "NameEnding",
    "Pickup",
    "Policy",
    "Posting",
    "Prescription",
    "PrescriptionLine",
    "Quote",
    "Refund",
    "RefundLine",
    "RefundShare",
    "RelativeRefund",
    "RelativeShare",
    "Scan",
    "Settlement",
    "Share",
    "SlipIssue",
    "TraceCode",
    "Visit",
    "YearToDate",
]
