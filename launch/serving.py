"""`make run` and `make demo`: the whole system as child processes of one supervisor.

It decides from the environment which database, broker, ports and network to use, says so, and
prints where to look. A service that is named but silent is replaced by the embedded default with a
line that says so: this is the way to try the system, not the way to run it for people's money
(docs/operations.md).
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from launch.addresses import (
    free_port,
    network_addresses,
    port_is_free,
    why_broker_is_silent,
    why_postgres_is_silent,
)
from launch.certificates import Certificates, ensure_certificates
from launch.console import Step, Trouble, say
from launch.preparation import DEMO_NOTES, NOTHING_SETTLED_YET
from launch.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_SECONDS = 60.0
PROBE_TIMEOUT_SECONDS = 2.0
EMBEDDED_HOSTS = "localhost,127.0.0.1,[::1]"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to serve and where. `network` is empty unless the local network is served too."""

    port: int
    environment: Mapping[str, str]
    var: Path
    network: tuple[str, ...] = ()
    https_port: int = 0
    trust_port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_folder(self) -> Path:
        return self.var / "log"


def settle_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for the children: addresses that do not answer are left out, and named.

    Without them `config/settings.py` takes its embedded defaults.
    """
    kept = dict(environment)
    for name, embedded, why_silent in (
        ("DATABASE_URL", "the embedded database", why_postgres_is_silent),
        ("CELERY_BROKER_URL", "the embedded broker", why_broker_is_silent),
    ):
        url = kept.get(name, "")
        if not url:
            kept.pop(name, None)
        elif not url.startswith(("sqlite", "filesystem")) and (reason := why_silent(url)):
            say(f"{name}: {reason}. Using {embedded} under var/ instead.")
            del kept[name]
    return kept


def read_port(environment: Mapping[str, str], name: str, default: int) -> int:
    """A port number from the environment. Raises Trouble for anything else."""
    given = environment.get(name) or str(default)
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 65536:
        raise Trouble(f"{name}={given} is not a port: give a number from 1 to 65535.")
    return int(given)


def claim_port(port: int, *, host: str, name: str) -> None:
    """Raise Trouble, naming the port and the way out, when somebody listens on it already."""
    if not port_is_free(port, host=host):
        raise Trouble(
            f"Port {port} is taken or not allowed here: stop what uses it, or choose another with "
            f"{name}=, for example `make run {name}={port + 10}`."
        )


def plan_run(environment: Mapping[str, str]) -> Plan:
    """Read what `make run` was asked for. Raises Trouble."""
    port = read_port(environment, "PORT", 8000)
    claim_port(port, host="127.0.0.1", name="PORT")
    var = Path(environment.get("VAR_DIR") or ROOT / "var")
    lan = environment.get("LAN", "")
    if lan in ("", "0"):
        return Plan(port=port, environment=settle_addresses(environment), var=var)
    # LAN=192.168.1.20 names the address itself, for machines that cannot tell which one it is.
    network = tuple(network_addresses()) if lan == "1" else (lan,)
    if not network:
        raise Trouble(
            "No private network address was found: connect to a network, or name the address "
            "with LAN=192.168.x.y."
        )
    https_port = read_port(environment, "LAN_PORT", 8443)
    trust_port = read_port(environment, "TRUST_PORT", port + 1)
    claim_port(https_port, host="0.0.0.0", name="LAN_PORT")
    claim_port(trust_port, host="0.0.0.0", name="TRUST_PORT")
    settled = settle_addresses(environment)
    hosts = [settled.get("ALLOWED_HOSTS") or EMBEDDED_HOSTS, *network]
    settled["ALLOWED_HOSTS"] = ",".join(hosts)
    return Plan(
        port=port,
        environment=settled,
        var=var,
        network=network,
        https_port=https_port,
        trust_port=trust_port,
    )


def programs(plan: Plan, certificates: Certificates | None, *, beat: bool = True) -> list[Program]:
    """The processes of a running system, in the order of their start."""
    # SQLite writes one transaction at a time: more processes would only wait for each other.
    embedded = "DATABASE_URL" not in plan.environment
    granian = [
        "granian", "--interface", "wsgi", "--no-ws",
        "--workers", "1" if embedded else "2", "--blocking-threads", "4",
        "--blocking-threads-idle-timeout", "600",
        "--respawn-failed-workers", "--workers-kill-timeout", "5",
    ]  # fmt: skip
    commands = {
        "web": [*granian, "--host", "127.0.0.1", "--port", str(plan.port)],
        # The name is fixed: a broker keeps a mailbox for every worker name it has ever seen.
        "worker": [
            "celery", "-A", "config", "worker", "-n", "posting@%h", "--loglevel", "INFO",
            "--concurrency", "1" if embedded else "2", "--without-gossip", "--without-mingle",
        ],
        "beat": ["celery", "-A", "config", "beat", "--loglevel", "INFO"],
    }  # fmt: skip
    commands["web"].append("config.wsgi:application")
    if not beat:
        del commands["beat"]
    if certificates is not None:
        commands["web-tls"] = [
            *granian, "--host", "0.0.0.0", "--port", str(plan.https_port),
            "--ssl-certificate", str(certificates.chain), "--ssl-keyfile", str(certificates.key),
            "--ssl-protocol-min", "tls1.2", "config.wsgi:application",
        ]  # fmt: skip
        commands["trust"] = [
            "launch.trust", "--port", str(plan.trust_port), "--https-port", str(plan.https_port),
            "--certificate", str(certificates.authority),
            "--fingerprint", certificates.fingerprint,
        ]  # fmt: skip
    return [_program(plan, name, "-m", *command) for name, command in commands.items()]


def _program(
    plan: Plan, name: str, *arguments: str, keep: bool = True, show_all: bool = False
) -> Program:
    return Program(
        name=name,
        command=[sys.executable, *arguments],
        log=plan.log_folder / f"{name}.log",
        environment={**plan.environment, "PYTHONUNBUFFERED": "1"},
        folder=ROOT,
        keep=keep,
        show_all=show_all,
    )


def prepare(plan: Plan) -> bool:
    """Bring the database up to date. Answers whether anything was settled in it before.

    Raises Trouble when a step fails; the step has then said why.
    """
    code = subprocess.run(
        [sys.executable, "-m", "launch.preparation"],
        cwd=ROOT,
        env=dict(plan.environment),
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    if code not in (0, NOTHING_SETTLED_YET):
        raise Trouble("The database could not be prepared: the reason stands above.")
    return code == 0


def answers_ready(address: str) -> bool:
    """Whether the web process says that it can serve."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=PROBE_TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def alone_in(var: Path) -> Iterator[None]:
    """Keep two systems from sharing one folder of data. Raises Trouble."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "run.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble(
                f"Another `make run`{_owner(file)} already serves from {var}: stop it first, or "
                "give this one a folder of its own with VAR_DIR=."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _owner(file: IO[str]) -> str:
    file.seek(0)
    number = file.read().strip()
    return f" (process {number})" if number else ""


def wait_until_ready(supervisor: Supervisor, plan: Plan) -> bool:
    """Wait for /readyz. False: asked to stop meanwhile. Raises Trouble after a minute."""
    with Step("starting web, worker and beat") as step:

        def ready() -> bool:
            step.progress()
            return answers_ready(plan.address)

        if supervisor.watch(until=ready, timeout_s=READY_WITHIN_SECONDS):
            return True
    if not supervisor.stop_asked:
        raise Trouble(
            f"{plan.address}/readyz did not become ready within {READY_WITHIN_SECONDS:.0f} s: "
            f"see {plan.log_folder}."
        )
    return False


def run(environment: Mapping[str, str]) -> int:
    """`make run`: serve until Ctrl-C or SIGTERM. Answers the exit code. Raises Trouble."""
    started = time.monotonic()
    plan = plan_run(environment)
    with alone_in(plan.var):
        certificates = None
        if plan.network:
            certificates = _certificates(plan)
        settled_before = prepare(plan)
        with Supervisor() as supervisor:
            for program in programs(plan, certificates):
                supervisor.start(program)
            if wait_until_ready(supervisor, plan):
                say(f"Ready after {time.monotonic() - started:.1f} s.")
                print_addresses(plan, certificates)
                if not settled_before:
                    _make_first_purchase(supervisor, plan)
                supervisor.watch()
        say("Stopped.")
    return 0


def _certificates(plan: Plan) -> Certificates:
    try:
        return ensure_certificates(
            folder=plan.var / "tls", addresses=plan.network, now=datetime.now(UTC)
        )
    except ValueError as error:
        raise Trouble(f"LAN: {error}. Name a private address with LAN=192.168.x.y.") from error


def _make_first_purchase(supervisor: Supervisor, plan: Plan) -> None:
    """Buy something once over HTTP, so that the pages have something to show."""
    supervisor.start(
        _program(
            plan, "first-purchase", "manage.py", "demo_purchase", "--base-url", plan.address,
            keep=False,
        )
    )  # fmt: skip
    with Step("making a first purchase over HTTP") as step:

        def ended() -> bool:
            step.progress()
            return supervisor.exit_code_of("first-purchase") is not None

        if not supervisor.watch(until=ended):
            return
    said = (plan.log_folder / "first-purchase.log").read_text(errors="replace").split("\n")
    for line in [line for line in said if line.strip()][-12:]:
        say(f"    {line}")
    if supervisor.exit_code_of("first-purchase"):
        say("The first purchase did not succeed; the system goes on running.")


def print_addresses(plan: Plan, certificates: Certificates | None) -> None:
    """Where to look, who can log in, and how a phone gets there."""
    database = "embedded SQLite" if "DATABASE_URL" not in plan.environment else "DATABASE_URL"
    broker = "embedded" if "CELERY_BROKER_URL" not in plan.environment else "CELERY_BROKER_URL"
    say()
    say(f"  Pages          {plan.address}/")
    say(f"  API            {plan.address}/api/docs/")
    say(f"  Database       {database}; broker: {broker}; data and logs: {plan.var}")
    notes = plan.var / DEMO_NOTES
    if notes.exists() and (text := notes.read_text().strip()):
        say()
        for line in text.splitlines():
            say(f"  {line}")
    if certificates is not None:
        _print_network(plan, certificates)
    say()
    say("  Ctrl-C stops everything.")
    say()


def _print_network(plan: Plan, certificates: Certificates) -> None:
    say()
    for host in plan.network:
        say(f"  On the network https://{host}:{plan.https_port}/")
    _print_qr(f"https://{plan.network[0]}:{plan.https_port}/")
    say("  A phone warns until it trusts this machine's own authority. Once per phone, open")
    say(f"    http://{plan.network[0]}:{plan.trust_port}/trust/")
    _print_qr(f"http://{plan.network[0]}:{plan.trust_port}/trust/")
    say("  install the certificate, and compare its SHA-256 fingerprint:")
    say(f"    {certificates.fingerprint}")
    if certificates.authority_is_new:
        say("  The authority is new: phones that trusted an earlier one must do this again.")


def _print_qr(content: str) -> None:
    import qrcode

    code = qrcode.QRCode(border=2)
    code.add_data(content)
    # On a terminal the colours are set, so that a dark background does not invert the code.
    code.print_ascii(tty=sys.stdout.isatty())
    sys.stdout.flush()


def demo(environment: Mapping[str, str]) -> int:
    """`make demo`: the pharmacy journey against a system of its own, thrown away afterwards.

    Answers the journey's exit code. Raises Trouble.
    """
    folder = Path(tempfile.mkdtemp(prefix="yibaoma-demo-"))
    try:
        settled = settle_addresses({**environment, "VAR_DIR": str(folder)})
        plan = Plan(port=free_port(), environment=settled, var=folder)
        prepare(plan)
        with Supervisor() as supervisor:
            for program in programs(plan, None, beat=False):
                supervisor.start(program)
            if not wait_until_ready(supervisor, plan):
                return 130
            supervisor.start(
                _program(
                    plan, "journey", "manage.py", "demo_purchase", "--base-url", plan.address,
                    "--journey", keep=False, show_all=True,
                )
            )  # fmt: skip
            supervisor.watch(until=lambda: supervisor.exit_code_of("journey") is not None)
            code = supervisor.exit_code_of("journey")
            return 130 if code is None else code
    finally:
        shutil.rmtree(folder, ignore_errors=True)
