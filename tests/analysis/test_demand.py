"""Windows, footprints, and how demand goes through a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lascompile.analysis.demand import NOWHERE, Demand, Footprint, Window, find_demands
from lascompile.analysis.gates import Mask, find_gates
from lascompile.analysis.rules import RULES
from lascompile.frontend.simplify import simplify
from tests.analysis.networks import INPUT, Builder, Form, masked_network
from tests.analysis.soundness import analyse


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows that a convolution or pooling can have."""
    rows, columns = draw(axes()), draw(axes())
    return Window(*zip(rows, columns, strict=True))


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, ...]:
    """The fields of a window along one axis."""
    kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    span = (kernel - 1) * dilation
    before, after = draw(st.integers(0, span)), draw(st.integers(0, span))
    size = draw(st.integers(max(1, span + 1 - before - after), span + 9))
    return kernel, stride, before, dilation, size, (size + before + after - span - 1) // stride + 1


def read_by(window: Window, needed: np.ndarray) -> np.ndarray:
    """What `needed` output pixels read, pixel by pixel and tap by tap."""
    read = np.zeros((len(needed), *window.input_size), bool)
    for image, row, column in np.argwhere(needed):
        for i in range(window.kernel[0]):
            for j in range(window.kernel[1]):
                y = row * window.stride[0] - window.pad[0] + i * window.dilation[0]
                x = column * window.stride[1] - window.pad[1] + j * window.dilation[1]
                if 0 <= y < window.input_size[0] and 0 <= x < window.input_size[1]:
                    read[image, y, x] = True
    return read


@settings(max_examples=200, deadline=None, derandomize=True)
@given(windows(), st.integers(0, 2**31))
def test_a_window_spreads_to_what_it_reads(window: Window, seed: int) -> None:
    needed = np.random.default_rng(seed).random((2, *window.output_size)) < 0.3
    np.testing.assert_array_equal(window.spread(needed), read_by(window, needed))


