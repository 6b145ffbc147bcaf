"""Puts every mutant around its guard; only the one in force does anything."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.apps import AppConfig
from django.conf import settings


class Mutations(AppConfig):
    name = "tests.faults.mutations"
    label = "mutations"

    def ready(self) -> None:
        """Break nothing yet."""
        in_force = Path(settings.FAULT_MUTANT)

        def active(name: str) -> bool:
            try:
                return in_force.read_text() == name
            except FileNotFoundError:
                return False

        _break_functions(active)
        _break_statements(active)


Active = Callable[[str], bool]


def _break_functions(active: Active) -> None:
    from merchants import signatures
    from messaging import outbox

    for name, owner, attribute in (
        ("nothing is left for the worker", outbox, "put"),
        ("signatures are not verified", signatures, "check"),
    ):
        real = getattr(owner, attribute)

        def maybe(*given: Any, name: str = name, real: Any = real, **more: Any) -> Any:
            return None if active(name) else real(*given, **more)

        setattr(owner, attribute, maybe)


def _break_statements(active: Active) -> None:
    from messaging import sql

    for attribute in ("fetch", "run"):
        real = getattr(sql, attribute)

        def maybe(statement: str, params: Sequence[Any] = (), real: Any = real, **more: Any) -> Any:
            for part, name, change in STATEMENTS:
                if part in statement and active(name):
                    return change(real, statement, list(params), more)
            return real(statement, params, **more)

        setattr(sql, attribute, maybe)


def _code_is_free(*_: Any) -> Any:
    return [("free",)]


def _another_key(real: Any, statement: str, params: list[Any], more: dict[str, Any]) -> Any:
    # Counted from the end: what a bill locks stands before.
    return real(statement, [*params[:-6], str(uuid4()), *params[-5:]], **more)


def _never_refunded(real: Any, statement: str, params: list[Any], more: dict[str, Any]) -> Any:
    statement = statement.replace(" refunded_fen, inputs", " 0, inputs")
    return real(statement, params, **more)


def _unlocked(real: Any, statement: str, params: list[Any], more: dict[str, Any]) -> Any:
    return real(statement.replace(" FOR NO KEY UPDATE", ""), params, **more)


def _keys_of_chance(real: Any, statement: str, params: list[Any], more: dict[str, Any]) -> Any:
    """Postings have no key of their own: each has one that nobody asks for again."""
    wanted = {}
    for place, value in enumerate(params):
        if isinstance(value, str) and value.startswith("post_"):
            topic, _, subject = value.partition(":")
            params[place] = f"{topic}-{uuid4().hex[:8]}:{subject}"
            wanted[params[place]] = value
    return [(row[0], wanted[row[1]]) for row in real(statement, params, **more)]


def _commit_first(real: Any, statement: str, params: list[Any], more: dict[str, Any]) -> Any:
    """What was posted is committed before the row that ordered it is gone."""
    from django.db import connection

    connection.connection.commit()
    return real(statement, params, **more)


TWO_COMMITS = "posting and its outbox row are two commits"
# Part of the statement, name of the mutant, what it does instead.
STATEMENTS: list[tuple[str, str, Callable[..., Any]]] = [
    ("INSERT INTO voucher_spentcode", "a spent code is not looked at", _code_is_free),
    ("INSERT INTO messaging_inboxentry", "the inbox forgets keys", _another_key),
    ("FROM voucher_member WHERE id", "the member is not locked", _unlocked),
    (" refunded_fen, inputs", "what was refunded is not looked at", _never_refunded),
    ("INSERT INTO settlement_ledgertransaction", TWO_COMMITS, _keys_of_chance),
    ("DELETE FROM messaging_outboxentry", TWO_COMMITS, _commit_first),
]
