"""An accepted bill written down: visit, lines, settlement, shares, account, year to date, outbox.

Everything is decided before a function here is called; they only write, in as few statements as the
rows allow, inside the caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from messaging import outbox, sql
from messaging.bodies import to_json
from messaging.days import accounting_month
from settlement import benefits, money, states
from settlement.models import RelativeShare, Settlement, Share, Visit
from settlement.selectors.money import MoneyFacts
from settlement.selectors.presence import ScanFacts, VisitFacts
from settlement.services.desk import Desk
from settlement.services.fee_batches import write_fee_batch
from settlement.services.quotes import retire_quotes
from settlement.services.tender.settling import attach as attach_tenders

POST_SETTLEMENT = "post_settlement"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Everything the writes need; nothing is decided after this is made."""

    scan: ScanFacts
    visit: VisitFacts | None
    quote_id: UUID | None
    member_id: int
    area_code: str
    lines: Sequence[Mapping[str, Any]]
    inputs: str
    result: benefits.Result
    result_json: str
    policy_id: int
    policy: benefits.Policy
    money: MoneyFacts
    benefit_kind: str
    disease_code: str
    service_date: date
    replaces: tuple[UUID, ...]
    # The cash part is paid in parts of its own; otherwise it is in the till.
    tendered: bool = False


def write_acceptance(
    desk: Desk, acceptance: Acceptance, *, settlement_id: UUID, visit_id: UUID
) -> None:
    result = acceptance.result
    with sql.batch():
        if acceptance.visit is None:
            _write_purchase(desk, acceptance, settlement_id=settlement_id, visit_id=visit_id)
        else:
            row_ids = [line["row_id"] for line in acceptance.lines]
            sql.run(
                f"UPDATE settlement_line SET settlement_id = %s WHERE {sql.among('id')}",
                (settlement_id, sql.values(row_ids)),
            )
        retire_quotes(
            desk,
            member_id=acceptance.member_id,
            replaced=acceptance.replaces,
            run_out=acceptance.money.has_run_out_quotes,
        )
        if acceptance.quote_id is not None:
            sql.run(
                "UPDATE settlement_quote SET state = %s WHERE id = %s",
                (states.target("quote", "confirm"), acceptance.quote_id),
            )
        _write_settlement(desk, acceptance, settlement_id=settlement_id, visit_id=visit_id)
        if acceptance.tendered and acceptance.quote_id is not None:
            attach_tenders(desk, quote_id=acceptance.quote_id, settlement_id=settlement_id)
        if result.shares:
            sql.insert_rows(
                Share,
                ("settlement", "payer", "amount_fen"),
                [(settlement_id, share.payer, share.amount_fen) for share in result.shares],
            )
        if result.account_fen:
            sql.run(
                "UPDATE settlement_account SET balance_fen = balance_fen - %s WHERE id = %s",
                (result.account_fen, acceptance.money.account_id),
            )
        _draw_on_relatives(result.relative_draws, settlement_id=settlement_id)
        if any(result.year_to_date_delta.values()):
            before = acceptance.money.year_to_date
            added = result.year_to_date_delta
            write_year_to_date(
                member_id=acceptance.member_id,
                benefit_year=result.benefit_year,
                # What a stay carries over from another year stays in that year's row.
                amounts={
                    name: before.get(name, 0) + added.get(name, 0) for name in {**before, **added}
                },
            )
        for line in acceptance.lines:
            if line["prescription_row"]:
                sql.run(
                    "UPDATE settlement_prescriptionline SET filled_e4 = filled_e4 + %s"
                    " WHERE id = %s",
                    (money.quantity_units(line["quantity"]), line["prescription_row"]),
                )
        outbox.put(topic=POST_SETTLEMENT, subject=settlement_id, now=desk.now)


def _draw_on_relatives(draws: Sequence[benefits.RelativeDraw], *, settlement_id: UUID) -> None:
    """Take each relative's part from their account, whose row the draw names."""
    if not draws:
        return
    # By ascending id, everywhere alike.
    parts = sorted((int(draw.holder), draw.amount_fen) for draw in draws)
    for account_id, amount_fen in parts:
        sql.run(
            "UPDATE settlement_account SET balance_fen = balance_fen - %s WHERE id = %s",
            (amount_fen, account_id),
        )
    sql.insert_rows(
        RelativeShare,
        ("settlement", "account", "amount_fen"),
        [(settlement_id, account_id, amount_fen) for account_id, amount_fen in parts],
    )


def _write_purchase(
    desk: Desk, acceptance: Acceptance, *, settlement_id: UUID, visit_id: UUID
) -> None:
    """A pharmacy purchase opens and closes its visit in the one call that settles it."""
    sql.insert_rows(
        Visit,
        (
            "id",
            "merchant",
            "member",
            "scan",
            "kind",
            "department",
            "doctor",
            "diagnoses",
            "opened_at",
            "closed_at",
            "business_date",
        ),
        [
            (
                visit_id,
                desk.terminal.merchant_id,
                acceptance.member_id,
                acceptance.scan.scan_id,
                "pharmacy",
                "",
                "",
                "[]",
                desk.now,
                desk.now,
                desk.day,
            )
        ],
    )
    write_fee_batch(
        acceptance.lines,
        visit_id=visit_id,
        number=1,
        service_date=acceptance.service_date,
        total_fen=acceptance.result.total_fen,
        now=desk.now,
        settlement_id=settlement_id,
    )


def _write_settlement(
    desk: Desk, acceptance: Acceptance, *, settlement_id: UUID, visit_id: UUID
) -> None:
    result = acceptance.result
    sql.insert_rows(
        Settlement,
        (
            "id",
            "visit",
            "scan",
            "quote",
            "member",
            "merchant",
            "terminal",
            "operator",
            "member_seq",
            "state",
            "benefit_kind",
            "disease_code",
            "area_code",
            "policy",
            "engine_version",
            "service_date",
            "business_date",
            "benefit_year",
            "accounting_month",
            "total_fen",
            "fund_fen",
            "account_fen",
            "relative_fen",
            "cash_fen",
            "refunded_fen",
            "inputs",
            "result",
            "trace_hash",
            "accepted_at",
        ),
        [
            (
                settlement_id,
                visit_id,
                acceptance.scan.scan_id,
                acceptance.quote_id,
                acceptance.member_id,
                desk.terminal.merchant_id,
                desk.terminal.terminal_id,
                desk.operator,
                acceptance.money.next_seq,
                states.target("settlement", "accept"),
                acceptance.benefit_kind,
                acceptance.disease_code,
                acceptance.area_code,
                acceptance.policy_id,
                result.engine_version,
                acceptance.service_date,
                desk.day,
                result.benefit_year,
                accounting_month(desk.day),
                result.total_fen,
                result.fund_fen,
                result.account_fen,
                result.share("relative_account"),
                result.cash_fen,
                0,
                acceptance.inputs,
                acceptance.result_json,
                benefits.trace_hash(result),
                desk.now,
            )
        ],
    )


def write_year_to_date(*, member_id: int, benefit_year: int, amounts: Mapping[str, int]) -> None:
    """Store the accumulators of a benefit year, whole. Under the member's lock only."""
    sql.run(
        "INSERT INTO settlement_yeartodate (member_id, benefit_year, amounts) VALUES (%s, %s, %s)"
        " ON CONFLICT (member_id, benefit_year) DO UPDATE SET amounts = excluded.amounts",
        (member_id, benefit_year, to_json(dict(amounts))),
    )
