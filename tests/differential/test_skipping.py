"""Proofs that work is skipped: kernels run on the pixels of the mask, and what lies elsewhere is not looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.differential.harness import Compiled, compiled
from tests.differential.networks import Net

SIZE = 12
DYNAMIC = ["masked_conv1x1", "gather_conv3x3", "masked_conv1x1_scatter_add"]

Pixels = NDArray[np.bool_]


def network(blocks: int = 1) -> onnx.ModelProto:
    """Bottlenecks on the caller's map and under the caller's masks `on0`, `on1`, …, one decision a pixel."""
    net = Net()
    x, inputs = net.relu("x"), [("x", onnx.TensorProto.FLOAT, (2, 8, SIZE, SIZE))]
    for block in range(blocks):
        inputs.append((f"on{block}", onnx.TensorProto.BOOL, (2, 1, SIZE, SIZE)))
        kept = net.add("Where", f"on{block}", net.bottleneck(x, 8, f"block{block}"), net.number(0))
        x = net.relu(net.add("Add", x, kept))
    return net.network(x, inputs=inputs)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(network(), tmp_path_factory.mktemp("skipping"))


def map_of(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 8, SIZE, SIZE), dtype=np.float32)


def patch(*places: tuple[int, int, int]) -> Pixels:
    """A mask that is on in the 3x3 patches whose image and first pixel are given."""
    mask = np.zeros((2, 1, SIZE, SIZE), bool)
    for image, y, x in places:
        mask[image, 0, y : y + 3, x : x + 3] = True
    return mask


MASKS: dict[str, Pixels] = {
    "nothing": patch(),
    "a corner": patch((0, 0, 0)),
    "in one image of two": patch((1, 4, 5)),
    "here and there": patch((0, 0, 9), (0, 6, 2), (1, 9, 9)),
    "everything": np.ones((2, 1, SIZE, SIZE), bool),
}


def dilated(mask: Pixels) -> Pixels:
    """The pixels that a 3x3 convolution reads for those of `mask`."""
    wide = np.pad(mask, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = [wide[..., y : y + SIZE, x : x + SIZE] for y in range(3) for x in range(3)]
    return np.any(shifts, axis=0)


@pytest.mark.parametrize("name", MASKS)
def test_kernels_run_on_the_pixels_of_the_mask(built: Compiled, name: str) -> None:
    """The first convolution on those that the second one reads, the others on the mask alone."""
    mask = MASKS[name]
    rates = built.artifact.profile(map_of(), mask, repeats=1).activation_rates()
    assert rates == {
        "block0.conv1": pytest.approx(dilated(mask).mean()),
        "block0.conv2": pytest.approx(mask.mean()),
        "block0.conv3": pytest.approx(mask.mean()),
    }


def test_every_convolution_of_a_block_has_a_dynamic_kernel(built: Compiled) -> None:
    steps = [step for step in built.artifact.manifest.steps if step.node.startswith("block0.conv") and step.rows]
    assert [step.label for step in steps] == DYNAMIC
    assert {step.rows for step in steps} == {2 * SIZE * SIZE}


def test_demand_of_the_next_block(tmp_path: Path) -> None:
    """Both blocks are computed on their own masks, and the map between them is whole."""
    two = compiled(network(blocks=2), tmp_path)
    first, second = MASKS["a corner"], MASKS["here and there"]
    two.check_free(map_of(), first, second)
    rates = two.artifact.profile(map_of(), first, second, repeats=1).activation_rates()
    assert rates["block0.conv3"] == pytest.approx(first.mean())
    assert rates["block1.conv1"] == pytest.approx(dilated(second).mean())
    assert rates["block1.conv3"] == pytest.approx(second.mean())


@pytest.mark.parametrize("name", ["a corner", "in one image of two", "here and there"])
def test_pixels_outside_are_not_looked_at(built: Compiled, name: str) -> None:
    """Whatever stands where no convolution reads, active pixels are the same bit by bit, the others that residual."""
    mask, clean = MASKS[name], map_of()
    (expected,) = built.artifact.run(clean, mask)
    outside = np.broadcast_to(~dilated(mask), clean.shape)
    for poison in (np.nan, np.inf, 1e30):
        spoilt = np.where(outside, np.float32(poison), clean)
        (got,) = built.artifact.run(spoilt, mask)
        inside = np.broadcast_to(mask, clean.shape)
        np.testing.assert_array_equal(got[inside], expected[inside])
        np.testing.assert_array_equal(got[~inside], np.maximum(spoilt, 0)[~inside])


def test_images_of_a_batch_are_apart(built: Compiled) -> None:
    """An image whose mask is off comes out as it went in, whatever the other one does."""
    (got,) = built.artifact.run(map_of(), MASKS["in one image of two"])
    np.testing.assert_array_equal(got[0], np.maximum(map_of()[0], 0))
    assert (got[1] != np.maximum(map_of()[1], 0)).any()


def test_what_the_mask_does_not_change(built: Compiled) -> None:
    """Active pixels have the same bits whatever else is active: each row is summed up in one order."""
    everything = built.artifact.run(map_of(), MASKS["everything"])[0]
    for mask in MASKS.values():
        (got,) = built.artifact.run(map_of(), mask)
        inside = np.broadcast_to(mask, got.shape)
        np.testing.assert_array_equal(got[inside], everything[inside])
