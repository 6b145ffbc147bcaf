"""What processes have used: CPU time of whole trees, and who holds the far end of a connection.

Read from /proc, so this is Linux only, as the figures are. Nothing is estimated: a tree's time
includes children that have ended and were waited for.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str] | None:
    try:
        # The name may hold anything but ends with the last bracket.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def family(root: int) -> list[int]:
    """A process and everything below it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _fields(int(name))):
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(parents.get(pid, []))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a process and everything below it, ended children included."""
    total = 0
    for pid in family(root):
        if fields := _fields(pid):
            # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted behind the name.
            total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total * _TICK_S


def machine_seconds() -> tuple[float, float]:
    """CPU seconds that the whole machine has worked, and those it has had, since it started."""
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    # user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
    return (sum(fields) - fields[3] - fields[4]) * _TICK_S, sum(fields) * _TICK_S


def server_end(connection: socket.socket, among: Sequence[int]) -> int | None:
    """Which of these processes holds the other end of a loopback connection, if any does."""
    near, far = connection.getsockname()[1], connection.getpeername()[1]
    wanted = f":{far:04X}", f":{near:04X}"
    inode = ""
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]):
            inode = fields[9]
    link = f"socket:[{inode}]"
    for pid in among:
        folder = f"/proc/{pid}/fd"
        try:
            for name in os.listdir(folder):
                try:
                    if os.readlink(f"{folder}/{name}") == link:
                        return pid
                except OSError:
                    continue
        except OSError:
            continue
    return None
