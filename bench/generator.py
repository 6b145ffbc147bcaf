"""Sends requests that are complete bytes already, over plain keep-alive sockets, from one loop.

The generator shares the machine with what it measures, so it does as little as it can: no parsing
beyond the end of an answer and its status, no allocation a request that can be avoided. `closed`
keeps every connection busy and finds the rate that is reached; `opened` sends at moments drawn
beforehand and measures each answer from the moment its request was due, so that a stall of the
server is not hidden by the requests it held back.
"""

import contextlib
import gc
import math
import random
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.processes import server_end

_RECEIVE = 1 << 18
_LENGTH = b"content-length: "
_LAST_CHUNK = b"\r\n0\r\n\r\n"
PATIENCE_S = 15.0


@dataclass
class Load:
    """What came of one run. `latencies_s` is in order of arrival; `statuses` counts by status;
    `seconds` is from the first request to the last answer; `cpu_s` is the generator's own."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    # By the number of the request they answer.
    answers: dict[int, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_s: float = 0.0
    sent: int = 0

    @property
    def done(self) -> int:
        """How many were answered."""
        return len(self.latencies_s)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.done / self.seconds

    def only(self, status: int) -> "Load":
        """Itself, or RuntimeError when anything but this status was answered."""
        if set(self.statuses) != {status}:
            told = next(
                (
                    text[-600:].decode(errors="replace")
                    for text in self.answers.values()
                    if int(text[9:12]) != status
                ),
                "",
            )
            raise RuntimeError(f"not every answer was {status}: {self.statuses} {told}")
        return self


def connections(port: int, count: int, *, workers: Sequence[int]) -> list[socket.socket]:
    """`count` open connections, as many to each worker process as to the next.

    A keep-alive connection stays with the process that accepted it. Which one that is, is luck; a
    terminal population spreads evenly, eight connections need not. Raises RuntimeError when luck
    does not help.
    """
    share = -(-count // max(1, len(workers)))
    kept: list[socket.socket] = []
    of: dict[int, int] = {}
    spare: list[socket.socket] = []
    for _ in range(count * 40):
        one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server accepts when it gets to it; one request makes sure that it has.
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = _Answer(0)
        while not answer.add(one.recv(_RECEIVE)):
            pass
        owner = server_end(one, workers) or 0
        if of.get(owner, 0) >= share:
            spare.append(one)
            continue
        of[owner] = of.get(owner, 0) + 1
        kept.append(one)
        if len(kept) == count:
            break
    for one in spare:
        one.close()
    if len(kept) < count:
        raise RuntimeError("the connections could not be spread over the workers")
    return kept


class _Answer:
    """Collects one answer of one connection."""

    __slots__ = ("buffer", "missing", "number", "since")

    def __init__(self, number: int) -> None:
        self.number = number
        self.buffer = b""
        self.missing = 0
        self.since = 0.0

    def add(self, data: bytes) -> bool:
        """Whether the answer is complete now."""
        if not data:
            raise ConnectionError("the server closed a connection")
        self.buffer += data
        if self.missing == 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return False
            headers = self.buffer[:head].lower()
            at = headers.find(_LENGTH)
            if at < 0:
                # No length: the answer comes in chunks, of which an empty one is the last.
                self.missing = -1
            else:
                end = headers.find(b"\r\n", at)
                length = int(headers[at + len(_LENGTH) : None if end < 0 else end])
                self.missing = head + 4 + length
        if self.missing < 0:
            return self.buffer.endswith(_LAST_CHUNK)
        return len(self.buffer) >= self.missing


def closed(
    lines: Sequence[socket.socket],
    requests: Sequence[bytes],
    *,
    seconds: float = 0.0,
    keep: bool = False,
) -> Load:
    """Every connection sends its next request as soon as it is answered.

    Ends when the requests are used up or, if `seconds` is given, when that time is over. `keep`
    keeps every answer's bytes.
    """
    load = Load()
    todo = enumerate(requests)
    with _measured(load):
        begin = time.perf_counter()
        until = begin + (seconds or 1e9)
        waiting: dict[socket.socket, _Answer] = {}
        for line in lines:
            _next(line, todo, waiting, load)
        while waiting:
            ready = select.select(list(waiting), (), (), PATIENCE_S)[0]
            if not ready:
                raise TimeoutError("no answer came")
            for line in ready:
                answer = waiting[line]
                if not answer.add(line.recv(_RECEIVE)):
                    continue
                now = time.perf_counter()
                _note(load, answer, now - answer.since, keep)
                del waiting[line]
                if now < until:
                    _next(line, todo, waiting, load)
        load.seconds = time.perf_counter() - begin
    return load


def _next(
    line: socket.socket,
    todo: Iterator[tuple[int, bytes]],
    waiting: dict[socket.socket, _Answer],
    load: Load,
) -> None:
    number, request = next(todo, (-1, b""))
    if not request:
        return
    answer = _Answer(number)
    answer.since = time.perf_counter()
    line.sendall(request)
    load.sent += 1
    waiting[line] = answer


def opened(
    lines: Sequence[socket.socket], requests: Sequence[bytes], *, rate: float, seed: int
) -> Load:
    """Requests fall due as independent terminals would send them: a Poisson process of this rate.

    A request that is due while all connections are busy waits for the first that is free, and the
    wait counts.
    """
    chance = random.Random(seed)
    due = 0.0
    moments = []
    for _ in requests:
        due += chance.expovariate(rate)
        moments.append(due)
    load = Load()
    free = list(lines)
    waiting: dict[socket.socket, _Answer] = {}
    at, count = 0, len(requests)
    with _measured(load):
        begin = time.perf_counter()
        while at < count or waiting:
            now = time.perf_counter() - begin
            while at < count and free and moments[at] <= now:
                line = free.pop()
                answer = _Answer(at)
                answer.since = moments[at]
                line.sendall(requests[at])
                load.sent += 1
                waiting[line] = answer
                at += 1
            pause = PATIENCE_S
            if at < count and free:
                pause = max(0.0, moments[at] - (time.perf_counter() - begin))
            ready = select.select(list(waiting), (), (), pause)[0]
            if not ready and pause == PATIENCE_S:
                raise TimeoutError("no answer came")
            for line in ready:
                answer = waiting[line]
                if answer.add(line.recv(_RECEIVE)):
                    _note(load, answer, time.perf_counter() - begin - answer.since, False)
                    del waiting[line]
                    free.append(line)
        load.seconds = time.perf_counter() - begin
    return load


def _note(load: Load, answer: _Answer, latency_s: float, keep: bool) -> None:
    load.latencies_s.append(latency_s)
    status = int(answer.buffer[9:12])
    load.statuses[status] = load.statuses.get(status, 0) + 1
    if keep or status >= 400:
        load.answers[answer.number] = answer.buffer


@contextlib.contextmanager
def _measured(load: Load) -> Iterator[None]:
    gc.collect()
    gc.disable()
    before = time.process_time()
    try:
        yield
    finally:
        load.cpu_s = time.process_time() - before
        gc.enable()


def body_of(answer: bytes) -> bytes:
    """The content of a kept answer."""
    head, _, content = answer.partition(b"\r\n\r\n")
    if _LENGTH in head.lower():
        return content
    pieces = []
    while content:
        size, _, content = content.partition(b"\r\n")
        pieces.append(content[: int(size, 16)])
        content = content[int(size, 16) + 2 :]
    return b"".join(pieces)


def percentile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that at least this share of them does not exceed."""
    ordered = sorted(figures)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
