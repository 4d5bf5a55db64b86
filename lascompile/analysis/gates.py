"""Where masks are born: find the nodes where decisions gate feature maps.

A *gate* is a `Mul` or `Where` that lets a feature map through only where a decision is on (see `masks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.elements import find_equals
from lascompile.analysis.facts import constant, is_binary, operator
from lascompile.analysis.masks import Mask, index_of_pixels, trace_decision

__all__ = ["Gate", "Mask", "feature_map_shape", "find_gates", "is_feature_map", "readings"]


@dataclass(frozen=True, eq=False)
class Gate:
    """One place where a mask lets a feature map through.

    Attributes:
        site: The `Mul` or `Where` node.
        mask: Where the map passes.
        gated: The feature map [N, C, H, W].
        otherwise: What comes out where the mask is off, of the same shape; None is zero.
        channel_group: [C] int32, the mask's group of each channel of the output.
    """

    site: ir.Node
    mask: Mask
    gated: ir.Value
    otherwise: ir.Value | None
    channel_group: np.ndarray

    @property
    def is_spatial(self) -> bool:
        """False if the mask skips channels, so that every pixel stays needed."""
        return self.mask.is_spatial


@dataclass(frozen=True)
class Reading:
    """One way to read a `Mul` or `Where` as a gate.

    Attributes:
        selector: The input that would say where the map passes.
        gated: The input that would pass.
        otherwise: What would come out where it does not; None is zero.
        inverted: True if the map passes where the selector is 0.
    """

    selector: ir.Value
    gated: ir.Value
    otherwise: ir.Value | None = None
    inverted: bool = False


def find_gates(graph: ir.Graph) -> list[Gate]:
    """All gates of `graph`, in topological order; gates that obey the same pixels share their mask."""
    masks: list[Mask] = []
    return [gate for node in graph for gate in _gates_at(node, masks)]


def readings(node: ir.Node) -> Iterator[Reading]:
    """The ways to read `node` as a gate, the better one first."""
    if any(value is None for value in node.inputs):
        return
    if operator(node) == "Mul":
        a, b = (value for value in node.inputs if value is not None)
        yield Reading(a, b)
        yield Reading(b, a)
    elif operator(node) == "Where":
        condition, on, off = (value for value in node.inputs if value is not None)
        plain = Reading(condition, on, _unless_zero(off))
        inverse = Reading(condition, off, _unless_zero(on), inverted=True)
        # Work is skipped before the branch that passes, so that should be the one with work of its own.
        yield from (inverse, plain) if _comes_before(on, off) else (plain, inverse)


def feature_map_shape(value: ir.Value) -> tuple[int, int, int, int]:
    """The static [N, C, H, W] of a 4-D value."""
    assert value.shape is not None
    n, c, h, w = value.shape.numpy()
    return n, c, h, w


def is_feature_map(value: ir.Value | None) -> bool:
    """True for a float32 value of four axes."""
    return (
        value is not None
        and value.shape is not None
        and len(value.shape) == 4
        and value.dtype in (ir.DataType.FLOAT, None)
    )


def _gates_at(node: ir.Node, masks: list[Mask]) -> Iterator[Gate]:
    if not node.outputs or not is_feature_map(node.outputs[0]):
        return
    output = node.outputs[0]
    for reading in readings(node):
        if not _fits(reading, output):
            continue
        trace = trace_decision(reading.selector)
        if trace is None:
            continue
        shape = feature_map_shape(output)
        index, channel_group = index_of_pixels(trace, shape)
        size = (shape[0], shape[2], shape[3])
        inverted = reading.inverted != trace.inverted
        mask = _shared(masks, Mask(trace.decision, index, size, inverted, find_equals(trace.decision)))
        yield Gate(node, mask, reading.gated, reading.otherwise, channel_group)
        return


def _fits(reading: Reading, output: ir.Value) -> bool:
    """True if what passes, and what else comes out, are different maps of the output's shape, the first computed."""
    maps = [reading.gated] if reading.otherwise is None else [reading.gated, reading.otherwise]
    return (
        all(value.shape == output.shape for value in maps)
        and reading.gated is not reading.otherwise
        and constant(reading.gated) is None
        and not is_binary(reading.gated)
    )


def _shared(masks: list[Mask], new: Mask) -> Mask:
    """The mask in `masks` that equals `new`, or `new`, added to them."""
    for mask in masks:
        same_kind = (mask.decision, mask.size, mask.inverted) == (new.decision, new.size, new.inverted)
        if same_kind and np.array_equal(mask.index, new.index):
            return mask
    masks.append(new)
    return new


def _unless_zero(value: ir.Value) -> ir.Value | None:
    known = constant(value)
    return None if known is not None and not known.numpy().any() else value


def _comes_before(early: ir.Value, late: ir.Value) -> bool:
    """True if `late` is computed from `early`, or `early` is a constant."""
    if constant(early) is not None:
        return True
    pending, seen = [late], {late}
    while pending:
        node = pending.pop().producer()
        sources = [] if node is None else [value for value in node.inputs if value is not None]
        if early in sources:
            return True
        pending += [value for value in sources if value not in seen]
        seen.update(sources)
    return False
