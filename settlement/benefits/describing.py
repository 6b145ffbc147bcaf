"""A policy file as tables that people read: for whom, which figure, where it is stated.

It walks the file as it was written, not the compiled policy, so that nothing the file says can be
missing from the tables; what the keys and words are called is `naming`'s business. Two files are
compared row by row.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from settlement.benefits.conditions import FLAG_FACTS, LINE_FACTS, SCALAR_FACTS, SET_FACTS
from settlement.benefits.naming import word
from settlement.benefits.wording import Language

_ASKED: Final = frozenset(
    {
        *(
            name
            for each in (*SCALAR_FACTS, *SET_FACTS, *LINE_FACTS)
            for name in (each, f"not_{each}")
        ),
        *FLAG_FACTS,
        "age_from",
        "age_below",
        "insured_months_from",
        "insured_months_below",
        "from",
        "until",
    }
)
_HEAD: Final = ("format", "version", "area", "title", "sources", "layer", "authorities")


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: what kind of rule, for whom it holds, what it says, and its source in full."""

    rule: str
    holds: str
    says: str
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The rules of one layer, or of one other part of the file."""

    title: str
    rows: tuple[Row, ...]


def describe(text: str, *, language: Language) -> tuple[Table, ...]:
    """The tables of a policy file that has been loaded before: everything it says, in its order."""
    data = tomllib.loads(text)
    sources: Mapping[str, str] = data.get("sources", {})
    tables = [Table(_title(data, language), tuple(_head(data, language)))]
    for name, value in data.items():
        if name in _HEAD or not isinstance(value, dict | list):
            continue
        rows = tuple(_rows(name, value, sources, language))
        tables.append(Table(word(name, language=language), rows))
    for layer in data.get("layer", []):
        rows = tuple(_rows("layer", layer, sources, language))
        tables.append(Table(_title(layer, language), rows))
    return tuple(tables)


def changes(
    before: Sequence[Row], after: Sequence[Row]
) -> tuple[tuple[str, Row | None, Row | None], ...]:
    """Two tables side by side: ("same" | "changed", left, right) in order, None where one has no
    counterpart."""
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    pairs: list[tuple[str, Row | None, Row | None]] = []
    for tag, i, j, k, n in matcher.get_opcodes():
        left, right = before[i:j], after[k:n]
        for place in range(max(len(left), len(right))):
            pairs.append(
                (
                    "same" if tag == "equal" else "changed",
                    left[place] if place < len(left) else None,
                    right[place] if place < len(right) else None,
                )
            )
    return tuple(pairs)


def _title(data: Mapping[str, Any], language: Language) -> str:
    title = data.get("title", {})
    return str(title.get(language) or data.get("name") or data.get("version") or "")


def _head(data: Mapping[str, Any], language: Language) -> Iterator[Row]:
    for name in ("version", "area", "authorities"):
        if name in data:
            yield Row(word(name, language=language), "", _value(data[name], language), "")
    for name, value in data.items():
        if name not in _HEAD and not isinstance(value, dict | list):
            yield Row(word(name, language=language), "", _value(value, language), "")


def _rows(rule: str, value: Any, sources: Mapping[str, str], language: Language) -> Iterator[Row]:
    """A rule's own row, then those of the rules inside it."""
    if isinstance(value, list):
        for each in value:
            yield from _rows(rule, each, sources, language)
        return
    inner = [(name, each) for name, each in value.items() if _is_rules(name, each)]
    names = {name for name, _ in inner}
    plain = {name: each for name, each in value.items() if name not in names}
    source = str(plain.pop("source", ""))
    note = str(plain.pop("note", ""))
    asked = {name: each for name, each in plain.items() if name in _ASKED}
    said = {name: each for name, each in plain.items() if name not in _ASKED and name != "title"}
    if "title" in plain:
        said = {"title": plain["title"].get(language, ""), **said}
    if asked or said or source or note:
        yield Row(
            rule=word(rule, language=language),
            holds=_all(asked, language),
            says=_all(said, language),
            source=word(source, language=language) if source not in sources else sources[source],
            note=note,
        )
    for name, each in inner:
        yield from _rows(name, each, sources, language)


def _is_rules(name: str, value: Any) -> bool:
    """Whether a value is rules of their own, and not a figure such as a list of tiers."""
    if name in ("tiers", "title", "counts", "bands", "by_ordinal"):
        return False
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict)


def _all(named: Mapping[str, Any], language: Language) -> str:
    colon, semicolon = (": ", "; ") if language == "en" else ("：", "；")
    return semicolon.join(
        str(value)
        if name == "title"
        else f"{word(name, language=language)}{colon}{_value(value, language)}"
        for name, value in named.items()
    )


def _value(value: Any, language: Language) -> str:
    comma = ", " if language == "en" else "、"
    if isinstance(value, bool):
        return word(str(value).lower(), language=language)
    if isinstance(value, list):
        return comma.join(_value(each, language) for each in value)
    if isinstance(value, dict):
        # A tier, or accumulators: its parts in brackets.
        inside = comma.join(
            f"{word(name, language=language)} {_value(each, language)}"
            for name, each in value.items()
        )
        return f"({inside})" if language == "en" else f"（{inside}）"
    return word(str(value), language=language)
