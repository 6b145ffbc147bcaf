"""Each way of telling wrongly what is left of a line is noticed by a check of the record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from settlement.models import TraceCode
from settlement.selectors import records, standing
from settlement.selectors.standing import StandingLine
from settlement.services import returned_lines, returning
from tests.settlement import test_what_is_left as checks
from tests.settlement.test_what_is_left import clock, world
from tests.world import World

__all__ = ["clock", "world"]

Patch = pytest.MonkeyPatch


def _lines(patch: Patch, change: Callable[[StandingLine], StandingLine]) -> None:
    real = records.lines_of

    def lines_of(ids: Any, *, has_returns: bool) -> Any:
        found = real(ids, has_returns=has_returns)
        return {name: tuple(change(each) for each in lines) for name, lines in found.items()}

    patch.setattr(records, "lines_of", lines_of)


def returns_are_not_looked_at(patch: Patch) -> None:
    real = records.lines_of
    patch.setattr(records, "lines_of", lambda ids, *, has_returns: real(ids, has_returns=False))


def amounts_beside_goods_are_forgotten(patch: Patch) -> None:
    _lines(patch, lambda line: replace(line, returned_fen=0))


def quantities_are_forgotten(patch: Patch) -> None:
    _lines(patch, lambda line: replace(line, returned_e4=0))


def every_pack_ever_sold_is_told(patch: Patch) -> None:
    patch.setattr(
        standing, "_sold", lambda ids: {(name, code) for name in ids for code in checks.PACKS}
    )


def packs_of_other_settlements_are_told(patch: Patch) -> None:
    patch.setattr(
        standing,
        "_sold",
        lambda ids: {
            (name, code)
            for name in ids
            for code in TraceCode.objects.values_list("code", flat=True)
        },
    )


def split_packs_are_whole(patch: Patch) -> None:
    every_pack_ever_sold_is_told(patch)
    _lines(patch, lambda line: replace(line, trace_codes=tuple(checks.PACKS[:1])))


def lines_are_told_the_other_way_round(patch: Patch) -> None:
    real = records._left_of_lines

    def left_of_lines(row: Any) -> Any:
        found = real(row)
        return dict(zip(found, reversed(found.values()), strict=True))

    patch.setattr(records, "_left_of_lines", left_of_lines)


def packs_that_come_back_are_kept(patch: Patch) -> None:
    patch.setattr(returning, "_free_goods", lambda planned: None)


def a_part_brings_all_its_packs_back(patch: Patch) -> None:
    patch.setattr(returned_lines, "_codes", lambda line, *_, **__: line.trace_codes)


MUTANTS = [
    (returns_are_not_looked_at, checks.quantities_and_amounts_add_up),
    (amounts_beside_goods_are_forgotten, checks.quantities_and_amounts_add_up),
    (quantities_are_forgotten, checks.quantities_and_amounts_add_up),
    (every_pack_ever_sold_is_told, checks.packs_are_those_that_are_out),
    (packs_of_other_settlements_are_told, checks.packs_are_those_that_are_out),
    (split_packs_are_whole, checks.a_split_pack_is_no_pack_that_comes_back),
    (lines_are_told_the_other_way_round, checks.nothing_has_come_back),
    (packs_that_come_back_are_kept, checks.packs_are_those_that_are_out),
    (a_part_brings_all_its_packs_back, checks.packs_are_those_that_are_out),
]


@pytest.mark.parametrize(("mutate", "check"), MUTANTS, ids=lambda value: value.__name__)
def test_a_mutant_is_noticed(
    world: World, monkeypatch: Patch, mutate: Callable[[Patch], None], check: Callable[..., None]
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check(world)
