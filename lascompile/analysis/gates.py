"""Where masks are born: find the decisions that gate feature maps.

A *gate* is a `Mul` or `Where` that lets a feature map through only where a *decision* is on. Exporters write the way
from the decision (a comparison of logits, one element a patch) to the multiplier (one element a pixel and channel)
in many forms: casts, nearest upsampling, expands, tiles, transposes, reshapes. All of them only move elements, so
instead of knowing the forms we run them on the numbers 0, 1, 2, … in place of the decision: the result says, for
each pixel and channel, which element of the decision it obeys. Uneven patches, grouped masks and masks given per
image need no case of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from lascompile.analysis.facts import constant, is_binary, moves_elements


@dataclass(frozen=True, eq=False)
class Mask:
    """Which pixels of which channels a decision switches on.

    Attributes:
        decision: The binary value that decides; its elements are counted in row-major order.
        index: [G, N*H*W] int32, the decision's element that group g obeys at each pixel.
        size: N, H, W of the map that is masked.
        inverted: True if a pixel is active where the decision is 0.
    """

    decision: ir.Value
    index: np.ndarray
    size: tuple[int, int, int]
    inverted: bool

    @property
    def name(self) -> str:
        """The decision's name in the ONNX graph."""
        return str(self.decision.name)

    @property
    def groups(self) -> int:
        """Masks per pixel (`mask_channel_group`)."""
        return len(self.index)

    @property
    def cells(self) -> tuple[int, int]:
        """Patches per column and per row of the map."""
        image = self.index[0].reshape(self.size)[0]
        return (
            1 + int((np.diff(image, axis=0) != 0).any(axis=1).sum()),
            1 + int((np.diff(image, axis=1) != 0).any(axis=0).sum()),
        )

    @property
    def granularity(self) -> tuple[int, int]:
        """S: the height and width of the largest patch, in pixels."""
        _, height, width = self.size
        return -(-height // self.cells[0]), -(-width // self.cells[1])

    def active(self, decision: np.ndarray) -> np.ndarray:
        """The pixels that any group switches on, bool [N, H, W], for the `decision` that was taken."""
        on = (decision.reshape(-1) != 0) != self.inverted
        return on[self.index].any(axis=0).reshape(self.size)


@dataclass(frozen=True, eq=False)
class Gate:
    """One place where a mask lets a feature map through.

    Attributes:
        site: The `Mul` or `Where` node.
        mask: Where the map passes.
        gated: The feature map [N, C, H, W].
        otherwise: What comes out where the mask is off; None is zero.
        channel_group: [C] int32, the mask's group of each channel of the output.
    """

    site: ir.Node
    mask: Mask
    gated: ir.Value
    otherwise: ir.Value | None
    channel_group: np.ndarray

    @property
    def is_spatial(self) -> bool:
        """False if the decision is taken per channel for the whole map, so that every pixel stays needed."""
        return self.mask.groups == 1 or self.mask.cells != (1, 1)


def find_gates(graph: ir.Graph) -> list[Gate]:
    """All gates of `graph`, in topological order; gates that obey the same pixels share their mask."""
    masks: list[Mask] = []
    return [gate for node in graph for gate in _gates_at(node, masks)]


def feature_map_shape(value: ir.Value) -> tuple[int, int, int, int]:
    """The static [N, C, H, W] of a 4-D value."""
    assert value.shape is not None and len(value.shape) == 4
    n, c, h, w = (int(dim) for dim in value.shape)
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
    for selector, gated, otherwise, inverted in _readings(node):
        if constant(selector) is not None or gated.shape != node.outputs[0].shape or is_binary(gated):
            continue
        decision, path = trace_decision(selector)
        if decision is None:
            continue
        batch, channels, height, width = feature_map_shape(node.outputs[0])
        index, channel_group = _index_map(decision, selector, path, (batch, channels, height, width))
        mask = _shared(masks, Mask(decision, index, (batch, height, width), inverted))
        yield Gate(node, mask, gated, otherwise, channel_group)
        return


def _shared(masks: list[Mask], new: Mask) -> Mask:
    """The mask in `masks` that equals `new`, or `new`, added to them."""
    for mask in masks:
        if (mask.decision, mask.size, mask.inverted) == (new.decision, new.size, new.inverted) and np.array_equal(
            mask.index, new.index
        ):
            return mask
    masks.append(new)
    return new


def _readings(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value, ir.Value | None, bool]]:
    """The ways to read `node` as a gate: (selector, gated, otherwise, inverted)."""
    if node.op_type == "Mul":
        a, b = node.inputs
        if a is not None and b is not None:
            yield a, b, None, False
            yield b, a, None, False
    elif node.op_type == "Where":
        condition, on, off = node.inputs
        if condition is not None and on is not None and off is not None:
            # The branch that only the decision lets through is the one that something else does not already hold.
            yield condition, on, _unless_zero(off), False
            yield condition, off, _unless_zero(on), True


