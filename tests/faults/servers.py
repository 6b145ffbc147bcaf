"""Servers of a test's own on free ports: PostgreSQL, Redis, RabbitMQ, started and broken at will.

Each is a child of this process, keeps its files in the folder it is given, and is ended by its
process id; the kernel ends it too when this process is killed. Nothing that was running before is
ever touched.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg

from bench.stack import find_postgres
from launch.addresses import free_port, why_broker_is_silent, why_postgres_is_silent

START_WITHIN_S = 60.0
_PR_SET_PDEATHSIG = 1
RABBITMQ = Path("/usr/lib/rabbitmq/bin")


def wait_until(ready: Callable[[], bool], *, what: str, within_s: float = START_WITHIN_S) -> None:
    """Look every few milliseconds. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < deadline, f"{what} is not there after {within_s:.0f} s"
        time.sleep(0.05)


def _dies_with_us(number: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    folder: Path = Path("/"),
    last_wish: int = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """A child that leads its own group, so that Ctrl-C reaches us alone, and outlives us never."""
    with log.open("ab") as out:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment) if environment is not None else None,
            process_group=0,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            preexec_fn=_dies_with_us(last_wish),
        )


def end(process: subprocess.Popen[bytes] | None, *signals: int, patience_s: float = 10.0) -> None:
    """Ask, insist, kill: the process and what is left of its group."""
    if process is None:
        return
    for number in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class PrivatePostgres:
    """A cluster of its own with the durable settings of a deployment, and its archive of WAL."""

    USER = "faults"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.archive = folder / "archive"
        self.log = folder / "postgres.log"
        self.port = free_port()
        self.binaries = find_postgres()
        self.process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root, and then somebody else must own its files.
        self.owner = "postgres" if os.geteuid() == 0 else None

    def url(self, database: str = "postgres") -> str:
        """Address of one of its databases."""
        return f"postgres://{self.USER}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        """initdb. Anyone on this machine may log in: it listens on the loopback, for minutes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for made in (self.data, self.archive):
            made.mkdir()
        self.log.touch()
        self.own(self.folder, self.data, self.archive, self.log)
        done = subprocess.run(
            [
                str(self.binaries / "initdb"), "-D", str(self.data), "-U", self.USER, "--no-sync",
                "--locale", "C.UTF-8", "--encoding", "UTF8", "--auth", "trust",
            ],
            cwd="/", user=self.owner, group=self.owner, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]

    def own(self, *paths: Path) -> None:
        """Give these to whoever runs the server."""
        if self.owner:
            for path in paths:
                shutil.chown(path, self.owner, self.owner)

    def start(self, **more: str) -> None:
        """Start and wait until it lets us in; `more` are settings."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            # A filesystem socket is reached from other network namespaces too.
            "unix_socket_directories": str(self.folder),
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            # After a crash one call for the whole file system, instead of one for each file.
            "recovery_init_sync_method": "syncfs",
            "max_connections": "200",
            "wal_level": "replica",
            "archive_mode": "on",
            "archive_command": f"cp %p {self.archive}/%f",
            "log_line_prefix": "%m [%p] ",
            **more,
        }
        self.process = spawn(
            [
                str(self.binaries / "postgres"), "-D", str(self.data),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            log=self.log, user=self.owner, last_wish=signal.SIGINT,
        )  # fmt: skip
        wait_until(self.answers, what="PostgreSQL")

    def answers(self) -> bool:
        """Whether it lets us in."""
        return why_postgres_is_silent(self.url()) is None

    def crash(self) -> None:
        """What `pg_ctl -m immediate stop` does: no checkpoint, no goodbye."""
        end(self.process, signal.SIGQUIT)

    def stop(self) -> None:
        """Fast: sessions are ended, everything is written."""
        end(self.process, signal.SIGINT, signal.SIGQUIT)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement as superuser, in a session of its own."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as session:
            cursor = session.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


class PrivateRedis:
    """A Redis of a test alone, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start empty and wait until it answers."""
        self.process = spawn(
            [
                "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                "--save", "", "--appendonly", "no", "--dir", str(self.folder),
                "--maxmemory-policy", "noeviction",
            ],
            log=self.folder / "redis.log",
        )  # fmt: skip
        wait_until(lambda: why_broker_is_silent(self.url) is None, what="Redis", within_s=20)

    def kill(self) -> None:
        """kill -9: whatever it held is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert why_broker_is_silent(self.url) is not None

    def stop(self) -> None:
        """End it whatever state it is in."""
        end(self.process)


class PrivateRabbitMQ:
    """A RabbitMQ node with a name, a port mapper, a cookie and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.process: subprocess.Popen[bytes] | None = None
        self.mapper: subprocess.Popen[bytes] | None = None
        self._mapper_port = free_port()
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"faults{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface"
            " {127,0,0,1}",
        }

    def start(self) -> None:
        """Begin to start; `wait` waits."""
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq-env.conf").write_text("")
        (self.folder / "rabbitmq.conf").write_text("loopback_users = none\n")
        log = self.folder / "rabbitmq.log"
        self.mapper = spawn(
            ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"], log=log
        )
        self.process = spawn(
            [str(RABBITMQ / "rabbitmq-server")], log=log, environment=self.environment
        )

    def wait(self) -> None:
        """Until it completes a handshake."""
        wait_until(lambda: why_broker_is_silent(self.url) is None, what="RabbitMQ")

    def control(self, *arguments: str) -> str:
        """What rabbitmqctl says. Raises AssertionError when it fails."""
        done = subprocess.run(
            [str(RABBITMQ / "rabbitmqctl"), *arguments],
            cwd="/", env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    def stop(self) -> None:
        """The node, then its port mapper."""
        end(self.process, signal.SIGTERM, patience_s=15)
        end(self.mapper, signal.SIGTERM)
