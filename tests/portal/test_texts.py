"""Every text that people read exists in both languages, and what is compiled is what is written."""

import io
import re
from gettext import GNUTranslations
from pathlib import Path
from typing import BinaryIO

import pytest

from portal import texts

ROOT = Path(__file__).parents[2]
PLACES = re.compile(r"%\(\w+\)s|%s|\{\w*\}")
EACH = [(language, domain) for language in texts.LANGUAGES for domain in texts.DOMAINS]


@pytest.mark.parametrize(("language", "domain"), EACH)
def test_every_text_of_the_sources_is_translated(language: str, domain: str) -> None:
    kept = texts.stored(ROOT, language, domain)
    missing = [
        one.id
        for one in texts.extracted(ROOT, domain)
        if one.id and not (kept.get(one.id, one.context) or one.clone()).string
    ]
    assert not missing, "add the translations, then run: manage.py texts"


@pytest.mark.parametrize(("language", "domain"), EACH)
def test_a_translation_keeps_the_figures_of_its_text(language: str, domain: str) -> None:
    for one in texts.stored(ROOT, language, domain):
        if isinstance(one.id, str) and one.id:
            assert sorted(PLACES.findall(one.id)) == sorted(PLACES.findall(str(one.string)))


@pytest.mark.parametrize(("language", "domain"), EACH)
def test_the_compiled_catalogue_is_the_written_one(language: str, domain: str) -> None:
    path = texts.catalogue_path(ROOT, language, domain).with_suffix(".mo")
    written = io.BytesIO(texts.as_mo(texts.stored(ROOT, language, domain)))
    with path.open("rb") as file:
        assert _texts_in(file) == _texts_in(written), "run: manage.py texts"


def _texts_in(file: BinaryIO) -> dict[str, str]:
    # The header names the tool's version, which may change without any text changing.
    return {key: text for key, text in GNUTranslations(file)._catalog.items() if key}


def test_texts_inside_a_script_s_template_strings_are_found() -> None:
    # `${gettext("in range")}` in bill.js: a plain reader of JavaScript would miss it.
    assert texts.extracted(ROOT, "djangojs").get("in range")
