"""A return written down: refund, shares, lines, accounts, year to date, goods, outbox.

Everything is decided before `write_return` is called; it only writes, inside the caller's
transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from messaging import outbox, sql
from messaging.bodies import to_json
from messaging.days import accounting_month
from messaging.ids import new_id
from settlement import benefits, states
from settlement.models import (
    Refund,
    RefundLine,
    RefundShare,
    RelativeRefund,
    RestatedShare,
    Restatement,
)
from settlement.selectors.money import MoneyFacts
from settlement.selectors.standing import Standing, StandingLine
from settlement.services.acceptance import write_year_to_date
from settlement.services.desk import Desk

POST_REFUND = "post_refund"


@dataclass(frozen=True, slots=True)
class ReturnedPart:
    """What comes back of one line: a quantity with its amount, or an amount alone; its packs."""

    line: StandingLine
    quantity_e4: int
    amount_fen: int
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restated:
    """A later settlement that comes to `result` once the returned one no longer counts: what each
    payer and each relative's account gets back for it (fen, less than nothing for one who pays
    more), and what it counts less. Its payers' parts sum to nothing."""

    settlement_id: UUID
    result: benefits.Result
    back: Mapping[str, int]
    relatives_back: Mapping[int, int]
    moved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Return:
    """Everything the writes need."""

    standing: Standing
    parts: tuple[ReturnedPart, ...]
    remaining_fen: Mapping[int, int]
    rest: benefits.Result | None
    # By payer and by relative's account, in fen, what is restated included; less than nothing for
    # one who pays more.
    back: Mapping[str, int]
    relatives_back: Mapping[int, int]
    # What is taken off the year to date, by everything together.
    moved: Mapping[str, int]
    restated: tuple[Restated, ...]
    money: MoneyFacts
    reason: str
    kind: str


def write_return(desk: Desk, planned: Return) -> UUID:
    """Write it; the refund's id."""
    found, refund_id = planned.standing, new_id()
    back = planned.back
    own = {name: back.get(name, 0) for name in ("account", "relative_account", "cash")}
    with sql.batch():
        sql.insert_rows(
            Refund,
            (
                "id",
                "settlement",
                "merchant",
                "terminal",
                "operator",
                "member",
                "member_seq",
                "state",
                "kind",
                "reason",
                "result",
                "business_date",
                "accounting_month",
                "total_fen",
                "fund_fen",
                "account_fen",
                "relative_fen",
                "cash_fen",
                "accepted_at",
            ),
            [
                (
                    refund_id,
                    found.settlement_id,
                    found.merchant_id,
                    desk.terminal.terminal_id,
                    desk.operator,
                    found.member_id,
                    planned.money.next_seq,
                    states.target("refund", "accept"),
                    planned.kind,
                    planned.reason,
                    to_json(benefits.result_to_dict(planned.rest)) if planned.rest else None,
                    desk.day,
                    accounting_month(desk.day),
                    sum(back.values()),
                    sum(back.values()) - sum(own.values()),
                    own["account"],
                    own["relative_account"],
                    own["cash"],
                    desk.now,
                )
            ],
        )
        sql.insert_rows(
            RefundShare,
            ("refund", "payer", "amount_fen"),
            [(refund_id, payer, amount_fen) for payer, amount_fen in back.items()],
        )
        sql.insert_rows(
            RefundLine,
            ("refund", "line", "quantity_e4", "amount_fen"),
            [
                (refund_id, part.line.row_id, part.quantity_e4, part.amount_fen)
                for part in planned.parts
            ],
        )
        sql.run(
            "UPDATE settlement_settlement SET refunded_fen = refunded_fen + %s WHERE id = %s",
            (sum(back.values()), found.settlement_id),
        )
        _move_accounts(planned, own["account"])
        if planned.relatives_back:
            sql.insert_rows(
                RelativeRefund,
                ("refund", "account", "amount_fen"),
                [(refund_id, *part) for part in sorted(planned.relatives_back.items())],
            )
        _write_restated(planned, refund_id)
        if planned.moved:
            stored = planned.money.year_to_date
            write_year_to_date(
                member_id=found.member_id,
                benefit_year=found.benefit_year,
                amounts={
                    name: stored.get(name, 0) - planned.moved.get(name, 0)
                    for name in {**stored, **planned.moved}
                },
            )
        _free_goods(planned)
        outbox.put(topic=POST_REFUND, subject=refund_id, now=desk.now)
    return refund_id


def _write_restated(planned: Return, refund_id: UUID) -> None:
    """What later settlements come to from here on. Their own rows stay as they were accepted."""
    if not planned.restated:
        return
    ids = [new_id() for _ in planned.restated]
    sql.insert_rows(
        Restatement,
        ("id", "refund", "settlement", "result"),
        [
            (
                identifier,
                refund_id,
                each.settlement_id,
                to_json(benefits.result_to_dict(each.result)),
            )
            for identifier, each in zip(ids, planned.restated, strict=True)
        ],
    )
    shares = [
        (identifier, payer, amount_fen)
        for identifier, each in zip(ids, planned.restated, strict=True)
        for payer, amount_fen in each.back.items()
    ]
    if shares:
        sql.insert_rows(RestatedShare, ("restatement", "payer", "amount_fen"), shares)


def _move_accounts(planned: Return, account_fen: int) -> None:
    """Give accounts their parts, by ascending id."""
    parts = dict(planned.relatives_back)
    if account_fen and planned.money.account_id is not None:
        own = planned.money.account_id
        parts[own] = parts.get(own, 0) + account_fen
    for account_id, amount_fen in sorted(parts.items()):
        sql.run(
            "UPDATE settlement_account SET balance_fen = balance_fen + %s WHERE id = %s",
            (amount_fen, account_id),
        )


def _free_goods(planned: Return) -> None:
    """What is back on the shelf may be prescribed and sold again."""
    found = planned.standing
    for part in planned.parts:
        if part.line.prescription and part.quantity_e4:
            sql.run(
                "UPDATE settlement_prescriptionline SET filled_e4 = filled_e4 - %s WHERE id IN"
                " (SELECT l.id FROM settlement_prescriptionline l JOIN settlement_prescription p"
                " ON p.id = l.prescription_id WHERE p.number = %s AND p.member_id = %s"
                " AND l.national_code = %s)",
                (
                    part.quantity_e4,
                    part.line.prescription,
                    found.member_id,
                    part.line.national_code,
                ),
            )
    codes = [code for part in planned.parts for code in part.codes]
    if codes:
        sql.run(
            f"DELETE FROM settlement_tracecode WHERE settlement_id = %s AND {sql.among('code')}",
            (found.settlement_id, sql.values(codes)),
        )
