"""The shapes of what the API answers, for its document.

Services answer plain values; these say which. A test converts the answers of a real run into these
shapes strictly, so that a member more, less or of another kind fails. Nothing is decoded with them
at run time.
"""

from .bills import (
    Confirmed,
    Estimated,
    Outcome,
    Quoted,
    Refunded,
    RefundRecord,
    Released,
    Reversed,
    Settled,
    SettlementRecord,
    Slip,
    Tendered,
    TenderPartAnswer,
)
from .presence import (
    Discharged,
    FeeBatchAnswer,
    PickedUp,
    Prescribed,
    ScanAnswer,
    VisitOpened,
    VisitRecord,
)
from .shapes import AnswerShape, Problem
from .terminals import AnswerKeys, CatalogueFound, Enrolled, Items, Rolled, Saved

__all__ = [
    "AnswerKeys",
    "AnswerShape",
    "CatalogueFound",
    "Confirmed",
    "Discharged",
    "Enrolled",
    "Estimated",
    "FeeBatchAnswer",
    "Items",
    "Outcome",
    "PickedUp",
    "Prescribed",
    "Problem",
    "Quoted",
    "RefundRecord",
    "Refunded",
    "Released",
    "Reversed",
    "Rolled",
    "Saved",
    "ScanAnswer",
    "Settled",
    "SettlementRecord",
    "Slip",
    "TenderPartAnswer",
    "Tendered",
    "VisitOpened",
    "VisitRecord",
]
