"""Starts and stops what is measured: a PostgreSQL and a Redis of the bench's own, web, workers.

Everything listens on free loopback ports, keeps its files under `var/bench` and is stopped by its
process id. PostgreSQL runs with the durable settings a deployment has; nothing here is relaxed to
look faster. Which requests are sent and what is counted is other modules' business.
"""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launch.addresses import free_port
from launch.console import Trouble, say

ROOT = Path(__file__).resolve().parent.parent
USER = "bench"
WEB_WORKERS = 2
BLOCKING_THREADS = 4
POSTING_PROCESSES = 2
START_WITHIN_S = 60.0
# What an operator of a two-core machine would set (docs/operations.md); durability stays as it is
# by default, and the start refuses anything else.
POSTGRES_SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_preload_libraries": "pg_stat_statements",
}


@dataclass
class Postgres:
    """A cluster of our own: its folder, its port, and the postmaster while it runs."""

    folder: Path
    port: int
    password: str
    binaries: Path
    pid: int = 0

    def url(self, database: str) -> str:
        """Address of one of its databases."""
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def environment(self) -> dict[str, str]:
        """What libpq programs take from the environment."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": self.password,
        }


def bench_folder(environment: Mapping[str, str]) -> Path:
    """Where cluster, templates and logs are kept: BENCH_DIR, else `var/bench`."""
    folder = Path(environment.get("BENCH_DIR") or ROOT / "var" / "bench")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secrets_of(folder: Path) -> dict[str, str]:
    """Generated once and kept: the templates hold what was sealed under DATA_KEY."""
    file = folder / "secrets.json"
    if not file.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATA_KEY": base64.b64encode(os.urandom(32)).decode(),
            "PASSWORD": secrets.token_hex(16),
        }
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(made, out)
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def find_postgres() -> Path:
    """The folder with initdb, pg_ctl and pgbench. Raises Trouble."""
    places = [
        Path(found).parent for found in (shutil.which("initdb"), shutil.which("pg_ctl")) if found
    ]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).exists() for name in ("initdb", "pg_ctl", "pgbench")):
            return place
    raise Trouble(
        "The benchmark needs PostgreSQL's server programs and pgbench: install them "
        "(Debian: apt-get install postgresql)."
    )


def _as_owner(command: Sequence[str]) -> list[str]:
    # PostgreSQL refuses to run as root, and then somebody else must own its files.
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A running cluster in `folder`/postgres, created when there is none yet. Raises Trouble."""
    binaries = find_postgres()
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble(f"Another benchmark runs in {folder}: wait for it.") from None
        with _cluster(folder, binaries) as cluster:
            yield cluster


@contextlib.contextmanager
def _cluster(folder: Path, binaries: Path) -> Iterator[Postgres]:
    data = folder / "postgres"
    password = secrets_of(folder)["PASSWORD"]
    cluster = Postgres(data, free_port(), password, binaries)
    pg_ctl = str(binaries / "pg_ctl")
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        password_file = folder / "password"
        password_file.write_text(password)
        if os.geteuid() == 0:
            shutil.chown(data, "postgres", "postgres")
            shutil.chown(password_file, "postgres", "postgres")
        _call(
            _as_owner(
                [
                    str(binaries / "initdb"), "-D", str(data), "-U", USER, "--locale", "C.UTF-8",
                    "--encoding", "UTF8", "--auth", "scram-sha-256",
                    "--pwfile", str(password_file),
                ]
            )
        )  # fmt: skip
        password_file.unlink()
    elif (data / "postmaster.pid").exists():
        # Left by a bench that was killed.
        subprocess.run(
            _as_owner([pg_ctl, "-D", str(data), "-m", "fast", "-w", "stop"]),
            cwd="/", capture_output=True, check=False,
        )  # fmt: skip
    options = " ".join(
        f"-c {name}={value}"
        for name, value in {
            **POSTGRES_SETTINGS,
            "port": cluster.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "''",
        }.items()
    )
    log = data / "server.log"
    _call(
        _as_owner(
            [pg_ctl, "-D", str(data), "-l", str(log), "-o", options, "-w", "-t", "120", "start"]
        )
    )
    try:
        cluster.pid = int((data / "postmaster.pid").read_text().split()[0])
        yield cluster
    finally:
        _call(_as_owner([pg_ctl, "-D", str(data), "-m", "fast", "-w", "-t", "120", "stop"]))


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{Path(command[-1]).name} failed: {(done.stderr or done.stdout).strip()}")


