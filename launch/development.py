"""`make test`, `make bench`, `make faults`, `make lint` and `make lock`: the tools, called the one
agreed way."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from launch.addresses import postgres_candidates, why_postgres_is_silent
from launch.bootstrap import run_shown
from launch.console import Step, say
from launch.serving import ROOT, settle_addresses

# pytest's own code for "no test was selected".
NOTHING_SELECTED = 5
LOCKS = ("requirements", "requirements-dev")


def test(environment: Mapping[str, str]) -> int:
    """Run the suite on the database given, and what needs row locks on PostgreSQL besides.

    On SQLite the tests marked `postgres` cannot run, so they run in a second pass wherever a
    PostgreSQL lets us in. Answers the first exit code that is not 0.
    """
    settled = {**_named_for_tests(environment), **settle_addresses(environment)}
    arguments = shlex.split(environment.get("ARGS", ""))
    code = _pytest(arguments, settled)
    if code or settled.get("DATABASE_URL", "sqlite").split(":")[0] != "sqlite":
        return code
    for url in postgres_candidates(environment):
        if why_postgres_is_silent(url) is None:
            say("\nOnce more on PostgreSQL: the tests that need real row locks")
            second = _pytest([*arguments, "-m", "postgres"], {**settled, "DATABASE_URL": url})
            return 0 if second == NOTHING_SELECTED else second
    return code


def _named_for_tests(environment: Mapping[str, str]) -> dict[str, str]:
    """The servers that were asked for, under the names the suite looks at first.

    Where one of them is silent the suite falls back to the embedded default like everything else;
    it must still say that the server asked for was not exercised, not look for another.
    """
    named = {}
    for name, schemes, given in (
        ("TEST_POSTGRES_URL", ("postgres:", "postgresql:"), "DATABASE_URL"),
        ("TEST_REDIS_URL", ("redis:", "rediss:"), "CELERY_BROKER_URL"),
        ("TEST_RABBITMQ_URL", ("amqp:", "amqps:"), "CELERY_BROKER_URL"),
    ):
        if environment.get(given, "").startswith(schemes):
            named[name] = environment[given]
    return named


def _pytest(arguments: list[str], environment: Mapping[str, str]) -> int:
    return _call([sys.executable, "-m", "pytest", *_shared_out(arguments)], environment)


def _shared_out(arguments: list[str]) -> list[str]:
    """The arguments with the suite shared out over the processors, unless they say how many
    processes it takes, or want to see or to stop what a single one does."""
    for argument in arguments:
        if argument in ("-s", "-x", "--pdb", "--collect-only") or argument.startswith("-n"):
            return arguments
    # More than this wait for the disk and for each other's browsers.
    return ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadgroup", *arguments]


def bench(environment: Mapping[str, str]) -> int:
    """Run the benchmark, which starts its own PostgreSQL, Redis, web and workers."""
    return _call(
        [sys.executable, "-m", "bench", *shlex.split(environment.get("ARGS", ""))], environment
    )


def faults(environment: Mapping[str, str]) -> int:
    """Run the fault programme, which starts its own servers and processes and breaks only those."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "clients" / "python")))
    return _call(
        [
            sys.executable, "-m", "tests.faults.programme",
            *shlex.split(environment.get("ARGS", "")),
        ],
        {**environment, "PYTHONPATH": path},
    )  # fmt: skip


def lint(environment: Mapping[str, str]) -> int:
    """Run all three checks, so that one finding does not hide another. Answers 1 if any failed."""
    checks = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    )
    failed = [
        check
        for check in checks
        if _call([sys.executable, "-m", *check], environment, title=" ".join(check))
    ]
    return 1 if failed else 0


def lock(environment: Mapping[str, str]) -> int:
    """Resolve requirements*.in anew into the locks, which then hold hashes and no address."""
    with tempfile.TemporaryDirectory(prefix="yibaoma-uv-") as folder:
        python = str(Path(folder) / "bin" / "python")
        with Step("fetching the resolver") as step:
            run_shown([sys.executable, "-m", "venv", folder], step, str, "resolver.log")
            run_shown([python, "-m", "pip", "install", "uv"], step, str, "resolver.log")
        for name in LOCKS:
            command = [
                python, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--upgrade",
                "--python-version", "3.11", "--generate-hashes", "--no-header",
                "--no-emit-index-url", f"{name}.in", "-o", f"{name}.txt",
            ]  # fmt: skip
            if code := _call(command, environment, title=f"resolving {name}.in"):
                return code
    return 0


def _call(command: list[str], environment: Mapping[str, str], *, title: str = "") -> int:
    if title:
        say(f"== {title}")
    return subprocess.run(command, cwd=ROOT, env=dict(environment), check=False).returncode
