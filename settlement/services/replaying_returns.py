"""Refunds judged again: whether each returned what stood of its settlement less what stands from
then on, to those who paid it, and whether what stands, and what it restated, is priced rightly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from settlement import benefits, money
from settlement.benefits.following import (
    StandingBill,
    counted_less,
    rest_of,
    restated_after,
    same_figures,
)
from settlement.benefits.replaying import Figure, MemberYears, amounts
from settlement.benefits.returning import remaining_amount, shares_back, shares_of
from settlement.models import (
    Line,
    Refund,
    RefundLine,
    RefundShare,
    RestatedShare,
    Restatement,
    Settlement,
)
from settlement.selectors.rules import compiled_policy
from settlement.selectors.standing import Turn, bill_of

# What a replay reads of each refund.
REFUND_COLUMNS = (
    "id",
    "settlement_id",
    "merchant_id",
    "result",
    "total_fen",
    "fund_fen",
    "account_fen",
    "relative_fen",
    "cash_fen",
)
_MONEY = REFUND_COLUMNS[4:]
_SETTLEMENT = (
    "member_id",
    "member_seq",
    "merchant_id",
    "benefit_year",
    "area_code",
    "policy_id",
    "inputs",
    "result",
)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a settlement came to after a return of its own, or of an earlier one."""

    seq: int
    result: dict[str, Any] | None
    restated: bool


@dataclass(frozen=True, slots=True)
class _Restated:
    """What a refund says of a later settlement."""

    settlement_id: UUID
    result: dict[str, Any]
    shares: Mapping[str, int]


class Returns:
    """The rows that stand beside some refunds."""

    def __init__(self, refund_ids: Sequence[UUID], settlement_ids: Sequence[UUID]) -> None:
        self.shares = by_owner(RefundShare.objects.filter(refund_id__in=refund_ids), "refund_id")
        self.restated = _restated(refund_ids)
        sold = {
            *settlement_ids,
            *(each.settlement_id for many in self.restated.values() for each in many),
        }
        self.settlements = {
            row["id"]: row
            for row in Settlement.objects.filter(pk__in=sold).values("id", *_SETTLEMENT)
        }
        self._turns: dict[UUID, list[_Turn]] = {}
        for rows, restated, names in (
            (Refund.objects.all(), False, ("settlement_id", "member_seq", "result")),
            (Restatement.objects.all(), True, ("settlement_id", "refund__member_seq", "result")),
        ):
            for owner, seq, result in rows.filter(settlement_id__in=sold).values_list(*names):
                self._turns.setdefault(owner, []).append(_Turn(seq, result, restated))
        for turns in self._turns.values():
            turns.sort(key=lambda turn: turn.seq)
        self._lines, self._returned = _lines(sold)

    def before(self, settlement_id: UUID, seq: int) -> StandingBill | None:
        """The settlement as it stood before a number of its member; None when nothing did. Raises
        ValueError for inputs or results that cannot be read, PolicyError."""
        row = self.settlements[settlement_id]
        return bill_of(
            compiled_policy(row["policy_id"]),
            inputs=row["inputs"],
            result=row["result"],
            turn=self.turn_before(settlement_id, seq),
            remaining_fen=self.remaining(settlement_id, seq - 1),
        )

    def turn_before(self, settlement_id: UUID, seq: int) -> Turn:
        """What had become of the settlement before a number of its member."""
        turn = Turn(self.settlements[settlement_id]["result"], None)
        for each in self._turns.get(settlement_id, ()):
            if each.seq >= seq:
                break
            turn = Turn(each.result, each.result if each.restated else turn.gave)
        return turn

    def remaining(self, settlement_id: UUID, seq: int) -> dict[int, int]:
        """What was left of each line in fen, by number, after a number of the member. Raises
        ValueError where more came back than there was."""
        left: dict[int, int] = {}
        for number, (line_id, amount_fen, quantity_e4) in enumerate(
            self._lines.get(settlement_id, ()), start=1
        ):
            returned_e4 = returned_fen = 0
            for at, part_e4, part_fen in self._returned.get(line_id, ()):
                if at <= seq:
                    returned_e4 += part_e4
                    # What came with a quantity is worked out from the quantity.
                    returned_fen += 0 if part_e4 else part_fen
            left[number] = remaining_amount(
                amount_fen, quantity_e4, returned_e4=returned_e4, returned_fen=returned_fen
            )
        return left


