"""A TCP proxy of our own for what a network does: delay, reset, and a peer that is silently gone.

`python -m tests.faults.proxy HOST PORT TARGET` runs one as a process, for example inside a network
namespace. The target is `host:port` or the path of a filesystem socket, which every namespace
reaches.
"""

import contextlib
import socket
import struct
import sys
import threading
import time


class Proxy:
    """Forwards until told otherwise."""

    def __init__(self, target: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server((host, port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        # Swallow everything and answer nothing, as behind a router that forgot the connection.
        self.silent = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Reset every connection. Answers how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    # Lingering for no time makes the kernel send a reset instead of a goodbye.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RD)
                with contextlib.suppress(OSError):
                    end.close()
        return len(pairs)

    def open(self) -> int:
        """How many connections there are."""
        with self._lock:
            return len(self._pairs)

    def close(self) -> None:
        """Stop listening and reset what is left."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            if self._target.startswith("/"):
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
            else:
                host, _, port = self._target.rpartition(":")
                far = socket.create_connection((host, int(port)), timeout=5)
                far.settimeout(None)
        except OSError:
            near.close()
            return
        pair = (near, far)
        with self._lock:
            self._pairs.add(pair)
        threading.Thread(target=self._pump, args=(near, far, pair), daemon=True).start()
        self._pump(far, near, pair)

    def _pump(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        try:
            while data := source.recv(65536):
                if self.silent:
                    continue
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
        except OSError:
            pass
        if self.silent:
            # The goodbye is swallowed like everything else.
            return
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                end.close()


if __name__ == "__main__":
    proxy = Proxy(sys.argv[3], host=sys.argv[1], port=int(sys.argv[2]))
    while sys.stdin.read(1):
        pass
