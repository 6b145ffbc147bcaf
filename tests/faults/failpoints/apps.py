"""Puts the fail points around every statement and commit of this process."""

import json
import os
import signal
import threading
import time
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
        if wanted.get("again"):
            with plan.with_suffix(".fired").open("a") as deaths:
                deaths.write(".")
        else:
            plan.rename(plan.with_suffix(".fired"))
    except FileNotFoundError:
        # Another process was faster: this fault is one.
        _here.plan = None
        return
    _here.plan = None
    _fail(wanted.get("act", "kill"), plan)


def _fail(act: str, plan: Path) -> None:
    """What happens at the place: the process dies, stands still until somebody continues it, its
    thread lingers, or it asks for more memory than there is."""
    plan.with_suffix(".pid").write_text(str(os.getpid()))
    if act == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif act.startswith("linger "):
        time.sleep(float(act.split()[1]))
    elif act == "eat":
        # Each page is touched: memory that is only promised is never counted.
        eaten = []
        for _ in range(64):
            eaten.append(b"x" * (16 << 20))
    else:
        os.kill(os.getpid(), signal.SIGKILL)
