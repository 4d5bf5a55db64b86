"""The order of execution: decisions before what they spare, and nothing that is not needed."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from lascompile.frontend.simplify import simplify
from lascompile.lower.lower import analyse
from lascompile.lower.order import execution_order
from tests.differential.networks import Net


def order_of(model: onnx.ModelProto) -> list[str]:
    """The nodes' names in order."""
    graph = simplify(ir.from_proto(model)).graph
    analysis = analyse(graph)
    order = execution_order(graph, {gate.site: gate for gate in analysis.gates}, analysis.demands)
    assert list(order.values()) == list(range(len(order)))
    return [str(node.name) for node in order]


def test_decision_that_the_file_has_behind_the_branch() -> None:
    """An exporter may write the branch first; it waits for the mask, since it is computed where that is on."""
    net = Net()
    x = net.stem()
    branch = net.bottleneck(x, 8, "block")
    y = net.relu(net.add("Add", x, net.add("Mul", branch, net.mask(x, 8, "mask"))))
    model = net.network(y)
    names = [node.name for node in model.graph.node]
    assert names.index("mask") > names.index("block.conv3")
    order = order_of(model)
    assert order.index("mask") < order.index("block.conv1")
    assert order.index("stem") < order.index("mask.logits")


def test_order_of_the_file_is_kept_where_nothing_waits() -> None:
    net = Net()
    x = net.stem()
    outputs = [net.conv(x, 8, 4, 1, name) for name in "dacb"]
    assert order_of(net.network(*outputs[::-1]))[-4:] == ["d", "a", "c", "b"]


def test_way_from_decision_to_pixels_is_not_run() -> None:
    """What repeats the decision for each pixel is known at build time."""
    net = Net()
    x = net.stem()
    order = order_of(net.network(net.masked_block(x, 8, "block", net.mask(x, 8, "mask"))))
    assert not [name for name in order if name.startswith(("Resize", "Cast"))]


def test_mask_that_is_an_output_is_run() -> None:
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    order = order_of(net.network(net.masked_block(x, 8, "block", mask), mask))
    assert [name for name in order if name.startswith("Resize")]


def test_masks_one_after_another() -> None:
    """The second mask depends on what the first one spares."""
    net = Net()
    x = net.stem()
    for name in ("first", "second"):
        branch = net.bottleneck(x, 8, name)
        x = net.relu(net.add("Add", x, net.add("Mul", branch, net.mask(x, 8, f"{name}.mask"))))
    order = order_of(net.network(x))
    wanted = ["first.mask", "first.conv1", "first.conv3", "second.mask", "second.conv1", "second.conv3"]
    assert [name for name in order if name in wanted] == wanted
