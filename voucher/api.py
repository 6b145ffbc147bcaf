"""The published half of the signing keys, for whoever checks a code without asking us.

Public, read-only and the same for everybody. Private halves and handle keys have no way here: what
is published is built by `voucher/tokens.py`, which leaves them out.
"""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from voucher.selectors import published_keys

# Half an hour: shorter than any overlap of a rotation, long enough to spare us the traffic.
MAX_AGE_S = 1800


class VoucherKeys(APIView):
    """`/.well-known/voucher-keys.json`, the format of `docs/codes.md`."""

    @extend_schema(
        operation_id="voucher_keys",
        summary="Keys that codes may be signed with",
        description=(
            "Public keys for stand-alone verifiers. `public_key` is the raw key in base64url "
            "without padding; a code is judged by whether its key was in force when it was issued. "
            "A key that was killed is gone from the set at once. No credentials are needed."
        ),
        tags=["keys"],
        auth=[],
        responses=inline_serializer(
            "VoucherKeySet",
            {
                "keys": inline_serializer(
                    "VoucherKey",
                    {
                        "key_id": serializers.IntegerField(min_value=0, max_value=65535),
                        "algorithm": serializers.CharField(),
                        "public_key": serializers.CharField(),
                        "not_before": serializers.DateTimeField(),
                        "not_after": serializers.DateTimeField(),
                    },
                    many=True,
                )
            },
        ),
        examples=[
            OpenApiExample(
                "one key",
                value={
                    "keys": [
                        {
                            "key_id": 2,
                            "algorithm": "Ed25519",
                            "public_key": "a3zY4xK-rtfnQd1sD0709A6kgSr19_JCFzKHYa6t7GA",
                            "not_before": "2025-12-02T00:00:00Z",
                            "not_after": "2026-01-31T00:00:00Z",
                        }
                    ]
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """Answer the set, which may be kept for half an hour."""
        return Response(
            published_keys(now=timezone.now()),
            headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"},
        )
