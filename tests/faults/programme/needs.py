"""What a fault may need of this machine, each found out by trying it once and briefly."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from launch.serving import ROOT
from tests.faults.servers import RABBITMQ

FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


def _program(name: str, package: str) -> str | None:
    return None if shutil.which(name) else f"{name} is not installed (Debian: {package})"


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def root() -> str | None:
    """Whether we may do what only root may."""
    return None if os.geteuid() == 0 else "this is not root"


def namespaces() -> str | None:
    """Network namespaces with a pair of virtual cards between."""
    if lacking := root() or _program("ip", "iproute2"):
        return lacking
    name = f"ybmprobe{os.getpid()}"
    try:
        made = _works("ip", "netns", "add", name) and _works(
            "ip", "link", "add", f"yp{os.getpid() % 10_000}", "type", "veth", "peer", "name",
            f"yq{os.getpid() % 10_000}", "netns", name,
        )  # fmt: skip
    finally:
        _works("ip", "netns", "del", name)
    return None if made else "this kernel lets us make no network namespace"


def nft() -> str | None:
    """A packet filter inside a namespace."""
    return namespaces() or _program("nft", "nftables")


def tmpfs() -> str | None:
    """Mounting a small file system."""
    if lacking := root():
        return lacking
    with tempfile.TemporaryDirectory(prefix="ybm-probe-") as folder:
        if not _works("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder):
            return "mounting a tmpfs is not allowed here"
        _works("umount", folder)
    return None


def strace() -> str | None:
    """Making a system call fail."""
    return _program("strace", "strace") or root()


def faketime_library() -> str | None:
    """Where the library is, or None."""
    return next((path for path in FAKETIME if Path(path).exists()), None)


def faketime() -> str | None:
    """Clocks that say what we want."""
    return None if faketime_library() else "libfaketime is not installed (Debian: faketime)"


def redis() -> str | None:
    """A Redis of our own."""
    return _program("redis-server", "redis-server")


def rabbitmq() -> str | None:
    """A RabbitMQ of our own."""
    if (RABBITMQ / "rabbitmq-server").exists() and shutil.which("epmd"):
        return None
    return "rabbitmq-server is not installed (Debian: rabbitmq-server)"


def audit_ledger() -> str | None:
    """The product's own command that proves the books."""
    found = any((ROOT).glob("*/management/commands/audit_ledger.py"))
    return None if found else "the product has no `manage.py audit_ledger` yet"


def attempts_are_counted() -> str:
    """Whether the product counts the attempts of workers that die at work; empty when it does."""
    found = (ROOT / "messaging/management/commands/outbox.py").exists()
    return "" if found else "the product has no `manage.py outbox` yet"


NEEDS: dict[str, Callable[[], str | None]] = {
    probe.__name__: cache(probe)
    for probe in (
        root, namespaces, nft, tmpfs, strace, faketime, redis, rabbitmq, audit_ledger,
    )
}  # fmt: skip


def lacking(needs: Iterable[str]) -> str:
    """Why something with these needs cannot be tried here; empty when it can."""
    return next((reason for need in needs if (reason := NEEDS[need]())), "")


def memory_groups() -> bool:
    """Whether we may limit a group's memory; where not, a process limit does."""
    return root() is None and os.access(MEMORY_GROUPS / "cgroup.procs", os.W_OK)
