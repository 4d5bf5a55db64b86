import numpy as np
import pytest

from lascompile.report.mask_pixels import activation_rates, pixels_on
from tests.report.specs import mask_spec


def test_a_patch_covers_its_pixels():
    decision = np.zeros((1, 1, 4, 4), bool)
    decision[0, 0, 1, 2] = True
    on = pixels_on(mask_spec(), decision)
    assert on.shape == (1, 1, 16, 16)
    assert on[0, 0, 4:8, 8:12].all()
    assert on.sum() == 16


def test_uneven_patches_are_those_of_nearest_upsampling():
    decision = np.array([[[[True, False, True]]]])
    on = pixels_on(mask_spec(size=(1, 10)), decision)
    assert on[0, 0, 0].tolist() == [True] * 4 + [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3, 4, 4), (2, 3)), ((2, 4, 4), (2, 1)), ((2, 3), (2, 3)), ((2,), (2, 1)), ((), (1, 1))],
)
def test_axes_that_a_decision_lacks(shape, expected):
    on = pixels_on(mask_spec(), np.ones(shape, np.int64))
    assert on.shape == (*expected, 16, 16)
    assert on.all()


def test_the_rate_of_an_image_counts_pixels_that_any_group_has_on():
    on = np.zeros((2, 2, 2, 2), bool)
    on[0, 0, 0, 0] = on[0, 1, 1, 1] = True
    assert activation_rates(on) == [0.5, 0.0]
