"""Rows of the settlement app, split by noun."""

from .books import Account, LedgerTransaction, Posting, YearToDate
from .presence import FeeBatch, Line, Pickup, Prescription, PrescriptionLine, Scan, TraceCode, Visit
from .rules import CatalogueItem, NameEnding, Policy
from .settlements import Hold, Quote, Refund, RefundShare, RelativeShare, Settlement, Share
from .shifts import Shift

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
    "RefundShare",
    "RelativeShare",
    "Scan",
    "Settlement",
    "Share",
    "Shift",
    "TraceCode",
    "Visit",
    "YearToDate",
]
