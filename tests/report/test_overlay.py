import numpy as np
import pytest

from lascompile.report.overlay import draw_overlay

GREY = np.full((32, 32, 3), 128, np.uint8)
ORANGE = [255, 140, 0]


def drawn(groups_on, picture=GREY, size=(128, 128)):
    return np.asarray(draw_overlay(picture, np.asarray(groups_on, bool), size)).astype(int)


def half_on():
    """The left half of a map of 4 x 4."""
    on = np.zeros((1, 4, 4), bool)
    on[:, :, :2] = True
    return on


def test_what_is_skipped_is_darker_and_what_is_computed_is_orange():
    image = drawn(half_on())
    computed, skipped = image[60, 20], image[60, 100]
    assert skipped.mean() < 0.6 * 128
    assert skipped[2] >= skipped[0]
    assert computed[0] > 128 > computed[2]


def test_the_border_between_them_is_outlined_on_the_computed_side():
    image = drawn(half_on())
    assert (image[:, 63] == ORANGE).all()
    assert (image[:, 64] == image[60, 100]).all()


def test_the_edge_of_the_image_is_no_border():
    assert not (drawn(np.ones((1, 4, 4))) == ORANGE).all(axis=-1).any()
    assert not (drawn(np.zeros((1, 4, 4))) == ORANGE).all(axis=-1).any()
    assert not (drawn(half_on())[:, 0] == ORANGE).all(axis=-1).any()


def test_the_tint_is_as_strong_as_the_share_of_groups():
    both, one, none = (drawn(np.full((2, 4, 4), [[[a]], [[b]]]))[60, 60] for a, b in ((1, 1), (1, 0), (0, 0)))
    assert np.allclose(one, (both + none) / 2, atol=1)


def test_without_a_picture_the_mask_is_drawn_alone():
    image = drawn(half_on(), picture=None)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 3


@pytest.mark.parametrize("size", [(128, 96), (33, 47), (1, 1)])
def test_any_size(size):
    assert drawn(np.eye(7, dtype=bool)[None], size=size).shape == (*size, 3)


def test_the_outline_stays_thin_where_patches_are_small():
    checkers = np.indices((64, 64)).sum(axis=0)[None] % 2
    share = (drawn(checkers, size=(256, 256)) == ORANGE).all(axis=-1).mean()
    assert share < 0.45
