"""Networks that are masked in ways a LASNet is not: nested, shared, twice, before the sum, after it."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from tests.analysis.networks import INPUT, Builder, centred

SHAPE = (1, 3, 12, 12)
CHANNELS, SIZE = 8, 12


class Net(Builder):
    """Convolutions of `CHANNELS` channels on maps of `SIZE` pixels."""

    def stem(self) -> str:
        return self.add("Relu", self.conv(INPUT, 3, CHANNELS, 3, "stem"))

    def layer(self, x: str, name: str, kernel: int = 3) -> str:
        return self.conv(x, CHANNELS, CHANNELS, kernel, name)

    def decide(self, x: str, name: str, cells: int = 4) -> str:
        """A decision [1, 1, cells, cells]."""
        window = SIZE // cells
        pooled = self.add("AveragePool", x, kernel_shape=[window, window], strides=[window, window])
        return self.add("Greater", centred(self, self.conv(pooled, CHANNELS, 1, 1, name)), self.number(0))

    def upsample(self, decision: str) -> str:
        """A multiplier [1, 1, SIZE, SIZE]."""
        mask = self.add("Cast", decision, to=onnx.TensorProto.FLOAT)
        return self.add("Resize", mask, "", "", self.ints(1, 1, SIZE, SIZE), mode="nearest")

    def mask(self, x: str, name: str, cells: int = 4) -> str:
        return self.upsample(self.decide(x, name, cells))

    def truth(self, mask: str) -> str:
        return self.add("Cast", mask, to=onnx.TensorProto.BOOL)

    def block(self, x: str, name: str, mask: str) -> str:
        """Two convolutions, masked, and the residual."""
        inner = self.layer(self.add("Relu", self.layer(x, f"{name}.conv1")), f"{name}.conv2")
        return self.add("Relu", self.add("Add", x, self.add("Mul", inner, mask)))

    def finish(self, x: str) -> onnx.ModelProto:
        return self.model(SHAPE, self.conv(x, CHANNELS, 5, 1, "head"))


def nested() -> onnx.ModelProto:
    """Two masked blocks, which a mask of their own skips together."""
    net = Net()
    x = net.stem()
    outer, inner = net.mask(x, "outer", cells=2), net.mask(x, "inner")
    y = net.block(net.block(x, "layer1.0", inner), "layer1.1", inner)
    return net.finish(net.add("Where", net.truth(outer), y, x))


def decided_in_turn() -> onnx.ModelProto:
    """One convolution is read under two masks, and the second is decided by what the first let through."""
    net = Net()
    x = net.stem()
    shared = net.layer(x, "shared")
    first = net.add("Greater", centred(net, net.conv(x, CHANNELS, 1, 1, "masker1")), net.number(0))
    early = net.add("Where", first, net.layer(shared, "early"), net.number(0))
    second = net.add("Greater", centred(net, net.conv(early, CHANNELS, 1, 1, "masker2")), net.number(0))
    return net.finish(net.add("Add", early, net.add("Where", second, net.layer(shared, "late"), net.number(0))))


def two_masks() -> onnx.ModelProto:
    """One convolution is read under two masks of different patches."""
    net = Net()
    x = net.stem()
    shared = net.add("Relu", net.layer(x, "shared"))
    one = net.add("Mul", net.layer(shared, "a"), net.mask(x, "m1"))
    other = net.add("Mul", net.layer(shared, "b", kernel=1), net.mask(x, "m2", cells=3))
    return net.finish(net.add("Add", net.add("Add", one, other), x))


def two_branches() -> onnx.ModelProto:
    """Two masked branches are added to the residual one after the other."""
    net = Net()
    x = net.stem()
    one = net.add("Add", x, net.add("Mul", net.layer(x, "layer1.0.a"), net.mask(x, "m1")))
    return net.finish(net.add("Add", one, net.add("Mul", net.layer(x, "layer1.0.b"), net.mask(x, "m2"))))


def two_experts() -> onnx.ModelProto:
    """Each pixel is computed by one of two convolutions."""
    net = Net()
    x = net.stem()
    chosen = net.truth(net.mask(x, "m"))
    return net.finish(net.add("Where", chosen, net.layer(x, "on"), net.layer(x, "off")))


def mask_before_convolution() -> onnx.ModelProto:
    """A convolution reads what a mask left of another's output."""
    net = Net()
    x = net.stem()
    masked = net.add("Mul", net.layer(x, "conv1"), net.mask(x, "m"))
    return net.finish(net.add("Relu", net.layer(masked, "conv2")))


