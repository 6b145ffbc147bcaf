"""Moving a tender from state to state: only along a line of `settlement/states.py`, and only from
the state in which it was read. Whoever comes second changes nothing."""

from datetime import datetime
from uuid import UUID

from settlement.models import Tender, TenderRefund
from settlement.selectors.tenders import UNCERTAIN
from settlement.states import Actor, transition


def move(
    *,
    tender_id: UUID,
    state: str,
    event: str,
    who: Actor,
    now: datetime,
    due_at: datetime | None,
    **columns: object,
) -> bool:
    """Whether the tender was still in that state. `columns` are changed with it. Raises
    IllegalTransition."""
    line = transition("tender", state, event, who=who)
    if state in UNCERTAIN and line.next not in UNCERTAIN:
        columns["known_at"] = now
    changed = Tender.objects.filter(pk=tender_id, state=state).update(
        state=line.next, changed_at=now, due_at=due_at, attempts=0, **columns
    )
    return changed == 1


def refunds_are_due(*, tender_id: UUID, now: datetime) -> None:
    """What refunds wait for can be sent: the tender is captured."""
    TenderRefund.objects.filter(tender_id=tender_id, returned_at=None).update(due_at=now)
