"""Who paid for whom (家庭共济), told to these two and to nobody else: names are masked."""

from typing import Any
from uuid import UUID

from settlement.models import RelativeShare, Settlement
from settlement.selectors.standing import Turn, turns_of
from voucher.selectors import masked_name


def member_owns(settlement_id: UUID, member_id: int) -> bool:
    """Whether the settlement is the member's own."""
    return Settlement.objects.filter(pk=settlement_id, member_id=member_id).exists()


def holders_of(settlement_id: UUID) -> list[dict[str, Any]]:
    """Whose accounts paid a part of a settlement, and how many fen; for the one it was paid for."""
    return [
        {"name": masked_name(share.account.member.name), "amount_fen": share.amount_fen}
        for share in RelativeShare.objects.filter(settlement_id=settlement_id)
        .select_related("account__member")
        .order_by("id")
    ]


def paid_for_relatives(member_id: int, *, limit: int) -> list[dict[str, Any]]:
    """What the member's account paid for others, latest first: for whom, where, how many fen, and
    how many of them came back."""
    shares = list(
        RelativeShare.objects.filter(account__member_id=member_id)
        .select_related("settlement__member", "settlement__merchant")
        .order_by("-settlement__accepted_at")[:limit]
    )
    turns = turns_of([share.settlement_id for share in shares]) if shares else {}
    return [
        {
            "name": masked_name(share.settlement.member.name),
            "merchant_name": share.settlement.merchant.name,
            "accepted_at": share.settlement.accepted_at,
            "amount_fen": share.amount_fen,
            "returned_fen": share.amount_fen - _pays_now(share, turns.get(share.settlement_id)),
        }
        for share in shares
    ]


def _pays_now(share: RelativeShare, turn: Turn | None) -> int:
    """Fen that the account pays of the settlement as it stands."""
    if turn is None:
        return share.amount_fen
    draws = (turn.result or {}).get("relative_draws", ())
    return sum(draw["amount_fen"] for draw in draws if draw["holder"] == str(share.account_id))
