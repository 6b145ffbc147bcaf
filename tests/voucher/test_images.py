"""Symbols are read back by an independent decoder, and hold exactly what they were given."""

from __future__ import annotations

import io
import random
import re
from typing import Any
from xml.etree import ElementTree

import pytest
import zxingcpp
from PIL import Image

from voucher import images

QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
SVG = "{http://www.w3.org/2000/svg}"


def random_code(chance: random.Random) -> str:
    return f"1{chance.getrandbits(840):0253d}"


def texts_read(picture: Image.Image) -> list[str]:
    return [found.text for found in symbols_read(picture)]


def symbols_read(picture: Image.Image) -> list[zxingcpp.Barcode]:
    # QR only, as the scanner page looks: a decoder of everything now and then sees a bar code of
    # four digits in the rows of a symbol.
    return list(zxingcpp.read_barcodes(picture, formats=QR_ONLY))


def pixels_of(svg: bytes) -> Image.Image:
    """Paint the dark runs of an SVG symbol, one pixel a module, as the path commands say."""
    root = ElementTree.fromstring(svg)
    assert root.attrib["viewBox"] == "0 0 49 49"
    _, dark = root.findall(f"{SVG}path")
    picture = Image.new("1", (49, 49), 1)
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1H(\d+)z", dark.attrib["d"])
    assert "".join("M{} {}h{}v1H{}z".format(*run) for run in runs) == dark.attrib["d"]
    for x, y, width, back in runs:
        assert back == x
        picture.paste(0, (int(x), int(y), int(x) + int(width), int(y) + 1))
    return picture


@pytest.mark.parametrize("mask", range(8))
def test_fifty_random_codes_are_read_back_from_png_under_every_mask(mask: int) -> None:
    chance = random.Random(mask)
    for _ in range(50):
        text = random_code(chance)
        picture = Image.open(io.BytesIO(images.render(text, form="png", box_px=4, mask=mask)))
        [found] = symbols_read(picture)
        assert found.text == text
        assert found.ec_level == "M"
        more: Any = found.extra
        assert (more["Version"], more["DataMask"]) == ("6", mask)


def test_svg_and_png_show_the_same_modules() -> None:
    chance = random.Random(8)
    for _ in range(50):
        text = random_code(chance)
        png = Image.open(io.BytesIO(images.render(text, form="png", box_px=1)))
        assert png.size == (49, 49)
        assert pixels_of(images.render(text, form="svg")).tobytes() == png.tobytes()


def test_svg_is_read_back_when_it_is_painted() -> None:
    text = random_code(random.Random(9))
    picture = pixels_of(images.render(text, form="svg")).resize(
        (196, 196), Image.Resampling.NEAREST
    )
    assert texts_read(picture) == [text]


@pytest.mark.parametrize("box_px", [1, 8, 64])
def test_a_symbol_has_its_quiet_zone_at_every_size(box_px: int) -> None:
    text = random_code(random.Random(10))
    picture = Image.open(io.BytesIO(images.render(text, form="png", box_px=box_px)))
    side = 49 * box_px
    assert picture.size == (side, side)
    dark = picture.point(lambda level: 255 - level).getbbox()
    assert dark == (4 * box_px, 4 * box_px, side - 4 * box_px, side - 4 * box_px)
    assert f'width="{side}"'.encode() in images.render(text, form="svg", box_px=box_px)


@pytest.mark.parametrize("length", [1, 254, 255])
def test_a_symbol_holds_up_to_255_digits(length: int) -> None:
    text = "7" * length
    picture = Image.open(io.BytesIO(images.render(text, form="png")))
    assert texts_read(picture) == [text]


@pytest.mark.parametrize("text", ["", "1" * 256, "abc", "12 3", "１２３", "²", "<svg/>"])
def test_what_is_not_a_run_of_digits_is_not_drawn(text: str) -> None:
    with pytest.raises(ValueError):
        images.render(text, form="svg")


@pytest.mark.parametrize(
    "wrong", [{"box_px": 0}, {"box_px": 65}, {"mask": 8}, {"mask": -1}, {"form": "gif"}]
)
def test_a_size_mask_or_form_that_is_none_is_refused(wrong: dict[str, int | str]) -> None:
    with pytest.raises(ValueError):
        images.render("1" * 254, **({"form": "png"} | wrong))  # type: ignore[arg-type]
