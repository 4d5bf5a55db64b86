"""A block may update its residual in place only where nobody else sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.differential.harness import Compiled, compiled
from tests.differential.networks import IMAGE, Net, random_inputs

Checked = Callable[[onnx.ModelProto], Compiled]


def copies_of_residuals(built: Compiled) -> int:
    return built.labels().count("map_identity")


def test_chain_of_blocks_never_copies(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    for block in range(3):
        x = net.masked_block(x, 8, f"block{block}", net.mask(x, 8, f"mask{block}"))
    built = checked(net.network(net.conv(x, 8, 5, 1, "head")))
    assert copies_of_residuals(built) == 0


def test_residual_that_a_later_kernel_reads(checked: Checked) -> None:
    """The other convolution stands before the block in the file, but runs with the sum that stands behind it."""
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    other = net.conv(x, 8, 8, 3, "other")
    block = net.masked_block(x, 8, "block", mask)
    built = checked(net.network(net.relu(net.add("Add", other, block))))
    assert copies_of_residuals(built) == 1


def test_residual_whose_elementwise_reader_runs_later(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    negative = net.add("Neg", x)
    block = net.conv(net.masked_block(x, 8, "block", mask), 8, 8, 3, "behind")
    checked(net.network(net.add("Add", negative, block)))


def test_residual_that_is_an_output(checked: Checked) -> None:
    """Both of the stem and of a block, whose output the next block would update."""
    net = Net()
    x = net.stem()
    first = net.masked_block(x, 8, "first", net.mask(x, 8, "mask1"))
    second = net.masked_block(first, 8, "second", net.mask(first, 8, "mask2"))
    built = checked(net.network(x, first, second))
    assert copies_of_residuals(built) == 2


def test_residual_that_belongs_to_the_caller(checked: Checked) -> None:
    net = Net()
    x = net.masked_block("x", 8, "block", net.mask("x", 8, "mask"))
    model = net.network(net.conv(x, 8, 5, 1, "head"), inputs=[("x", onnx.TensorProto.FLOAT, (1, 8, 8, 8))])
    built = checked(model)
    (image,) = random_inputs(model)
    before = image.copy()
    built.artifact.run(image)
    np.testing.assert_array_equal(image, before)


def test_residual_with_another_name(checked: Checked) -> None:
    """[N, C, 1, 1] and its flattened form are the same rows: who reads either keeps both."""
    net = Net()
    x = net.relu(net.add("GlobalAveragePool", net.stem()))
    flat = net.add("Flatten", x)
    branch = net.conv(net.relu(net.conv(x, 8, 8, 1, "conv1")), 8, 8, 1, "conv2")
    mask = net.upsampled(net.decision(x, 8, "mask", patch=1), 1)
    y = net.relu(net.add("Add", x, net.add("Mul", branch, mask)))
    product = net.add("MatMul", flat, net.constant(np.eye(8, 4, dtype=np.float32)))
    checked(net.network(net.add("Flatten", y), product))


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_of_the_residual_itself(checked: Checked, kernel: int) -> None:
    """It reads rows of the residual (and, with 40 channels, blocks of channels) that it would have overwritten."""
    net = Net()
    x = net.stem(40)
    gated = net.add("Mul", net.conv(x, 40, 40, kernel, "conv"), net.mask(x, 40, "mask"))
    built = checked(net.network(net.conv(net.relu(net.add("Add", x, gated)), 40, 5, 1, "head")))
    assert copies_of_residuals(built) == 1


@pytest.mark.parametrize("operator", ["Sigmoid", "Identity"])
def test_function_of_the_residual_itself(checked: Checked, operator: str) -> None:
    net = Net()
    x = net.stem()
    gated = net.add("Mul", net.add(operator, x), net.mask(x, 8, "mask"))
    checked(net.network(net.conv(net.relu(net.add("Add", x, gated)), 8, 5, 3, "head")))


def test_activation_that_changes_the_residual(checked: Checked) -> None:
    """relu(x) is x only where x is never negative; without a stem's ReLU it has to be computed."""
    net = Net()
    x = net.conv("x", 3, 8, 3, "stem")
    y = net.masked_block(x, 8, "block", net.mask(x, 8, "mask"))
    built = checked(net.network(net.conv(y, 8, 5, 1, "head")))
    assert copies_of_residuals(built) == 1


def test_nan_in_a_residual_stays(checked: Checked) -> None:
    """A pixel that the mask leaves out keeps its NaN, and gets none from its neighbours."""
    net = Net()
    x = net.relu("x")
    selected = net.add("Where", "on", net.bottleneck(x, 8, "block"), net.number(0))
    y = net.relu(net.add("Add", x, selected))
    given = ("on", onnx.TensorProto.BOOL, (1, 1, 8, 8))
    built = checked(net.network(y, inputs=[("x", onnx.TensorProto.FLOAT, (1, 8, 8, 8)), given]))
    image, on = np.zeros((1, 8, 8, 8), np.float32), np.zeros((1, 1, 8, 8), bool)
    image[0, :, 0, 0] = np.nan
    on[0, 0, 4:] = True
    (got,) = built.check_free(image, on)
    assert np.isnan(got[0, :, 0, 0]).all() and np.isfinite(got[0, :, 1:]).all()


def test_outputs_are_new_arrays_each_time(tmp_path) -> None:  # noqa: ANN001
    net = Net()
    model = net.network(net.stem(), inputs=[IMAGE])
    artifact = compiled(model, tmp_path).artifact
    (image,) = random_inputs(model)
    (first,) = artifact.run(image)
    kept = first.copy()
    artifact.run(image + 1)
    np.testing.assert_array_equal(first, kept)
