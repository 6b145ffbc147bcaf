"""What `make run` decides before it starts anything: ports, addresses, folders, the network."""

import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from launch import addresses, serving
from launch.console import Trouble
from launch.trust import TrustServer

CLOSED_POSTGRES = "postgres://someone:hidden@127.0.0.1:1/nothing"
CLOSED_REDIS = "redis://:hidden@127.0.0.1:1/0"


@pytest.fixture
def taken_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_named_with_the_way_out(taken_port: int) -> None:
    with pytest.raises(Trouble, match=rf"Port {taken_port} is taken .* PORT="):
        serving.plan_run({"PORT": str(taken_port)})


@pytest.mark.parametrize("given", ["http", "0", "65536", "-1", "８０００", "80 00"])
def test_a_port_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(Trouble, match="is not a port"):
        serving.read_port({"PORT": given}, "PORT", 8000)


def test_addresses_that_do_not_answer_are_named_and_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settled = serving.settle_addresses(
        {"DATABASE_URL": CLOSED_POSTGRES, "CELERY_BROKER_URL": CLOSED_REDIS, "KEPT": "yes"}
    )
    assert settled == {"KEPT": "yes"}
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "DATABASE_URL: nothing answers at 127.0.0.1:1. Using the embedded database under var/ "
        "instead.",
        "CELERY_BROKER_URL: nothing answers at 127.0.0.1:1. Using the embedded broker under var/ "
        "instead.",
    ]


def test_a_password_never_reaches_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    serving.settle_addresses({"DATABASE_URL": CLOSED_POSTGRES, "CELERY_BROKER_URL": CLOSED_REDIS})
    assert "hidden" not in capsys.readouterr().out


def test_embedded_addresses_are_passed_on_untouched() -> None:
    given = {"DATABASE_URL": "sqlite:///somewhere.sqlite3", "CELERY_BROKER_URL": "filesystem://"}
    assert serving.settle_addresses(given) == given


def test_an_open_port_that_speaks_another_protocol_does_not_count(taken_port: int) -> None:
    url = f"redis://127.0.0.1:{taken_port}/0"
    assert addresses.why_broker_is_silent(url) == f"nothing answers at 127.0.0.1:{taken_port}"


def test_two_systems_cannot_share_one_folder(tmp_path: Path) -> None:
    with (
        serving.alone_in(tmp_path),
        pytest.raises(Trouble, match=r"Another `make run` \(process \d+\) already serves"),
        serving.alone_in(tmp_path),
    ):
        pass
    with serving.alone_in(tmp_path):
        pass


def test_without_LAN_everything_listens_on_this_machine_only(tmp_path: Path) -> None:
    plan = serving.plan_run({"PORT": str(addresses.free_port()), "VAR_DIR": str(tmp_path)})
    commands = [" ".join(program.command) for program in serving.programs(plan, None)]
    assert plan.network == ()
    assert len(commands) == 3
    assert not any("0.0.0.0" in command for command in commands)
    assert all(command.startswith(sys.executable) for command in commands)


def test_LAN_lets_its_addresses_in(tmp_path: Path) -> None:
    plan = serving.plan_run(
        {
            "PORT": str(addresses.free_port()),
            "LAN": "192.168.7.20",
            "LAN_PORT": str(addresses.free_port()),
            "TRUST_PORT": str(addresses.free_port()),
            "VAR_DIR": str(tmp_path),
        }
    )
    assert plan.environment["ALLOWED_HOSTS"].split(",")[-1] == "192.168.7.20"
    assert "localhost" in plan.environment["ALLOWED_HOSTS"]


def test_the_trust_page_gives_the_certificate_and_nothing_else(tmp_path: Path) -> None:
    certificate = tmp_path / "authority.crt"
    certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    with TrustServer(
        ("127.0.0.1", 0), certificate=certificate, fingerprint="AB:CD", https_port=8443
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{address}/trust/ca.crt") as answer:
            assert answer.headers["Content-Type"] == "application/x-x509-ca-cert"
            assert answer.read() == certificate.read_bytes()
        with urllib.request.urlopen(
            urllib.request.Request(f"{address}/trust/", headers={"Host": "elsewhere.example"})
        ) as answer:
            page = answer.read().decode()
        assert "AB:CD" in page
        assert "https://127.0.0.1:8443/" in page
        assert "elsewhere" not in page
        for path in ("/trust/../authority.key", "/authority.key", "/api/v1/scans"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + path)
        server.shutdown()
