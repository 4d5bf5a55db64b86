"""The generated images have the statistics that they promise; folders of images are read or refused."""

import numpy as np
import pytest
from PIL import Image

from lascompile.errors import UsageError
from lascompile.models.images import natural_images, natural_images_uint8, normalize
from lascompile.models.photos import load_photos


def test_an_image_depends_on_seed_and_place_only():
    images = natural_images_uint8(3, 48, seed=5)
    np.testing.assert_array_equal(natural_images_uint8(2, (48, 48), seed=5), images[:2])
    assert (natural_images_uint8(1, 48, seed=6) != images[:1]).mean() > 0.5
    assert (images[0] != images[1]).mean() > 0.5


def test_normalized_form_is_that_of_the_same_bytes():
    images = natural_images_uint8(2, (32, 40), seed=0)
    pixels = natural_images(2, (32, 40), seed=0)
    assert pixels.shape == (2, 3, 32, 40)
    assert pixels.dtype == np.float32
    expected = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(pixels, expected.transpose(0, 3, 1, 2), atol=1e-5)
    np.testing.assert_array_equal(normalize(images), pixels)


def test_statistics_are_those_of_photographs():
    images = natural_images_uint8(12, 128, seed=1).astype(np.float64)
    light = images.mean(-1)
    window = np.hanning(128)[:, None] * np.hanning(128)
    spectrum = np.abs(np.fft.fft2((light - light.mean((1, 2), keepdims=True)) * window)).mean(0)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    band = (frequency > 0.03) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(spectrum[band]), 1)[0]
    assert -1.8 < slope < -0.8
    correlation = np.corrcoef(images.reshape(-1, 3).T)
    assert correlation[np.triu_indices(3, 1)].min() > 0.7
    assert ((images > 0) & (images < 255)).mean() > 0.9


def test_every_image_has_even_and_rich_parts():
    light = natural_images_uint8(8, 112, seed=2).mean(-1)
    detail = np.abs(np.diff(light, axis=2))[:, :, :-1].reshape(8, 14, 8, 11, 10).mean((2, 4)).reshape(8, -1)
    assert (np.quantile(detail, 0.9, axis=1) > 3 * np.quantile(detail, 0.1, axis=1)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 2)])
def test_tiny_sizes_are_finite(size):
    assert np.isfinite(natural_images(2, size, seed=0)).all()


def test_photos_are_cropped_spread_and_turned_to_rgb(tmp_path):
    for i in range(6):
        folder = tmp_path / f"class{i % 2}"
        folder.mkdir(exist_ok=True)
        Image.new("L", (90, 40), i * 40).save(folder / f"{i}.png")
    (tmp_path / "readme.txt").write_text("no image")
    photos = load_photos(tmp_path, 3, (24, 32))
    assert photos.shape == (3, 24, 32, 3)
    assert photos.dtype == np.uint8
    # Sorted: class0 holds 0, 2, 4 and class1 holds 1, 3, 5; every other one is taken.
    assert [photo[0, 0, 0] for photo in photos] == [0, 160, 120]
    assert len(load_photos(tmp_path, 99, (8, 8))) == 6


def test_the_crop_is_centred_with_the_proportions_asked_for(tmp_path):
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, 34:94] = 255  # the middle 56 columns of 128, and what interpolation needs
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert load_photos(tmp_path, 1, (28, 28)).min() == 255


def damage(folder):
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:60])


def pretend(folder):
    (folder / "a.jpg").write_text("no image")


@pytest.mark.parametrize(
    ("spoil", "name", "message"),
    [
        (None, "missing", "missing: no such folder"),
        (None, ".", "no .jpg, .png or other image"),
        (damage, ".", "a.png: cannot be read"),
        (pretend, ".", "a.jpg: cannot be read"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, spoil, name, message):
    if spoil:
        spoil(tmp_path)
    with pytest.raises(UsageError) as error:
        load_photos(tmp_path / name, 4, (8, 8))
    assert message in str(error.value)