@dataclass
class Running:
    """A child process and where it listens."""

    name: str
    process: subprocess.Popen[bytes]
    port: int = 0

    @property
    def pid(self) -> int:
        """Its process id; it leads a group of its own."""
        return self.process.pid


@dataclass
class Children:
    """The processes of one run, stopped in the reverse order of their start."""

    log_folder: Path
    running: list[Running] = field(default_factory=list)

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], port: int = 0
    ) -> Running:
        """Start one; its output goes to a log file of its name."""
        self.log_folder.mkdir(parents=True, exist_ok=True)
        with (self.log_folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        child = Running(name, process, port)
        self.running.append(child)
        return child

    def stop(self, child: Running) -> None:
        """TERM, then KILL for its group."""
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGCONT)
            child.process.terminate()
        try:
            child.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            say(f"{child.name} did not end by itself and is killed")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.process.wait()
        self.running.remove(child)

    def stop_all(self) -> None:
        """Every one of them."""
        for child in reversed(list(self.running)):
            self.stop(child)

    def wait_for(self, child: Running, ready: Callable[[], bool]) -> None:
        """Wait until it is ready. Raises Trouble when it ends first or takes too long."""
        until = time.monotonic() + START_WITHIN_S
        while not ready():
            if child.process.poll() is not None or time.monotonic() > until:
                log = self.log_folder / f"{child.name}.log"
                tail = log.read_text(errors="replace")[-600:]
                raise Trouble(f"{child.name} did not start, see {log}:\n{tail}")
            time.sleep(0.05)


@contextlib.contextmanager
def children(log_folder: Path) -> Iterator[Children]:
    """Processes that end with this block, whatever happens in it."""
    started = Children(log_folder)
    try:
        yield started
    finally:
        started.stop_all()


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_redis(started: Children, folder: Path) -> Running:
    """A broker that keeps what it is given: append-only file, no eviction. Raises Trouble."""
    program = shutil.which("redis-server")
    if program is None:
        raise Trouble("The benchmark needs redis-server (Debian: apt-get install redis-server).")
    shutil.rmtree(folder / "redis", ignore_errors=True)
    (folder / "redis").mkdir()
    port = free_port()
    child = started.start(
        "redis",
        [
            program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder / "redis"),
            "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "",
        ],
        environment=os.environ, port=port,
    )  # fmt: skip
    started.wait_for(child, lambda: accepts(port))
    return child


def production_environment(
    folder: Path, *, database_url: str, broker_url: str, settings: str = "config.settings"
) -> dict[str, str]:
    """The environment of a production process of this bench."""
    kept = secrets_of(folder)
    # A database of this name was made just now: what its predecessor sealed is none of its history.
    seals = folder / "run" / f"seals-{database_url.rpartition('/')[2]}.log"
    seals.unlink(missing_ok=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")
    }
    return {
        **inherited,
        "DEPLOYMENT": "production",
        "DJANGO_SETTINGS_MODULE": settings,
        "SECRET_KEY": kept["SECRET_KEY"],
        "DATA_KEY": kept["DATA_KEY"],
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": broker_url,
        "ALLOWED_HOSTS": "127.0.0.1",
        "VAR_DIR": str(folder / "run"),
        "SEAL_FILE": str(seals),
        "PYTHONUNBUFFERED": "1",
    }


def start_web(
    started: Children,
    name: str,
    *,
    environment: Mapping[str, str],
    application: str = "config.wsgi:application",
    workers: int = WEB_WORKERS,
) -> Running:
    """The production web server, with the processes and threads that `launch` gives it."""
    port = free_port()
    child = started.start(
        name,
        [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws",
            "--workers", str(workers), "--blocking-threads", str(BLOCKING_THREADS),
            "--blocking-threads-idle-timeout", "600",
            "--host", "127.0.0.1", "--port", str(port), application,
        ],
        environment=environment, port=port,
    )  # fmt: skip
    started.wait_for(child, lambda: accepts(port))
    return child


def start_worker(
    started: Children, *, environment: Mapping[str, str], processes: int = POSTING_PROCESSES
) -> Running:
    """The posting worker, as `launch` starts it."""
    child = started.start(
        "worker",
        [
            sys.executable, "-m", "celery", "-A", "config", "worker", "-n", "bench@%h",
            "--loglevel", "INFO", "--concurrency", str(processes),
            "--without-gossip", "--without-mingle",
        ],
        environment=environment,
    )  # fmt: skip
    log = started.log_folder / "worker.log"
    started.wait_for(child, lambda: b"ready." in log.read_bytes())
    return child
