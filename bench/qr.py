"""Measures the drawing of QR symbols: what a mask and a writer cost, and whether a mask is read.

`python -m bench.qr` prints three tables: the time of a symbol under the library's automatic mask
and under fixed ones, the time and size of each writer, and how many spoilt pictures an independent
decoder reads under each mask. Times are ratios, medians of seven repetitions with their spread;
absolute figures belong to the machine that ran them.
"""

from __future__ import annotations

import io
import random
import statistics
import time
from collections.abc import Callable

import zxingcpp
from PIL import Image, ImageChops, ImageFilter
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgImage, SvgPathImage
from qrcode.main import QRCode
from qrcode.util import MODE_NUMBER, QRData

from voucher import images

QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
REPETITIONS = 7
SYMBOLS_A_REPETITION = 15
PICTURES_A_MASK = 400
SIDE_MODULES = images.SYMBOL_MODULES + 2 * images.QUIET_MODULES
MASKS: list[int | None] = [None, *range(8)]


def a_code(chance: random.Random) -> str:
    """Return digits that look as a server code does to a QR writer: 105 bytes of noise."""
    return f"1{chance.getrandbits(840):0253d}"


def _milliseconds(draw: Callable[[str], object]) -> list[float]:
    chance = random.Random(20260101)
    figures = []
    for _ in range(REPETITIONS):
        codes = [a_code(chance) for _ in range(SYMBOLS_A_REPETITION)]
        begin = time.perf_counter()
        for code in codes:
            draw(code)
        figures.append((time.perf_counter() - begin) * 1000 / SYMBOLS_A_REPETITION)
    return figures


def _row(name: str, figures: list[float], base: list[float], more: str = "") -> str:
    ratios = sorted(figure / by for figure, by in zip(figures, base, strict=True))
    return (
        f"| {name} | {statistics.median(figures):.2f} | {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |{more}"
    )


def _library(code: str, factory: type) -> bytes:
    symbol = QRCode(
        version=images.SYMBOL_VERSION,
        error_correction=ERROR_CORRECT_M,
        box_size=8,
        border=images.QUIET_MODULES,
        mask_pattern=images.MASK,
    )
    symbol.add_data(QRData(code, mode=MODE_NUMBER), optimize=0)
    symbol.make(fit=False)
    file = io.BytesIO()
    symbol.make_image(image_factory=factory).save(file)
    return file.getvalue()


def _spoilt(png: bytes, chance: random.Random) -> Image.Image:
    """Return the symbol as a poor camera sees it: turned, small, blurred, grey and noisy."""
    picture = Image.open(io.BytesIO(png)).convert("L")
    side = int(SIDE_MODULES * chance.uniform(2.6, 4.6))
    picture = picture.rotate(
        chance.uniform(-25, 25), Image.Resampling.BICUBIC, expand=True, fillcolor=255
    )
    picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    picture = picture.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 1.1)))
    dark, light = chance.randint(20, 90), chance.randint(150, 240)
    picture = picture.point([dark + (light - dark) * level // 255 for level in range(256)])
    noise = Image.frombytes("L", picture.size, chance.randbytes(side * side))
    # Noise of up to plus or minus a tenth of the full range.
    quiet = noise.point([level // 5 for level in range(256)])
    return ImageChops.add(picture, quiet, offset=-25)


def _reads(picture: Image.Image, code: str) -> bool:
    found = zxingcpp.read_barcodes(picture, formats=QR_ONLY)
    return any(symbol.text == code for symbol in found)


def main() -> None:
    """Print the three tables as Markdown."""
    fixed = _milliseconds(lambda code: images.modules_of(code, mask=images.MASK))
    print("| mask | ms | against the fixed one |\n|---|---|---|")
    print(_row("automatic", _milliseconds(lambda code: images.modules_of(code, mask=None)), fixed))
    print(_row(f"fixed {images.MASK}", fixed, fixed))

    print("\n| writer | ms with the symbol | against ours as SVG | bytes |\n|---|---|---|---|")
    writers: dict[str, Callable[[str], bytes]] = {
        "ours, SVG": lambda code: images.render(code, form="svg"),
        "library, SVG path": lambda code: _library(code, SvgPathImage),
        "library, SVG rectangles": lambda code: _library(code, SvgImage),
        "ours, PNG": lambda code: images.render(code, form="png"),
        "library, PNG by Pillow": lambda code: _library(code, PilImage),
    }
    ours = _milliseconds(writers["ours, SVG"])
    for name, writer in writers.items():
        size = len(writer(a_code(random.Random(1))))
        print(_row(name, _milliseconds(writer), ours, f" {size} |"))

    print(f"\n| mask | read of {PICTURES_A_MASK} spoilt pictures |\n|---|---|")
    for mask in MASKS:
        # The same codes and the same spoiling for every mask.
        chance = random.Random(7)
        read = 0
        for _ in range(PICTURES_A_MASK):
            code = a_code(chance)
            read += _reads(_spoilt(images.render(code, form="png", mask=mask), chance), code)
        print(f"| {'automatic' if mask is None else mask} | {read} |")


if __name__ == "__main__":
    main()
