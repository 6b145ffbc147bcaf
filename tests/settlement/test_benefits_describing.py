"""A policy shown to people: nothing it says is missing, and a curve is the calculator's own."""

import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.benefits.curves import STRAIGHT_FEN, curve
from settlement.benefits.describing import Row, changes, describe
from settlement.benefits.naming import word
from settlement.benefits.pieces import Look
from tests.settlement.benefits_worlds import EXAMPLES, policy_texts

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "policies").glob("*.toml"))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, name)
    else:
        yield name, value


def everything_said(text: str, language: Any) -> str:
    return "\n".join(
        "\n".join(
            [table.title, *(f"{r.rule} {r.holds} {r.says} {r.source} {r.note}" for r in table.rows)]
        )
        for table in describe(text, language=language)
    )


def assert_complete(text: str) -> None:
    data = tomllib.loads(text)
    kinds = data["kinds"]
    used = {value for name, value in leaves(data) if name == "source"}
    for language, other in (("zh", "en"), ("en", "zh")):
        said = everything_said(text, language)
        for name, value in leaves(data):
            # A file's form, and the name of a layer that has a title, are for the machine.
            if name in ("format", other, "name") or name == "source":
                continue
            if name in data.get("sources", {}) and name not in used:
                continue
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            expected = kinds[shown][language] if shown in kinds else word(shown, language=language)
            assert expected in said, (name, value)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_figure_of_a_policy_of_the_product_is_in_its_tables(path: Path) -> None:
    assert_complete(path.read_text(encoding="utf-8"))


@given(text=policy_texts())
@settings(
    max_examples=max(50, EXAMPLES // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_figure_of_any_policy_is_in_its_tables(text: str) -> None:
    assert_complete(text)


def test_a_rule_says_for_whom_it_holds_and_where_it_is_stated() -> None:
    tables = describe((ROOT / "policies/370300-2022.toml").read_text(), language="zh")
    (chronic,) = [table for table in tables if table.title == "职工门诊慢特病统筹"]
    retired = [row for row in chronic.rows if "退休" in row.holds]
    assert [(row.rule, row.says) for row in retired] == [("比例", "比例：80%")]
    assert "ZB-02" in retired[0].source


def test_two_versions_side_by_side_mark_what_differs_and_nothing_else() -> None:
    text = (ROOT / "policies/370300-2022.toml").read_text()
    other = text.replace('rate = "80%"', 'rate = "82%"', 1)
    before = [row for table in describe(text, language="en") for row in table.rows]
    after = [row for table in describe(other, language="en") for row in table.rows]
    pairs = changes(before, after)
    changed = [(left, right) for mark, left, right in pairs if mark == "changed"]
    ((left, right),) = changed
    assert left is not None
    assert right is not None
    assert (left.says, right.says) == ("rate: 80%", "rate: 82%")
    assert changes(before, before) == tuple(("same", row, row) for row in before)


def test_a_row_that_only_one_version_has_stands_alone() -> None:
    first, second = Row("a", "", "1", ""), Row("b", "", "2", "")
    assert changes([first], [first, second]) == (("same", first, first), ("changed", None, second))


# --- Curves -----------------------------------------------------------------------------------

# At most one corner in any step that the curve is looked at by.
CORNERS = st.lists(
    st.tuples(st.integers(1, 24), st.integers(0, 5_000), st.integers(0, 10_000)),
    max_size=4,
    unique_by=lambda corner: corner[0],
).map(lambda found: sorted((slot * 40_000 + shift, rate) for slot, shift, rate in found))


@given(corners=CORNERS, looks=st.lists(st.integers(0, 1_000_000), max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_curve_is_straight_between_its_points_wherever_one_looks(
    corners: list[tuple[int, int]], looks: list[int]
) -> None:
    def personal(total_fen: int) -> int:
        """A rate from each corner on, as tiers have it."""
        paid, start, rate = 0, 0, 10_000
        for at, next_rate in corners:
            if total_fen <= at:
                break
            paid += (at - start) * rate
            start, rate = at, next_rate
        return (paid + (total_fen - start) * rate) // 10_000

    def look(total_fen: int) -> Look:
        passed = sum(total_fen > at for at, _rate in corners)
        return Look(passed, (personal(total_fen),))

    points = curve(look, up_to_fen=1_000_000)
    assert (points[0].total_fen, points[-1].total_fen) == (0, 1_000_000)
    for point in points:
        assert point.personal_fen == personal(point.total_fen)
    for low, high in pairwise(points):
        for total_fen in looks:
            if low.total_fen <= total_fen <= high.total_fen:
                run = high.total_fen - low.total_fen
                rise = high.personal_fen - low.personal_fen
                straight = low.personal_fen + rise * (total_fen - low.total_fen) / run
                assert abs(straight - personal(total_fen)) <= STRAIGHT_FEN + 1


def deductible_and_cap(total_fen: int) -> int:
    return total_fen - min(max(0, total_fen - 100_000) * 80 // 100, 200_000)


def test_a_deductible_shows_where_it_ends_and_a_cap_where_it_begins() -> None:
    def look(total_fen: int) -> Look:
        return Look((total_fen > 100_000, total_fen > 350_000), (deductible_and_cap(total_fen),))

    points = curve(look, up_to_fen=1_000_000)
    assert [point.total_fen for point in points] == [0, 100_000, 350_000, 1_000_000]


def test_a_bend_that_the_way_leaves_out_is_seen_all_the_same() -> None:
    points = curve(lambda fen: Look((), (deductible_and_cap(fen),)), up_to_fen=1_000_000)
    inner = [point.total_fen for point in points[1:-1]]
    for bend in (100_000, 350_000):
        assert any(abs(total - bend) <= 20 for total in inner)
    assert len(points) <= 8
