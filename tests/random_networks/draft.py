"""A network in the making: the maps and masks so far, and operators as each opset writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.differential.networks import Net
from tests.random_networks.source import Source

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Map:
    """A value [N, C, H, W], float32."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Mask:
    """A value [N, 1 or C, H, W] of zeros and ones, as float32 or as bool."""

    name: str
    shape: Shape
    is_bool: bool


Value = tuple[str, int, Sequence[int]]


class Draft(Net):
    """Grows by one operator after the other; what was added may be read by everything behind it."""

    def __init__(self, source: Source, opset: int) -> None:
        """Begin a network of `opset`."""
        super().__init__(source.integer(0, 999))
        self.source, self.opset = source, opset
        self.maps: list[Map] = []
        self.masks: list[Mask] = []
        self.inputs: list[Value] = []
        self._weights: dict[tuple[int, ...], list[str]] = {}

    # what there is

    def some_map(self) -> Map:
        """A map; the newest ones are drawn more often, so that networks become deep."""
        recent = self.maps[-3:] if self.source.chance(70) else self.maps
        return self.source.choice(recent[::-1])

    def keep(self, name: str, shape: Sequence[int]) -> Map:
        """Let `name` be read from now on."""
        n, c, h, w = (int(dim) for dim in shape)
        self.maps.append(Map(name, (n, c, h, w)))
        return self.maps[-1]

    def of(self, kept: Map, op_type: str, *others: str, **attributes: Any) -> Map:
        """A function of a map that keeps its shape."""
        return self.keep(self.add(op_type, kept.name, *others, **attributes), kept.shape)

    # constants

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        """Random numbers; now and then those of another operator."""
        known = self._weights.setdefault(shape, [])
        if known and self.source.chance(20):
            return self.source.choice(known)
        array = self.rng.standard_normal(shape) * scale
        known.append(self.constant(array.astype(np.float32)))
        return known[-1]

    def positive(self, *shape: int) -> str:
        """Random numbers from 0.5 to 1.5."""
        return self.constant(self.rng.uniform(0.5, 1.5, shape).astype(np.float32))

    # operators whose form depends on the opset

    def over_axes(self, op_type: str, x: str, axes: Sequence[int], keepdims: int = 1) -> str:
        """A reduction: its axes are an attribute before opset 18 (`ReduceSum`: 13)."""
        if self.opset >= (13 if op_type == "ReduceSum" else 18):
            return self.add(op_type, x, self.ints(*axes), keepdims=keepdims)
        return self.add(op_type, x, axes=list(axes), keepdims=keepdims)

    def unsqueezed(self, x: str, *axes: int) -> str:
        """With further axes of one element."""
        if self.opset >= 13:
            return self.add("Unsqueeze", x, self.ints(*axes))
        return self.add("Unsqueeze", x, axes=list(axes))

    def clipped(self, x: str, low: float, high: float) -> str:
        """Between two numbers, which are attributes before opset 11."""
        if self.opset >= 11:
            return self.add("Clip", x, self.number(low), self.number(high))
        return self.add("Clip", x, min=float(low), max=float(high))

    def part(self, x: str, start: int, end: int, axis: int) -> str:
        """From `start` to `end` along an axis; attributes before opset 10."""
        if self.opset >= 10:
            return self.add("Slice", x, self.ints(start), self.ints(end), self.ints(axis))
        return self.add("Slice", x, starts=[start], ends=[end], axes=[axis])

    def padded(self, x: str, pads: Sequence[int], value: float = 0.0, mode: str = "constant") -> str:
        """With more rows and columns; attributes before opset 11."""
        if self.opset >= 11:
            border = [self.number(value)] if mode == "constant" else []
            return self.add("Pad", x, self.ints(*pads), *border, mode=mode)
        return self.add("Pad", x, pads=list(pads), value=value, mode=mode)

    def enlarged(self, x: str, shape: Shape, rows: int, columns: int) -> str:
        """Nearest upsampling of a map [N, C, H, W] by whole factors, in one of its forms."""
        n, c, h, w = shape
        factors = self.number_of(1, 1, rows, columns)
        if self.opset < 9:
            return self.add("Upsample", x, mode="nearest", scales=[1.0, 1.0, float(rows), float(columns)])
        if self.opset == 9:
            return self.add("Upsample", x, factors, mode="nearest")
        if self.opset == 10:
            return self.add("Resize", x, factors, mode="nearest")
        modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        no_roi = "" if self.opset >= 13 else self.constant(np.zeros(0, np.float32))
        if self.opset >= 13 and self.source.chance(50):
            size = self.ints(n, c, h * rows, w * columns)
            return self.add("Resize", x, "", "", size, mode="nearest", **modes)
        return self.add("Resize", x, no_roi, factors, mode="nearest", **modes)

    def cast(self, x: str, to: int) -> str:
        """As another type."""
        return self.add("Cast", x, to=to)

    def given(self, name: str, kind: int, shape: Sequence[int]) -> str:
        """A further input of the network."""
        self.inputs.append((name, kind, tuple(shape)))
        return name

    def finished(self, outputs: Sequence[str | Value]) -> onnx.ModelProto:
        """The network, with an initialiser that nothing reads now and then."""
        if self.source.chance(20):
            self.weight(3, 2)
        model = self.network(*outputs, inputs=self.inputs)
        model.opset_import[0].version = self.opset
        model.ir_version = 11 if self.opset >= 23 else 10 if self.opset >= 21 else 8
        return model


FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
Layer = Callable[[Draft, Map], object]
make_tensor = helper.make_tensor
