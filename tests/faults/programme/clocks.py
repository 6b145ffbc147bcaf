"""Clocks that are wrong or jump: F19.

The server's clock is moved while it runs, ahead and back and over the end of a year; tills with
wrong clocks stand at a server with a right one.
"""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.faults.deployment import line
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.needs import faketime_library
from tests.faults.programme.stage import Stage
from tests.faults.programme.system import System, enrolled
from tests.faults.programme.wire import Sent, exchanged, signed

BEIJING = timezone(timedelta(hours=8))
# Within what a till's signature may differ; the larger steps are for tills that set their clocks.
JUMPS_S = (300, -300, 90, -90)
EVENING_S = 6


@fault("F19", "clocks of server and tills wrong and jumping", small=3, full=40, needs=["faketime"])
def clocks(stage: Stage, stroke: Stroke) -> None:
    """Sales go on and are posted after every jump; a till's clock changes nothing that is
    accepted, because the till sets itself by the server's."""
    ahead = stage.folder / "clock"
    _set(ahead, 0)

    faked = {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(ahead),
        "FAKETIME_NO_CACHE": "1",
        # Without this, waits on a monotonic clock never end.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    jumps = (JUMPS_S * (stroke.number // len(JUMPS_S) + 1))[: stroke.number - 1]
    with stage.own(stroke, environment=faked) as system:
        try:
            for seconds in jumps:
                _set(ahead, seconds)
                since = time.monotonic()
                system.sell(2)
                stroke.recovered(system.recovered(since, sale=False))
                # What is not posted yet when the clock jumps back must not wait for it.
                system.sell(2)
                _set(ahead, 0)
                stroke.hit()
                stroke.recovered(system.recovered(time.monotonic()))
            _over_new_year(system, stroke, ahead)
        finally:
            _set(ahead, 0)
        _skewed_tills(system, stroke)
        stroke.recovered(system.recovered(time.monotonic()))


def _set(file: Path, seconds: int) -> None:
    half = file.with_suffix(".half")
    half.write_text(f"{seconds:+d}\n")
    half.chmod(0o644)
    half.rename(file)


def _over_new_year(system: System, stroke: Stroke, ahead: Path) -> None:
    """Sales before and after midnight in Beijing, by tills and scans of that evening."""
    now = datetime.now(UTC).astimezone(BEIJING)
    seconds_to = (datetime(now.year + 1, 1, 1, tzinfo=BEIJING) - now).total_seconds()
    _set(ahead, int(seconds_to) - EVENING_S)
    began = time.monotonic()
    system.run.tills += enrolled(system, 1)
    days = set()
    while time.monotonic() - began < EVENING_S + 3 or len(days) < 2:
        assert time.monotonic() - began < 60, f"the year never ended: {days}"
        sold = system.run.under_watch(lambda: system.settle(len(system.run.tills) - 1))
        days.update(
            str(day)
            for (day,) in system.sql(
                "SELECT business_date FROM settlement_settlement WHERE id::text = %s", sold
            )
        )
    stroke.hit()
    stroke.say(f"sold on {' and '.join(sorted(days))}")
    stroke.recovered(system.recovered(time.monotonic(), sale=False))


def _skewed_tills(system: System, stroke: Stroke) -> None:
    """The server's clock decides: a skew within the window is accepted, one beyond is refused with
    a signed hint, whatever else the request says."""
    till, scan_id = system.run.tills[0]
    bill: dict[str, Any] = {
        "scan_id": scan_id,
        "benefit_kind": "pharmacy_account",
        "lines": [line()],
    }
    for skew_s in (-300, -122, -110, 0, 110, 122, 300):
        sent = signed(till, "/api/v1/settlements", bill, key=str(uuid4()), skew_s=skew_s)
        status, content = _patiently(system, stroke, sent)
        expected = 201 if abs(skew_s) <= 120 else 401
        if status == 201:
            system.run.told["settlements"].append(json.loads(content)["settlement_id"])
        stroke.expect(
            status == expected, f"a till {skew_s:+d} s off was answered {status}, not {expected}"
        )


def _patiently(system: System, stroke: Stroke, sent: Sent) -> tuple[int, bytes]:
    """The answer; what was not answered is sent again, and the report says so."""
    for _ in range(5):
        try:
            status, content = exchanged(system.run.plan.port, sent, timeout_s=6)
        except TimeoutError:
            stroke.say("a request after the jumps was not answered within 6 s")
            continue
        if status != 503:
            break
    return status, content