def _unless_zero(value: ir.Value) -> ir.Value | None:
    known = constant(value)
    return None if known is not None and not known.numpy().any() else value


def trace_decision(selector: ir.Value) -> tuple[ir.Value | None, list[ir.Node]]:
    """Walk from a multiplier back to the decision it repeats.

    Returns:
        The decision (None if the multiplier is not binary) and the nodes between, in topological order.
    """
    path: list[ir.Node] = []
    value = selector
    while (node := value.producer()) is not None and moves_elements(node) and node.inputs[0] is not None:
        path.append(node)
        value = node.inputs[0]
    if constant(value) is not None or not is_binary(value):
        return None, []
    return value, path[::-1]


def _index_map(
    decision: ir.Value, selector: ir.Value, path: list[ir.Node], shape: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Which element of `decision` each pixel and each channel of the output obeys."""
    assert decision.shape is not None
    dims = [int(dim) for dim in decision.shape]  # type: ignore[arg-type]
    numbers = np.arange(int(np.prod(dims)), dtype=np.float32).reshape(dims)
    moved = _run_moves(path, decision, selector, numbers)
    batch, channels, height, width = shape
    index = np.broadcast_to(moved, (batch, moved.shape[1] if moved.ndim > 2 else 1, height, width)).astype(np.int32)
    by_channel = index.transpose(1, 0, 2, 3).reshape(index.shape[1], -1)
    groups, channel_group = np.unique(by_channel, axis=0, return_inverse=True)
    channel_group = channel_group.reshape(-1)
    if len(channel_group) == 1:
        channel_group = np.zeros(channels, np.int64)
    return groups, channel_group.astype(np.int32)


def _run_moves(path: list[ir.Node], decision: ir.Value, selector: ir.Value, numbers: np.ndarray) -> np.ndarray:
    """Apply the nodes of `path`, less their casts, to `numbers` in place of the decision."""
    if not path:
        return numbers
    nodes = [ir.to_proto(node) for node in path]
    for node in nodes:
        if node.op_type == "Cast":
            node.op_type = "Identity"
            del node.attribute[:]
    constants = [
        onnx.numpy_helper.from_array(known.numpy(), str(value.name))
        for node in path
        for value in node.inputs
        if value is not None and (known := constant(value)) is not None
    ]
    unique = {tensor.name: tensor for tensor in constants}
    graph = onnx.helper.make_graph(
        nodes,
        "moves",
        [onnx.helper.make_tensor_value_info(str(decision.name), onnx.TensorProto.FLOAT, list(numbers.shape))],
        [onnx.helper.make_tensor_value_info(str(selector.name), onnx.TensorProto.FLOAT, None)],
        list(unique.values()),
    )
    version = path[0].graph.opset_imports[""] if path[0].graph is not None else 17  # type: ignore[union-attr]
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
    model.ir_version = min(model.ir_version, 10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {str(decision.name): numbers})[0]
