"""Small masked residual networks as ONNX models, with the mask written in the ways that exporters do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
FORMS = (
    "greater_or_equal",
    "less_not",
    "sub",
    "sigmoid",
    "round",
    "argmax",
    "argmax_equal",
    "and",
    "one_minus",
    "where",
    "temperature",
)


@dataclass
class Network:
    """Nodes and weights as they are added."""

    batch: int = 1
    size: int = 16
    channels: int = 8
    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: object, dtype: type = np.float32) -> str:
        if all(tensor.name != name for tensor in self.weights):
            self.weights.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def conv(self, source: str, name: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        weight = self.rng.standard_normal((channels[1], channels[0], kernel, kernel)) / np.sqrt(channels[0]) / kernel
        bias = self.rng.standard_normal(channels[1]) * 0.1
        inputs = [source, self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)]
        return self.add("Conv", inputs, name, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def model(
        self, output: str, shape: Sequence[int] | None = None, extra_outputs: Sequence[str] = ()
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [self.batch, 3, self.size, self.size])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 10
        return model


def masked_network(
    form: str = "greater_or_equal",
    granularity: int = 4,
    batch: int = 1,
    size: int = 16,
    blocks: int = 2,
    pool: bool = False,
    head: bool = False,
    seed: int = 0,
) -> onnx.ModelProto:
    """A stem, masked residual blocks, and perhaps a classifier; decisions are called m0, m1, …"""
    net = Network(batch, size, seed=seed)
    x = net.add("Relu", [net.conv("x", "stem", (3, 8), 3)], "stem.relu")
    if pool:
        x = net.add("MaxPool", [x], "pool", kernel_shape=[3, 3], pads=[1] * 4)
    for block in range(blocks):
        x = _block(net, x, block, form, granularity)
    if not head:
        return net.model(x, [batch, 8, size, size])
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x], "mean")], "flat")
    weight = net.constant("fc.w", net.rng.standard_normal((8, 10)))
    return net.model(net.add("Gemm", [x, weight], "logits"), [batch, 10])


def _block(net: Network, x: str, block: int, form: str, granularity: int) -> str:
    b = f"b{block}"
    f = net.add("Relu", [net.conv(x, f"{b}.conv1", (8, 8), 1)], f"{b}.relu1")
    f = net.conv(f, f"{b}.conv2", (8, 8), 3)
    pooled = x
    if granularity > 1:
        pooled = net.add("AveragePool", [x], f"{b}.pool", kernel_shape=[granularity] * 2, strides=[granularity] * 2)
    # Centred on the pooled map, so that about half of the patches are on.
    centred = net.add("Sub", [pooled, net.add("GlobalAveragePool", [pooled], f"{b}.mean")], f"{b}.centred")
    logits = net.conv(centred, f"{b}.logits", (8, 2), 1)
    on = net.add("Gather", [logits, net.constant("zero", [0], np.int64)], f"{b}.on", axis=1)
    off = net.add("Gather", [logits, net.constant("one", [1], np.int64)], f"{b}.off", axis=1)
    decision = _decide(net, f"m{block}", logits, on, off, form)
    mask = net.add("Cast", [decision], f"{b}.cast", to=TensorProto.FLOAT)
    if granularity > 1:
        scales = net.constant(f"scales{granularity}", [1, 1, granularity, granularity])
        mask = net.add(
            "Resize", [mask, "", scales], f"{b}.up", mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
    if form == "where":
        mask = net.add("Cast", [mask], f"{b}.bool", to=TensorProto.BOOL)
        gated = net.add("Where", [mask, f, net.constant("zero_f", 0.0)], f"{b}.gated")
    else:
        gated = net.add("Mul", [f, mask], f"{b}.gated")
    return net.add("Relu", [net.add("Add", [x, gated], f"{b}.sum")], f"{b}.out")


def _decide(net: Network, name: str, logits: str, on: str, off: str, form: str) -> str:
    if form == "less_not":
        return net.add("Not", [net.add("Less", [on, off], f"{name}.less")], name)
    if form == "sub":
        return net.add("Greater", [net.add("Sub", [on, off], f"{name}.d"), net.constant("nought", 0.0)], name)
    if form in ("sigmoid", "round"):
        share = net.add("Sigmoid", [net.add("Sub", [on, off], f"{name}.d")], f"{name}.share")
        if form == "round":
            return net.add("Round", [share], name)
        return net.add("Greater", [share, net.constant("half", 0.5)], name)
    if form == "argmax":
        return net.add("ArgMax", [logits], name, axis=1)
    if form == "argmax_equal":
        return net.add(
            "Equal",
            [net.add("ArgMax", [logits], f"{name}.i", axis=1), net.constant("one64", 1, np.int64)],
            name,
        )
    if form == "and":
        above = net.add("Greater", [on, net.constant("low", -0.5)], f"{name}.above")
        return net.add("And", [net.add("GreaterOrEqual", [on, off], f"{name}.ge"), above], name)
    if form == "one_minus":
        less = net.add("Cast", [net.add("Less", [on, off], f"{name}.less")], f"{name}.f", to=TensorProto.FLOAT)
        return net.add("Sub", [net.constant("unit", 1.0), less], name)
    if form == "temperature":
        hot = [net.add("Div", [v, net.constant("t", 0.1)], f"{name}.{v}.hot") for v in (on, off)]
        return net.add("GreaterOrEqual", hot, name)
    return net.add("GreaterOrEqual", [on, off], name)
