"""What stands between a phone and a till: a picture of the code read back, and typing like a scanner."""

import io

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


def type_as_scanner(page, text: str, *, focus: str | None = "#code") -> None:
    """Key events as a USB scanner makes them: digits by their place on the board, then Enter."""
    if focus:
        page.locator(focus).focus()
    for digit in text:
        page.keyboard.press(f"Digit{digit}")
    page.keyboard.press("Enter")
