import numpy as np
import pytest
from PIL import Image

from lascompile.models.images import natural_images
from lascompile.report.mask_files import SHEET_NAME, write_masks
from tests.report.specs import mask_spec


def draw(folder, specs, shape=(1, 1), inputs=None):
    rng = np.random.default_rng(0)
    pixels = {spec.name: rng.random((*shape, *spec.size)) < 0.5 for spec in specs}
    return write_masks(folder, specs, pixels, [natural_images(shape[0], 32, 0)] if inputs is None else inputs)


def size_of(file):
    with Image.open(file) as image:
        return image.size


def test_files_sort_in_order_of_execution(tmp_path):
    specs = [mask_spec(f"m{i}", block=f"layer1.{i}") for i in range(12)]
    files = draw(tmp_path, specs)
    assert files == sorted(tmp_path.iterdir())
    assert [file.name for file in files[:2]] == ["00_layer1.0.png", "01_layer1.1.png"]
    assert files[-1].name == SHEET_NAME
    assert len(files) == 13


def test_a_decision_in_no_block_lends_its_name_without_what_file_systems_refuse(tmp_path):
    (file, _) = draw(tmp_path, [mask_spec("/layer1/masker/Greater:0")])
    assert file.name == "00_layer1_masker_Greater_0.png"


def test_a_picture_keeps_the_proportions_of_the_image(tmp_path):
    images = [natural_images(1, (32, 48), 0)]
    (file, _) = draw(tmp_path, [mask_spec()], inputs=images)
    assert size_of(file) == (672, 448)


@pytest.mark.parametrize(
    ("images", "groups", "columns", "rows"), [(3, 1, 3, 1), (1, 2, 1, 2), (3, 2, 3, 2), (20, 1, 4, 2)]
)
def test_a_picture_for_each_image_and_group(tmp_path, images, groups, columns, rows):
    (file, sheet) = draw(tmp_path, [mask_spec()], (images, groups))
    width, height = size_of(file)
    assert (width // 224, height // 224) == (columns, rows)
    assert size_of(sheet)[0] < 400


def test_without_images_the_masks_are_drawn_alone(tmp_path):
    (file, sheet) = draw(tmp_path, [mask_spec(size=(8, 8))], inputs=[np.zeros((1, 4), np.float32)])
    with Image.open(file) as image:
        assert len(image.getcolors()) == 3
    assert size_of(sheet)[0] < 200


def test_a_network_without_masks_leaves_no_files(tmp_path):
    assert draw(tmp_path, []) == []
    assert list(tmp_path.iterdir()) == []
