"""What the documents tell strangers is true: recipes run, lists are whole, links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.documents import refusal_rows, refusal_sections
from config.http import STATUS, TRY_AGAIN
from merchants import services as merchants
from merchants.models import Merchant
from messaging.refusals import vocabulary
from settlement.models import Pickup, Refund, Settlement
from tests.world import World

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCUMENTS = [*READMES, ROOT / "clients/python/README.md", *sorted((ROOT / "docs").rglob("*.md"))]

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("openssl", "curl", "sh", "awk", "grep"))),
    reason="openssl, curl, sh, awk or grep is absent",
)


# -- the vendor's guide


@pytest.fixture
def live_world(transactional_db: None, live_server: Any) -> World:
    """A world behind a server that listens."""
    return World.made()


def one_time_code(merchant: Merchant) -> str:
    return merchants.issue_enrolment_code(
        merchant_id=merchant.pk, name="counter 1", now=timezone.now(), lifetime_s=600
    )


def shell_recipe() -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", API, re.S))


def run_shell(
    world: World, live_server: Any, folder: Path, *, script: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "BASE": live_server.url,
            "ONE_TIME_CODE": one_time_code(world.pharmacy),
            "CODE": world.code(),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_tools
def test_the_shell_recipe_goes_from_a_one_time_code_to_a_settlement_and_back(
    live_world: World, live_server: Any, tmp_path: Path
) -> None:
    ran = run_shell(live_world, live_server, tmp_path, script=shell_recipe())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    settlement = Settlement.objects.get()
    assert settlement.total_fen == settlement.refunded_fen == 3720
    assert str(settlement.pk) in ran.stdout
    assert Refund.objects.get().settlement_id == settlement.pk


@needs_tools
def test_the_shell_recipe_stops_at_an_answer_that_is_not_the_servers(
    live_world: World, live_server: Any, tmp_path: Path
) -> None:
    # Whoever learnt other keys at enrolment believes nothing that this server signs.
    enrolled, scan = shell_recipe().split("encode() {", 1)
    forged = 'sed -i \'s/"public_key":"..../"public_key":"AAAA/\' terminal.json\n'
    ran = run_shell(
        live_world, live_server, tmp_path, script=f"{enrolled}{forged}encode() {{{scan}"
    )
    assert ran.returncode != 0
    assert "not signed by the server" in ran.stderr
    assert not Settlement.objects.exists()


def test_the_python_example_takes_a_clinics_patient_from_registration_to_the_medicine(
    live_world: World, live_server: Any, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(# A clinic's visit.*?)```", API, re.S)
    ran = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT / "clients/python"),
            "PYTHONIOENCODING": "utf-8",
            "BASE": live_server.url,
            "ONE_TIME_CODE": one_time_code(live_world.clinic),
            "CODE": live_world.code(),
            "SECOND_CODE": live_world.code(),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [row.total_fen for row in Settlement.objects.order_by("member_seq")] == [1500, 5720]
    assert Pickup.objects.count() == 1
    assert "阿莫西林胶囊 2" in ran.stdout


# -- the refusals


def test_every_refusal_is_listed_once_with_its_own_status() -> None:
    listed = [row for _, rows in refusal_sections() for row in rows]
    assert len(listed) == len(refusal_rows())
    assert {row.code: row.status for row in listed} == {**STATUS, "try_again": TRY_AGAIN}
    # A refusal counts from the moment that its module is loaded; the addresses load them all.
    import_module("config.urls")
    assert set(STATUS) == set(vocabulary())


def test_every_refusal_says_what_the_till_does_next() -> None:
    for row in refusal_rows().values():
        assert len(row.meaning) > 10, row
        assert len(row.action) > 2, row


def test_the_address_of_a_problem_leads_to_its_row_in_the_readers_language() -> None:
    english = Client(headers={"accept-language": "en"}).get("/docs/refusals").content.decode()
    chinese = Client(headers={"accept-language": "zh-hans"}).get("/docs/refusals").content.decode()
    for code, kind in vocabulary().items():
        assert f'<tr id="{code}">' in english
        assert f'<tr id="{code}">' in chinese
        assert code in refusal_rows(), kind
    assert "This code has already been used." in english
    assert "This code has already been used." not in chinese


# -- all documents


def targets(document: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
    return [
        found
        for found in re.findall(r"\]\(([^)\s]+)\)", text)
        if not found.startswith(("http:", "https:"))
    ]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.M)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target in targets(document):
        name, _, anchor = target.partition("#")
        found = document.parent / name if name else document
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_readme_names_real_commands_and_every_setting(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = set(re.findall(r"^COMMANDS := (.*)$", makefile, re.M)[0].split())
    assert set(re.findall(r"`make (\w+)", text)) <= commands
    assert {"run", "test"} <= set(re.findall(r"^\s*make (\w+)", text, re.M))
    settings = (ROOT / "config/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r"env\.\w+\(\s*\"(\w+)\"", settings))
    assert {"DATABASE_URL", "SECRET_KEY"} <= read
    assert read - set(re.findall(r"`([A-Z_]+)`", text)) == set()
