"""The page of refusals, where each problem's `type` points.

The one source is `docs/refusals.md`, read once: its tables are the page, and the meanings in the
API document. Nothing else of Markdown is understood than what that file's tables use.
"""

import re
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from messaging.refusals import vocabulary

_ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| (.+) \| (.+) \|$")


@dataclass(frozen=True, slots=True)
class Row:
    """One code: its HTTP status, what it means, what the till should do next (Markdown texts)."""

    code: str
    status: int
    meaning: str
    action: str


@cache
def refusal_sections() -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """The document's headings with their rows, in its order."""
    text = (settings.BASE_DIR / "docs" / "refusals.md").read_text(encoding="utf-8")
    sections: list[tuple[str, list[Row]]] = []
    for line in text.splitlines():
        if line.startswith("## "):
            sections.append((line[3:], []))
        elif found := _ROW.match(line):
            code, status, meaning, action = found.groups()
            sections[-1][1].append(Row(code, int(status), meaning, action))
    return tuple((title, tuple(rows)) for title, rows in sections)


def refusal_rows() -> dict[str, Row]:
    """Every documented code."""
    return {row.code: row for _, rows in refusal_sections() for row in rows}


def _inline(text: str) -> SafeString:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    # The text is our own file's, and was escaped before the two marks were put in.
    return mark_safe(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked))  # noqa: S308


def refusals(request: HttpRequest) -> HttpResponse:
    """Every refusal, each with the sentence that people read, in the reader's language."""
    kinds = vocabulary()
    sections = [
        (
            title,
            [
                {
                    "code": row.code,
                    "status": row.status,
                    "meaning": _inline(row.meaning),
                    "action": _inline(row.action),
                    # Figures stand as they are named: the page has no bill to take them from.
                    "sentence": re.sub(r"%\((\w+)\)s", r"‹\1›", str(kinds[row.code].text))
                    if row.code in kinds
                    else "",
                }
                for row in rows
            ],
        )
        for title, rows in refusal_sections()
    ]
    return render(request, "documents/refusals.html", {"sections": sections})
