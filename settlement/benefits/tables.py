"""Reading a file's tables key by key, collecting every problem instead of the first.

Each reading method checks the type and the spelling of one value and records what was expected; it
always returns something usable, so that the rest of the file is still checked.  It knows TOML
values and nothing about what they mean.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from settlement.money import fen

# One of a few words, kept as the literal type the caller lists.
Word = TypeVar("Word", bound=str)

_RATE = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?%")
_MONTH_DAY = re.compile(r"([0-9]{2})-([0-9]{2})")


class FileError(ValueError):
    """A file cannot be used; ``problems`` lists everything found wrong, one text each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class PolicyError(FileError):
    """A policy file cannot be used."""


class CaseError(FileError):
    """A case file cannot be used."""


def percent_in(value: Any) -> int | None:
    """Basis points of a percentage as files write one, None for anything else."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


class Table:
    """One table of the file.  ``finish`` reports the keys nobody asked for."""

    def __init__(
        self, problems: list[str], file_name: str, path: str, data: Mapping[str, Any]
    ) -> None:
        self.problems = problems
        self.file_name = file_name
        self.path = path
        self.data = data
        self.asked: list[str] = []

    def problem(self, key: str, expected: str) -> None:
        place = ": ".join(part for part in (self.file_name, self.path, key) if part)
        self.problems.append(f"{place}: {expected}")

    def wrong(self, key: str, expected: str) -> None:
        self.problem(key, f"expected {expected}, found {_shown(self.data.get(key))}")

    def has(self, key: str) -> bool:
        return key in self.data

    def value(self, key: str, expected: str, *, required: bool) -> Any:
        self.asked.append(key)
        if key not in self.data and required:
            self.problem(key, f"missing, expected {expected}")
        return self.data.get(key)

    def text(self, key: str, expected: str = "a text", *, required: bool = True) -> str:
        found = self.value(key, expected, required=required)
        if found is None:
            return ""
        if not isinstance(found, str) or not found.strip():
            self.wrong(key, expected)
            return ""
        return found

    def choice(self, key: str, allowed: Sequence[Word], *, default: Word | None = None) -> Word:
        expected = "one of " + ", ".join(allowed)
        found = self.value(key, expected, required=default is None)
        for word in allowed:
            if word == found:
                return word
        if found is not None:
            self.wrong(key, expected)
        return default or allowed[0]

    def texts(
        self,
        key: str,
        expected: str,
        *,
        allowed: Sequence[str] | None = None,
        required: bool = False,
    ) -> tuple[str, ...]:
        if allowed is not None:
            expected = "a list of " + ", ".join(allowed)
        found = self.value(key, expected, required=required)
        if found is None:
            return ()
        good = (
            isinstance(found, list)
            and bool(found)
            and all(isinstance(each, str) and each for each in found)
            and (allowed is None or all(each in allowed for each in found))
        )
        if not good:
            self.wrong(key, expected)
            return ()
        if len(set(found)) != len(found):
            self.problem(key, "expected each entry once")
        return tuple(found)

    def whole_numbers(self, key: str, expected: str, *, low: int, high: int) -> tuple[int, ...]:
        found = self.value(key, expected, required=False)
        if found is None:
            return ()
        good = (
            isinstance(found, list)
            and bool(found)
            and all(type(each) is int and low <= each <= high for each in found)
        )
        if not good:
            self.wrong(key, expected)
            return ()
        return tuple(found)

    def whole_number(self, key: str, expected: str, *, low: int, high: int) -> int | None:
        found = self.value(key, expected, required=False)
        if found is None:
            return None
        if type(found) is not int or not low <= found <= high:
            self.wrong(key, expected)
            return None
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.value(key, "true or false", required=False)
        if found is None:
            return default
        if not isinstance(found, bool):
            self.wrong(key, "true or false")
            return default
        return found

    def amount_fen(self, key: str, *, required: bool = True) -> int | None:
        """Yuan as a number or a text with at most two decimals."""
        expected = 'yuan with at most two decimals, such as 1000 or "1000.50"'
        found = self.value(key, expected, required=required)
        if found is None:
            return None
        if not isinstance(found, bool) and isinstance(found, int | str):
            try:
                amount = fen(str(found).replace("_", ""))
            except ValueError:
                pass
            else:
                if amount >= 0:
                    return amount
        self.wrong(key, expected)
        return None

    def rate_bp(self, key: str, *, required: bool = True) -> int:
        """A percentage with at most two decimals, from 0% to 100%."""
        expected = 'a percentage from "0%" to "100%" in quotes, such as "70%" or "7.5%"'
        return self.percent_bp(key, expected, most=10_000, required=required)

    def percent_bp(self, key: str, expected: str, *, most: int, required: bool = True) -> int:
        """A percentage of zero to ``most`` basis points, with at most two decimals."""
        found = self.value(key, expected, required=required)
        if found is None:
            return 0
        rate = percent_in(found)
        if rate is not None and rate <= most:
            return rate
        self.wrong(key, expected)
        return 0

    def day(self, key: str, *, required: bool = False) -> date | None:
        expected = "a day such as 2022-06-15, without quotes"
        found = self.value(key, expected, required=required)
        if found is None:
            return None
        if not isinstance(found, date) or isinstance(found, datetime):
            self.wrong(key, expected)
            return None
        return found

    def month_day(self, key: str) -> tuple[int, int]:
        expected = 'month and day in quotes, such as "01-01"'
        found = self.value(key, expected, required=True)
        match = _MONTH_DAY.fullmatch(found) if isinstance(found, str) else None
        if match is not None:
            month, day = int(match[1]), int(match[2])
            # 29 February begins no year: it does not exist in most of them.
            try:
                date(2023, month, day)
            except ValueError:
                pass
            else:
                return month, day
        if found is not None:
            self.wrong(key, expected)
        return 1, 1

    def table(self, key: str, *, required: bool = True) -> Table | None:
        found = self.value(key, f"a table [{key}]", required=required)
        if found is None:
            return None
        if not isinstance(found, dict):
            self.wrong(key, "a table")
            return None
        return self.inner(key, found)

    def tables(self, key: str, *, required: bool = False) -> list[Table]:
        """A list of tables; a single table counts as a list of one."""
        found = self.value(key, f"at least one table [[{key}]]", required=required)
        if found is None:
            return []
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.wrong(key, f"one or more tables [[{key}]]")
            return []
        return [
            self.inner(_numbered(key, position, each), each)
            for position, each in enumerate(found, start=1)
        ]

    def inner(self, label: str, data: Mapping[str, Any]) -> Table:
        path = f"{self.path}: {label}" if self.path else label
        return Table(self.problems, self.file_name, path, data)

    def finish(self) -> None:
        for key in self.data:
            if key not in self.asked:
                near = difflib.get_close_matches(key, self.asked, n=1)
                hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(self.asked)
                self.problem(key, f"unknown key, {hint}")


def _numbered(key: str, position: int, data: Mapping[str, Any]) -> str:
    name = data.get("name")
    return f"{key} {position} ({name})" if isinstance(name, str) else f"{key} {position}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "a table"
    return repr(value)[:60]
