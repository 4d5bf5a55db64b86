import numpy as np
import pytest
from PIL import Image, ImageFont

from lascompile.report.contact_sheet import Tile, best_columns, fit_text, lay_out


def tiles(count, title="block"):
    return [Tile(Image.new("RGB", (60, 40), "red"), title, "note") for _ in range(count)]


def test_tiles_stand_in_rows():
    wide, high = lay_out(tiles(6), 6), lay_out(tiles(6), 1)
    assert wide.width > 6 * 60
    assert high.height > 6 * 40
    red = (np.asarray(lay_out(tiles(5), 3)) == (255, 0, 0)).all(axis=-1)
    assert red.sum() == 5 * 60 * 40


def test_captions_are_written_under_the_tiles():
    with_text, without = lay_out(tiles(1), 1), lay_out(tiles(1, ""), 1)
    assert (np.asarray(with_text) != np.asarray(without)).any()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (8, 4), (9, 3), (17, 6), (34, 7)])
def test_columns_that_leave_few_places_over(count, columns):
    assert best_columns(count) == columns


def test_of_a_long_name_the_end_is_kept():
    font = ImageFont.load_default(13)
    assert fit_text("layer1.0", 200, font) == "layer1.0"
    cut = fit_text("network.backbone.layer4.10", 80, font)
    assert cut.startswith("…")
    assert cut.endswith("layer4.10")
    assert font.getlength(cut) <= 80
