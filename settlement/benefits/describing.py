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
_LANGUAGES: Final = frozenset({"zh", "en"})
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
    kinds = {name: str(title[language]) for name, title in data["kinds"].items()}
    words = _Words(language, kinds)
    tables = [Table(_title(data, language), tuple(_head(data, words)))]
    for name, value in data.items():
        if name in _HEAD or not isinstance(value, dict | list):
            continue
        rows = tuple(_rows(name, value, sources, words))
        tables.append(Table(words.of(name), rows))
    for layer in data.get("layer", []):
        rows = tuple(_rows("layer", layer, sources, words))
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


@dataclass(frozen=True, slots=True)
class _Words:
    """What things are called in a language; a file's kinds of benefit have names of its own."""

    language: Language
    kinds: Mapping[str, str]

    def of(self, text: str) -> str:
        return self.kinds.get(text) or word(text, language=self.language)

    def pick(self, chinese: str, english: str) -> str:
        return english if self.language == "en" else chinese


def _title(data: Mapping[str, Any], language: Language) -> str:
    title = data.get("title", {})
    return str(title.get(language) or data.get("name") or data.get("version") or "")


def _head(data: Mapping[str, Any], words: _Words) -> Iterator[Row]:
    for name in ("version", "area", "authorities"):
        if name in data:
            yield Row(words.of(name), "", _value(data[name], words), "")
    for name, value in data.items():
        if name not in _HEAD and not isinstance(value, dict | list):
            yield Row(words.of(name), "", _value(value, words), "")


def _rows(rule: str, value: Any, sources: Mapping[str, str], words: _Words) -> Iterator[Row]:
    """A rule's own row, then those of the rules inside it."""
    if isinstance(value, list):
        for each in value:
            yield from _rows(rule, each, sources, words)
        return
    inner = [(name, each) for name, each in value.items() if _is_rules(name, each)]
    names = {name for name, _ in inner}
    plain = {name: each for name, each in value.items() if name not in names}
    source = str(plain.pop("source", ""))
    note = str(plain.pop("note", ""))
    asked = {name: each for name, each in plain.items() if name in _ASKED}
    said = {name: each for name, each in plain.items() if name not in _ASKED and name != "title"}
    if plain.keys() >= _LANGUAGES:
        # A kind of benefit: its names and, at most, how it is counted.
        said = {name: each for name, each in said.items() if name not in _LANGUAGES}
    if "title" in plain:
        said = {"title": plain["title"].get(words.language, ""), **said}
    if asked or said or source or note or plain.keys() >= _LANGUAGES:
        yield Row(
            rule=words.of(rule),
            holds=_all(asked, words),
            says=_all(said, words),
            source=words.of(source) if source not in sources else sources[source],
            note=note,
        )
    for name, each in inner:
        yield from _rows(name, each, sources, words)


def _is_rules(name: str, value: Any) -> bool:
    """Whether a value is rules of their own, and not a figure such as a list of tiers."""
    if name in ("tiers", "title", "counts", "bands", "by_ordinal"):
        return False
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict)


def _all(named: Mapping[str, Any], words: _Words) -> str:
    colon, semicolon = words.pick("：", ": "), words.pick("；", "; ")
    return semicolon.join(
        str(value) if name == "title" else f"{words.of(name)}{colon}{_value(value, words)}"
        for name, value in named.items()
    )


def _value(value: Any, words: _Words) -> str:
    comma = words.pick("、", ", ")
    if isinstance(value, bool):
        return words.of(str(value).lower())
    if isinstance(value, list):
        return comma.join(_value(each, words) for each in value)
    if isinstance(value, dict):
        # A tier, or accumulators: its parts in brackets.
        inside = comma.join(
            f"{words.of(name)} {_value(each, words)}" for name, each in value.items()
        )
        return words.pick(f"（{inside}）", f"({inside})")
    return words.of(str(value))
