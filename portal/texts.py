"""Finds the texts of the whole system that people read, and keeps the catalogues in `locale/`.

Texts are English in the code and are translated in `locale/<language>/LC_MESSAGES/`: `django.po`
for Python and templates, `djangojs.po` for the pages' scripts. Reading and writing catalogues is
Babel's work, which is a tool of development: a running system needs the compiled files only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

LANGUAGES = ("zh_Hans", "en")
DOMAINS = ("django", "djangojs")
_APPS = ("config", "merchants", "messaging", "portal", "settlement", "voucher")
_PYTHON_WORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
}
_STILL = datetime(2026, 1, 1, tzinfo=UTC)
_SCRIPT_WORDS = {"gettext": None, "ngettext": (1, 2)}


def catalogue_path(root: Path, language: str, domain: str) -> Path:
    """Where a catalogue is kept; the compiled one lies beside it with the suffix `.mo`."""
    return root / "locale" / language / "LC_MESSAGES" / f"{domain}.po"


def extracted(root: Path, domain: str) -> Catalog:
    """Every text of that domain that the sources of the project hold, with the files it is in."""
    catalogue = Catalog(domain=domain, charset="utf-8")
    for path, message, context in _messages(root, domain):
        catalogue.add(message, context=context, locations=[(str(path.relative_to(root)), 0)])
    return catalogue


def _messages(root: Path, domain: str) -> Iterator[tuple[Path, str | tuple[str, ...], str | None]]:
    if domain == "djangojs":
        for path in sorted((root / "static" / "portal").glob("*.js")):
            for _line, message, _comments, context in extract(
                "javascript",
                io.BytesIO(path.read_bytes()),
                keywords=_SCRIPT_WORDS,
                options={"parse_template_string": True},
            ):
                yield path, message, context
        return
    for app in _APPS:
        for path in sorted((root / app).rglob("*.py")):
            if "migrations" not in path.parts:
                for _line, message, _comments, context in extract(
                    "python", io.BytesIO(path.read_bytes()), keywords=_PYTHON_WORDS
                ):
                    yield path, message, context
    for path in sorted((root / "templates").rglob("*.html")):
        # Django rewrites a template as calls of gettext amid padding; the padding's indentation
        # means nothing and would trouble a reader of Python.
        calls = "\n".join(row.strip() for row in templatize(path.read_text()).splitlines())
        for _line, message, _comments, context in extract(
            "python", io.BytesIO(calls.encode()), keywords=_PYTHON_WORDS
        ):
            yield path, message, context


def stored(root: Path, language: str, domain: str) -> Catalog:
    """The catalogue as it is kept; an empty one where there is none yet."""
    path = catalogue_path(root, language, domain)
    if not path.exists():
        return Catalog(locale=language, domain=domain, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def updated(root: Path, language: str, domain: str) -> Catalog:
    """The stored catalogue with the texts that the sources hold now: new ones are empty, except
    in English, where the text is its own translation; old ones are dropped."""
    old = stored(root, language, domain)
    new = Catalog(
        locale=language, domain=domain, charset="utf-8", header_comment="# Texts of 医保码.",
        project="ybm", version="1", msgid_bugs_address="", fuzzy=False,
    )  # fmt: skip
    for message in extracted(root, domain):
        if not message.id:
            continue
        known = old.get(message.id, message.context)
        translation = known.string if known else None
        if language == "en" and not translation:
            translation = message.id
        new.add(
            message.id,
            translation,
            locations=sorted(set(message.locations)),
            flags=message.flags,
            context=message.context,
        )
    return new


def as_po(catalogue: Catalog) -> bytes:
    """The catalogue as text, sorted and without dates or line numbers, so that diffs stay small."""
    file = io.BytesIO()
    write_po(
        file, catalogue, width=100, sort_output=True, include_lineno=False, omit_header=False,
        ignore_obsolete=True,
    )  # fmt: skip
    moving = (b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By', b'"Last-Translator')
    rows = file.getvalue().splitlines(keepends=True)
    return b"".join(row for row in rows if not row.startswith(moving))


def as_mo(catalogue: Catalog) -> bytes:
    """The catalogue compiled; its dates stand still, so that equal texts give equal files."""
    written = read_po(io.BytesIO(as_po(catalogue)), locale=catalogue.locale)
    written.creation_date = written.revision_date = _STILL
    file = io.BytesIO()
    write_mo(file, written)
    return file.getvalue()
