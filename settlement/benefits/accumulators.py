"""What the accumulators of a year are called to people: of what they count, and what of it.

A policy names them with words of its own, such as "chronic.deductible"; the title is put together
from the titles of the layers, or of the kind of benefit, that count in them. It reads no amount.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from settlement.benefits.explanation import Audience, layer_title
from settlement.benefits.policy import Layer, Policy
from settlement.benefits.wording import TEXTS, Language

_MARK = re.compile(r"\{(disease|stay|day|month)\}")


def accumulator_title(
    name: str, *, policy: Policy, language: Language, audience: Audience = "citizen"
) -> str:
    """The title of an accumulator by its name in the year to date, where marks such as
    ``{disease}`` stand filled in; the name itself for one that the policy does not have."""
    texts = TEXTS[language]
    for written, measure in policy.accumulators.items():
        # Every second piece is a mark: a code, a day or a number, which may be empty or hold dots.
        pieces = _MARK.split(written)
        found = re.fullmatch("(.*)".join(map(re.escape, pieces[::2])), name)
        counted = texts.get(f"counted.{measure}")
        if found is None or counted is None:
            continue
        title = texts["counter"].format(
            owner=_owner(written, policy, language, audience), counted=counted
        )
        for mark, value in zip(pieces[1::2], found.groups(), strict=True):
            if value:
                of = texts[f"counter.{mark}"].format(mark=value)
                title = texts["counter.of"].format(title=title, of=of)
        return title[:1].upper() + title[1:]
    return name


def _owner(written: str, policy: Policy, language: Language, audience: Audience) -> str:
    """The only layer that counts in it; of several the kind they share, else all of them."""
    layers = [layer for layer in policy.layers if written in _names(layer)]
    kind = written.partition(".")[0]
    if len(layers) != 1 and kind in policy.kinds:
        return policy.kinds[kind][language]
    titles = [layer_title(each, language=language, audience=audience) for each in layers]
    return TEXTS[language]["counter.owners"].join(dict.fromkeys(titles)) or kind


def _names(layer: Layer) -> Iterator[str | None]:
    for deductible in layer.deductibles:
        yield deductible.counts_in
        yield deductible.ceiling_in
    yield from (rate.counts_in for rate in layer.rates)
    yield from (cap.counts_in for cap in layer.caps)
    yield from (name for _, name in layer.counts)