def window(kernel: int = 3, stride: int = 1, dilation: int = 1, size: int = 8) -> Window:
    pad = dilation * (kernel // 2)
    output = (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
    return Window((kernel,) * 2, (stride,) * 2, (pad,) * 2, (dilation,) * 2, (size,) * 2, (output,) * 2)


def mask_of(size: int = 8) -> Mask:
    return Mask(ir.Value(name="m"), np.arange(size**2, dtype=np.int32)[None], (1, size, size), inverted=False)


def test_reach_and_pointwise() -> None:
    assert window(1).is_pointwise
    assert not window(1, stride=2).is_pointwise
    assert [window(3).reach, window(5).reach, window(3, dilation=2).reach, window(1).reach] == [1, 2, 2, 0]
    assert window(3).taps == 9


def test_a_pointwise_window_leaves_a_footprint_as_it_is() -> None:
    footprint = Footprint(mask_of())
    assert footprint.through(window(1)) is footprint
    assert footprint.through(window(3)).windows == (window(3),)


def test_the_pixels_of_a_footprint() -> None:
    decision = np.zeros((1, 1, 8, 8), bool)
    decision[0, 0, 4, 4] = True
    footprint = Footprint(mask_of(), (window(3), window(3)))
    expected = np.zeros((1, 8, 8), bool)
    expected[0, 2:7, 2:7] = True
    np.testing.assert_array_equal(footprint.pixels(decision), expected)


@pytest.mark.parametrize(
    ("seen_through", "words"),
    [
        ((), "mask"),
        ((window(3),), "mask dilated by 1"),
        ((window(3), window(3)), "mask dilated by 2"),
        ((window(3, dilation=2),), "mask dilated by 2"),
        ((window(3), window(3, stride=2, size=16)), "mask dilated by 3"),
        ((window(1, stride=2, size=16),), "mask, 1 pixel in 4"),
    ],
)
def test_demand_in_words(seen_through: tuple[Window, ...], words: str) -> None:
    assert Demand(frozenset([Footprint(mask_of(), seen_through)])).describe() == words


def test_other_demands_in_words() -> None:
    two = Demand(frozenset([Footprint(mask_of()), Footprint(mask_of(), (window(3),))]))
    assert two.describe() == "2 masks dilated by 1"
    assert NOWHERE.describe() == "nowhere"
    assert Demand(reason="because").describe() == "everywhere"


def test_joining_demands() -> None:
    one, other = Demand(frozenset([Footprint(mask_of())])), Demand(frozenset([Footprint(mask_of())]))
    everything = Demand(reason="because")
    assert (one | other).footprints == one.footprints | other.footprints
    assert one | everything == everything | one == everything
    assert one | NOWHERE == one
    assert everything.through(window(3)) == everything


def test_demand_of_a_bottleneck() -> None:
    analysis = analyse(masked_network(Form(block="bottleneck", stride=2)))
    words = {name: analysis.demand(f"layer1.0.{name}").describe() for name in ("conv1", "conv2", "conv3")}
    assert words == {"conv1": "mask dilated by 1", "conv2": "mask", "conv3": "mask"}
    assert analysis.demand("layer1.0.downsample.0").is_everywhere
    assert analysis.demand("stem").is_everywhere


def test_what_nothing_reads_is_needed_nowhere() -> None:
    analysis = analyse(masked_network(Form()))
    assert analysis.demands.get(ir.Value(name="other"), NOWHERE).is_nowhere


def test_an_operator_without_a_rule_demands_everything() -> None:
    analysis = analyse(masked_network(Form()))
    without = {name: rule for name, rule in RULES.items() if name != "Relu"}
    demands = find_demands(analysis.graph, analysis.gates, without)
    first = next(node.outputs[0] for node in analysis.graph if node.name == "layer1.0.conv2")
    assert demands[first].is_everywhere
    assert demands[first].reason == "Relu Relu_5 has no transfer function, so it is taken to read every pixel"


def test_a_pixel_read_by_two_masks_is_needed_by_both() -> None:
    build = Builder()
    shared = build.conv(INPUT, 3, 4, 3, "shared")
    branches = []
    for name in ("a", "b"):
        decision = build.add("Greater", build.conv(INPUT, 3, 1, 1, f"{name}.masker"), build.number(0))
        mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
        branches.append(build.add("Mul", build.conv(shared, 4, 4, 3, name), mask))
    analysis = analyse(build.model([1, 3, 8, 8], build.add("Add", *branches)))
    assert analysis.demand("shared").describe() == "2 masks dilated by 1"


def test_what_a_decision_is_computed_from_does_not_wait_for_it() -> None:
    """`shared` is needed on two masks; the second is decided from what the first lets through of it."""
    build = Builder()
    shared = build.conv(INPUT, 3, 4, 3, "shared")
    first = build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker1"), build.number(0))
    masked = build.add("Where", first, build.conv(shared, 4, 4, 3, "a"), build.number(0))
    second = build.add("Greater", build.conv(masked, 4, 1, 1, "masker2"), build.number(0))
    late = build.add("Where", second, build.conv(shared, 4, 4, 3, "b"), build.number(0))
    analysis = analyse(build.model([1, 3, 8, 8], build.add("Add", masked, late)))
    assert analysis.demand("shared").is_everywhere
    assert analysis.demand("shared").reason == "the decision Greater_6:0 is computed from it"
    assert analysis.demand("a").describe() == analysis.demand("b").describe() == "mask"


def test_what_a_subgraph_reads_is_needed_everywhere() -> None:
    build = Builder()
    decision = build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker"), build.number(0))
    branch = build.conv(INPUT, 3, 4, 3, "conv")
    masked = build.add("Where", decision, branch, build.number(0))
    info = onnx.helper.make_tensor_value_info("then", onnx.TensorProto.FLOAT, [1, 4, 8, 8])
    then = onnx.helper.make_graph([onnx.helper.make_node("Neg", [branch], ["then"])], "then", [], [info])
    condition = build.add("ReduceMax", build.add("Cast", decision, to=onnx.TensorProto.FLOAT), keepdims=0)
    truth = build.add("Cast", condition, to=onnx.TensorProto.BOOL)
    chosen = build.add("If", truth, then_branch=then, else_branch=then)
    graph = ir.from_proto(
        onnx.shape_inference.infer_shapes(build.model([1, 3, 8, 8], build.add("Add", masked, chosen)))
    ).graph
    gates = find_gates(graph)
    value = next(node.outputs[0] for node in graph if node.name == "conv")
    assert len(gates) == 1
    assert find_demands(graph, gates, RULES)[value].is_everywhere


def test_a_rule_of_onnx_does_not_serve_another_domain() -> None:
    graph = simplify(ir.from_proto(masked_network(Form()))).graph
    gates = find_gates(graph)
    relu = next(node for node in graph if node.name == "Relu_5")
    relu.domain = "com.example"
    conv2 = next(node.outputs[0] for node in graph if node.name == "layer1.0.conv2")
    reason = find_demands(graph, gates, RULES)[conv2].reason
    assert reason is not None and reason.startswith("com.example::Relu Relu_5 has no transfer function")


def test_windows_of_padding_modes() -> None:
    for mode, pad in (("SAME_UPPER", (0, 0)), ("SAME_LOWER", (1, 1)), ("VALID", (0, 0))):
        build = Builder()
        weight = build.constant(np.ones((4, 3, 2, 2), np.float32), "w")
        build.add("Conv", INPUT, weight, name="conv", auto_pad=mode)
        model = onnx.shape_inference.infer_shapes(build.model([1, 3, 8, 8], "conv:0"))
        node = next(iter(ir.from_proto(model).graph))
        found = RULES["Conv"](node, Demand(frozenset([Footprint(mask_of(8 if mode != "VALID" else 7))])))
        (footprint,) = found[0].footprints
        assert footprint.windows[0].pad == pad
        assert replace(footprint.windows[0], pad=(0, 0)).kernel == (2, 2)
