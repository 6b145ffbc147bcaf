"""`python -m bench.seed`: the template databases, made once under `var/bench` and kept.

`template_area` holds an area without a past; `template_large` is that area with a million
settlements, `template_small` the same with few, which says what the million costs. Templates are
thrown away when the tables or the seeder have changed since they were made.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from bench.stack import ROOT, Postgres, bench_folder, postgres, production_environment
from launch.console import Step, Trouble, say

MEMBERS = 100_000
AREA_ONLY = "area"
# Not none: a table that was analysed while it was empty is planned for as if it stayed so.
SETTLEMENTS = {"small": 5_000, "large": 1_000_000}
_DETERMINING = (
    "bench/world.py", "bench/history.py", "bench/loading.py", "bench/terminals.py",
    "*/migrations/*.py",
)  # fmt: skip


def fingerprint() -> str:
    """Of everything that decides what is in a template."""
    digest = hashlib.sha256()
    for pattern in _DETERMINING:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def connect(
    cluster: Postgres, database: str = "postgres"
) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of the bench's own, each statement its own commit."""
    return psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="bench", password=cluster.password,
        dbname=database, autocommit=True,
    )  # fmt: skip


def ensure_template(cluster: Postgres, folder: Path, size: str) -> str:
    """The name of the template of that size, made unless a fitting one is kept. Raises Trouble."""
    name = f"template_{size}"
    mark = folder / f"{name}.fingerprint"
    wanted = fingerprint()
    with connect(cluster) as server:
        known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if known and mark.exists() and mark.read_text() == wanted:
        return name
    mark.unlink(missing_ok=True)
    if size == AREA_ONLY:
        say(f"Making {name}, kept for later runs: {MEMBERS:,} members")
        with connect(cluster) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name}")
            server.execute(f"CREATE DATABASE {name}")
        _fill(cluster, folder, name, "area", MEMBERS)
    else:
        # From one area, so that the same codes and signatures are good in both.
        area = ensure_template(cluster, folder, AREA_ONLY)
        say(f"Making {name}, kept for later runs: {SETTLEMENTS[size]:,} past settlements")
        copy_of(cluster, area, name)
        _fill(cluster, folder, name, "past", SETTLEMENTS[size])
    mark.write_text(wanted)
    return name


def _fill(cluster: Postgres, folder: Path, name: str, part: str, count: int) -> None:
    begin = time.monotonic()
    environment = production_environment(
        folder, database_url=cluster.url(name), broker_url="filesystem://"
    )
    # Not a server: the checks of a production start are not for it.
    environment["DEPLOYMENT"] = "seeding"
    done = subprocess.run(
        [sys.executable, "-m", "bench.loading", part, str(count)],
        cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Trouble(f"{name} could not be filled: the reason stands above.")
    with connect(cluster, name) as server:
        row = server.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    gibibytes = int(str(row[0])) / 2**30
    say(f"{name}: {gibibytes:.1f} GiB, filled in {time.monotonic() - begin:.0f} s")


def copy_of(cluster: Postgres, template: str, name: str) -> str:
    """A fresh database from a template. Answers its name."""
    with connect(cluster) as server, Step(f"a fresh copy of {template}"):
        server.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return name


def drop(cluster: Postgres, name: str) -> None:
    """Throw a copy away."""
    with connect(cluster) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")


def main(arguments: list[str]) -> int:
    """Make what is missing of the sizes named, both by default. Answers the exit code."""
    folder = bench_folder(os.environ)
    try:
        with postgres(folder) as cluster:
            for size in arguments or list(SETTLEMENTS):
                if size not in SETTLEMENTS:
                    raise Trouble(f"There is no template {size}: small or large.")
                ensure_template(cluster, folder, size)
    except Trouble as trouble:
        say(str(trouble))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
