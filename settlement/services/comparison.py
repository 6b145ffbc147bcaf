"""Comparing totals, as an operation: remembered by its key like any other, writing nothing."""

from typing import Any

from settlement.requests import TotalsComparison
from settlement.selectors.comparison import compare
from settlement.services.desk import Desk


def compare_totals(desk: Desk, request: TotalsComparison) -> dict[str, Any]:
    """The merchant's figures against ours, as of now. Raises FieldInvalid, NotFound."""
    return compare(request, merchant_id=desk.terminal.merchant_id)
