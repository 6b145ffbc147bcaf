"""Rows of the settlement app, split by noun."""

from .books import Account, LedgerTransaction, Posting, YearToDate
from .clearing import DeclaredMonth, RefundApproval
from .days import ClosedDay, DayTotal, FoldedUpTo
from .presence import FeeBatch, Line, Pickup, Prescription, PrescriptionLine, Scan, TraceCode, Visit
from .rules import CatalogueItem, NameEnding, Policy
from .seals import AuditRun, Seal, SealBatch, SealKey, ToSeal
from .settlements import (
    Hold,
    Quote,
    Refund,
    RefundLine,
    RefundShare,
    RelativeRefund,
    RelativeShare,
    RestatedShare,
    Restatement,
    Settlement,
    Share,
)
from .shifts import Shift
from .slips import SlipIssue
from .tenders import (
    CreditLine,
    CreditUse,
    SimulatedPayment,
    StaffAct,
    Tender,
    TenderRefund,
    TenderRule,
)

__all__ = [
    "Account",
    "AuditRun",
    "CatalogueItem",
    "ClosedDay",
    "CreditLine",
    "CreditUse",
    "DayTotal",
    "DeclaredMonth",
    "FeeBatch",
    "FoldedUpTo",
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
    "RefundApproval",
    "RefundLine",
    "RefundShare",
    "RelativeRefund",
    "RelativeShare",
    "RestatedShare",
    "Restatement",
    "Scan",
    "Seal",
    "SealBatch",
    "SealKey",
    "Settlement",
    "Share",
    "Shift",
    "SimulatedPayment",
    "SlipIssue",
    "StaffAct",
    "Tender",
    "TenderRefund",
    "TenderRule",
    "ToSeal",
    "TraceCode",
    "Visit",
    "YearToDate",
]
