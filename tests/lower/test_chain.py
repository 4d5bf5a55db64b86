"""Which operators run as one kernel."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.demand import Footprint
from lascompile.frontend.simplify import simplify
from lascompile.lower.chain import Chain, ChainFinder, is_row_convolution, is_row_map
from lascompile.lower.lower import analyse
from lascompile.lower.order import execution_order
from tests.differential.networks import Net


def chains_of(model: onnx.ModelProto) -> dict[str, Chain]:
    """The chains of a model, by the name of their anchor."""
    graph = simplify(ir.from_proto(model)).graph
    analysis = analyse(graph)
    gates = {gate.site: gate for gate in analysis.gates}
    live = execution_order(graph, gates, analysis.demands)
    kept = frozenset([*graph.outputs, *(gate.mask.decision for gate in gates.values())])
    found = ChainFinder(gates, analysis.demands, analysis.fills, live, kept).find()
    assert all(chain.last is last for last, chain in found.items())
    return {str(chain.anchor.name): chain for chain in found.values()}


def operators(chain: Chain) -> list[str]:
    return [node.op_type for node in chain.nodes]


def block(net: Net, x: str) -> str:
    return net.masked_block(x, 8, "block", net.mask(x, 8, "mask"))


def test_bottleneck() -> None:
    """Three kernels: packed to the dilated mask, packed to the mask, and scattered into the residual."""
    net = Net()
    chains = chains_of(net.network(block(net, net.stem())))
    first, second, third = (chains[f"block.conv{i}"] for i in (1, 2, 3))
    assert operators(first) == operators(second) == operators(chains["stem"]) == ["Conv", "Relu"]
    assert operators(third) == ["Conv", "Mul", "Add", "Relu"]
    assert first.packs and second.packs and not third.packs and third.scatters
    assert third.gate is not None and third.domain == second.domain == frozenset([Footprint(third.gate.mask)])
    assert first.domain is not None and [len(footprint.windows) for footprint in first.domain] == [1]
    assert chains["stem"].domain is None and not chains["stem"].scatters


def test_base_of_a_gate() -> None:
    """What stands where it is shut: zero, the residual that is added behind it, or what `Where` selects."""
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    truth = net.boolean(mask)
    added = net.add("Add", x, net.add("Mul", net.conv(x, 8, 8, 1, "added"), mask))
    before = net.add("Mul", net.add("Add", x, net.conv(x, 8, 8, 1, "before")), mask)
    selected = net.add("Where", truth, net.add("Add", x, net.conv(x, 8, 8, 1, "selected")), x)
    zero = net.add("Add", x, net.add("Where", truth, net.conv(x, 8, 8, 1, "zero"), net.number(0)))
    chains = chains_of(net.network(added, before, selected, zero))
    residual = chains["added"].residual
    assert residual is not None and residual.name == x
    for name in ("added", "before", "selected", "zero"):
        assert chains[name].residual is residual, "each adds it in its kernel"
    bases = {name: chains[name].base for name in ("added", "before", "selected", "zero")}
    assert bases == {"added": residual, "before": None, "selected": residual, "zero": residual}


def test_activations_by_their_place() -> None:
    net = Net()
    x = net.stem()
    f = net.add("Tanh", net.relu(net.conv(x, 8, 8, 1, "conv")))
    gated = net.add("Sigmoid", net.add("Mul", f, net.mask(x, 8, "mask")))
    chain = chains_of(net.network(net.add("Neg", gated)))["conv"]
    assert [node.op_type for node in chain.before] == ["Relu", "Tanh"]
    assert [node.op_type for node in chain.after] == ["Sigmoid", "Neg"]
    assert chain.after_gate == chain.after


def unread(net: Net, x: str, f: str) -> tuple[str, ...]:
    """A reader more: the value has to be stored."""
    return net.relu(f), net.conv(f, 8, 4, 1, "other")


def returned(net: Net, x: str, f: str) -> tuple[str, ...]:
    return f, net.relu(f)


def doubled(net: Net, x: str, f: str) -> tuple[str, ...]:
    """The sum of a value with itself has no residual."""
    return (net.add("Add", f, f),)


def broadcast(net: Net, x: str, f: str) -> tuple[str, ...]:
    """A number for each image is no residual."""
    return (net.add("Add", f, net.add("GlobalAveragePool", x)),)


def transposed(net: Net, x: str, f: str) -> tuple[str, ...]:
    return (net.add("Transpose", f, perm=[0, 2, 3, 1]),)


@pytest.mark.parametrize("end", [unread, returned, doubled, broadcast, transposed])
def test_where_a_chain_ends(end: Callable[[Net, str, str], tuple[str, ...]]) -> None:
    net = Net()
    x = net.stem()
    outputs = end(net, x, net.conv(x, 8, 8, 3, "conv"))
    assert operators(chains_of(net.network(*outputs))["conv"]) == ["Conv"]


def test_dense_residual() -> None:
    """An ordinary block adds its residual in the kernel of its last convolution."""
    net = Net()
    x = net.stem()
    y = net.relu(net.add("Add", net.bottleneck(x, 8, "block"), x))
    chain = chains_of(net.network(y))["block.conv3"]
    assert operators(chain) == ["Conv", "Add", "Relu"]
    assert chain.gate is None and chain.domain is None


def test_sum_with_a_gated_branch_belongs_to_the_branch() -> None:
    """The downsample convolution could add the branch, but then the branch would be computed into zeros."""
    net = Net()
    x = net.stem()
    gated = net.add("Mul", net.bottleneck(x, 8, "block"), net.mask(x, 8, "mask"))
    y = net.relu(net.add("Add", gated, net.conv(x, 8, 8, 1, "downsample")))
    chains = chains_of(net.network(y))
    assert operators(chains["downsample"]) == ["Conv"]
    assert operators(chains["block.conv3"]) == ["Conv", "Mul", "Add", "Relu"]


def test_second_gate_starts_a_chain() -> None:
    net = Net()
    x = net.stem()
    once = net.add("Mul", net.conv(x, 8, 8, 1, "conv"), net.mask(x, 8, "mask"))
    twice = net.add("Mul", once, net.mask(x, 8, "fine", patch=2), name="twice")
    chains = chains_of(net.network(net.relu(twice)))
    assert operators(chains["conv"]) == ["Conv", "Mul"]
    assert operators(chains["twice"]) == ["Mul", "Relu"]


def test_decision_is_stored() -> None:
    """No chain passes over it, though only one node reads it: the lists do, too."""
    net = Net()
    x = net.stem()
    pooled = net.add("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
    decision = net.add("Relu", net.add("Sign", net.conv(pooled, 8, 1, 1, "logits")), name="decision")
    y = net.masked_block(x, 8, "block", net.add("Resize", decision, "", net.number_of(1, 1, 4, 4), mode="nearest"))
    chains = chains_of(net.network(y, net.add("Neg", decision)))
    assert operators(chains["decision"]) == ["Relu"]


@pytest.mark.parametrize(
    ("operator", "inputs", "is_one"),
    [
        ("Relu", ("map",), True),
        ("Relu", ("matrix",), False),
        ("Add", ("map", "map"), True),
        ("Add", ("map", "image"), True),
        ("Add", ("map", "channels"), True),
        ("Add", ("map", "line"), False),
        ("Add", ("image", "channels"), True),
        ("Mul", ("integers", "integers"), False),
        ("Clip", ("map", "number", "number"), True),
        ("Clip", ("map", "computed"), False),
        ("Conv", ("map", "weight"), True),
        ("Conv", ("map", "map"), False),
    ],
)
def test_what_has_a_kernel_over_rows(operator: str, inputs: tuple[str, ...], is_one: bool) -> None:
    net = Net()
    names = {
        "channels": net.zeros(1, 8, 1, 1),
        "line": net.zeros(1, 1, 1, 8),
        "number": net.number(1),
        "weight": net.zeros(4, 8, 1, 1),
    }
    shapes = {"map": (8, 8, 8, 8), "matrix": (8, 8), "image": (8, 8, 1, 1), "integers": (8, 8, 8, 8), "computed": ()}
    kinds = {name: onnx.TensorProto.INT32 if name == "integers" else onnx.TensorProto.FLOAT for name in shapes}
    given = [(name, kinds[name], shape) for name, shape in shapes.items()]
    result = net.add(operator, *(names.get(name, name) for name in inputs), name="tested")
    graph = simplify(ir.from_proto(net.network(result, inputs=given))).graph
    (node,) = (node for node in graph if node.name == "tested")
    assert (is_row_convolution(node) or is_row_map(node)) == is_one
