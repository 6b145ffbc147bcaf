"""What a terminal may ask: the one list behind the signed API and the counter pages.

Each operation has a shape, a service and the status of its success. `perform` is the envelope of
every write: terminal checked, request remembered by key, answer stored with what it wrote. Reads go
through `look`.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings

from config.http import SUCCESS
from merchants import endpoint
from merchants import selectors as merchants
from merchants import services as institutions
from merchants.selectors import TerminalFacts
from messaging import inbox
from messaging.bodies import FieldInvalid, Payload, decode, to_json
from messaging.days import business_date
from messaging.inbox import Answer
from messaging.wakeup import wake_after_commit
from settlement import tasks
from settlement.requests import (
    AddFeesRequest,
    BillRequest,
    CloseShiftRequest,
    ConfirmRequest,
    DischargeRequest,
    OpenShiftRequest,
    OpenVisitRequest,
    PickUpRequest,
    PrescribeRequest,
    RefundRequest,
    ReleaseRequest,
    ReverseRequest,
    ScanRequest,
    SettleRequest,
    TenderRequest,
    TotalsComparison,
)
from settlement.selectors import records, shifts
from settlement.selectors.catalogue import search as search_catalogue
from settlement.selectors.days import day_lock
from settlement.selectors.tenders import tender_record
from settlement.services.comparison import compare_totals
from settlement.services.desk import Desk
from settlement.services.quotes import estimate, quote, release
from settlement.services.refunds import refund
from settlement.services.reversals import confirm, reverse
from settlement.services.scans import record_scan
from settlement.services.settlements import settle
from settlement.services.shifts import close_shift, open_shift
from settlement.services.slips import issue_slip
from settlement.services.tender.taking import ask, take
from settlement.services.visits import add_fees, discharge, open_a_visit, pick_up, prescribe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """A write: what it takes, what does it, which ids its address carries, whether something must
    be posted after it, whether its answer names a person in full, what goes on after its commit and
    answers anew, because it waits for others, and whether it only concerns what was done before."""

    shape: type[Payload]
    service: Callable[..., dict[str, Any]]
    ids: tuple[str, ...] = ()
    posts: bool = False
    private: bool = False
    afterwards: Callable[..., dict[str, Any]] | None = None
    past: bool = False


OPERATIONS: dict[str, Operation] = {
    "scan": Operation(ScanRequest, record_scan),
    "open_visit": Operation(OpenVisitRequest, open_a_visit, private=True),
    "add_fees": Operation(AddFeesRequest, add_fees, ids=("visit_id",)),
    "discharge": Operation(DischargeRequest, discharge, ids=("visit_id",)),
    "prescribe": Operation(PrescribeRequest, prescribe, ids=("visit_id",)),
    "pick_up": Operation(PickUpRequest, pick_up, ids=("visit_id",)),
    "estimate": Operation(BillRequest, estimate),
    "quote": Operation(BillRequest, quote),
    "release": Operation(ReleaseRequest, release, ids=("quote_id",)),
    "tender": Operation(TenderRequest, take, ids=("quote_id",), afterwards=ask),
    "settle": Operation(SettleRequest, settle, posts=True),
    "refund": Operation(RefundRequest, refund, posts=True),
    # Whoever lost an answer at midnight of the last day still has to make sure of it.
    "reverse": Operation(ReverseRequest, reverse, posts=True, past=True),
    "confirm": Operation(ConfirmRequest, confirm, ids=("settlement_id",), past=True),
    "open_shift": Operation(OpenShiftRequest, open_shift),
    # An institution that was suspended at noon still counts its drawers in the evening.
    "close_shift": Operation(CloseShiftRequest, close_shift, ids=("shift_id",), past=True),
    "compare_totals": Operation(TotalsComparison, compare_totals, past=True),
}


# What a merchant may look up although it may do nothing new: what is its own, not a person's cover.
RECORDS = frozenset(
    {
        "settlement",
        "slip",
        "refund",
        "outcome",
        "items",
        "tender",
        "totals",
        "shift",
        "shift_here",
    }
)


def perform(
    name: str,
    *,
    terminal: TerminalFacts,
    operator: str,
    body: bytes,
    key: str,
    request_id: str,
    now: datetime,
    params: dict[str, Any] | None = None,
) -> Answer:
    """Do an operation once for this terminal and key; the same key gets the same answer again.

    `params` holds the ids of the address. Answers refusals too, in the active language; raises
    IdempotencyKeyMalformed and KeyReused, and lets passing database trouble through after
    everything was rolled back.
    """
    endpoint.check_key(key)
    operation = OPERATIONS[name]
    ids = {key_: value for key_, value in (params or {}).items() if key_ in operation.ids}
    path = f"{name}?{urlencode(sorted(ids.items()))}" if ids else name
    desk = Desk(terminal=terminal, operator=operator, now=now, request_id=request_id)

    # What was done, for what goes on after the commit.
    done: list[tuple[Payload, dict[str, Any], dict[str, UUID]]] = []

    def work() -> Answer:
        if not operation.past:
            institutions.check_merchant(terminal)
        payload = decode(operation.shape, body)
        arguments = {key_: _uuid(key_, ids.get(key_, "")) for key_ in operation.ids}
        result = operation.service(desk, payload, **arguments)
        if operation.posts:
            wake_after_commit(_wake_worker)
        done.append((payload, result, arguments))
        return Answer(status=SUCCESS[name], body=to_json(result))

    request = inbox.Request(
        actor=f"terminal:{terminal.terminal_id}",
        circle=f"merchant:{terminal.merchant_id}",
        key=key,
        path=path,
        body=body,
        request_id=request_id,
        private=operation.private,
        # What books on a day keeps it from being closed meanwhile.
        shares_lock=day_lock(desk.day) if operation.posts else None,
    )
    answer = inbox.answer_once(
        request,
        now=now,
        work=work,
        refused=lambda refusal: endpoint.refused(refusal, request_id=request_id),
    )
    if answer.replayed:
        _log_shown_again(name, answer, desk.reader)
    elif operation.afterwards is not None and done:
        payload, result, arguments = done[0]
        result = operation.afterwards(desk, payload, result, **arguments)
        answer = Answer(answer.status, to_json(result))
        inbox.amend(request, answer)
    return answer


def _log_shown_again(name: str, answer: Answer, reader: str) -> None:
    """Whoever reads a person's name and number is in the log, also when it is not the first time;
    the first time, the service that unmasks them says so."""
    operation = OPERATIONS.get(name)
    if operation is not None and operation.private and answer.status < 400:
        visit_id = records.decoded(answer.body)["visit_id"]
        log.info("identity in visit %s shown again to %s", visit_id, reader)


def _wake_worker() -> None:
    # No retry: this thread must not hang on a broker that is gone, and the sweep does not need it.
    tasks.post_outbox.apply_async(retry=False, expires=settings.POSTING_SWEEP_S * 2)


def _uuid(field: str, value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise FieldInvalid(param=field, field=field, problem="not an identifier") from None


def look(
    name: str, *, terminal: TerminalFacts, now: datetime, params: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Read something of this merchant's; `params` holds what the address and its query name.

    Names: scan, visit, visits_today, tender, settlement, refund, slip, items, catalogue, outcome,
    totals, shift, shift_here. Raises NotFound, OutcomeUnknown, SlipNotReproducible, FieldInvalid;
    and MerchantSuspended or AgreementNotInForce for what is more than the record of what was done.
    """
    merchant_id = terminal.merchant_id
    params = params or {}
    if name not in RECORDS:
        institutions.check_merchant(terminal)
    match name:
        case "items":
            return _items(merchant_id, params)
        case "catalogue":
            return _catalogue(terminal.area_code, now, params)
        case "outcome":
            path, answer = inbox.outcome(
                actor=f"terminal:{terminal.terminal_id}",
                circle=f"merchant:{merchant_id}",
                key=str(params["idempotency_key"]),
            )
            operation = path.partition("?")[0]
            _log_shown_again(operation, answer, f"terminal {terminal.terminal_id}")
            return {
                "idempotency_key": params["idempotency_key"],
                "operation": operation,
                "status": answer.status,
                "code": answer.code or None,
                "answer": records.decoded(answer.body),
            }
        case "visits_today":
            return {"visits": records.visits_today(merchant_id=merchant_id, now=now)}
        case "scan":
            return records.scan(
                scan_id=_uuid("scan_id", params["scan_id"]), terminal=terminal, now=now
            )
        case "visit":
            return records.visit(
                visit_id=_uuid("visit_id", params["visit_id"]), merchant_id=merchant_id
            )
        case "tender":
            return tender_record(
                quote_id=_uuid("quote_id", params["quote_id"]), merchant_id=merchant_id, now=now
            )
        case "settlement":
            return records.settlement(
                settlement_id=_uuid("settlement_id", params["settlement_id"]),
                merchant_id=merchant_id,
            )
        case "slip":
            # Reading it is receiving it: the first asking issues it, every later one gets the same.
            return issue_slip(
                settlement_id=_uuid("settlement_id", params["settlement_id"]),
                language=records.current_language(),
                # In the words for the member, whom the merchant hands it to.
                audience="citizen",
                issued_by=f"terminal:{terminal.terminal_id}",
                now=now,
                merchant_id=merchant_id,
            )
        case "refund":
            return records.refund(
                refund_id=_uuid("refund_id", params["refund_id"]), merchant_id=merchant_id
            )
        case "totals":
            return _totals(merchant_id, now, params)
        case "shift":
            return shifts.shift(
                shift_id=_uuid("shift_id", params["shift_id"]), merchant_id=merchant_id
            )
        case "shift_here":
            return shifts.shift_here(
                terminal_id=terminal.terminal_id, merchant_id=merchant_id, now=now
            )
    raise LookupError(name)


