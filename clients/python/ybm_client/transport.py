"""One HTTP exchange over a kept connection. Knows sockets and time limits, nothing of signatures.

Connections are kept in a small stack, so several threads may share one Transport.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

# An answer of this service is a few kilobytes; more than this is not it.
LONGEST_ANSWER_BYTES = 8 * 1024 * 1024


class NoAnswer(Exception):
    """The exchange failed on the way; whether the request arrived is not known."""


class NotTheServer(Exception):
    """The certificate is not one to trust. Nothing was sent."""


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case, a repeated header is joined by commas."""

    status: int
    headers: dict[str, str]
    content: bytes


class Transport:
    """Connections to one server."""

    def __init__(self, base_url: str, *, timeout_s: float, ca_file: str | None = None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"not the address of a server: {base_url}")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        usual = self._port == (443 if self._secure else 80)
        # RFC 9421 section 2.2.3: lower case, and without the port where it is the usual one.
        self.authority = host.lower() if usual else f"{host.lower()}:{self._port}"
        self.prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=ca_file) if self._secure else None
        self._idle: list[http.client.HTTPConnection] = []

    def _open(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> Answer:
        """Send one request and read its answer. Raises NoAnswer or NotTheServer."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            # Identity: a content coding on the way would change the bytes that are signed.
            connection.request(
                method,
                target,
                body=content or None,
                headers={"Host": self.authority, "Accept-Encoding": "identity", **headers},
            )
            response = connection.getresponse()
            received = response.read(LONGEST_ANSWER_BYTES + 1)
            if len(received) > LONGEST_ANSWER_BYTES:
                raise NoAnswer("the answer is too long")
            names: dict[str, str] = {}
            for name, value in response.getheaders():
                known = names.get(name.lower())
                names[name.lower()] = value if known is None else f"{known}, {value}"
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise NotTheServer(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # The server has probably restarted: the other kept connections are dead as well.
            self.close()
            raise NoAnswer(str(error) or type(error).__name__) from error
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return Answer(response.status, names, received)

    def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
