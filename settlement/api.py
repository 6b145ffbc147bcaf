"""The signed endpoints of `/api/v1/`: one class an address, all through `settlement.operations`.

Shapes are the msgspec structs of `settlement.requests`; the API document is generated from those
very structs, so that it cannot say something else.
"""

from datetime import date, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from merchants.endpoint import SignedEndpoint
from merchants.selectors import TerminalFacts
from messaging.bodies import to_json
from messaging.inbox import Answer
from settlement import operations
from settlement.documentation import documented


class WriteEndpoint(SignedEndpoint):
    """A write by its operation's name."""

    operation: ClassVar[str]

    def answer(
        self,
        *,
        terminal: TerminalFacts,
        body: bytes,
        key: str | None,
        request_id: str,
        now: datetime,
        params: dict[str, Any],
    ) -> Answer:
        """Do it once for this key."""
        assert key is not None
        return operations.perform(
            self.operation,
            terminal=terminal,
            operator="",
            body=body,
            key=key,
            request_id=request_id,
            now=now,
            params=params,
        )

    def post(self, request: Request, **params: Any) -> Response:
        """Says that the address takes POST; `dispatch` answers it."""
        raise NotImplementedError


class ReadEndpoint(SignedEndpoint):
    """A read by its name."""

    reading: ClassVar[str]
    # What the query may name besides what the address does.
    parameters: ClassVar[tuple[OpenApiParameter, ...]] = ()

    def answer(
        self,
        *,
        terminal: TerminalFacts,
        body: bytes,
        key: str | None,
        request_id: str,
        now: datetime,
        params: dict[str, Any],
    ) -> Answer:
        """Look it up."""
        # Only what the address and the endpoint name: a query that nobody asked for is not read.
        asked = {each.name: params[each.name] for each in self.parameters if each.name in params}
        found = operations.look(
            self.reading, terminal=terminal, now=now, **{**asked, **self.kwargs}
        )
        return Answer(status=200, body=to_json(found))

    def get(self, request: Request, **params: Any) -> Response:
        """Says that the address takes GET; `dispatch` answers it."""
        raise NotImplementedError


@documented
class ScanEndpoint(WriteEndpoint):
    """Present a code for a declared use and learn who is covered and for what."""

    operation = "scan"
    route = "scans"


@documented
class ScanRecordEndpoint(ReadEndpoint):
    """An accepted scan of this merchant."""

    reading = "scan"
    route = "scans/{scan_id}"


@documented
class OpenVisitEndpoint(WriteEndpoint):
    """Open a visit (挂号)."""

    operation = "open_visit"
    route = "visits"


@documented
class VisitRecordEndpoint(ReadEndpoint):
    """A visit with its fee batches, settlements and pick-ups."""

    reading = "visit"
    route = "visits/{visit_id}"


@documented
class AddFeesEndpoint(WriteEndpoint):
    """Upload diagnoses and a fee batch to a visit (就诊)."""

    operation = "add_fees"
    route = "visits/{visit_id}/fee-batches"


@documented
class DischargeEndpoint(WriteEndpoint):
    """End a stay (出院); its last bill comes after."""

    operation = "discharge"
    route = "visits/{visit_id}/discharge"


@documented
class PrescribeEndpoint(WriteEndpoint):
    """Issue a prescription in a visit."""

    operation = "prescribe"
    route = "visits/{visit_id}/prescriptions"


@documented
class PickUpEndpoint(WriteEndpoint):
    """Hand out a settlement's drugs against a second scan (取药)."""

    operation = "pick_up"
    route = "visits/{visit_id}/pickups"


@documented
class EstimateEndpoint(WriteEndpoint):
    """Price a bill, reserving nothing (预结算)."""

    operation = "estimate"
    route = "estimates"


@documented
class QuoteEndpoint(WriteEndpoint):
    """Price a bill and hold what it uses for a short time."""

    operation = "quote"
    route = "quotes"


@documented
class ReleaseEndpoint(WriteEndpoint):
    """Give a quote's hold back."""

    operation = "release"
    route = "quotes/{quote_id}/release"


@documented
class TenderEndpoint(WriteEndpoint, ReadEndpoint):
    """Pay the cash part of a quote, in one kind of money or several."""

    operation = "tender"
    reading = "tender"
    reading_summary = "How the cash part of a quote is paid, and what is left to pay."
    route = "quotes/{quote_id}/tender"

    def answer(self, *, key: str | None, **request: Any) -> Answer:
        """Only writes carry a key."""
        kind = ReadEndpoint if key is None else WriteEndpoint
        return kind.answer(self, key=key, **request)


@documented
class SettleEndpoint(WriteEndpoint):
    """Accept a bill: confirm a quote exactly, or settle without one (结算)."""

    operation = "settle"
    route = "settlements"


@documented
class SettlementRecordEndpoint(ReadEndpoint):
    """A settlement with its state, shares, steps and refunds."""

    reading = "settlement"
    route = "settlements/{settlement_id}"


@documented
class SlipEndpoint(ReadEndpoint):
    """The one-bill slip (一单制结算单)."""

    reading = "slip"
    route = "settlements/{settlement_id}/slip"


@documented
class RefundEndpoint(WriteEndpoint):
    """Return a whole settlement: every payer gets its part back (退费)."""

    operation = "refund"
    route = "refunds"


@documented
class ReverseEndpoint(WriteEndpoint):
    """Withdraw what was sent under a key (冲正)."""

    operation = "reverse"
    route = "reversals"


@documented
class ConfirmEndpoint(WriteEndpoint):
    """Say that the result of a settlement is known."""

    operation = "confirm"
    route = "settlements/{settlement_id}/confirm"


@documented
class RefundRecordEndpoint(ReadEndpoint):
    """A refund with what each payer got back."""

    reading = "refund"
    route = "refunds/{refund_id}"


@documented
class CatalogueEndpoint(ReadEndpoint):
    """Search the catalogue of the merchant's area (医保目录)."""

    reading = "catalogue"
    route = "catalogue"
    parameters = (
        OpenApiParameter("query", str, required=True),
        OpenApiParameter("day", date, description="the service date, today when absent"),
        OpenApiParameter("limit", int, description="1 to 100, 20 when absent"),
    )


@documented
class OutcomeEndpoint(ReadEndpoint):
    """What became of a request, by its own key, asked from any terminal of the merchant."""

    reading = "outcome"
    route = "outcomes/{idempotency_key}"
