"""Where the faults happen: the servers of the run and the deployments on them.

Most faults share one deployment, because a start costs seconds; after each of them its books are
judged, and one that is not sound is thrown away. In the full run every fault gets a fresh one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from launch.supervisor import Program
from tests.faults.deployment import Databases, running
from tests.faults.programme import needs
from tests.faults.programme.declared import Stroke
from tests.faults.programme.system import TILLS, System
from tests.faults.servers import PrivatePostgres, PrivateRabbitMQ, PrivateRedis

# A till asks again after this; shorter than what anybody would wait at a counter.
ANSWER_WITHIN_S = 6.0
# Books are judged whole: from about here on a fresh deployment is sooner ready than another look.
FRESH_AFTER = 1_200


class Stage:
    """Servers, prepared database, and the shared deployment if there is one."""

    def __init__(self, folder: Path, *, full: bool, rabbitmq: bool) -> None:
        self.folder = folder
        self.full = full
        self.ends = contextlib.ExitStack()
        # What began before its turn, by name.
        self.begun: dict[str, subprocess.Popen[bytes]] = {}
        self._shared: tuple[str, System, contextlib.ExitStack] | None = None
        self.rabbitmq: PrivateRabbitMQ | None = None
        try:
            if rabbitmq and needs.lacking(["rabbitmq"]) == "":
                self.rabbitmq = PrivateRabbitMQ(self._folder("rabbitmq"))
                self.ends.callback(self.rabbitmq.stop)
                self.rabbitmq.start()
            self.postgres = PrivatePostgres(self._folder("postgres"))
            self.ends.callback(self.postgres.stop)
            self.postgres.make()
            self.postgres.start()
            self.redis = PrivateRedis(self._folder("redis"))
            self.ends.callback(self.redis.stop)
            self.redis.start()
            self.databases = Databases(self._folder("deployments"), self.postgres.url())
        except BaseException:
            self.close()
            raise

    def _folder(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir()
        return made

    def close(self) -> None:
        """End everything that was started, and nothing else."""
        self.discard()
        self.ends.close()

    # -- deployments

    def broker_url(self, broker: str) -> str:
        """Address of one of the run's brokers."""
        if broker == "rabbitmq":
            assert self.rabbitmq is not None
            self.rabbitmq.wait()
            return self.rabbitmq.url
        return self.redis.url

    def system(self, broker: str = "redis") -> System:
        """The shared deployment, started now if there is none on that broker."""
        return self.shared(broker, lambda: self.deployed(broker=broker))

    def shared(
        self, name: str, start: Callable[[], contextlib.AbstractContextManager[System]]
    ) -> System:
        """The shared deployment of that name, started so if it is not the one that there is."""
        if self._shared is not None and self._shared[0] != name:
            self.discard()
        if self._shared is None:
            ends = contextlib.ExitStack()
            try:
                system = ends.enter_context(start())
            except BaseException:
                ends.close()
                raise
            self._shared = (name, system, ends)
        return self._shared[1]

    def discard(self) -> None:
        """End the shared deployment."""
        if self._shared is not None:
            _, _, ends = self._shared
            self._shared = None
            ends.close()

    def judge(self, stroke: Stroke) -> None:
        """Judge the shared deployment's books, if there is one, and keep it only if it is sound."""
        if self._shared is None:
            return
        system = self._shared[1]
        if not system.judge(stroke) or self.full or system.counted["posted"] > FRESH_AFTER:
            self.discard()

    @contextlib.contextmanager
    def own(self, stroke: Stroke, *, judged: bool = True, **how: Any) -> Iterator[System]:
        """A deployment for this fault alone, its books judged at the end."""
        with self.deployed(**how) as system:
            yield system
            if judged:
                system.judge(stroke)

    @contextlib.contextmanager
    def deployed(
        self,
        *,
        broker: str = "redis",
        tablespace: str = "pg_default",
        change: Callable[[Program], Program] = lambda program: program,
        environment: Mapping[str, str] | None = None,
        tills: int = TILLS,
    ) -> Iterator[System]:
        """A deployment on a fresh copy of the prepared database, as long as this lasts."""
        kept = {**self.databases.copy(tablespace=tablespace), **(environment or {})}
        url = kept["DATABASE_URL"]
        with running(
            kept, broker=self.broker_url(broker), change=change, tills=tills,
            timeout_s=ANSWER_WITHIN_S,
        ) as deployment:  # fmt: skip
            # The supervisor would only note that it was asked to stop; here everything unwinds.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, interrupted)
            try:
                yield System(deployment, url)
            finally:
                # A graceful stop is a fault of its own (F08); here it would only cost time.
                for name in ("web", "worker"):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(deployment.supervisor.pid_of(name), signal.SIGKILL)


def interrupted(*_: object) -> None:
    """Unwind everything on Ctrl-C or TERM."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def stage(*, full: bool, rabbitmq: bool) -> Iterator[Stage]:
    """A stage in a temporary folder, gone afterwards with all its processes."""
    folder = Path(tempfile.mkdtemp(prefix="ybm-faults-"))
    # The user who runs PostgreSQL must come through.
    folder.chmod(0o711)
    try:
        made = Stage(folder, full=full, rabbitmq=rabbitmq)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
