"""Many small pictures on one, with a caption under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_GAP = 12
_TEXT_SIZE = 13
_LINE = 17
_WHITE, _INK, _PALE_INK = "#ffffff", "#1f2328", "#656d76"


@dataclass(frozen=True)
class Tile:
    """A picture, its title, and a line of small print."""

    picture: Image.Image
    title: str
    note: str = ""


def lay_out(tiles: Sequence[Tile], columns: int) -> Image.Image:
    """The tiles row by row, all as large as the first."""
    width, height = tiles[0].picture.size
    rows = -(-len(tiles) // columns)
    step_x, step_y = width + _GAP, height + 2 * _LINE + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _WHITE)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_TEXT_SIZE)
    for place, tile in enumerate(tiles):
        x, y = _GAP + place % columns * step_x, _GAP + place // columns * step_y
        sheet.paste(tile.picture, (x, y))
        draw.text((x, y + height + 3), fit_text(tile.title, width, font), _INK, font)
        draw.text((x, y + height + 3 + _LINE), fit_text(tile.note, width, font), _PALE_INK, font)
    return sheet


def best_columns(count: int) -> int:
    """Columns for a sheet of `count` square tiles, about 1.6 times as wide as high, with few places left over."""
    near = round((1.6 * count) ** 0.5)
    return min(range(near + 2, max(0, near - 2), -1), key=lambda columns: (-count % columns, abs(columns - near)))


def fit_text(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text`, or as much of its end as fits into `width` pixels: names of blocks differ there."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"
