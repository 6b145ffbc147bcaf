"""What is between a phone and a till: a picture read back, a film of it, typing like a scanner."""

import io
from pathlib import Path

import zxingcpp
from PIL import Image


def picture_of_code(page) -> Image.Image:
    """A screenshot of the symbol on a citizen's page."""
    page.locator("#canvas").wait_for()
    return Image.open(io.BytesIO(page.locator("#canvas").screenshot())).convert("RGB")


def code_on(page) -> str:
    """The digits of the symbol on a citizen's page, read by an independent decoder."""
    found = zxingcpp.read_barcodes(picture_of_code(page))
    assert len(found) == 1, "the symbol on the page cannot be read"
    return found[0].text


def film_of(picture: Image.Image, path: Path, *, seconds: int = 2) -> None:
    """A film of the picture held before a camera, as Chromium's fake camera plays it (MJPEG)."""
    background = Image.new("RGB", (1280, 720), "#777")
    size = 480
    held = picture.resize((size, size), Image.Resampling.LANCZOS)
    frames = []
    for step in range(10 * seconds):
        frame = background.copy()
        # A hand is never quite still.
        frame.paste(held.rotate(step % 5 - 2, expand=True, fillcolor="#777"), (380 + step, 110))
        file = io.BytesIO()
        frame.save(file, "JPEG", quality=85)
        frames.append(file.getvalue())
    path.write_bytes(b"".join(frames))


def type_as_scanner(page, text: str, *, focus: str | None = "#code") -> None:
    """Key events as a USB scanner makes them: digits by their place on the board, then Enter."""
    if focus:
        page.locator(focus).focus()
    for digit in text:
        page.keyboard.press(f"Digit{digit}")
    page.keyboard.press("Enter")
