"""Answers about a terminal, its keys and its merchant's items."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from .shapes import AnswerShape


class AnswerKey(AnswerShape):
    """A public key that signs answers."""

    key_id: str
    algorithm: str
    public_key: Annotated[str, Meta(description="32 raw bytes in base64url without padding.")]
    not_before: datetime
    not_after: datetime


class AnswerKeys(AnswerShape):
    """The keys that sign answers, present and next."""

    keys: list[AnswerKey]


class MerchantShape(AnswerShape):
    """The institution that a terminal belongs to."""

    code: str
    name: str
    kind: Literal["pharmacy", "clinic", "hospital"]
    area_code: str


class Enrolled(AnswerShape):
    """A new terminal."""

    terminal_id: int
    key_id: Annotated[str, Meta(description="The `keyid` of every signature from now on.")]
    merchant: MerchantShape
    answer_keys: list[AnswerKey]


class Rolled(AnswerShape):
    """The id of the terminal's new key."""

    key_id: str


class Item(AnswerShape):
    """An item of the merchant's list."""

    code: str
    barcode: str
    name: str
    initials: Annotated[str, Meta(description="Initials of the name's pinyin.")]
    spec: str
    unit: str
    unit_price: Annotated[str, Meta(description="Decimal yuan.")]
    national_code: str
    mapped: Annotated[bool, Meta(description="False: no national code, so no fund pays for it.")]


class Items(AnswerShape):
    """What a search found, the likeliest first."""

    items: list[Item]


class CatalogueEntry(AnswerShape):
    """An entry of the area's catalogue on the day asked for."""

    national_code: str
    name: str
    kind: Annotated[str, Meta(description="drug, service or consumable.")]
    item_class: Annotated[str, Meta(description="A 甲, B 乙, C 丙, or none.")]
    first_pay_bp: Annotated[int, Meta(description="What the member pays first, basis points.")]
    price_limit: Annotated[str, Meta(description="Decimal yuan a unit; empty: no limit.")]
    covered: bool
    generic_name: str
    specification: str
    manufacturer: str
    barcode: str
    restricted_use: Annotated[str, Meta(description="限定支付范围 in words.")]
    marks: Annotated[
        list[str],
        Meta(
            description="Those it bears of negotiated 谈判药, centrally_purchased 集采, "
            "dual_channel 双通道, prescription_only."
        ),
    ]


class CatalogueFound(AnswerShape):
    """What a search of the catalogue found, the likeliest first."""

    items: list[CatalogueEntry]


class Saved(AnswerShape):
    """How many items were saved, and the codes among them that no fund pays for."""

    saved: int
    unmapped: list[str]
