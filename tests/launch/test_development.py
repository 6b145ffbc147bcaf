"""`make test` says what it did not exercise, also when the server asked for is silent."""

from collections.abc import Mapping
from typing import Any

import pytest

from launch import addresses, development

CLOSED_POSTGRES = "postgres://nobody@127.0.0.1:9/none"


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The environment of each run of the suite that the launcher would have started."""
    runs: list[dict[str, str]] = []

    def record(arguments: list[str], environment: Mapping[str, str]) -> int:
        runs.append(dict(environment))
        return 0

    monkeypatch.setattr(development, "_pytest", record)
    return runs


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"DATABASE_URL": CLOSED_POSTGRES}, {"TEST_POSTGRES_URL": CLOSED_POSTGRES}),
        (
            {"CELERY_BROKER_URL": "redis://127.0.0.1:9/0", "DATABASE_URL": CLOSED_POSTGRES},
            {"TEST_REDIS_URL": "redis://127.0.0.1:9/0"},
        ),
        (
            {"CELERY_BROKER_URL": "amqp://127.0.0.1:9//", "DATABASE_URL": CLOSED_POSTGRES},
            {"TEST_RABBITMQ_URL": "amqp://127.0.0.1:9//"},
        ),
        (
            {"TEST_POSTGRES_URL": "postgres://a@127.0.0.1:9/b", "DATABASE_URL": CLOSED_POSTGRES},
            {"TEST_POSTGRES_URL": "postgres://a@127.0.0.1:9/b"},
        ),
    ],
    ids=["a database", "Redis", "RabbitMQ", "a test address of its own"],
)
def test_a_silent_server_is_named_to_the_suite_and_not_replaced_by_another(
    handed: list[dict[str, str]], given: dict[str, str], told: dict[str, str]
) -> None:
    assert development.test(given) == 0
    (run,) = handed
    assert "DATABASE_URL" not in run
    assert "CELERY_BROKER_URL" not in run
    assert {name: run[name] for name in told} == told
    # The suite asks the very address it was told of, and so says that nothing answers there.
    (asked,) = addresses.postgres_candidates(run)
    assert asked == run["TEST_POSTGRES_URL"]


def test_without_any_address_the_suite_looks_at_the_usual_places(
    handed: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: Any = lambda url: "nothing answers"  # noqa: E731
    monkeypatch.setattr(development, "why_postgres_is_silent", silent)
    assert development.test({}) == 0
    assert handed == [{}]


@pytest.mark.parametrize("own", [["-n", "0"], ["-n4"], ["-s"], ["-k", "codes", "-x"]])
def test_the_suite_is_shared_out_unless_it_is_told_otherwise(own: list[str]) -> None:
    assert development._shared_out(own) == own
    shared = development._shared_out(["-k", "codes"])
    assert shared[0] == "-n"
    assert int(shared[1]) >= 1
    assert shared[-2:] == ["-k", "codes"]
