import numpy as np

from lascompile.models.images import natural_images_uint8, normalize
from lascompile.report.picture import find_pictures


def test_normalisation_is_undone():
    images = natural_images_uint8(2, (20, 30), seed=0)
    found = find_pictures([normalize(images)])
    assert found is not None
    assert np.abs(found.astype(int) - images).max() <= 1


def test_the_first_input_that_has_the_shape_of_images_is_taken():
    images = natural_images_uint8(1, 16, seed=1)
    inputs = [np.zeros((1, 4), np.float32), normalize(images), np.zeros((1, 3, 8, 8), np.float32)]
    found = find_pictures(inputs)
    assert found is not None
    assert found.shape == (1, 16, 16, 3)


def test_other_inputs_are_no_pictures():
    assert find_pictures([np.zeros((1, 8, 4, 4), np.float32), np.zeros((1, 3, 4, 4), np.int64)]) is None
    assert find_pictures([]) is None


def test_what_was_not_normalised_is_stretched_to_fit():
    images = natural_images_uint8(1, 32, seed=2)
    found = find_pictures([np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)])
    assert found is not None
    assert np.corrcoef(found.ravel(), images.ravel())[0, 1] > 0.99


def test_nan_and_constants_are_drawn_too():
    array = np.full((2, 3, 8, 8), 1e6, np.float32)
    array[0, 0, 0, 0] = np.nan
    found = find_pictures([array])
    assert found is not None
    assert found.dtype == np.uint8