def squeeze_and_excite() -> onnx.ModelProto:
    """As in RegNetY: the branch is weighed by a mean over all of its pixels."""
    net = Net()
    x = net.stem()
    inner = net.add("Relu", net.layer(x, "conv1"))
    squeezed = net.add("Relu", net.conv(net.add("GlobalAveragePool", inner), CHANNELS, 2, 1, "fc1"))
    weight = net.add("Sigmoid", net.conv(squeezed, 2, CHANNELS, 1, "fc2"))
    branch = net.layer(net.add("Mul", inner, weight), "conv3", kernel=1)
    return net.finish(net.add("Add", x, net.add("Mul", branch, net.mask(x, "m"))))


def product_of_masks() -> onnx.ModelProto:
    """Active where two masks of different patches are."""
    net = Net()
    x = net.stem()
    both = net.add("Mul", net.mask(x, "m1"), net.mask(x, "m2", cells=2))
    return net.finish(net.block(x, "layer1.0", both))


def shared_mask() -> onnx.ModelProto:
    """Two blocks obey one mask, which is an output of the model too."""
    net = Net()
    x = net.stem()
    decision = net.decide(x, "m")
    mask = net.upsample(decision)
    model = net.finish(net.block(net.block(x, "layer1.0", mask), "layer1.1", mask))
    model.graph.output.append(onnx.helper.make_tensor_value_info(decision, onnx.TensorProto.BOOL, None))
    return model


def batch_norm_behind_mask() -> onnx.ModelProto:
    """A batch norm that cannot fold into the convolution, since a mask stands between them."""
    net = Net()
    x = net.stem()
    masked = net.add("Mul", net.layer(x, "conv1"), net.mask(x, "m"))
    return net.finish(net.add("Relu", net.add("Add", x, net.batch_norm(masked, CHANNELS, "bn"))))


def channel_mask() -> onnx.ModelProto:
    """As in LAUDNet: channels are masked, before the batch norm."""
    net = Net()
    x = net.stem()
    logits = net.conv(net.add("GlobalAveragePool", x), CHANNELS, 16, 1, "m")
    mask = net.add("Cast", net.add("Greater", logits, net.number(0)), to=onnx.TensorProto.FLOAT)
    masked = net.add("Mul", net.conv(x, CHANNELS, 16, 3, "conv1"), mask)
    inner = net.add("Relu", net.batch_norm(masked, 16, "bn"))
    return net.finish(net.add("Add", x, net.conv(inner, 16, CHANNELS, 1, "conv2")))


def pooled_branch() -> onnx.ModelProto:
    """A pooling without a transfer function between the convolution and the mask."""
    net = Net()
    x = net.stem()
    pooled = net.add("MaxPool", net.layer(x, "conv1"), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return net.finish(net.add("Add", x, net.add("Mul", pooled, net.mask(x, "m"))))


def silu() -> onnx.ModelProto:
    """An activation that multiplies a map by a function of itself."""
    net = Net()
    x = net.stem()
    convolved = net.layer(x, "conv1")
    inner = net.add("Mul", convolved, net.add("Sigmoid", convolved))
    return net.finish(net.add("Add", x, net.add("Mul", net.layer(inner, "conv2"), net.mask(x, "m"))))


def preactivation() -> onnx.ModelProto:
    """Norm and activation before each convolution, and nothing behind the sum."""
    net = Net()
    x = net.layer(net.stem(), "conv0")
    for name in ("layer1.0", "layer1.1"):
        mask = net.mask(x, f"{name}.masker")
        value = x
        for number in (1, 2):
            normal = net.add("Relu", net.batch_norm(value, CHANNELS, f"{name}.bn{number}"))
            value = net.layer(normal, f"{name}.conv{number}")
        x = net.add("Add", x, net.add("Mul", value, mask))
    return net.finish(x)


def activation_before_mask() -> onnx.ModelProto:
    """The branch is activated before it is masked, and the sum is clipped."""
    net = Net()
    x = net.stem()
    masked = net.add("Mul", net.add("Relu", net.layer(x, "conv1")), net.mask(x, "m"))
    return net.finish(net.add("Clip", net.add("Add", masked, x), net.number(0), net.number(6)))


def mask_behind_sum() -> onnx.ModelProto:
    """The residual is masked as well."""
    net = Net()
    x = net.stem()
    total = net.add("Relu", net.add("Add", x, net.layer(x, "conv1")))
    return net.finish(net.add("Mul", total, net.mask(x, "m")))


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    make.__name__: make
    for make in (
        nested,
        decided_in_turn,
        two_masks,
        two_branches,
        two_experts,
        mask_before_convolution,
        squeeze_and_excite,
        product_of_masks,
        shared_mask,
        batch_norm_behind_mask,
        channel_mask,
        pooled_branch,
        silu,
        preactivation,
        activation_before_mask,
        mask_behind_sum,
    )
}
