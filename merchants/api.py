"""The endpoints about a terminal and its merchant: enrol, roll, items, and the answer keys.

Enrolling is the one write that nobody signs: the one-time code is what it is trusted by. Its answer
is signed, though over no request's signature. What is said of each endpoint here, the API document
completes with shapes, refusals and recorded examples.
"""

import base64
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from merchants import endpoint, selectors, services
from merchants.endpoint import BodyTooLarge, SignedEndpoint
from merchants.models import Terminal
from merchants.requests import EnrolRequest, RollRequest, SaveItemsRequest
from merchants.selectors import TerminalFacts
from merchants.services import ItemInput
from messaging import inbox
from messaging.bodies import FieldInvalid, decode, to_json
from messaging.inbox import Answer
from messaging.refusals import Refusal
from messaging.tallies import count_refusal


def _raw(public_key: str) -> bytes:
    return base64.urlsafe_b64decode(public_key.rstrip("=") + "=")


def enrolled(terminal: Terminal, *, now: datetime) -> dict[str, Any]:
    """What a new terminal learns: its names, its merchant, and the keys that sign answers to it."""
    merchant = terminal.merchant
    return {
        "terminal_id": terminal.pk,
        "key_id": terminal.key_id,
        "merchant": {
            "code": merchant.code,
            "name": merchant.name,
            "kind": merchant.kind,
            "area_code": merchant.area_code,
        },
        "answer_keys": services.published_answer_keys(now=now),
    }


class EnrolEndpoint(APIView):
    """Become a terminal by a one-time code."""

    http_method_names = ["post"]
    route = "terminals/enrol"

    @extend_schema(
        operation_id="enrol",
        summary="Become a terminal by a one-time code (一机一码).",
        description="Not signed. The same code with the same key answers the same terminal again; "
        "a code works for one key only and for one day.",
        request={"application/json": {}},
        responses={201: {}},
    )
    def post(self, request: Request) -> Response:
        """Says that the address takes POST; `dispatch` answers it."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Enrol, and sign the answer."""
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        now = timezone.now()
        request_id: str = request.request_id  # type: ignore[attr-defined]
        with translation.override(translation.get_language_from_request(request)):
            try:
                answer = self._enrol(request, now=now)
            except Refusal as refusal:
                self._count(refusal, request_id=request_id, now=now)
                answer = endpoint.refused(refusal, request_id=request_id)
            except (OperationalError, InterfaceError):
                answer = endpoint.try_again(request_id=request_id)
            return endpoint.signed_response(answer, request_signature=None, now=now)

    def _enrol(self, request: HttpRequest, *, now: datetime) -> Answer:
        try:
            body = request.body
        except RequestDataTooBig:
            raise BodyTooLarge from None
        wish = decode(EnrolRequest, body)
        terminal = services.enrol_terminal(
            one_time_code=wish.one_time_code,
            public_key=_raw(wish.public_key),
            name=wish.name.strip(),
            now=now,
        )
        return Answer(status=201, body=to_json(enrolled(terminal, now=now)))

    def _count(self, refusal: Refusal, *, request_id: str, now: datetime) -> None:
        try:
            count_refusal(
                code=refusal.code,
                actor="",
                path=self.route,
                param=refusal.param or "",
                request_id=request_id,
                now=now,
            )
        except DatabaseError:
            endpoint.log.warning("a refusal could not be counted", exc_info=True)


class RollEndpoint(SignedEndpoint):
    """Replace the terminal's key; signed by the old one, which is nobody's afterwards."""

    route = "terminals/roll"
    http_method_names = ["post"]

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
        """Roll once for this key."""

        def work() -> Answer:
            wish = decode(RollRequest, body)
            key_id = services.roll_terminal_key(
                terminal_id=terminal.terminal_id, public_key=_raw(wish.public_key), now=now
            )
            return Answer(status=200, body=to_json({"key_id": key_id}))

        return _once(
            self.route, work, terminal=terminal, body=body, key=key, request_id=request_id, now=now
        )

    @extend_schema(
        operation_id="roll",
        summary="Replace the terminal's key.",
        description="Signed by the old key, which dies with the commit. When the answer is lost, a "
        "request signed by the new key tells: its id is `t`, the terminal_id, `-` and the first 20 "
        "hexadecimal digits of the SHA-256 of its 32 raw bytes.",
        request={"application/json": {}},
        responses={200: {}},
    )
    def post(self, request: Request) -> Response:
        """Says that the address takes POST; `dispatch` answers it."""
        raise NotImplementedError


