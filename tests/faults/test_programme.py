"""The runner is strict: what did not happen, what survived and what is missing fail the run."""

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.programme import catalogue, needs, runner, soak
from tests.faults.programme.declared import CATALOGUE, Fault, Stroke, planned
from tests.faults.programme.machine import sequences
from tests.faults.programme.mutants import killed_in

catalogue.load()
SOUND = {"acknowledged": 3, "posted": 3, "missing": 0, "double": 0, "delta_fen": 0, "wrong": []}


class NoStage:
    """Stands for servers and deployments: the runner knows no more of them than this."""

    full = False

    def __init__(self) -> None:
        self.discarded = 0

    def judge(self, stroke: Stroke) -> None:
        pass

    def discard(self) -> None:
        self.discarded += 1


def run(
    tmp_path: Path, *faults: Fault, full: bool = False, seed: int = 1
) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and what was printed."""
    said: list[str] = []

    @contextlib.contextmanager
    def stage() -> Iterator[NoStage]:
        made = NoStage()
        made.full = full
        yield made

    code = runner.run(
        planned(seed, full=full, faults={fault.id: fault for fault in faults}),
        seed=seed,
        full=full,
        open_stage=stage,
        report_at=tmp_path / "report.json",
        say=said.append,
    )
    return code, json.loads((tmp_path / "report.json").read_text()), "\n".join(said)


def a_fault(strike: Any, *, small: int = 2, needs: tuple[str, ...] = ()) -> Fault:
    return Fault(
        id="F99", title="made up", small=small, full=10 * small, strike=strike, needs=needs
    )


def sound(_: Any, stroke: Stroke) -> None:
    stroke.hit(stroke.number)
    stroke.recovered(1.5)
    stroke.count(SOUND)


def test_a_run_in_which_everything_fired_and_nothing_is_wrong_passes(tmp_path: Path) -> None:
    code, report, said = run(tmp_path, a_fault(sound))
    assert code == 0
    assert (report["fired"], report["acknowledged"], report["worst_recovery_s"]) == (2, 3, 1.5)
    assert "--seed 1" in said


def fires_too_seldom(_: Any, stroke: Stroke) -> None:
    stroke.hit(stroke.number - 1)


def loses_one(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.count({**SOUND, "missing": 1})


def posts_twice(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.count({**SOUND, "double": 1})


def one_fen_astray(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.count({**SOUND, "delta_fen": 1})


def recovers_late(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.recovered(15.1)


def leaves_a_mutant_alive(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.mutants = {"a planted one": False, "another": True}


def breaks_down(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    raise RuntimeError("the programme itself")


def unsound_books(_: Any, stroke: Stroke) -> None:
    sound(_, stroke)
    stroke.count({**SOUND, "wrong": ["an account is negative"]})


@pytest.mark.parametrize(
    ("strike", "because"),
    [
        (fires_too_seldom, "fired 1 of 2 times"),
        (loses_one, "1 missing"),
        (posts_twice, "1 double"),
        (one_fen_astray, "1 delta_fen"),
        (recovers_late, "recovered after 15.1 s"),
        (leaves_a_mutant_alive, "the mutant lives: a planted one"),
        (breaks_down, "the programme itself"),
        (unsound_books, "an account is negative"),
    ],
)
def test_a_run_fails_and_says_why(tmp_path: Path, strike: Any, because: str) -> None:
    code, report, said = run(tmp_path, a_fault(strike))
    assert code == 1
    assert any(because in failure for failure in report["failures"])
    assert because in said


def test_a_fault_after_one_that_failed_still_strikes(tmp_path: Path) -> None:
    second = Fault(id="F98", title="the next", small=1, full=1, strike=sound)
    code, report, _ = run(tmp_path, a_fault(breaks_down), second)
    assert code == 1
    assert [one["fired"] for one in report["faults"]] == [2, 1]


def test_what_this_machine_cannot_do_is_named_and_fails_only_the_full_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(needs.NEEDS, "a moon", lambda: "there is no moon")
    lacking = a_fault(sound, needs=("a moon",))
    code, report, said = run(tmp_path, lacking)
    assert (code, report["fired"]) == (0, 0)
    assert "F99 made up: not exercised: there is no moon" in said
    assert run(tmp_path, lacking, full=True)[0] == 1


def test_kills_races_and_cut_connections_need_nothing_of_a_machine() -> None:
    everywhere = ("F01", "F02", "F03", "F04", "F08", "F12", "F13", "F14", "C20", "F20", "F21",
                  "F23", "F24", "R01")  # fmt: skip
    assert [name for name in everywhere if CATALOGUE[name].needs] == []


def test_every_fault_of_the_reference_is_in_the_programme() -> None:
    assert {f"F{number:02}" for number in range(1, 34)} <= CATALOGUE.keys()
    assert all(0 < one.small <= one.full for one in CATALOGUE.values())


def test_the_same_seed_gives_the_same_strokes_and_another_seed_others() -> None:
    def draws(seed: int, *only: str) -> dict[str, list[Any]]:
        return {
            stroke.fault.id: [stroke.number, *soak.drawn(stroke.chance, 20)]
            for stroke in planned(seed, only=only, full=False)
        }

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    # A fault replayed alone does what it did among the others.
    assert draws(7, "F32", "F12") == {name: draws(7)[name] for name in ("F32", "F12")}


def test_the_mixture_of_a_seed_is_the_same_list_of_faults() -> None:
    assert soak.drawn(random.Random(5), 50) == soak.drawn(random.Random(5), 50)
    names = {name for name, _ in soak.drawn(random.Random(5), 500)}
    assert names == set(soak.MIXTURE)


def test_a_skipped_or_failed_hunt_killed_no_mutant(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase name="test_a_mutant_is_caught[one]"/>'
        '<testcase name="test_a_mutant_is_caught[two]"><failure/></testcase>'
        '<testcase name="test_a_mutant_is_caught[three]"><skipped/></testcase>'
        '<testcase name="test_a_check_passes_on_the_real_thing[four]"/>'
        "</testsuite></testsuites>"
    )
    assert killed_in(report) == {
        "test_a_mutant_is_caught[one]": True,
        "test_a_mutant_is_caught[two]": False,
        "test_a_mutant_is_caught[three]": False,
    }


@pytest.mark.parametrize("name", list(needs.NEEDS))
def test_a_need_is_there_or_says_why_not(name: str) -> None:
    assert needs.NEEDS[name]() is None or needs.lacking([name])


def test_sequences_of_the_machine_are_counted_where_they_ended_well(tmp_path: Path) -> None:
    log = tmp_path / "machine.log"
    log.write_text(
        "seed 7: 256 sequences\nseed 8: 256 sequences PART\nseed 9: 4 sequences\n"
        "under: last_first 2, restate 3, stand 1\nrules: quote 4\n"
    )
    assert sequences(log) == (260, ["under: last_first 2, restate 3, stand 1", "rules: quote 4"])
    log.write_text("it broke at once\n")
    assert sequences(log) == (0, [])
