"""The whole system from one command, with every address it was given pointing at a closed port."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.addresses import free_port, port_is_free

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
# Far beyond what any step takes; reached only when the thing tested is broken.
LONG_S = 120.0


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    var: Path
    said_in: Path

    def said(self) -> str:
        return self.said_in.read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG_S
        while not condition():
            assert self.process.poll() is None, f"it ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"waited in vain:\n{self.said()}"
            time.sleep(0.1)

    def settlements(self) -> list[tuple[str, int]]:
        database = f"file:{self.var / 'db.sqlite3'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=20)) as connection:
            query = "SELECT state, total_fen FROM settlement_settlement ORDER BY id"
            return connection.execute(query).fetchall()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=LONG_S)


@contextlib.contextmanager
def make_run(folder: Path) -> Iterator[Running]:
    said_in = folder / "said.txt"
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "VAR_DIR": str(folder / "var"),
        "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/nowhere",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    with said_in.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "launch", "run"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, port, folder / "var", said_in)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=LONG_S)


def test_make_run_serves_buys_once_posts_it_stops_cleanly_and_keeps_its_data(
    tmp_path: Path,
) -> None:
    with make_run(tmp_path) as first:
        first.wait_for(lambda: "Ctrl-C stops everything." in first.said())
        said = first.said()
        assert "DATABASE_URL: nothing answers at 127.0.0.1:1." in said
        assert "CELERY_BROKER_URL: nothing answers at 127.0.0.1:1." in said
        with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/readyz") as answer:
            ready = json.load(answer)
        assert (ready["database"], ready["broker"]) == ("embedded", "embedded")
        first.wait_for(lambda: [state for state, _ in first.settlements()] == ["posted"])
        first.wait_for(lambda: "making a first purchase over HTTP: done" in first.said())
        bought = first.settlements()
        assert bought[0][1] > 0
        assert first.stop() == 0
        assert port_is_free(first.port, host="127.0.0.1")

    with make_run(tmp_path) as second:
        second.wait_for(lambda: "Ctrl-C stops everything." in second.said())
        assert "making a first purchase" not in second.said()
        assert second.stop() == 0
        assert second.settlements() == bought
