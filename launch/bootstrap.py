"""Makes the virtual environment with the locked packages, then hands over to it.

Runs on any Python 3, so that a machine with an old one gets a sentence instead of a traceback:
standard library only, no syntax newer than 3.6, annotations that need no newer Python either. It
knows interpreters, packages and their locks; what the command then does is `launch.__main__`'s.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from launch.console import Step, Trouble, say, say_trouble

OLDEST = (3, 11)
CANDIDATES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
RUN_LOCK = "requirements.txt"
DEVELOPMENT_LOCK = "requirements-dev.txt"

# Commands that need nothing but what a user installs; all others get the development lock.
RUN_COMMANDS = ("run",)
# What `make clean` takes away, besides byte code and the caches of tools.
MADE_BY_US = (".venv", "var")
CACHES = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis")


def refusal_of_version(version: "tuple[int, ...]") -> "str | None":
    """The sentence for a Python that is too old, or None for one that will do.

    `version` is (major, minor, ...), as in `sys.version_info`.
    """
    if tuple(version[:2]) >= OLDEST:
        return None
    return (
        f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed and this is Python "
        f"{version[0]}.{version[1]}: install a newer one (on Debian 12 `apt-get install python3 "
        "python3-venv`) or name it with PYTHON=/path/to/python."
    )


def _answer(command: "list[str]") -> "str | None":
    """What a command prints, or None where it is absent or fails."""
    try:
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, universal_newlines=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _probe(python: str) -> "tuple[int, int, bool] | None":
    """(major, minor, whether it can make environments with pip) of an interpreter, or None."""
    script = (
        "import sys, importlib.util as u;"
        "print(sys.version_info[0], sys.version_info[1],"
        "int(bool(u.find_spec('venv') and u.find_spec('ensurepip'))))"
    )
    printed = _answer([python, "-c", script])
    if printed is None:
        return None
    major, minor, complete = (int(word) for word in printed.split())
    return major, minor, bool(complete)


def find_python(candidates: "list[str]") -> str:
    """The first interpreter that is new enough and can make an environment.

    Raises Trouble with the sentence that helps most: a missing venv module on a Python that is new
    enough is easier to mend than a missing Python.
    """
    newest = None
    incomplete = None
    for name in candidates:
        path = shutil.which(name)
        found = _probe(path) if path else None
        if not path or not found:
            continue
        version = found[:2]
        if version >= OLDEST and found[2]:
            return path
        if version >= OLDEST and incomplete is None:
            incomplete = (
                f"{path} has no venv module, which Debian and Ubuntu ship apart: run `apt-get "
                f"install python{version[0]}.{version[1]}-venv` as root, then make again."
            )
        newest = max(newest or version, version)
    if incomplete or newest:
        raise Trouble(incomplete or refusal_of_version(newest or ()) or "")
    if len(candidates) == 1:
        raise Trouble(f"{candidates[0]} is not a Python that runs: correct PYTHON=.")
    raise Trouble(f"No Python was found: install Python {OLDEST[0]}.{OLDEST[1]} or newer.")


def make_environment() -> None:
    """Make .venv where it is missing or no longer works. Raises Trouble."""
    found = _probe(VENV_PYTHON) if os.path.exists(VENV_PYTHON) else None
    if found is not None and found[:2] >= OLDEST:
        return
    if os.path.lexists(VENV):
        say("  .venv no longer works (its Python is gone or too old): making it anew")
        shutil.rmtree(VENV)
    given = os.environ.get("PYTHON")
    python = find_python([given] if given else [sys.executable, *CANDIDATES])
    with Step(f"making a virtual environment with {python}") as step:
        run_shown([python, "-m", "venv", VENV], step, lambda: "", "venv.log")


def lock_digest(lock: str) -> str:
    """Names one content of a lock under one Python: what the stamp of an installation holds."""
    with open(os.path.join(ROOT, lock), "rb") as file:
        content = file.read()
    version = _answer([VENV_PYTHON, "-c", "import sys; print(sys.version)"]) or ""
    return hashlib.sha256(content + version.encode()).hexdigest()


def _stamp(lock: str) -> str:
    return os.path.join(VENV, "." + lock + ".installed")


def is_installed(lock: str) -> bool:
    """Whether the environment's last installation of this lock is of its present content."""
    try:
        with open(_stamp(lock)) as file:
            return file.read() == lock_digest(lock)
    except OSError:
        return False


