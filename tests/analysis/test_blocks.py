"""Blocks: which there are, what they are called, and why one stays dense."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from lascompile.analysis.blocks import Block, find_blocks, network_flops
from tests.analysis.networks import INPUT, Builder, Form, masked_network
from tests.analysis.soundness import Analysis, analyse, check_demands

CHANNELS, SIZE = 12, (12, 12)


def blocks_of(model: onnx.ModelProto, activation_rate: float = 0.5) -> list[Block]:
    return describe(analyse(model), activation_rate)


def describe(analysis: Analysis, activation_rate: float = 0.5) -> list[Block]:
    return find_blocks(analysis.graph, analysis.gates, analysis.demands, analysis.fills, activation_rate)


class Net(Builder):
    """A stem, one block called `layer1.0` whose parts a test puts together, and a head."""

    def stem(self) -> str:
        return self.add("Relu", self.conv(INPUT, 3, CHANNELS, 3, "stem"))

    def masker(self, x: str, groups: int = 1, cells: int = 3) -> str:
        """Logits [1, g, h, w] of pooled patches; above zero is on."""
        window = SIZE[0] // cells
        pooled = self.add("AveragePool", x, kernel_shape=[window, window], strides=[window, window])
        return self.conv(pooled, CHANNELS, groups, 1, "layer1.0.masker.conv2")

    def decide(self, logits: str) -> str:
        on = self.add("Greater", logits, self.number(0), name="layer1.0.masker.greater")
        return self.add("Cast", on, to=onnx.TensorProto.FLOAT)

    def upsample(self, mask: str, groups: int = 1) -> str:
        return self.add("Resize", mask, "", "", self.ints(1, groups, *SIZE), mode="nearest")

    def mask(self, x: str) -> str:
        return self.upsample(self.decide(self.masker(x)))

    def branch_conv(self, x: str, number: int, kernel: int = 3) -> str:
        return self.conv(x, CHANNELS, CHANNELS, kernel, f"layer1.0.conv{number}")

    def finish(self, x: str, branch: str) -> onnx.ModelProto:
        return self.finish_with(self.add("Add", x, branch, name="layer1.0.add"))

    def finish_with(self, total: str) -> onnx.ModelProto:
        """The network whose block ends with `total`."""
        return self.model([1, 3, *SIZE], self.conv(self.add("Relu", total), CHANNELS, 5, 1, "head"))


def unmasked(net: Net, x: str) -> str:
    return net.branch_conv(net.add("Relu", net.branch_conv(x, 1)), 2)


def masked(net: Net, x: str) -> str:
    return net.add("Mul", unmasked(net, x), net.mask(x))


def soft(net: Net, x: str) -> str:
    return net.add("Mul", unmasked(net, x), net.upsample(net.add("Sigmoid", net.masker(x), name="soft")))


def straight_through(net: Net, x: str) -> str:
    share = net.add("Sigmoid", net.masker(x))
    hard = net.add("Round", share)
    estimate = net.add("Add", net.add("Sub", hard, share), share, name="estimate")
    return net.add("Mul", unmasked(net, x), net.upsample(estimate))


def traced_away(net: Net, x: str) -> str:
    mask = np.zeros((1, 1, *SIZE), np.float32)
    mask[..., :6] = 1
    return net.add("Mul", unmasked(net, x), net.constant(mask))


def per_channel(net: Net, x: str) -> str:
    logits = net.conv(net.add("GlobalAveragePool", x), CHANNELS, CHANNELS, 1, "layer1.0.masker.conv")
    return net.add("Mul", unmasked(net, x), net.decide(logits))


def per_channel_in_the_middle(net: Net, x: str) -> str:
    """As in LAUDNet: before the batch norm, so that inactive channels are constants rather than zero."""
    logits = net.conv(net.add("GlobalAveragePool", x), CHANNELS, CHANNELS, 1, "layer1.0.masker.conv")
    masked = net.add("Mul", net.branch_conv(x, 1), net.decide(logits))
    return net.branch_conv(net.add("Relu", net.batch_norm(masked, CHANNELS, "layer1.0.bn1")), 2)


def masked_in_the_middle(net: Net, x: str) -> str:
    return net.branch_conv(net.add("Mul", net.branch_conv(x, 1), net.mask(x)), 2)


def squeeze_and_excite(net: Net, x: str) -> str:
    inner = net.branch_conv(x, 1)
    squeezed = net.conv(net.add("GlobalAveragePool", inner, name="squeeze"), CHANNELS, 2, 1, "layer1.0.se.fc1")
    excited = net.add("Sigmoid", net.conv(net.add("Relu", squeezed), 2, CHANNELS, 1, "layer1.0.se.fc2"))
    return net.add("Mul", net.branch_conv(net.add("Mul", inner, excited), 2, kernel=1), net.mask(x))


def unknown_operator(net: Net, x: str) -> str:
    normal = net.add("LpNormalization", unmasked(net, x), axis=1, name="normalize")
    return net.add("Mul", normal, net.mask(x))


def read_elsewhere(net: Net, x: str) -> str:
    first = net.branch_conv(x, 1)
    weight = net.add("Sigmoid", net.add("GlobalMaxPool", net.branch_conv(first, 2), name="look"))
    return net.add("Mul", net.add("Mul", net.branch_conv(first, 3), net.mask(x)), weight)


def decided_by_itself(net: Net, x: str) -> str:
    branch = unmasked(net, x)
    return net.add("Mul", branch, net.mask(branch))


def broadcast(net: Net, x: str) -> str:
    one = net.conv(x, CHANNELS, 1, 3, "layer1.0.conv1")
    logits = net.masker(x, groups=CHANNELS)
    return net.add("Mul", one, net.upsample(net.decide(logits), CHANNELS))


def beside_a_constant(net: Net, x: str) -> str:
    encoding = net.constant(np.linspace(0, 1, 144, dtype=np.float32).reshape(1, 1, *SIZE))
    return net.add("Mul", net.add("Add", unmasked(net, x), encoding), net.mask(x))


def beside_a_map(net: Net, x: str) -> str:
    attention = net.add("Sigmoid", net.conv(x, CHANNELS, 1, 3, "layer1.0.look"))
    return net.add("Mul", net.add("Mul", unmasked(net, x), attention), net.mask(x))


def flattened(net: Net, x: str) -> str:
    flat = net.add("Reshape", unmasked(net, x), net.ints(1, CHANNELS, -1))
    mask = net.add("Reshape", net.mask(x), net.ints(1, 1, -1))
    return net.add("Reshape", net.add("Mul", flat, mask, name="flat"), net.ints(1, CHANNELS, *SIZE))


def computed_weights(net: Net, x: str) -> str:
    kernel = net.add("Reshape", net.add("GlobalAveragePool", x), net.ints(CHANNELS, 1, 1, 1))
    convolved = net.add("Conv", x, kernel, group=CHANNELS, name="layer1.0.conv1")
    return net.add("Mul", convolved, net.mask(x))


DENSE: dict[str, tuple[Callable[[Net, str], str], str, str]] = {
    "no mask": (unmasked, "no mask multiplies this branch", "masker"),
    "soft mask": (soft, "is soft: Sigmoid soft gives numbers between 0 and 1", "threshold"),
    "straight-through": (straight_through, "no decision: Add estimate gives other numbers", "training only"),
    "traced away": (traced_away, "is a constant in the file", "traced away"),
    "channels": (per_channel, "decides for 12 groups of channels apart", "use a spatial mask"),
    "channels, in the middle": (per_channel_in_the_middle, "decides for 12 groups", "use a spatial mask"),
    "computed weights": (computed_weights, "the weights of Conv layer1.0.conv1 are computed", "are known when"),
    "unknown operator": (unknown_operator, "LpNormalization normalize has no transfer function", "normalize"),
    "decided by itself": (decided_by_itself, "reads every pixel", "block's input"),
    "a constant beside it": (beside_a_constant, "takes a constant of shape [1, 1, 12, 12] beside it", "one number a"),
    "a map beside it": (beside_a_map, "takes a map of shape [1, 1, 12, 12] beside it", "to [1, 12, 12, 12]"),
    "broadcast": (broadcast, "broadcasts a map of shape [1, 1, 12, 12] to [1, 12, 12, 12]", "full shape"),
    "flattened": (flattened, "Mul flat masks a value of shape [1, 12, 144]", "[N, C, H, W]"),
}


@pytest.mark.parametrize("case", DENSE)
def test_a_dense_block_says_why_and_what_to_do(case: str) -> None:
    branch, reason, advice = DENSE[case]
    net = Net()
    x = net.stem()
    analysis = analyse(net.finish(x, branch(net, x)))
    check_demands(analysis, {INPUT: np.random.default_rng(1).standard_normal((1, 3, *SIZE), np.float32)})
    (block,) = describe(analysis)
    assert not block.dynamic
    assert block.reason is not None and reason in block.reason
    assert block.advice is not None and advice in block.advice
    assert block.flops == block.flops_at


PARTLY: dict[str, tuple[Callable[[Net, str], str], str]] = {
    "middle": (masked_in_the_middle, "layer1.0.conv2: computed everywhere, since no mask multiplies what"),
    "squeeze": (squeeze_and_excite, "layer1.0.conv1: computed everywhere, since GlobalAveragePool squeeze reads"),
    "elsewhere": (read_elsewhere, "layer1.0.conv1: computed everywhere, since GlobalMaxPool look"),
}


@pytest.mark.parametrize("case", PARTLY)
def test_a_block_that_skips_a_part_says_why_not_the_rest(case: str) -> None:
    branch, reason = PARTLY[case]
    net = Net()
    x = net.stem()
    (block,) = blocks_of(net.finish(x, branch(net, x)))
    assert block.dynamic
    assert block.reason is not None and block.reason.startswith(reason)
    assert block.flops_at < block.flops


def test_a_masked_block_is_described() -> None:
    net = Net()
    x = net.stem()
    (block,) = blocks_of(net.finish(x, masked(net, x)))
    assert (block.name, block.kind, block.dynamic, block.granularity) == ("layer1.0", "basic", True, 4)
    assert (block.reason, block.advice, block.shape) == (None, None, (CHANNELS, *SIZE))
    assert (block.mask, block.mask_channel_group) == ("layer1.0.masker.greater:0", 1)
    first, second, masker = block.convolutions
    assert [c.module for c in block.convolutions] == ["layer1.0.conv1", "layer1.0.conv2", "layer1.0.masker.conv2"]
    assert [c.part for c in block.convolutions] == ["branch", "branch", "masker"]
    assert [c.demand for c in block.convolutions] == ["mask dilated by 1", "mask", "everywhere"]
    assert first.flops == 2 * 12 * 12 * 12 * 12 * 9
    assert second.flops_at == pytest.approx(first.flops / 2)
    assert masker.flops == masker.flops_at == 2 * 3 * 3 * 12
    assert block.flops == first.flops + second.flops + masker.flops
    json.dumps(block.to_dict())


@pytest.mark.parametrize(("block", "kind"), [("bottleneck", "bottleneck"), ("basic", "basic"), ("single", "residual")])
@pytest.mark.parametrize("gate", ["mul", "where", "select_sum", "select_sum_inverted"])
def test_kinds(block: str, kind: str, gate: str) -> None:
    found = blocks_of(masked_network(Form(block=block, gate=gate, blocks=2)))
    assert [(b.name, b.kind, b.dynamic) for b in found] == [("layer1.0", kind, True), ("layer1.1", kind, True)]


def test_a_masked_part_without_a_sum_is_a_block() -> None:
    (block,) = blocks_of(masked_network(Form(gate="no_residual")))
    assert (block.name, block.kind, block.dynamic) == ("layer1.0", "plain", True)
    assert [c.module.rpartition(".")[2] for c in block.convolutions if c.part == "branch"] == [
        "conv1",
        "conv2",
        "conv3",
    ]


def test_a_shortcut_is_told_from_the_branch() -> None:
    for gate in ("mul", "select_sum"):
        (block,) = blocks_of(masked_network(Form(gate=gate, stride=2)))
        parts = {c.module.removeprefix("layer1.0."): c.part for c in block.convolutions}
        assert parts["downsample.0"] == "shortcut"
        assert [name for name, part in parts.items() if part == "branch"] == ["conv1", "conv2", "conv3"]


def test_granularity_of_patches_that_are_not_square() -> None:
    (block,) = blocks_of(masked_network(Form(size=(12, 15), cells=(3, 3))))
    assert block.granularity == (4, 5)


def test_a_mask_for_groups_of_channels_at_each_patch() -> None:
    (block,) = blocks_of(masked_network(Form(mask_groups=4)))
    assert (block.dynamic, block.mask_channel_group, block.granularity) == (True, 4, 4)


def test_a_mask_of_one_patch_skips_the_layer() -> None:
    (block,) = blocks_of(masked_network(Form(cells=(1, 1))))
    assert (block.dynamic, block.granularity) == (True, 12)
    assert [c.demand for c in block.convolutions if c.part == "branch"] == ["mask dilated by 1", "mask", "mask"]
    branch = [c for c in block.convolutions if c.part == "branch"]
    assert all(c.flops_at == pytest.approx(c.flops / 2) for c in branch)


def test_masks_as_further_outputs_change_nothing() -> None:
    model = masked_network(Form())
    decision = next(node.output[0] for node in model.graph.node if node.op_type == "GreaterOrEqual")
    model.graph.output.append(onnx.helper.make_tensor_value_info(decision, onnx.TensorProto.BOOL, None))
    (block,) = blocks_of(model)
    assert block.dynamic
    assert [c.part for c in block.convolutions] == ["branch", "branch", "branch", "masker"]


def test_a_branch_that_is_an_output_too_stays_dense() -> None:
    model = masked_network(Form())
    model.graph.output.append(onnx.helper.make_tensor_value_info("layer1.0.conv3:0", onnx.TensorProto.FLOAT, None))
    (block,) = blocks_of(model)
    assert not block.dynamic
    assert block.reason == "layer1.0.conv3:0 is an output of the model"
    assert block.advice == "do not return layer1.0.conv3:0 from the model, or mask it as well"


def test_a_sum_over_the_whole_network_is_no_block_but_those_within_are() -> None:
    net = Net()
    x = net.stem()
    value = x
    for number in range(2):
        inner = net.conv(value, CHANNELS, CHANNELS, 3, f"layer1.{number}.conv1")
        value = net.add("Relu", net.add("Add", value, inner))
    (first, second) = blocks_of(net.finish(x, value))
    assert (first.kind, second.kind) == ("residual", "residual")
    assert [len(block.convolutions) for block in (first, second)] == [1, 1]


def test_blocks_without_names_are_numbered() -> None:
    model = masked_network(Form(blocks=2))
    for number, tensor in enumerate(model.graph.initializer):
        for node in model.graph.node:
            node.input[:] = [f"w{number}" if name == tensor.name else name for name in node.input]
        tensor.name = f"w{number}"
    assert [block.name for block in blocks_of(model)] == ["block1", "block2"]


def test_a_masker_elsewhere_does_not_change_the_name() -> None:
    net = Net()
    x = net.stem()
    mask = net.upsample(net.add("Round", net.add("Sigmoid", net.conv(x, CHANNELS, 1, 1, "decider", stride=4))))
    (block,) = blocks_of(net.finish(x, net.add("Mul", unmasked(net, x), mask)))
    assert (block.name, block.dynamic) == ("layer1.0", True)


def test_blocks_of_one_name_are_told_apart() -> None:
    net = Net()
    x = net.stem()
    for _ in range(2):
        weight = net.add("Relu", net.conv(x, CHANNELS, CHANNELS, 3, "shared.conv1"))
        inner = net.conv(weight, CHANNELS, CHANNELS, 3, "shared.conv2")
        x = net.add("Relu", net.add("Add", x, inner))
    model = net.model([1, 3, *SIZE], x)
    unique = {tensor.name: tensor for tensor in model.graph.initializer}
    del model.graph.initializer[:]
    model.graph.initializer.extend(unique.values())
    for place, node in enumerate(model.graph.node):  # the names of nodes and values have to be unique
        old = node.output[0]
        if old.startswith("shared"):
            node.name = node.output[0] = f"n{place}"
            model.graph.node[place + 1].input[:] = [
                node.output[0] if name == old else name for name in model.graph.node[place + 1].input
            ]
    assert [block.name for block in blocks_of(model)] == ["shared", "shared#2"]


def test_flops_of_the_network_by_part() -> None:
    analysis = analyse(masked_network(Form(blocks=2, stride=1)))
    blocks = describe(analysis, activation_rate=0.25)
    flops = network_flops(blocks, analysis.graph, activation_rate=0.25)
    assert flops["activation_rate"] == 0.25
    assert flops["parts"].keys() == {"stem", "branch", "masker", "head"}
    assert flops["parts"]["stem"] == {"dense": 2 * 144 * 8 * 27, "at_rate": 2 * 144 * 8 * 27}
    assert flops["parts"]["head"]["dense"] == 2 * 144 * 5 * 8
    assert flops["dense"] == sum(part["dense"] for part in flops["parts"].values())
    assert flops["at_rate"] == sum(block.flops_at for block in blocks) + sum(
        flops["parts"][part]["dense"] for part in ("stem", "head")
    )


def test_flops_are_for_one_image() -> None:
    one, three = (masked_network(Form(batch=batch)) for batch in (1, 3))
    assert [block.flops for block in blocks_of(one)] == [block.flops for block in blocks_of(three)]
    assert len({network_flops(blocks_of(model), analyse(model).graph)["dense"] for model in (one, three)}) == 1


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_nothing_active_and_everything_active(rate: float, share: float) -> None:
    (block,) = blocks_of(masked_network(Form()), rate)
    branch = [c for c in block.convolutions if c.part == "branch"]
    assert sum(c.flops_at for c in branch) == share * sum(c.flops for c in branch)


@pytest.mark.parametrize("op", ["Sum", "Max"])
def test_a_residual_that_is_joined_otherwise(op: str) -> None:
    net = Net()
    x = net.stem()
    (block,) = blocks_of(net.finish_with(net.add(op, x, masked(net, x))))
    assert (block.kind, block.dynamic, block.reason) == ("basic", True, None)
    assert 0.9 < block.skippable < 1


def test_without_blocks_there_is_no_stem() -> None:
    net = Net()
    flops = network_flops([], analyse(net.finish_with(net.stem())).graph)
    assert set(flops["parts"]) == {"other"}
    assert flops["skippable"] == 0
