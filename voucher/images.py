"""Draws the text of a code as a QR symbol, for print and for browsers that draw none themselves.

The symbol is worked out by the `qrcode` library; this module fixes its shape (version 6, level M,
numeric mode, one mask) and writes the modules out as SVG or PNG. It does not know what the digits
mean. Both the fixed mask and the two writers are measured choices: `docs/codes.md`, "Rendering".
"""

from __future__ import annotations

import io
import re
from typing import Final, Literal

from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode
from qrcode.util import MODE_NUMBER, QRData

SYMBOL_VERSION: Final = 6
SYMBOL_MODULES: Final = 41
MOST_DIGITS: Final = 255
# ISO/IEC 18004 asks for a quiet zone of four modules on every side.
QUIET_MODULES: Final = 4
# A decoder reads the mask from the symbol, so any is valid. Trying all eight and keeping the
# prettiest is most of the cost of a symbol, and signed digits are noise under every one of them.
MASK: Final = 0

_DARK_RUN = re.compile("1+")


def render(
    text: str, *, form: Literal["svg", "png"], box_px: int = 8, mask: int | None = MASK
) -> bytes:
    """Return the QR symbol of 1 to 255 ASCII digits as a complete SVG or PNG file.

    `box_px` is the side of one module in pixels (PNG) or CSS pixels (SVG, which scales anyway);
    the picture has 49 modules a side, the quiet zone of four included. `mask` is 0 to 7, or None to
    let the library try all and choose. Raises ValueError for anything else.
    """
    if form not in ("svg", "png"):
        raise ValueError("a symbol is drawn as svg or png")
    if not 1 <= box_px <= 64:
        raise ValueError("a module is 1 to 64 pixels wide")
    rows = modules_of(text, mask=mask)
    return _svg(rows, box_px=box_px) if form == "svg" else _png(rows, box_px=box_px)


def modules_of(text: str, *, mask: int | None = MASK) -> list[str]:
    """Return the symbol with its quiet zone: 49 rows, each a string of 0 (light) and 1 (dark).

    Takes and raises what `render` does.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise ValueError(f"a symbol holds 1 to {MOST_DIGITS} decimal digits")
    symbol = QRCode(
        version=SYMBOL_VERSION,
        error_correction=ERROR_CORRECT_M,
        border=QUIET_MODULES,
        mask_pattern=mask,
    )
    symbol.add_data(QRData(text, mode=MODE_NUMBER), optimize=0)
    symbol.make(fit=False)
    return ["".join("1" if dark else "0" for dark in row) for row in symbol.get_matrix()]


def _svg(rows: list[str], *, box_px: int) -> bytes:
    side = len(rows)
    # One path of horizontal runs: a third of the size of the library's path of single modules.
    runs = "".join(
        f"M{run.start()} {y}h{run.end() - run.start()}v1H{run.start()}z"
        for y, row in enumerate(rows)
        for run in _DARK_RUN.finditer(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side * box_px}" height="{side * box_px}" '
        f'viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{runs}"/></svg>'
    ).encode()


def _png(rows: list[str], *, box_px: int) -> bytes:
    side = len(rows)
    light_and_dark = "".join(rows).encode().translate(bytes.maketrans(b"01", b"\xff\x00"))
    picture = Image.frombytes("L", (side, side), light_and_dark).convert("1")
    picture = picture.resize((side * box_px, side * box_px), Image.Resampling.NEAREST)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
