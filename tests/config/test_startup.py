"""What a production start refuses, each by name; nothing else is judged."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django import Settings

from config import startup
from config.startup import refuse_unsafe_start


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with which production starts; whatever a test spoils is then the only fault."""
    settings.PRODUCTION = True
    settings.DEBUG = False
    settings.SECRET_KEY = "made-for-this-test-and-nothing-else"
    settings.DATA_KEY = "bWFkZS1mb3ItdGhpcy10ZXN0LWFuZC1ub3RoaW5nLWU="
    settings.DATABASE_IS_EMBEDDED = False
    settings.BROKER_IS_EMBEDDED = False
    settings.CELERY_BROKER_URL = "amqp://127.0.0.1:9//"
    settings.ALLOWED_HOSTS = ["ybm.example"]
    settings.TENDER_SIMULATOR = False
    monkeypatch.setattr(startup, "_database_problems", list)
    return settings


def test_a_sound_production_starts(production: Settings) -> None:
    refuse_unsafe_start()


UNSAFE: list[tuple[str, dict[str, Any], str]] = [
    ("default secret", {"SECRET_KEY": "DEFAULT_SECRET_KEY"}, "SECRET_KEY"),
    ("default data key", {"DATA_KEY": "DEFAULT_DATA_KEY"}, "DATA_KEY"),
    ("a data key that is no key", {"DATA_KEY": "bm90IDMyIGJ5dGVz"}, "DATA_KEY"),
    ("a data key that is no base64", {"DATA_KEY": "*"}, "DATA_KEY"),
    ("debugging", {"DEBUG": True}, "DEBUG"),
    ("embedded database", {"DATABASE_IS_EMBEDDED": True}, "DATABASE_URL"),
    ("embedded broker", {"BROKER_IS_EMBEDDED": True}, "CELERY_BROKER_URL"),
    ("any host", {"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS"),
    ("simulated payments", {"TENDER_SIMULATOR": True}, "TENDER_SIMULATOR"),
]


@pytest.mark.parametrize(
    ("spoilt", "named"), [row[1:] for row in UNSAFE], ids=[row[0] for row in UNSAFE]
)
def test_an_unsafe_production_is_refused_with_its_one_fault_named(
    production: Settings, spoilt: dict[str, Any], named: str
) -> None:
    for name, value in spoilt.items():
        default = isinstance(value, str) and value.startswith("DEFAULT_")
        setattr(production, name, getattr(production, value) if default else value)
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unsafe_start()
    said = str(refused.value)
    assert named in said
    assert said.count(";") == 0
    production.PRODUCTION = False
    refuse_unsafe_start()


def test_all_faults_are_named_at_once(production: Settings) -> None:
    production.DEBUG = True
    production.BROKER_IS_EMBEDDED = True
    with pytest.raises(ImproperlyConfigured, match=r"DEBUG.*; .*CELERY_BROKER_URL"):
        refuse_unsafe_start()


class _Redis:
    """Answers as a Redis of that policy would, or not at all."""

    policy: str | None = None

    @classmethod
    def from_url(cls, url: str, **_: Any) -> "_Redis":
        return cls()

    def config_get(self, name: str) -> dict[str, str]:
        import redis

        if self.policy is None:
            raise redis.ConnectionError("nobody there")
        return {name: self.policy}

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("policy", "starts"),
    [
        ("noeviction", True),
        ("allkeys-lru", False),
        ("volatile-lru", False),
        ("allkeys-random", False),
        (None, True),
    ],
)
def test_a_redis_that_evicts_is_refused_and_one_that_is_down_is_not(
    production: Settings,
    monkeypatch: pytest.MonkeyPatch,
    policy: str | None,
    starts: bool,
) -> None:
    production.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr("redis.Redis", _Redis)
    monkeypatch.setattr(_Redis, "policy", policy)
    if starts:
        refuse_unsafe_start()
        return
    with pytest.raises(ImproperlyConfigured, match=rf"Redis evicts \({policy}\)"):
        refuse_unsafe_start()


@pytest.fixture
def undo() -> Iterator[list[Callable[[], None]]]:
    """What the test asks to be undone at its end."""
    acts: list[Callable[[], None]] = []
    yield acts
    for act in acts:
        act()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("value", "starts"),
    [
        ("on", True),
        ("remote_apply", True),
        ("remote_write", True),
        ("off", False),
        ("local", False),
    ],
)
def test_a_postgresql_that_may_forget_a_commit_is_refused(
    settings: Settings,
    undo: list[Callable[[], None]],
    value: str,
    starts: bool,
) -> None:
    settings.DATABASE_IS_EMBEDDED = False
    undo.append(connection.close)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('synchronous_commit', %s, false)", [value])
    # Only this setting is judged: a cluster that is made for tests may well run without fsync, and
    # is then rightly refused for that as well.
    named = [text for text in startup._database_problems() if "synchronous_commit" in text]
    assert len(named) == (0 if starts else 1)
