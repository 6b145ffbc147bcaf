"""`python -m bench [--quick]`, called by `make bench`: the standard stack measured on this machine.

Starts its own PostgreSQL, Redis, production web servers and posting worker, takes every figure and
its floor in the same round, several rounds, and prints ratios with their spread. Leaves nothing
running and no database but the templates. docs/performance.md says how to read the tables.
"""

import argparse
import contextlib
import os
import sys

from bench.seed import SETTLEMENTS, copy_of, drop, ensure_template
from bench.stack import (
    Running,
    bench_folder,
    children,
    postgres,
    production_environment,
    start_redis,
    start_web,
    start_worker,
)
from launch.console import Step, Trouble, say


def main(arguments: list[str]) -> int:
    """Run everything once. Answers the exit code: 1 for trouble, 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, and without the million settlements"
    )
    parser.add_argument("--rounds", type=int, help="repetitions; 5 unless given, 2 when quick")
    chosen = parser.parse_args(arguments)
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    try:
        _bench(quick=chosen.quick, rounds=rounds)
    except Trouble as trouble:
        say(str(trouble))
        return 1
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    return 0


def _bench(*, quick: bool, rounds: int) -> None:
    folder = bench_folder(os.environ)
    sizes = ["small"] if quick else ["large", "small"]
    with postgres(folder) as cluster, children(folder / "log") as started:
        templates = {size: ensure_template(cluster, folder, size) for size in sizes}
        databases = {
            size: copy_of(cluster, template, f"run_{size}") for size, template in templates.items()
        }
        try:
            redis = start_redis(started, folder)
            broker = f"redis://127.0.0.1:{redis.port}/0"
            environments = {
                size: production_environment(
                    folder, database_url=cluster.url(name), broker_url=broker
                )
                for size, name in databases.items()
            }
            # The first of them is the one that everything but the comparison is measured on.
            main_size = sizes[0]
            bare_environment = {
                **environments[main_size],
                "DJANGO_SETTINGS_MODULE": "bench.floor_settings",
            }
            webs: dict[str, Running] = {}
            with Step("web servers and a posting worker"):
                for size, environment in environments.items():
                    webs[size] = start_web(started, f"web-{size}", environment=environment)
                bare = start_web(
                    started, "web-bare", environment=bare_environment,
                    application="bench.floor_view:application",
                )  # fmt: skip
                worker = start_worker(started, environment=environments[main_size])
            os.environ.update(environments[main_size])
            # Only now: Django reads its settings from the environment when it is first imported.
            from bench.rounds import Bench

            bench = Bench(
                cluster=cluster,
                database=databases[main_size],
                redis=redis.pid,
                worker=worker,
                webs=webs,
                bare=bare,
                quick=quick,
            )
            with contextlib.ExitStack() as stack:
                bench.connect(stack)
                bench.run(rounds)
            bench.report(settlements=SETTLEMENTS[main_size])
        finally:
            started.stop_all()
            for name in databases.values():
                drop(cluster, name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