def install(lock: str) -> None:
    """Install a lock into .venv unless its stamp says that it is there. Raises Trouble."""
    if is_installed(lock):
        return
    if _answer([VENV_PYTHON, "-m", "pip", "--version"]) is None:
        # An environment made by another tool may come without pip.
        _answer([VENV_PYTHON, "-m", "ensurepip", "--upgrade"])
    with open(os.path.join(ROOT, lock)) as file:
        total = sum(1 for line in file if "==" in line.split("#")[0])
    log = os.path.join(ROOT, "var", "log", "pip.log")

    def how_far() -> str:
        with open(log, errors="replace") as file:
            lines = file.read().splitlines()
        if any(line.startswith("Installing collected packages") for line in lines):
            return f"unpacking {total} packages"
        met = ("Collecting", "Requirement already satisfied")
        fetched = sum(1 for line in lines if line.startswith(met))
        return f"{min(fetched, total)} of {total} packages"

    command = [
        VENV_PYTHON, "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input",
        "--disable-pip-version-check", "--progress-bar", "off",
        "-r", os.path.join(ROOT, lock),
    ]  # fmt: skip
    with Step(f"installing the packages of {lock}") as step:
        run_shown(command, step, how_far, "pip.log")
    # The development lock holds every pin of the other one.
    for each in (lock, RUN_LOCK):
        with open(_stamp(each), "w") as file:
            file.write(lock_digest(each))


def run_shown(
    command: "list[str]", step: Step, how_far: "Callable[[], str]", log_name: str
) -> None:
    """Run a command with its output in var/log/`log_name`, showing how far it is meanwhile.

    Raises Trouble with the last lines of its output if it fails.
    """
    folder = os.path.join(ROOT, "var", "log")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, log_name)
    with open(path, "w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT
        )
    try:
        while process.poll() is None:
            time.sleep(0.1)
            step.progress(how_far())
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode:
        with open(path, errors="replace") as log:
            tail = [line.rstrip() for line in log if line.strip()][-12:]
        raise Trouble(
            f"{step.title} failed; the whole output is in var/log/{log_name} and ends:\n    "
            + "\n    ".join(tail)
        )


@contextlib.contextmanager
def one_at_a_time() -> "Iterator[None]":
    """Keeps a second make in the same folder from installing into the same environment."""
    os.makedirs(os.path.join(ROOT, "var"), exist_ok=True)
    with open(os.path.join(ROOT, "var", "environment.lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("  another make is preparing the environment: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clean() -> None:
    """Remove what this project made in its own folder, and say of each part what it was."""
    database = os.path.join(ROOT, "var", "db.sqlite3")
    if os.path.exists(database):
        size = os.path.getsize(database) // 1024
        say(f"  removing var/ with the embedded database ({size} kB)")
    for name in MADE_BY_US:
        path = os.path.join(ROOT, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
            say(f"  removed {name}/")
    removed = 0
    for folder, subfolders, _ in os.walk(ROOT):
        if ".git" in subfolders:
            subfolders.remove(".git")
        for name in [name for name in subfolders if name in CACHES]:
            shutil.rmtree(os.path.join(folder, name))
            subfolders.remove(name)
            removed += 1
    say(f"  removed {removed} folders of byte code and caches")


def main(arguments: "list[str]") -> int:
    """Prepare the environment for a command, then become `python -m launch <arguments>`."""
    command = arguments[0] if arguments else "run"
    try:
        if command == "clean":
            clean()
            return 0
        with one_at_a_time():
            make_environment()
            install(RUN_LOCK if command in RUN_COMMANDS else DEVELOPMENT_LOCK)
    except Trouble as trouble:
        say_trouble(str(trouble))
        return 1
    except KeyboardInterrupt:
        return 130
    os.chdir(ROOT)
    return os.execv(VENV_PYTHON, [VENV_PYTHON, "-m", "launch", *(arguments or ["run"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