class ItemsEndpoint(SignedEndpoint):
    """The merchant's item list: search it, add to it."""

    route = "items"

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
        """Search without a key, save with one: only writes carry one."""
        if key is None:
            return _found_items(terminal, params)

        def work() -> Answer:
            wish = decode(SaveItemsRequest, body)
            saved = services.save_items(
                merchant_id=terminal.merchant_id,
                items=[
                    ItemInput(
                        code=item.code,
                        name=item.name,
                        unit_price=item.unit_price,
                        barcode=item.barcode,
                        spec=item.spec,
                        unit=item.unit,
                        national_code=item.national_code,
                        initials=item.initials,
                    )
                    for item in wish.items
                ],
            )
            answer = {"saved": saved.saved, "unmapped": saved.unmapped}
            return Answer(status=200, body=to_json(answer))

        return _once(
            self.route, work, terminal=terminal, body=body, key=key, request_id=request_id, now=now
        )

    @extend_schema(
        operation_id="look_items",
        summary="Search the merchant's item list.",
        description="By the item's own code, bar code or national code exactly, by the beginning "
        "of its pinyin initials, or by a part of its name; the likeliest first.",
        parameters=[
            OpenApiParameter("query", str, required=True),
            OpenApiParameter("limit", int, description="1 to 100, 20 when absent"),
        ],
        responses={200: {}},
    )
    def get(self, request: Request) -> Response:
        """Says that the address takes GET; `dispatch` answers it."""
        raise NotImplementedError

    @extend_schema(
        operation_id="save_items",
        summary="Add items, or replace those of the same codes.",
        description="All or nothing, at most 1,000 items a request. `unmapped` lists the codes "
        "among them that have no national code: no fund pays for those.",
        request={"application/json": {}},
        responses={200: {}},
    )
    def post(self, request: Request) -> Response:
        """Says that the address takes POST; `dispatch` answers it."""
        raise NotImplementedError


def _found_items(terminal: TerminalFacts, params: dict[str, Any]) -> Answer:
    try:
        limit = min(100, max(1, int(params.get("limit", 20))))
    except ValueError:
        raise FieldInvalid(param="limit", field="limit", problem="not a number") from None
    found = selectors.search_items(
        merchant_id=terminal.merchant_id, query=str(params.get("query", ""))[:120], limit=limit
    )
    return Answer(status=200, body=to_json({"items": [item.described() for item in found]}))


def _once(
    route: str,
    work: Any,
    *,
    terminal: TerminalFacts,
    body: bytes,
    key: str | None,
    request_id: str,
    now: datetime,
) -> Answer:
    assert key is not None
    return inbox.answer_once(
        inbox.Request(
            actor=f"terminal:{terminal.terminal_id}",
            circle=f"merchant:{terminal.merchant_id}",
            key=key,
            path=route,
            body=body,
            request_id=request_id,
        ),
        now=now,
        work=work,
        refused=lambda refusal: endpoint.refused(refusal, request_id=request_id),
    )


class AnswerKeysEndpoint(APIView):
    """The public keys that sign answers to terminals."""

    @extend_schema(
        operation_id="answer_keys",
        summary="The public keys that sign the server's answers.",
        description="A new key is listed a week before it signs. On an answer by a key that a "
        "client does not hold, read this list again over TLS.",
        responses={200: {}},
    )
    def get(self, request: Request) -> Response:
        """Everybody may read them, and keep them for a few minutes."""
        keys = services.published_answer_keys(now=timezone.now().astimezone(UTC))
        response = Response({"keys": keys})
        response["Cache-Control"] = "public, max-age=300"
        return response
