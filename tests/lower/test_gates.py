"""Every way in which gates, residuals and activations follow each other."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from tests.differential.harness import Compiled
from tests.differential.networks import Net

Checked = Callable[[onnx.ModelProto], Compiled]


def multiplied_branch(net: Net, x: str, f: str, mask: str) -> str:
    return net.relu(net.add("Add", x, net.add("Mul", f, mask)))


def selected_branch(net: Net, x: str, f: str, mask: str) -> str:
    """The zero of `Where` is what the residual is added to."""
    return net.relu(net.add("Add", net.add("Where", net.boolean(mask), f, net.number(0)), x))


def multiplied_sum(net: Net, x: str, f: str, mask: str) -> str:
    """What is added before the gate is shut out as well."""
    return net.add("Mul", net.relu(net.add("Add", x, f)), mask)


def selected_sum(net: Net, x: str, f: str, mask: str) -> str:
    return net.add("Where", net.boolean(mask), net.relu(net.add("Add", x, f)), x)


def unselected_sum(net: Net, x: str, f: str, mask: str) -> str:
    return net.add("Where", net.boolean(mask), x, net.add("Add", x, f))


def selected_before_activation(net: Net, x: str, f: str, mask: str) -> str:
    """The activation behind the gate changes what stands where it is shut."""
    return net.add("LeakyRelu", net.add("Where", net.boolean(mask), f, net.add("Neg", x)), alpha=0.5)


def no_residual(net: Net, x: str, f: str, mask: str) -> str:
    return net.conv(net.relu(net.add("Mul", f, mask)), 8, 5, 3, "no_residual")


def shifted_zero(net: Net, x: str, f: str, mask: str) -> str:
    """sigmoid(0) stands where the mask is off, and is added to the residual."""
    total = net.add("Add", x, net.add("Sigmoid", net.add("Mul", f, mask)))
    return net.add("Clip", total, net.number(0.25), net.number(0.75))


def batch_norm_behind(net: Net, x: str, f: str, mask: str) -> str:
    norm = net.batch_norm(net.add("Mul", f, mask), 8, "bn_behind")
    return net.relu(net.add("Add", x, net.relu(norm)))


def soft_selection(net: Net, x: str, f: str, mask: str) -> str:
    rest = net.add("Mul", x, net.add("Sub", net.number(1), mask))
    return net.add("Add", net.add("Mul", f, mask), rest)


def gated_twice(net: Net, x: str, f: str, mask: str) -> str:
    twice = net.add("Mul", net.add("Mul", f, mask), net.mask(x, 8, "fine", patch=2))
    return net.relu(net.add("Add", x, twice))


def two_readers(net: Net, x: str, f: str, mask: str) -> str:
    gated = net.add("Mul", f, mask)
    total = net.relu(net.add("Add", x, gated))
    return net.add("Add", net.conv(gated, 8, 8, 3, "two_readers"), total)


def sum_of_gated(net: Net, x: str, f: str, mask: str) -> str:
    other = net.add("Mul", net.bottleneck(x, 8, "second"), net.mask(x, 8, "other", patch=2))
    return net.relu(net.add("Add", net.add("Mul", f, mask), other))


FORMS = (
    multiplied_branch,
    selected_branch,
    multiplied_sum,
    selected_sum,
    unselected_sum,
    selected_before_activation,
    no_residual,
    shifted_zero,
    batch_norm_behind,
    soft_selection,
    gated_twice,
    two_readers,
    sum_of_gated,
)


def test_forms_side_by_side(checked: Checked) -> None:
    """All forms behind one stem, each with a branch of its own, so that no residual may be overwritten."""
    net = Net()
    x = net.stem()
    outputs = []
    for form in FORMS:
        name = form.__name__
        outputs.append(form(net, x, net.bottleneck(x, 8, name), net.mask(x, 8, f"{name}.mask")))
    built = checked(net.network(*outputs))
    assert all(block["dynamic"] for block in built.artifact.manifest.blocks)


@pytest.mark.parametrize("form", [multiplied_branch, selected_branch, selected_sum, unselected_sum])
def test_forms_alone(checked: Checked, form: Callable[[Net, str, str, str], str]) -> None:
    """The residual has no reader but the block, which updates it in place."""
    net = Net()
    x = net.stem()
    y = form(net, x, net.bottleneck(x, 8, "block"), net.mask(x, 8, "mask"))
    built = checked(net.network(net.conv(y, 8, 5, 1, "head")))
    assert "masked_conv1x1_scatter_add" in built.labels()
    assert "map_identity" not in built.labels(), "a copy of the residual"


def test_gate_of_several_groups(checked: Checked) -> None:
    """At a computed pixel some channels are shut: there `Where` keeps what it would select, and `Mul` writes zero."""
    net = Net()
    x = net.stem()
    mask = net.grouped_mask(x, 8, "mask", groups=2)
    chosen = net.boolean(mask)
    late = net.add("Where", chosen, net.relu(net.add("Add", x, net.bottleneck(x, 8, "late"))), x)
    early = net.add("Where", chosen, net.bottleneck(late, 8, "early"), net.conv(late, 8, 8, 1, "otherwise"))
    y = net.masked_block(net.relu(early), 8, "mul", mask)
    built = checked(net.network(late, y))
    assert built.labels().count("active_pixels") == 1


def test_same_mask_within_itself(checked: Checked) -> None:
    """A residual that is needed on the pixels of the mask alone is stored densely all the same."""
    net = Net()
    mask = net.mask("x", 3, "mask")
    x = net.conv("x", 3, 8, 3, "residual")
    y = net.relu(net.add("Add", x, net.add("Mul", net.conv("x", 3, 8, 3, "branch"), mask)))
    checked(net.network(net.add("Mul", y, mask)))


def test_masks_within_masks(checked: Checked) -> None:
    net = Net()
    stem = net.stem()
    inner, outer = net.mask(stem, 8, "inner"), net.mask(stem, 8, "outer", patch=2)
    x = net.conv(stem, 8, 8, 3, "before")
    gated = net.add("Mul", net.bottleneck(x, 8, "block"), inner)
    total = net.add("Add", net.relu(net.add("Add", x, gated)), gated)
    y = net.add("Mul", net.conv(total, 8, 8, 1, "behind"), outer)
    built = checked(net.network(net.add("Add", stem, y)))
    assert "map_add" not in built.labels(), "the sums inside are computed on the outer mask alone"


def test_one_mask_for_two_blocks(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    for name in ("first", "second"):
        x = net.masked_block(x, 8, name, mask)
    built = checked(net.network(x))
    assert built.labels().count("active_pixels") == 1


def test_one_decision_at_two_resolutions(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    x = net.masked_block(x, 8, "first", net.mask(x, 8, "mask"))
    x = net.relu(net.conv(x, 8, 8, 3, "down", stride=2))
    checked(net.network(net.masked_block(x, 8, "second", net.upsampled("mask:0", 2))))


def test_decision_that_also_skips_channels(checked: Checked) -> None:
    """Its first group for a spatial mask, all sixteen for a mask of as many channels, which is compiled dense."""
    net = Net()
    x = net.stem(16)
    decision = net.decision(x, 16, "mask", groups=16)
    first = net.add("Slice", decision, *(net.ints(i) for i in (0, 1, 1)))
    x = net.masked_block(x, 16, "spatial", net.upsampled(first))
    built = checked(net.network(net.masked_block(x, 16, "channels", net.upsampled(decision))))
    assert [len(mask.shape) for mask in built.artifact.manifest.masks] == [4]
    assert built.labels().count("masked_conv1x1_scatter_add") == 1


def test_first_convolution_with_a_dense_reader(checked: Checked) -> None:
    """It is needed everywhere, so it is not packed; the others still are."""
    net = Net()
    x = net.stem()
    first = net.relu(net.conv(x, 8, 8, 1, "conv1"))
    branch = net.conv(net.relu(net.conv(first, 8, 8, 3, "conv2")), 8, 8, 1, "conv3")
    y = net.relu(net.add("Add", x, net.add("Mul", branch, net.mask(x, 8, "mask"))))
    built = checked(net.network(net.add("Add", y, net.add("GlobalAveragePool", first))))
    assert "gather_conv3x3" in built.labels()
    assert "masked_conv1x1" not in built.labels()


def test_squeeze_and_excitation_under_a_mask(checked: Checked) -> None:
    """The scale per image needs the whole map; what follows it is computed on the mask (RegNetY)."""
    net = Net()
    x = net.stem()
    f = net.relu(net.conv(net.relu(net.conv(x, 8, 8, 1, "a")), 8, 8, 3, "b", group=2))
    squeezed = net.relu(net.conv(net.add("ReduceMean", f, axes=[2, 3], keepdims=1), 8, 4, 1, "fc1"))
    scaled = net.add("Mul", net.add("Sigmoid", net.conv(squeezed, 4, 8, 1, "fc2")), f)
    branch = net.conv(scaled, 8, 8, 1, "c")
    y = net.relu(net.add("Add", x, net.add("Mul", branch, net.mask(x, 8, "mask"))))
    batch = ("x", onnx.TensorProto.FLOAT, (3, 3, 8, 8))
    built = checked(net.network(y, inputs=[batch]))
    assert "masked_map_mul" in built.labels()
    assert "masked_conv1x1_scatter_add" in built.labels()


def test_downsampling_block(checked: Checked) -> None:
    """The residual comes from a strided convolution, and may be updated in place."""
    net = Net()
    x = net.stem()
    f = net.relu(net.conv(net.relu(net.conv(x, 8, 4, 1, "conv1")), 4, 4, 3, "conv2", stride=2))
    decision = net.decision(net.conv(x, 8, 8, 1, "pre", stride=2), 8, "mask", patch=2)
    gated = net.add("Mul", net.conv(f, 4, 16, 1, "conv3"), net.upsampled(decision, 2))
    y = net.add("Add", net.conv(x, 8, 16, 1, "downsample", stride=2), gated)
    built = checked(net.network(net.conv(y, 16, 5, 1, "head")))
    assert "map_identity" not in built.labels()


def test_choice_between_a_map_and_itself(checked: Checked) -> None:
    """It is needed everywhere, whatever the mask."""
    net = Net()
    x = net.stem()
    f = net.conv(x, 8, 8, 1, "conv")
    checked(net.network(net.add("Where", net.boolean(net.mask(x, 8, "mask")), f, f)))
