"""Puts the fail points around every statement and commit of this process."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_here = threading.local()


class Failpoints(AppConfig):
    name = "tests.faults.failpoints"
    label = "failpoints"

    def ready(self) -> None:
        """Watch every connection that is made from now on."""
        plan = Path(settings.FAULT_PLAN)
        connection_created.connect(
            lambda connection, **_: _watch(connection, plan), weak=False, dispatch_uid="failpoints"
        )
        real = BaseDatabaseWrapper._commit

        def commit(connection: BaseDatabaseWrapper) -> None:
            _die_if(plan, "before the commit")
            real(connection)
            _die_if(plan, "after the commit")
            _here.plan = None

        BaseDatabaseWrapper._commit = commit  # type: ignore[method-assign]


def _watch(connection: Any, plan: Path) -> None:
    # While queries are recorded, the hot path's own cursor gives way to Django's.
    connection.force_debug_cursor = True
    if getattr(connection, "_watched", False):
        return
    connection._watched = True

    def before_each(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if getattr(_here, "plan", None) is None:
            _arm(plan, sql, params)
        if getattr(_here, "plan", None) is not None:
            _here.count += 1
            _die_if(plan, _here.count)
        return execute(sql, params, many, context)

    connection.execute_wrappers.append(before_each)


def _arm(plan: Path, sql: str, params: Any) -> None:
    try:
        wanted = json.loads(plan.read_text())
    except (FileNotFoundError, ValueError):
        return
    if wanted["statement"] in sql and (not wanted["param"] or wanted["param"] in (params or ())):
        _here.plan, _here.count = wanted, 0


def _die_if(plan: Path, place: int | str) -> None:
    wanted = getattr(_here, "plan", None)
    if wanted is None or wanted["place"] != place:
        return
    try:
        if wanted["again"]:
            with plan.with_suffix(".fired").open("a") as deaths:
                deaths.write(".")
        else:
            plan.rename(plan.with_suffix(".fired"))
    except FileNotFoundError:
        # Another process was faster: this fault is one.
        _here.plan = None
        return
    os.kill(os.getpid(), signal.SIGKILL)
