"""A site, a Chromium, and pages whose every console error and policy violation fails the test."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.browser.site import PASSWORD
from tests.needs import chromium_path

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Site:
    """A running site, the number of a prescription in it, and those of sales by name."""

    url: str
    prescription: str
    sales: dict[str, str]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site of `tests.browser.site` on a free port."""
    if chromium_path() is None:
        pytest.skip("Chromium is absent")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_ALLOW_ASYNC_UNSAFE")
    }
    environment["ALLOWED_HOSTS"] = "127.0.0.1,till.example"
    environment["VAR_DIR"] = str(tmp_path_factory.mktemp("site"))
    log = (Path(environment["VAR_DIR"]) / "site.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.browser.site", str(port)],
        cwd=ROOT,
        env=environment,
        # The site ends when this pipe does, even if nobody is left to end it.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        told: dict[str, str] = {}
        for row in process.stdout:
            word, _, value = row.strip().partition(" ")
            told[word] = value
            if word == "ready":
                break
        assert "ready" in told, f"the site did not start: see {log.name}"
        url = f"http://127.0.0.1:{port}"
        _wait_until_answering(url)
        yield Site(url, told["prescription"], json.loads(told["sales"]))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


def _wait_until_answering(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"{url}/healthz", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.1)


# One browser a module, not one a session: while Playwright runs, Django takes this thread for an
# asynchronous one and refuses it the database, which tests of other modules need.
@pytest.fixture(scope="module")
def open_browser() -> Iterator[Callable]:
    """Start Chromium, with more flags if need be; the one without flags is shared."""
    from playwright.sync_api import sync_playwright

    started = {}
    with sync_playwright() as playwright:

        def start(*more: str):
            if more not in started:
                started[more] = playwright.chromium.launch(
                    executable_path=chromium_path(), args=[*FLAGS, *more]
                )
            return started[more]

        yield start
        for browser in started.values():
            browser.close()


class Visitor:
    """Somebody at a browser: signs in, and remembers what the console complained of."""

    def __init__(self, browser, site: Site, *, size: dict, **options) -> None:
        self.site = site
        self.context = browser.new_context(viewport=size, locale="zh-CN", **options)
        self.context.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " e => console.error('CSP', e.violatedDirective, e.blockedURI));"
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def sign_in(self, name: str, *, url: str = "") -> None:
        """Through the form, as a person does."""
        self.page.goto(f"{url or self.site.url}/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("form.login button")
        self.page.wait_for_load_state()

    def unexpected(self) -> list[str]:
        """Complaints that the test has not announced in `expected`."""
        return [text for text in self.complaints if not any(word in text for word in self.expected)]


@pytest.fixture
def visitor(open_browser: Callable, site: Site) -> Iterator[Callable[..., Visitor]]:
    """Make visitors; whatever their consoles complained of fails the test at its end."""
    made: list[Visitor] = []

    def make(name: str = "", *, size: dict = DESKTOP, flags: tuple[str, ...] = (), **options):
        one = Visitor(open_browser(*flags), site, size=size, **options)
        made.append(one)
        if name:
            one.sign_in(name)
        return one

    yield make
    for one in made:
        one.context.close()
    complaints = [text for one in made for text in one.unexpected()]
    assert not complaints, complaints