def _items(merchant_id: int, params: dict[str, Any]) -> dict[str, Any]:
    limit = _limit(params)
    found = merchants.search_items(
        merchant_id=merchant_id, query=str(params.get("query", ""))[:120], limit=limit
    )
    return {"items": [item.described() for item in found]}


def _limit(params: dict[str, Any]) -> int:
    try:
        return min(100, max(1, int(params.get("limit", 20))))
    except ValueError:
        raise FieldInvalid(param="limit", field="limit", problem="not a number") from None


def _catalogue(area_code: str, now: datetime, params: dict[str, Any]) -> dict[str, Any]:
    day = _day(params) or business_date(now)
    found = search_catalogue(
        area_code=area_code, text=str(params.get("query", "")), day=day, limit=_limit(params)
    )
    return {"items": [asdict(entry) for entry in found]}


def _day(params: dict[str, Any]) -> date | None:
    asked = str(params.get("day", ""))
    if not asked:
        return None
    try:
        return date.fromisoformat(asked)
    except ValueError:
        raise FieldInvalid(param="day", field="day", problem="not a day") from None


def _totals(merchant_id: int, now: datetime, params: dict[str, Any]) -> dict[str, Any]:
    shift_id = _uuid("shift", params["shift"]) if params.get("shift") else None
    day = _day(params)
    if day is None and shift_id is None:
        day = business_date(now)
    terminal = str(params.get("terminal", ""))
    # As long as the column's numbers: a database refuses others in its own way.
    if terminal and not (terminal.isascii() and terminal.isdigit() and len(terminal) < 19):
        raise FieldInvalid(param="terminal", field="terminal", problem="not a number")
    operator = params.get("operator")
    return shifts.period_totals(
        merchant_id=merchant_id,
        day=day,
        shift_id=shift_id,
        terminal_id=int(terminal) if terminal else None,
        operator=None if operator is None else str(operator)[:30],
    )
