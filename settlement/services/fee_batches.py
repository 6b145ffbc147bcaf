"""Fee batches and their lines as they are stored, whoever uploads them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from messaging import sql
from messaging.bodies import to_json
from messaging.ids import new_id
from settlement.models import FeeBatch, Line


def write_fee_batch(
    lines: Sequence[Mapping[str, Any]],
    *,
    visit_id: UUID,
    number: int,
    service_date: date,
    total_fen: int,
    now: datetime,
    department: str = "",
    doctor: str = "",
    settlement_id: UUID | None = None,
) -> UUID:
    """Store a batch with its lines, settled or yet to be; returns its id.

    A line has no, code, national_code, name, quantity, unit_price, amount_fen, split_pack,
    trace_codes (a sequence) and prescription (its number or None).
    """
    batch_id = new_id()
    sql.insert_rows(
        FeeBatch,
        (
            "id",
            "visit",
            "number",
            "service_date",
            "department",
            "doctor",
            "total_fen",
            "uploaded_at",
        ),
        [(batch_id, visit_id, number, service_date, department, doctor, total_fen, now)],
    )
    sql.insert_rows(
        Line,
        (
            "fee_batch",
            "settlement",
            "number",
            "code",
            "national_code",
            "name",
            "quantity",
            "unit_price",
            "amount_fen",
            "split_pack",
            "trace_codes",
            "prescription_number",
        ),
        [
            (
                batch_id,
                settlement_id,
                line["no"],
                line["code"],
                line["national_code"],
                line["name"],
                line["quantity"],
                line["unit_price"],
                line["amount_fen"],
                line["split_pack"],
                to_json(line["trace_codes"]),
                line["prescription"],
            )
            for line in lines
        ],
    )
    return batch_id
