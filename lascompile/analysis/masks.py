"""Which decision does each pixel obey?

Exporters write the way from a *decision* (a comparison of logits, one element a patch) to the multiplier
(one element a pixel and channel) in many forms: casts, nearest upsampling, expands, tiles, transposes,
reshapes. All of them only move elements, so instead of knowing the forms we run them on the numbers 0, 1,
2, … in place of the decision: the result says, for each pixel and channel, which element of the decision it
obeys. Uneven patches, grouped masks and masks given per image need no case of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.elements import count_elements, move_elements
from lascompile.analysis.facts import constant, is_binary, moves_elements, operator

_MOST_GROUPS = 8
"""Above, a mask skips channels rather than pixels: of 9 groups at an activation rate of 0.5, all are off at 0.2 %."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Which pixels of which channels a decision switches on.

    Attributes:
        decision: The binary value that decides; its elements are counted in row-major order.
        index: [G, N*H*W] int32, the decision's element that group g obeys at each pixel.
        size: N, H, W of the map that is masked.
        inverted: True if a pixel is active where the decision is 0.
        equals: For each element of the decision, the first that is known to equal it; None if all may differ.
    """

    decision: ir.Value
    index: np.ndarray
    size: tuple[int, int, int]
    inverted: bool
    equals: np.ndarray | None = None

    @property
    def name(self) -> str:
        """The decision's name in the ONNX graph."""
        return str(self.decision.name)

    @property
    def groups(self) -> int:
        """Masks per pixel (`mask_channel_group`)."""
        return len(self.index)

    @property
    def patches(self) -> np.ndarray:
        """[G, N*H*W] int32, what `index` is but for elements that are equal: one number for each patch."""
        return self.index if self.equals is None else self.equals[self.index]

    @property
    def cells(self) -> tuple[int, int]:
        """Patches per column and per row of the map."""
        rows, columns = self._first_of_patch
        return int(rows.sum()), int(columns.sum())

    @property
    def granularity(self) -> tuple[int, int]:
        """S: the height and width of the largest patch, in pixels."""
        rows, columns = self._first_of_patch
        return _longest_run(rows), _longest_run(columns)

    @property
    def is_spatial(self) -> bool:
        """False if so many groups of channels decide for themselves that hardly a pixel is off in all of them."""
        return self.groups <= _MOST_GROUPS

    def active(self, decision: np.ndarray) -> np.ndarray:
        """The pixels that any group switches on, bool [N, H, W], for the `decision` that was taken."""
        on = (decision.reshape(-1) != 0) != self.inverted
        return on[self.index].any(axis=0).reshape(self.size)

    @property
    def _first_of_patch(self) -> tuple[np.ndarray, np.ndarray]:
        """Does a new patch start in this row, in this column? Bool [H] and [W]."""
        _, height, width = self.size
        index = self.patches.reshape(-1, height, width)
        rows, columns = np.ones(height, bool), np.ones(width, bool)
        rows[1:] = (index[:, 1:] != index[:, :-1]).any(axis=(0, 2))
        columns[1:] = (index[:, :, 1:] != index[:, :, :-1]).any(axis=(0, 1))
        return rows, columns


@dataclass(frozen=True)
class Trace:
    """The way from a decision to the multiplier that repeats it.

    Attributes:
        decision: Where it starts; binary.
        path: The nodes between, in topological order.
        inverted: True if they turn on into off.
    """

    decision: ir.Value
    path: tuple[ir.Node, ...]
    inverted: bool


def trace_decision(selector: ir.Value) -> Trace | None:
    """Walk from a multiplier back to the decision it repeats; None if it is constant, or not binary."""
    if constant(selector) is not None or not is_binary(selector):
        return None
    path: list[ir.Node] = []
    inverted = False
    value = selector
    while (source := _source(value)) is not None and constant(source) is None and is_binary(source):
        node = value.producer()
        assert node is not None
        path.append(node)
        inverted ^= operator(node) in ("Not", "Sub")
        value = source
    return Trace(value, tuple(path[::-1]), inverted)


def index_of_pixels(trace: Trace, shape: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which element of the decision each pixel and each channel of a map [N, C, H, W] obeys.

    Returns:
        `Mask.index` [G, N*H*W] and the group of each channel [C], both int32.
    """
    moved = count_elements(trace.decision)
    for node in trace.path:
        moved = moved if operator(node) in ("Cast", "Not", "Sub") else move_elements(node, moved)
    batch, channels, height, width = shape
    planes = moved.shape[-3] if moved.ndim > 2 else 1
    by_plane = np.broadcast_to(moved, (batch, planes, height, width)).swapaxes(0, 1).reshape(planes, -1)
    groups: dict[bytes, int] = {}
    group_of_plane = [groups.setdefault(plane.tobytes(), len(groups)) for plane in by_plane]
    first = [group_of_plane.index(group) for group in range(len(groups))]
    channel_group = np.broadcast_to(np.array(group_of_plane, np.int32), (channels,))
    return np.ascontiguousarray(by_plane[first]), np.ascontiguousarray(channel_group)


def _source(value: ir.Value) -> ir.Value | None:
    """The value whose elements `value` repeats, as they are or with on turned into off."""
    node = value.producer()
    if node is None:
        return None
    if moves_elements(node) or operator(node) == "Not":
        return node.inputs[0]
    if operator(node) == "Sub" and node.inputs[1] is not None:  # 1 - mask
        minuend = constant(node.inputs[0])
        keeps_shape = node.outputs[0].shape == node.inputs[1].shape
        return node.inputs[1] if minuend is not None and (minuend.numpy() == 1).all() and keeps_shape else None
    return None


def _longest_run(starts: np.ndarray) -> int:
    """The most positions from one start to the next, or to the end."""
    return int(np.diff(np.append(np.flatnonzero(starts), len(starts))).max())
