"""Masked networks that need more than the generated family offers: several outputs, shared masks, odd shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.analysis.networks import Builder

Value = tuple[str, int, Sequence[int]]
"""Name, element type and shape of an input or output."""

SIZE = (8, 8)
IMAGE: Value = ("x", TensorProto.FLOAT, (1, 3, *SIZE))


class Net(Builder):
    """A builder whose maps are 8x8 if nothing else is said."""

    def relu(self, x: str) -> str:
        return self.add("Relu", x)

    def number_of(self, *numbers: float) -> str:
        """A constant vector of float32."""
        return self.constant(np.array(numbers, np.float32))

    def zeros(self, *shape: int) -> str:
        return self.constant(np.zeros(shape, np.float32))

    def stem(self, channels: int = 8) -> str:
        """[N, 3, H, W] → [N, channels, H, W], never negative."""
        return self.relu(self.conv("x", 3, channels, 3, "stem"))

    def bottleneck(self, x: str, channels: int, name: str, width: int = 4) -> str:
        """The three convolutions of a block's branch."""
        first = self.relu(self.conv(x, channels, width, 1, f"{name}.conv1"))
        second = self.relu(self.conv(first, width, width, 3, f"{name}.conv2"))
        return self.conv(second, width, channels, 1, f"{name}.conv3")

    def decision(self, x: str, channels: int, name: str, patch: int = 4, groups: int = 1) -> str:
        """A map [N, channels, H, W] → bool [N, groups, H / patch, W / patch], called `name`:0."""
        pooled = self.add("AveragePool", x, kernel_shape=[patch] * 2, strides=[patch] * 2) if patch > 1 else x
        logits = self.conv(pooled, channels, 2 * groups, 1, f"{name}.logits")
        ranges = ((0, groups), (groups, 2 * groups))
        on, off = (self.add("Slice", logits, *(self.ints(i) for i in (*ends, 1))) for ends in ranges)
        return self.add("Greater", on, off, name=name)

    def mask(self, x: str, channels: int, name: str, patch: int = 4) -> str:
        """The float mask [N, 1, H, W] of such a decision."""
        return self.upsampled(self.decision(x, channels, name, patch), patch)

    def grouped_mask(self, x: str, channels: int, name: str, groups: int) -> str:
        """The float mask [1, channels, 8, 8], of which each group rules channels / groups neighbours."""
        mask = self.add("Unsqueeze", self.upsampled(self.decision(x, channels, name, groups=groups)), self.ints(2))
        repeated = self.add("Expand", mask, self.ints(1, groups, channels // groups, *SIZE))
        return self.add("Reshape", repeated, self.ints(1, channels, *SIZE))

    def upsampled(self, decision: str, patch: int = 4) -> str:
        """The decision as float, repeated `patch` times along height and width."""
        mask = self.add("Cast", decision, to=TensorProto.FLOAT)
        if patch == 1:
            return mask
        modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", mask, "", self.number_of(1, 1, patch, patch), mode="nearest", **modes)

    def masked_block(self, x: str, channels: int, name: str, mask: str) -> str:
        """relu(x + mask * bottleneck(x))"""
        gated = self.add("Mul", self.bottleneck(x, channels, name), mask)
        return self.relu(self.add("Add", x, gated))

    def boolean(self, mask: str) -> str:
        return self.add("Cast", mask, to=TensorProto.BOOL)

    def network(self, *outputs: str | Value, inputs: Sequence[Value] = (IMAGE,)) -> onnx.ModelProto:
        """Everything added so far; outputs by name, or described where they are inputs as well."""
        infos = [
            onnx.ValueInfoProto(name=output) if isinstance(output, str) else helper.make_tensor_value_info(*output)
            for output in outputs
        ]
        given = [helper.make_tensor_value_info(*value) for value in inputs]
        graph = helper.make_graph(self.nodes, "network", given, infos, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> list[np.ndarray]:
    """An array for each input."""
    rng = np.random.default_rng(seed)
    arrays = []
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        normal = rng.standard_normal(shape)
        arrays.append(normal.astype(dtype) if dtype.kind == "f" else (normal * 3 > 0).astype(dtype))
    return arrays
