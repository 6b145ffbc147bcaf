"""Starts child processes, watches them, restarts what dies, and stops them all as one.

Each child leads a process group of its own and writes into its own log file; what it warns about is
repeated on the console. The supervisor knows commands, files and signals; it does not know what
the children are for. It reads the monotonic clock only, to measure waits between events.
"""

import contextlib
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from launch.console import Step, Trouble, say

# A child that dies this often within this time will not be cured by another start.
DEATHS_ALLOWED = 3
DEATHS_WITHIN_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
# Between TERM, QUIT and KILL. The worker finishes the batch it is posting within the first.
PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.2
# Lines of one child that one look repeats on the console; the log has them all.
LINES_SHOWN_AT_ONCE = 5
LOG_KEPT_BYTES = 10_000_000

_ALARMING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|\[WARN\]|^Traceback|^\w*(Error|Exception): ")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """One command to run.

    `keep` false means that it ends by itself and is not started again; `show_all` that every line
    it prints is repeated on the console as it is, not only its warnings.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    keep: bool = True
    show_all: bool = False


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    log_offset: int
    deaths: list[float] = field(default_factory=list)
    start_again_at: float | None = None
    exit_code: int | None = None


def _prepare_child(parent: int) -> Callable[[], None] | None:
    """What runs in the child before its program: it asks to be told when the supervisor dies.

    With kill -9 of the supervisor the kernel sends TERM to the children, which then end as they
    would have at its request. Only Linux offers this (prctl(2), PR_SET_PDEATHSIG).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # The supervisor died between fork and prctl.

    return ask


class Supervisor:
    """Runs programs until it is told to stop. Use as a context manager: leaving it stops them all.

    SIGINT and SIGTERM ask it to stop; they end the `watch` under way with False.
    """

    def __init__(self, *, patience_s: float = PATIENCE_SECONDS) -> None:
        self.stop_asked = False
        self._hurry = False
        self._asked_at = 0.0
        self._patience_s = patience_s
        self._children: list[_Child] = []
        self._earlier_handlers: dict[int, object] = {}
        self._wakeup_read = self._wakeup_write = -1

    def __enter__(self) -> "Supervisor":
        self._wakeup_read, self._wakeup_write = os.pipe()
        for end in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(end, False)
        # A signal writes a byte into the pipe, so that a wait ends at once.
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._earlier_handlers[number] = signal.signal(number, self._on_stop_signal)
        self._earlier_handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._earlier_handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]
            signal.set_wakeup_fd(-1)
            os.close(self._wakeup_read)
            os.close(self._wakeup_write)

    def _on_stop_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        # Within a second it is the same request twice: make passes on what its group got anyway.
        if self.stop_asked and number == signal.SIGINT and now - self._asked_at > 1.0:
            self._hurry = True
        if not self.stop_asked:
            self._asked_at = now
        self.stop_asked = True

    def start(self, program: Program) -> None:
        """Start a program and keep an eye on it from now on."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        if program.log.exists() and program.log.stat().st_size > LOG_KEPT_BYTES:
            program.log.replace(program.log.with_suffix(program.log.suffix + ".1"))
        offset = program.log.stat().st_size if program.log.exists() else 0
        self._children.append(_Child(program, self._spawn(program), offset))

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        try:
            # The log is a plain file, not a pipe: a child can still write its last lines when the
            # supervisor is gone.
            with program.log.open("ab") as log:
                return subprocess.Popen(
                    list(program.command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=program.folder,
                    env=dict(program.environment) if program.environment is not None else None,
                    process_group=0,
                    # Safe here: the supervisor has one thread.
                    preexec_fn=_prepare_child(os.getpid()),
                )
        except OSError as error:
            raise Trouble(f"{program.name} could not be started: {error}") from error

    def watch(
        self, *, until: Callable[[], bool] | None = None, timeout_s: float | None = None
    ) -> bool:
        """Keep the children running until `until` answers true.

        Answers True then, and False when asked to stop or when `timeout_s` seconds have passed.
        Raises Trouble when a child dies DEATHS_ALLOWED times within DEATHS_WITHIN_SECONDS.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.stop_asked:
            self._look_after_children()
            if until is not None and until():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            self._wait(POLL_SECONDS)
        return False

    def exit_code_of(self, name: str) -> int | None:
        """How a program that is not kept ended; None while it runs."""
        return next(child.exit_code for child in self._children if child.program.name == name)

    def pid_of(self, name: str) -> int:
        """The process id of a program's present run, which is its group's id too."""
        return next(
            child.process.pid for child in reversed(self._children) if child.program.name == name
        )

    def _wait(self, seconds: float) -> None:
        ready, _, _ = select.select([self._wakeup_read], [], [], seconds)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup_read, 4096)

    def _look_after_children(self) -> None:
        for child in self._children:
            self._repeat_warnings(child)
            if child.exit_code is not None:
                continue
            if child.start_again_at is not None:
                if time.monotonic() >= child.start_again_at:
                    child.start_again_at = None
                    child.process = self._spawn(child.program)
                continue
            code = _end_of(child.process)
            if code is None:
                continue
            self._repeat_warnings(child)
            if child.program.keep:
                self._mourn(child, code)
            else:
                child.exit_code = code

    def _mourn(self, child: _Child, code: int) -> None:
        now = time.monotonic()
        child.deaths = [at for at in child.deaths if now - at < DEATHS_WITHIN_SECONDS] + [now]
        program = child.program
        if len(child.deaths) >= DEATHS_ALLOWED:
            raise Trouble(
                f"{program.name} ended {DEATHS_ALLOWED} times within {DEATHS_WITHIN_SECONDS:.0f} s "
                f"(the last time with {_meaning(code)}), so everything was stopped; "
                f"why is at the end of {program.log}."
            )
        delay = min(FIRST_DELAY_SECONDS * 2 ** (len(child.deaths) - 1), LONGEST_DELAY_SECONDS)
        child.start_again_at = now + delay
        say(f"{program.name} ended with {_meaning(code)}: starting it again in {delay:.1f} s")

    def _repeat_warnings(self, child: _Child) -> None:
        lines = list(self._new_lines(child))
        if child.program.show_all:
            for line in lines:
                say(line)
            return
        shown = [line for line in lines if _ALARMING.search(line)]
        for line in shown[:LINES_SHOWN_AT_ONCE]:
            say(f"[{child.program.name}] {_readable(line)[:300]}")
        if len(shown) > LINES_SHOWN_AT_ONCE:
            more = len(shown) - LINES_SHOWN_AT_ONCE
            say(f"[{child.program.name}] ... {more} more such lines in {child.program.log}")

    def _new_lines(self, child: _Child) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), child.program.log.open("rb") as log:
            log.seek(child.log_offset)
            content = log.read()
            # A line still being written waits for the next look.
            content = content[: content.rfind(b"\n") + 1]
            child.log_offset += len(content)
            yield from content.decode(errors="replace").splitlines()

    def stop(self) -> None:
        """Ask all children to end (TERM), then insist (QUIT), then kill what is left.

        The programs are asked in reverse order of their start. Ends when none is left.
        """
        running = [child.process for child in reversed(self._children)]
        if not any([_end_of(process) is None for process in running]):  # noqa: C419 (bury all)
            return
        with Step("stopping all processes") as step:
            for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
                running = [process for process in running if _end_of(process) is None]
                for process in running:
                    # TERM goes to the leader, which knows in which order its own children end.
                    if number == signal.SIGTERM:
                        with contextlib.suppress(ProcessLookupError):
                            process.send_signal(number)
                    else:
                        _signal_group(process.pid, number)
                self._wait_for_ends(running, step)
        for child in self._children:
            self._repeat_warnings(child)

    def _wait_for_ends(self, processes: list[subprocess.Popen[bytes]], step: Step) -> None:
        deadline = time.monotonic() + self._patience_s
        while any([_end_of(process) is None for process in processes]):  # noqa: C419 (bury all)
            left = deadline - time.monotonic()
            if left <= 0 or self._hurry:
                self._hurry = False
                return
            step.progress()
            self._wait(min(left, POLL_SECONDS))


def _end_of(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a child that has ended, else None.

    What a dead child left behind in its group is killed with the discovery: it must not go on
    working beside a successor, and later the group's number may belong to somebody else.
    """
    if process.returncode is None and process.poll() is not None:
        _signal_group(process.pid, signal.SIGKILL)
    return process.returncode


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _readable(line: str) -> str:
    """The level and event of a structured log line; any other line as it is."""
    try:
        fields = json.loads(line)
        return f"{fields['level']} {fields['logger']}: {fields['event']}"
    except (ValueError, TypeError, KeyError):
        return line


def _meaning(code: int) -> str:
    """An exit code in words; negative ones are signals, as subprocess reports them."""
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"
