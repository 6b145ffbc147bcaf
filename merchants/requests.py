"""The shapes of what a terminal may send about itself and its merchant's items."""

from typing import Annotated

from msgspec import Meta

from messaging.bodies import Payload

# 32 bytes in base64url are 43 characters; padding is tolerated.
PublicKeyText = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}=?$")]


class EnrolRequest(Payload, frozen=True):
    """Become a terminal by a one-time code. An empty name keeps the one the code was issued for."""

    one_time_code: Annotated[str, Meta(min_length=1, max_length=40)]
    public_key: PublicKeyText
    name: Annotated[str, Meta(max_length=60)] = ""


class RollRequest(Payload, frozen=True):
    """Replace the terminal's key by this one."""

    public_key: PublicKeyText


class ItemRequest(Payload, frozen=True):
    """One item of the merchant's list. An empty national code means unmapped; empty initials are
    worked out from the name."""

    code: Annotated[str, Meta(min_length=1, max_length=40)]
    name: Annotated[str, Meta(min_length=1, max_length=120)]
    unit_price: Annotated[str, Meta(max_length=20)]
    barcode: Annotated[str, Meta(max_length=20)] = ""
    spec: Annotated[str, Meta(max_length=80)] = ""
    unit: Annotated[str, Meta(max_length=20)] = ""
    national_code: Annotated[str, Meta(max_length=40)] = ""
    initials: Annotated[str, Meta(max_length=120)] = ""


class SaveItemsRequest(Payload, frozen=True):
    """Add items, or replace those of the same codes."""

    items: Annotated[list[ItemRequest], Meta(min_length=1, max_length=1000)]
