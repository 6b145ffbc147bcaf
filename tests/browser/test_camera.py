"""The camera as a scanner: a film of the phone's screen, read by the page itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import PHONE, Visitor
from tests.browser.scanning import film_of, picture_of_code

pytestmark = pytest.mark.browser


def test_the_pharmacy_scans_the_phone_with_its_camera(
    visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    citizen = visitor("citizen", size=PHONE)
    film = tmp_path / "phone.mjpeg"
    film_of(picture_of_code(citizen.page), film)
    counter = visitor(
        "pharmacist",
        flags=(
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ),
        permissions=["camera"],
    )
    counter.page.click("[data-part=camera-button]")
    counter.page.locator(".person-name").wait_for()
    # The camera is switched off with the scan that it was switched on for.
    assert counter.page.locator("[data-part=camera]").is_hidden()
    assert counter.page.locator("video").evaluate("video => video.srcObject === null")
