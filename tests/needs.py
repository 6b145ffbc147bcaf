"""What the suite can use on this machine: PostgreSQL, Redis, RabbitMQ, Chromium.

Each is probed by its own handshake, once and briefly. A test marked with the name of something that
is absent is skipped, and one line at the end of the run names what was therefore not exercised.
Addresses come from TEST_POSTGRES_URL, TEST_REDIS_URL, TEST_RABBITMQ_URL and CHROMIUM_PATH, else
from DATABASE_URL and CELERY_BROKER_URL where they fit, else from the usual ports.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from launch.addresses import (
    broker_candidate,
    find_chromium,
    place_of,
    postgres_candidates,
    why_broker_is_silent,
    why_postgres_is_silent,
)


@dataclass(frozen=True)
class Need:
    """One thing outside Python: what it lets us test, where it was found, or why it was not."""

    name: str
    covers: str
    found: str | None
    reason: str


@cache
def postgres() -> Need:
    """The PostgreSQL that race tests may use; its user may create databases."""
    covers = "races, row locks, lock timeouts"
    reasons = []
    for url in postgres_candidates(os.environ):
        reason = why_postgres_is_silent(url)
        if reason is None:
            return Need("PostgreSQL", covers, url, "")
        reasons.append(reason)
    return Need("PostgreSQL", covers, None, reasons[0])


@cache
def redis() -> Need:
    """The Redis that broker tests may use: database 15 unless an address names another."""
    return _broker("Redis", "redis", "posting through Redis, a Redis that loses its memory")


@cache
def rabbitmq() -> Need:
    """The RabbitMQ that broker tests may use."""
    return _broker("RabbitMQ", "amqp", "posting through RabbitMQ")


def _broker(name: str, scheme: str, covers: str) -> Need:
    url = broker_candidate(os.environ, scheme=scheme)
    reason = why_broker_is_silent(url)
    return Need(name, covers, None if reason else url, reason or "")


@cache
def chromium() -> Need:
    """The browser that page tests drive."""
    path = find_chromium(os.environ)
    return Need("Chromium", "pages, camera, scripts", path, "" if path else "not found on PATH")


def postgres_url() -> str | None:
    """Address of a PostgreSQL that lets us in, or None."""
    return postgres().found


def redis_url() -> str | None:
    """Address of a Redis that lets us in, or None."""
    return redis().found


def rabbitmq_url() -> str | None:
    """Address of a RabbitMQ that lets us in, or None."""
    return rabbitmq().found


def chromium_path() -> str | None:
    """Path of a Chromium or Chrome, or None."""
    return chromium().found


# By marker. `postgres` tests also need the run itself to be on PostgreSQL.
NEEDS: dict[str, Callable[[], Need]] = {
    "postgres": postgres,
    "redis": redis,
    "rabbitmq": rabbitmq,
    "browser": chromium,
}


def why_not(marker: str) -> str | None:
    """Why a test with this marker cannot run here and now, or None when it can."""
    from django.conf import settings

    need = NEEDS[marker]()
    if need.found is None:
        return f"{need.name}: {need.reason}"
    engine = settings.DATABASES["default"]["ENGINE"]
    if marker == "postgres" and not engine.endswith("postgresql"):
        return f"this run is on SQLite; give DATABASE_URL to use {place_of(need.found)}"
    return None


# Their tests start processes of their own on the database of the run.
_WITH_PROCESSES = ("faults", "journeys")


def _uses_rows(item: pytest.Item) -> bool:
    """Whether what a test finds may depend on which database the run is on. Pages in a browser have
    a site of their own, always on the embedded database."""
    fixtures = getattr(item, "fixturenames", ())
    asks = {"db", "transactional_db"} & set(fixtures) or item.get_closest_marker("django_db")
    return bool(asks) or item.path.parent.name in _WITH_PROCESSES


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs something that is absent. Whole deployments, and servers
    that this machine has one of, are used by one test at a time."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.xdist_group("deployments"))
        for marker in NEEDS:
            if item.get_closest_marker(marker) and (reason := why_not(marker)):
                item.add_marker(pytest.mark.skip(reason=reason))
    if os.environ.get("ONLY_ROWS"):
        # A second run on another database, after a first one that tried everything.
        apart = [item for item in items if not _uses_rows(item)]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if _uses_rows(item)]


def pytest_unconfigure(config: pytest.Config) -> None:
    """One line for each thing that is absent, after everything else that pytest says."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    for probe in NEEDS.values():
        need = probe()
        if not need.found:
            reporter.write_line(f"not exercised: {need.name} ({need.reason}): {need.covers}")
