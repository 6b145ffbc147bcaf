"""A merchant's item list, with its prices and its mapping to the national catalogue (目录对照).

Pinyin initials are worked out once, when an item is saved, because people type against them. What
an item costs the fund is the catalogue's business and not known here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from pypinyin import Style, lazy_pinyin

from merchants.models import Item
from messaging.bodies import FieldInvalid

_PRICE = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?")
_NOT_TYPED = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class ItemInput:
    """An item as the merchant sends it. `unit_price` is decimal yuan text with at most 6 places; an
    empty `national_code` means unmapped. Empty `initials` are worked out from the name."""

    code: str
    name: str
    unit_price: str
    barcode: str = ""
    spec: str = ""
    unit: str = ""
    national_code: str = ""
    initials: str = ""


@dataclass(frozen=True, slots=True)
class SavedItems:
    """How many items were saved, and the codes among them that are not mapped, in order."""

    saved: int
    unmapped: tuple[str, ...]


def initials_of(name: str) -> str:
    """What somebody types to find the name: the first letter of each character's pinyin, and the
    Latin letters and digits as they stand, in small letters. 阿莫西林胶囊 gives `amxljn`."""
    parts = lazy_pinyin(name, style=Style.FIRST_LETTER)
    return _NOT_TYPED.sub("", "".join(parts).lower())[:120]


_LENGTHS = {"code": 40, "barcode": 20, "name": 120, "spec": 80, "unit": 20, "national_code": 40}


def check_item(item: ItemInput, *, at: str) -> None:
    """Whether an item can be saved; `at` is what its fields are named under (`items[3]`).

    Raises FieldInvalid.
    """
    for name, longest in _LENGTHS.items():
        value = getattr(item, name)
        field = f"{at}.{name}"
        if len(value) > longest:
            raise FieldInvalid(param=field, field=field, problem=_("is too long"))
        if "\x00" in value:
            raise FieldInvalid(
                param=field, field=field, problem=_("the text holds a null character")
            )
    for name in ("code", "name"):
        field = f"{at}.{name}"
        if not getattr(item, name).strip():
            raise FieldInvalid(param=field, field=field, problem=_("must not be empty"))
    if not _PRICE.fullmatch(item.unit_price):
        field = f"{at}.unit_price"
        raise FieldInvalid(
            param=field,
            field=field,
            problem=_("must be yuan as decimal text with at most 6 places, like 12.50"),
        )


def save_items(*, merchant_id: int, items: Sequence[ItemInput]) -> SavedItems:
    """Add items, or replace the merchant's items of the same codes; what is not named stays.

    All or nothing. Raises FieldInvalid, also when one code comes twice.
    """
    seen: set[str] = set()
    for index, item in enumerate(items):
        check_item(item, at=f"items[{index}]")
        if item.code in seen:
            field = f"items[{index}].code"
            raise FieldInvalid(param=field, field=field, problem=_("the code is named twice"))
        seen.add(item.code)
    with transaction.atomic():
        Item.objects.bulk_create(
            _rows(merchant_id, items),
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["merchant", "code"],
            update_fields=[
                "barcode",
                "name",
                "initials",
                "spec",
                "unit",
                "unit_price",
                "national_code",
            ],
        )
    return SavedItems(
        saved=len(items), unmapped=tuple(item.code for item in items if not item.national_code)
    )


def _rows(merchant_id: int, items: Iterable[ItemInput]) -> list[Item]:
    # Rivals that save the same codes in another order would wait for each other for ever.
    ordered = sorted(items, key=lambda item: item.code)
    return [
        Item(
            merchant_id=merchant_id,
            code=item.code,
            barcode=item.barcode,
            name=item.name,
            initials=_NOT_TYPED.sub("", item.initials.lower())[:120] or initials_of(item.name),
            spec=item.spec,
            unit=item.unit,
            unit_price=item.unit_price,
            national_code=item.national_code,
        )
        for item in ordered
    ]
