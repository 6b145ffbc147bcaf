"""Which addresses answer, which ports are free, and how this machine is called on its network.

A service answers when its own protocol's handshake succeeds within a short time; an open port alone
proves nothing. Passwords never reach a message: only host and port do. It decides nothing: what to
do without a service is the caller's business.
"""

import contextlib
import ipaddress
import shutil
import socket
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

TIME_LIMIT_SECONDS = 2.0
USUAL_PORTS = {"postgres": 5432, "redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
_POSTGRES_SCHEMES = ("postgres", "postgresql", "psql", "pgsql")


def place_of(url: str) -> str:
    """`host:port` of a service's address, for messages; never its user or password."""
    parts = urlsplit(url)
    scheme = "postgres" if parts.scheme in _POSTGRES_SCHEMES else parts.scheme
    host = unquote(parts.hostname or "localhost")
    return host if host.startswith("/") else f"{host}:{parts.port or USUAL_PORTS.get(scheme, 0)}"


def why_postgres_is_silent(url: str) -> str | None:
    """None when a PostgreSQL server lets us in at this address, else the reason in a few words."""
    import psycopg

    parts = urlsplit(url)
    try:
        with psycopg.connect(
            host=unquote(parts.hostname or "localhost"),
            port=parts.port or USUAL_PORTS["postgres"],
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            dbname=parts.path.lstrip("/") or "postgres",
            connect_timeout=int(TIME_LIMIT_SECONDS),
        ) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return _reason(str(error), place_of(url))
    return None


def why_broker_is_silent(url: str) -> str | None:
    """None when a broker completes its handshake at this address, else the reason in a few words.

    Brokers in a folder or in memory always answer: there is nobody to ask.
    """
    import kombu
    import redis

    try:
        if url.startswith("redis"):
            with redis.Redis.from_url(
                url, socket_connect_timeout=TIME_LIMIT_SECONDS, socket_timeout=TIME_LIMIT_SECONDS
            ) as client:
                client.ping()
        elif url.startswith("amqp"):
            # The transport itself: the connection object around it would retry first.
            transport = kombu.Connection(url, connect_timeout=TIME_LIMIT_SECONDS).transport
            transport.close_connection(transport.establish_connection())
    except Exception as error:  # Each transport raises classes of its own.
        return _reason(str(error), place_of(url))
    return None


def _reason(error: str, place: str) -> str:
    lowered = error.lower()
    for mark in ("password", "authentication", "access_refused", "noauth", "no pg_hba", "role "):
        if mark in lowered:
            return f"the server at {place} does not let us in"
    if "does not exist" in lowered:
        return f"the server at {place} has no such database"
    return f"nothing answers at {place}"


def postgres_candidates(environment: Mapping[str, str]) -> list[str]:
    """Where a PostgreSQL for tests may be: the address given, else the usual places."""
    for name in ("TEST_POSTGRES_URL", "DATABASE_URL"):
        if environment.get(name, "").startswith(_POSTGRES_SCHEMES):
            return [environment[name]]
    return [
        "postgres://postgres:postgres@127.0.0.1:5432/postgres",
        "postgres://%2Fvar%2Frun%2Fpostgresql/postgres",
    ]


def broker_candidate(environment: Mapping[str, str], *, scheme: str) -> str:
    """Where a broker for tests may be: the address given, else the usual port.

    `scheme` is "redis" or "amqp". Redis' database 15 keeps tests away from an installation's own.
    """
    given = environment.get("TEST_REDIS_URL" if scheme == "redis" else "TEST_RABBITMQ_URL")
    shared = environment.get("CELERY_BROKER_URL", "")
    if given:
        return given
    if shared.startswith(scheme):
        return shared
    usual = {"redis": "redis://127.0.0.1:6379/15", "amqp": "amqp://guest:guest@127.0.0.1:5672//"}
    return usual[scheme]


def find_chromium(environment: Mapping[str, str]) -> str | None:
    """The path of a Chromium or Chrome to drive, or None."""
    for name in (environment.get("CHROMIUM_PATH"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    return None


def port_is_free(port: int, *, host: str) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last owner has just left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on this machine that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def network_addresses() -> list[str]:
    """This machine's private IPv4 addresses, the one others most likely reach it by first."""
    found: list[str] = []
    # Connecting a datagram socket sends nothing: the kernel only chooses the way out. The address
    # is one reserved for documentation.
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        probe.connect(("192.0.2.1", 9))
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found += [str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None)]
    return [address for address in dict.fromkeys(found) if _is_on_a_local_network(address)]


def _is_on_a_local_network(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%")[0])
    return parsed.version == 4 and parsed.is_private and not parsed.is_loopback
