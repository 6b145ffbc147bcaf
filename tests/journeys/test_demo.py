"""`make demo` from outside: its own server and worker, a code read back, a slip, an exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    """One run, for every look at it: it starts a whole system."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "CELERY_BROKER_URL", "VAR_DIR", "DEPLOYMENT")
    }
    return subprocess.run(
        [sys.executable, "-m", "launch", "demo"],
        cwd=Path(settings.BASE_DIR),
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def fen(text: str) -> int:
    return int(text.replace(".", ""))


def test_the_demo_ends_well(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr


def test_its_shares_come_to_the_bill_and_it_is_posted(
    demo: subprocess.CompletedProcess[str],
) -> None:
    posted = re.search(r"posted at \S+: ¥([\d.]+) = (.+)", demo.stdout)
    assert posted, demo.stdout
    shares = re.findall(r"(pool|account|cash) ([\d.]+)", posted[2])
    assert [payer for payer, _ in shares] == ["pool", "account", "cash"]
    assert sum(fen(amount) for _, amount in shares) == fen(posted[1])
    lines = re.findall(r"^  \S+ × \d+: ¥([\d.]+)$", demo.stdout, re.MULTILINE)
    assert sum(map(fen, lines)) == fen(posted[1])


def test_its_figures_are_those_of_the_published_policy(
    demo: subprocess.CompletedProcess[str],
) -> None:
    # 37.20 + 72.00 in range, 60.00 of the deductible left, 80 % for a retiree; at most 100.00 from
    # the account.
    assert "¥155.70 = pool 39.36 + account 100.00 + cash 16.34" in demo.stdout


def test_its_code_was_read_back_from_a_picture(demo: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"code of 254 digits read back from a PNG", demo.stdout)
