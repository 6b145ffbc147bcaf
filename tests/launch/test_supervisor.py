"""The supervisor with real child processes: restarts, stops, and what it says about them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import supervisor as supervising
from launch.console import Trouble
from launch.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
# Far beyond what any step takes; reached only when the thing tested is broken.
LONG_S = 30.0
FOREVER = "import signal, sys\nprint('up', flush=True)\nsignal.pause()"
STUBBORN = (
    "import signal, time\n"
    "for number in (signal.SIGTERM, signal.SIGQUIT):\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "while True:\n    time.sleep(60)"
)


def program(folder: Path, script: str, *, name: str = "child", **options: bool) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-u", "-c", script],
        log=folder / f"{name}.log",
        **options,
    )


def log_says(folder: Path, text: str, *, name: str = "child", times: int = 1) -> Callable[[], bool]:
    path = folder / f"{name}.log"
    return lambda: path.exists() and path.read_text().count(text) >= times


def is_running(pid: int) -> bool:
    """Whether a process still does anything; a zombie waiting for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_dead_child_is_started_again_and_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, FOREVER))
        assert supervisor.watch(until=log_says(tmp_path, "up"), timeout_s=LONG_S)
        first = supervisor.pid_of("child")
        os.kill(first, signal.SIGKILL)
        assert supervisor.watch(until=log_says(tmp_path, "up", times=2), timeout_s=LONG_S)
        assert supervisor.pid_of("child") != first
    assert "child ended with signal SIGKILL: starting it again in 0.5 s" in capsys.readouterr().out


def test_a_child_that_dies_three_times_stops_everything_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "FIRST_DELAY_SECONDS", 0.01)
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, FOREVER, name="steady"))
        supervisor.start(program(tmp_path, "raise SystemExit(7)"))
        steady = supervisor.pid_of("steady")
        with pytest.raises(Trouble, match=r"child ended 3 times within 30 s .*exit code 7"):
            supervisor.watch(timeout_s=LONG_S)
    assert not is_running(steady)


def test_deaths_far_apart_do_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervising, "DEATHS_WITHIN_SECONDS", 0.0)
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, "print('again', flush=True)"))
        assert supervisor.watch(until=log_says(tmp_path, "again", times=5), timeout_s=LONG_S)


def test_leaving_the_supervisor_stops_every_child(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        for name in ("one", "two"):
            supervisor.start(program(tmp_path, FOREVER, name=name))
        pids = [supervisor.pid_of(name) for name in ("one", "two")]
        assert all(is_running(pid) for pid in pids)
    assert not any(is_running(pid) for pid in pids)


def test_a_child_deaf_to_term_and_quit_is_killed(tmp_path: Path) -> None:
    with Supervisor(patience_s=0.05) as supervisor:
        supervisor.start(program(tmp_path, STUBBORN))
        assert supervisor.watch(until=log_says(tmp_path, "up"), timeout_s=LONG_S)
        pid = supervisor.pid_of("child")
    assert not is_running(pid)


def test_what_a_dead_child_leaves_in_its_group_is_killed(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print('left', left.pid, flush=True)"
    )
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, script, keep=False))
        assert supervisor.watch(
            until=lambda: supervisor.exit_code_of("child") == 0, timeout_s=LONG_S
        )
        left = int((tmp_path / "child.log").read_text().split()[1])
        wait_for(lambda: not is_running(left))


def test_a_program_that_ends_by_itself_is_not_started_again(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, "print('once'); raise SystemExit(4)", keep=False))
        supervisor.watch(
            until=lambda: supervisor.exit_code_of("child") is not None, timeout_s=LONG_S
        )
        assert supervisor.exit_code_of("child") == 4
        assert not supervisor.watch(timeout_s=0.3)
    assert (tmp_path / "child.log").read_text() == "once\n"


def test_the_console_repeats_warnings_and_leaves_the_rest_to_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        "print('INFO nothing much')\n"
        "print('[2026-01-01] WARNING disk is filling')\n"
        """print('{"level": "ERROR", "logger": "posting", "event": "no broker"}')\n"""
        "import signal; print('up', flush=True); signal.pause()"
    )
    with Supervisor() as supervisor:
        supervisor.start(program(tmp_path, script))
        supervisor.watch(until=log_says(tmp_path, "up"), timeout_s=LONG_S)
    said = capsys.readouterr().out
    assert "[child] [2026-01-01] WARNING disk is filling" in said
    assert "[child] ERROR posting: no broker" in said
    assert "nothing much" not in said
    assert "nothing much" in (tmp_path / "child.log").read_text()


def test_a_command_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    absent = Program(name="web", command=["/nowhere/granian"], log=tmp_path / "web.log")
    with Supervisor() as supervisor, pytest.raises(Trouble, match="web could not be started"):
        supervisor.start(absent)


# A supervisor in a process of its own, for the signals that reach it from outside.
OUTER = """
import sys
from pathlib import Path
from launch.supervisor import Program, Supervisor
folder = Path(sys.argv[1])
with Supervisor() as supervisor:
    for name in ("one", "two"):
        supervisor.start(Program(
            name=name, command=[sys.executable, "-u", "-c", sys.argv[2]],
            log=folder / f"{name}.log",
        ))
    supervisor.watch(until=lambda: all(
        "up" in (folder / f"{name}.log").read_text() for name in ("one", "two")))
    print("pids", supervisor.pid_of("one"), supervisor.pid_of("two"), flush=True)
    supervisor.watch()
print("stopped", flush=True)
"""


def start_outer(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(folder), FOREVER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.fullmatch(r"pids (\d+) (\d+)\n", process.stdout.readline())
    assert found
    return process, [int(pid) for pid in found.groups()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_all_children_and_then_the_supervisor_with_0(
    tmp_path: Path, number: int
) -> None:
    process, pids = start_outer(tmp_path)
    process.send_signal(number)
    said, _ = process.communicate(timeout=LONG_S)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    process, pids = start_outer(tmp_path)
    process.kill()
    process.communicate(timeout=LONG_S)
    for pid in pids:
        wait_for(lambda pid=pid: not is_running(pid))  # type: ignore[misc]