def judged(
    row: Mapping[str, Any], *, member_id: int, seq: int, beside: Returns, years: MemberYears
) -> list[Figure]:
    """Every figure of a refund (`REFUND_COLUMNS`) that is not what it should be."""
    identifier, settlement = row["id"], beside.settlements[row["settlement_id"]]
    found: list[Figure] = []
    if settlement["member_id"] != member_id:
        found.append(Figure("member", str(member_id), str(settlement["member_id"])))
    if settlement["merchant_id"] != row["merchant_id"]:
        figures = (str(row["merchant_id"]), str(settlement["merchant_id"]))
        found.append(Figure("merchant", *figures))
    if seq <= settlement["member_seq"]:
        found.append(Figure("member_seq", str(seq), f"over {settlement['member_seq']}"))
    try:
        bill = beside.before(row["settlement_id"], seq)
        rest = _read(row["result"])
        restated = beside.restated.get(identifier, [])
        later = [beside.before(each.settlement_id, seq) for each in restated]
        results = [benefits.result_from_dict(each.result) for each in restated]
        remaining = beside.remaining(row["settlement_id"], seq)
    except (ValueError, benefits.PolicyError):
        # Which also says that its settlement is not readable, and what is wrong with that one.
        return [*found, Figure("result", "unreadable", "the results of a calculation")]
    if bill is None:
        return [*found, Figure("settlement", "returned", "of which something stands")]
    called_for = shares_back(shares_of(bill.result), rest)
    own_account_fen = called_for.get("account", 0)
    for each, before, result in zip(restated, later, results, strict=True):
        moved = {} if before is None else shares_back(shares_of(before.result), result)
        found += amounts(f"restated.{each.settlement_id}.", each.shares, moved)
        for payer, fen in moved.items():
            called_for[payer] = called_for.get(payer, 0) + fen
    called_for = {payer: fen for payer, fen in called_for.items() if fen}
    own = {
        "account_fen": called_for.get("account", 0),
        "relative_fen": called_for.get("relative_account", 0),
        "cash_fen": called_for.get("cash", 0),
    }
    total = sum(called_for.values())
    columns = {"total_fen": total, "fund_fen": total - sum(own.values()), **own}
    found += amounts("", {name: row[name] for name in _MONEY}, columns)
    found += amounts("share.", beside.shares.get(identifier, {}), called_for)
    found += _priced(bill, rest, remaining)
    found += _followed(
        [each for each in later if each is not None],
        results,
        moved=counted_less(bill.result, rest),
        account_fen=own_account_fen,
    )
    years.refunded(
        seq,
        benefit_year=settlement["benefit_year"],
        before=bill.result.year_to_date_delta,
        after=rest.year_to_date_delta if rest is not None else {},
    )
    for before, result in zip(later, results, strict=True):
        if before is not None:
            years.restated(
                benefit_year=result.benefit_year,
                before=before.result.year_to_date_delta,
                after=result.year_to_date_delta,
            )
    return found


def _read(result: dict[str, Any] | None) -> benefits.Result | None:
    return None if result is None else benefits.result_from_dict(result)


def _priced(
    bill: StandingBill, rest: benefits.Result | None, remaining: Mapping[int, int]
) -> list[Figure]:
    """Whether the rest is what the lines that remain come to."""
    try:
        again = rest_of(bill, remaining_fen=remaining)
    except (benefits.BenefitsError, ValueError) as refused:
        return [Figure("rest", "priced", f"refused: {refused}"[:64])]
    if same_figures(rest, again):
        return []
    return [Figure("rest", _told(rest), _told(again))]


def _followed(
    later: Sequence[StandingBill],
    results: Sequence[benefits.Result],
    *,
    moved: Mapping[str, int],
    account_fen: int,
) -> list[Figure]:
    """Whether what was restated is what it comes to without what the return took."""
    if len(later) != len(results):
        return [Figure("restated", str(len(results)), str(len(later)))]
    try:
        again = restated_after(later, moved=moved, account_fen=account_fen)
    except benefits.BenefitsError as refused:
        return [Figure("restated", "priced", f"refused: {refused.code}")]
    return [
        Figure("restated", _told(result), _told(other))
        for result, other in zip(results, again, strict=True)
        if not same_figures(result, other)
    ]


def _told(result: benefits.Result | None) -> str:
    return "nothing" if result is None else f"{result.fund_fen} {benefits.trace_hash(result)[:16]}"


def by_owner(rows: QuerySet[Any], owner: str) -> dict[Any, dict[str, int]]:
    """Fen by payer, by the column `owner` of rows of shares."""
    found: dict[Any, dict[str, int]] = {}
    for identifier, payer, fen in rows.values_list(owner, "payer", "amount_fen"):
        found.setdefault(identifier, {})[payer] = fen
    return found


def _restated(refund_ids: Sequence[UUID]) -> dict[UUID, list[_Restated]]:
    rows = Restatement.objects.filter(refund_id__in=refund_ids).order_by("settlement__member_seq")
    shares = by_owner(
        RestatedShare.objects.filter(restatement__refund_id__in=refund_ids), "restatement_id"
    )
    found: dict[UUID, list[_Restated]] = {}
    for identifier, refund_id, settlement_id, result in rows.values_list(
        "id", "refund_id", "settlement_id", "result"
    ):
        found.setdefault(refund_id, []).append(
            _Restated(settlement_id, result, shares.get(identifier, {}))
        )
    return found


def _lines(
    sold: set[UUID],
) -> tuple[dict[UUID, list[tuple[int, int, int]]], dict[int, list[tuple[int, int, int]]]]:
    """Of each settlement the lines (id, fen, quantity) in their order, and of each line what came
    back: the member's number, quantity, fen."""
    lines: dict[UUID, list[tuple[int, int, int]]] = {}
    for owner, line_id, amount_fen, quantity in (
        Line.objects.filter(settlement_id__in=sold)
        .order_by("fee_batch__number", "number")
        .values_list("settlement_id", "id", "amount_fen", "quantity")
    ):
        lines.setdefault(owner, []).append((line_id, amount_fen, money.quantity_units(quantity)))
    returned: dict[int, list[tuple[int, int, int]]] = {}
    for line_id, seq, quantity_e4, amount_fen in RefundLine.objects.filter(
        refund__settlement_id__in=sold
    ).values_list("line_id", "refund__member_seq", "quantity_e4", "amount_fen"):
        returned.setdefault(line_id, []).append((seq, quantity_e4, amount_fen))
    return lines, returned
