"""What docs/signing.md and the client's README show to vendors is true and runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from merchants import signatures
from tests.clients.answering_server import OTHER_KEY, SERVER_KEY, Server, public_text

ROOT = Path(__file__).parents[2]
SIGNING = (ROOT / "docs/signing.md").read_text(encoding="utf-8")
README = (ROOT / "clients/python/README.md").read_text(encoding="utf-8")
VECTORS = json.loads((ROOT / "docs/vectors/http_signatures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["requests", "answers"])
def test_the_worked_example_is_the_first_vector(kind: str) -> None:
    vector = VECTORS[kind][0]
    assert vector["body"] in SIGNING
    assert vector["signature_base"] in SIGNING
    assert "\n".join(f"{name}: {value}" for name, value in vector["headers"].items()) in SIGNING


def test_every_code_of_a_request_is_explained() -> None:
    for kind in signatures.SignatureRefused.__subclasses__():
        if kind is not signatures.AnswerKeyUnknown:
            assert f"| `{kind.code}` |" in SIGNING


needs_tools = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl") and shutil.which("sh")),
    reason="openssl, curl or sh is absent",
)


def run_recipe(
    server: Server, folder: Path, *, server_key: Ed25519PrivateKey = SERVER_KEY
) -> subprocess.CompletedProcess[str]:
    (recipe,) = re.findall(r"```sh\n(.*?)```", SIGNING, re.S)
    key = Ed25519PrivateKey.generate()
    server.terminal_key = key.public_key()
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return subprocess.run(
        ["sh", "-c", recipe],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "BASE": server.url,
            "KEY_ID": "t-abcd",
            "SERVER_KEY": public_text(server_key),
            "CONTENT": '{"scan_id":"sc-1","benefit_kind":"门诊"}',
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_tools
def test_the_shell_recipe_signs_a_request_and_verifies_the_answer(
    server: Server, tmp_path: Path
) -> None:
    ran = run_recipe(server, tmp_path)
    assert ran.returncode == 0, ran.stderr
    status, _, content = ran.stdout.partition("\n")
    assert status == "201"
    assert json.loads(content)["echo"] == {"scan_id": "sc-1", "benefit_kind": "门诊"}
    assert [seen["refused"] for seen in server.seen] == [None]


@needs_tools
@pytest.mark.parametrize(
    "forgery",
    [
        {"key": OTHER_KEY},
        {"sent": b'{"total_fen":8001}'},
        {"status": 409, "sent_status": 201},
        {"bound_to": None},
        {"bound_to": ":" + "A" * 86 + "==:"},
        {"unsigned": True},
    ],
    # Names of the forged parts: a key's own text differs from process to process.
    ids=lambda forgery: " ".join(forgery),
)
def test_the_shell_recipe_refuses_a_forged_answer(
    server: Server, tmp_path: Path, forgery: dict[str, object]
) -> None:
    server.script = [forgery]
    ran = run_recipe(server, tmp_path)
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert [seen["refused"] for seen in server.seen] == [None]


def test_the_readmes_example_runs_from_enrolment_to_refund(server: Server, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(# A whole sale.*?)```", README, re.S)
    server.script = [
        {"body": {"scan_id": "sc-1", "member": {"name": "王**"}}},
        {"status": 200, "body": {"items": [{"code": "A1", "name": "氨氯地平片"}]}},
        {
            "body": {
                "quote_id": "q-1",
                "cash_fen": 1234,
                "shares": [{"payer": "cash", "amount_fen": 1234}],
            }
        },
        {"body": {"settlement_id": "s-1", "state": "accepted", "cash_fen": 1234}},
        {"status": 200, "body": {"text": ["结算单"]}},
        {"body": {"refund_id": "r-1"}},
    ]
    code = example.replace("https://ybm.example", server.url)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "clients/python"), "PYTHONIOENCODING": "utf-8"},
        input="1" * 254 + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [seen["refused"] for seen in server.seen] == [None] * 7
    assert [seen["path"].removeprefix("/api/v1/") for seen in server.seen] == [
        "terminals/enrol",
        "scans",
        "items",
        "quotes",
        "settlements",
        "settlements/s-1/slip",
        "refunds",
    ]
    settled = server.seen[4]
    assert settled["body"] == {"quote_id": "q-1", "cash_fen": 1234}
    assert settled["headers"]["idempotency-key"] == (tmp_path / "sale.key").read_text()
