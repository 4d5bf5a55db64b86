"""Where is each value needed? Computed backwards, from the graph's outputs to its inputs.

A demand is *nowhere*, *everywhere*, or *on* the pixels that one or more footprints cover. A footprint is a
mask seen through the convolutions behind it: the active pixels themselves, or every pixel that the windows
of the active ones reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.facts import operator
from lascompile.analysis.gates import Gate, Mask


@dataclass(frozen=True)
class Window:
    """The pixels that one output pixel of a convolution or pooling reads.

    Output pixel y reads the inputs y * stride - pad + i * dilation, for i below kernel, per axis.

    Attributes:
        kernel: Taps per axis (height, width).
        stride: Step per axis.
        pad: Zeros before the first row and column.
        dilation: Distance of the taps per axis.
        input_size: H, W of the map that is read.
        output_size: H, W of the map that is computed.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    input_size: tuple[int, int]
    output_size: tuple[int, int]

    @property
    def is_pointwise(self) -> bool:
        """True if each output pixel reads the one input pixel in the same place."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.pad == (0, 0) and self.same_size

    @property
    def same_size(self) -> bool:
        """True if input and output maps have the same size."""
        return self.input_size == self.output_size

    @property
    def taps(self) -> int:
        """Input pixels read per output pixel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def reach(self) -> int:
        """The most pixels that a tap lies from the place where the output pixel stands in the input."""
        spans = zip(self.kernel, self.dilation, self.pad, strict=True)
        return max(max(pad, (kernel - 1) * dilation - pad) for kernel, dilation, pad in spans)

    def taps_within(self) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """For each tap, the output pixels for which it lies inside the input, and the pixels it reads there.

        Both are a pair of slices (rows, columns), of equal lengths.
        """
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                rows, columns = self._within(0, row), self._within(1, column)
                yield (rows[0], columns[0]), (rows[1], columns[1])

    def _within(self, axis: int, tap: int) -> tuple[slice, slice]:
        """Of one axis: the outputs y with 0 <= y * stride + offset < input size, and those inputs."""
        stride, offset = self.stride[axis], tap * self.dilation[axis] - self.pad[axis]
        first = max(0, -(offset // stride))
        end = min(self.output_size[axis], -((offset - self.input_size[axis]) // stride))
        start = first * stride + offset
        count = max(0, end - first)
        return slice(first, first + count), slice(start, start + max(0, (count - 1) * stride + 1), stride)

    def spread(self, needed: np.ndarray) -> np.ndarray:
        """The input pixels that the output pixels `needed` read, bool [N, H, W] both."""
        read = np.zeros((len(needed), *self.input_size), bool)
        for outputs, inputs in self.taps_within():
            read[:, inputs[0], inputs[1]] |= needed[:, outputs[0], outputs[1]]
        return read


@dataclass(frozen=True)
class Footprint:
    """The pixels that `mask` reaches through `windows`, the outermost window first."""

    mask: Mask
    windows: tuple[Window, ...] = ()

    def through(self, window: Window) -> Footprint:
        """The pixels that are read in order to compute this footprint's pixels with `window`."""
        return self if window.is_pointwise else Footprint(self.mask, (*self.windows, window))

    @property
    def reach(self) -> int:
        """How far a needed pixel can lie from the place where an active one stands in this map."""
        reach = 0
        for window in self.windows:
            reach = reach * max(window.stride) + window.reach
        return reach

    @property
    def step(self) -> int:
        """Every how many pixels one stands for a pixel of the mask, along an axis."""
        return int(np.prod([max(window.stride) for window in self.windows], dtype=np.int64))

    def pixels(self, decision: np.ndarray) -> np.ndarray:
        """The pixels needed under the `decision` that was taken, bool [N, H, W]."""
        needed = self.mask.active(decision)
        for window in self.windows:
            needed = window.spread(needed)
        return needed


@dataclass(frozen=True)
class Demand:
    """Where a value is needed.

    Attributes:
        footprints: The pixels needed; empty together with no `reason` is nowhere.
        reason: Set if every pixel is needed: what asks for them, for reports.
        advice: How a model would have to change not to ask for them.
    """

    footprints: frozenset[Footprint] = frozenset()
    reason: str | None = None
    advice: str | None = None

    @property
    def is_everywhere(self) -> bool:
        """True if every pixel is needed."""
        return self.reason is not None

    @property
    def is_nowhere(self) -> bool:
        """True if no pixel is needed."""
        return self.reason is None and not self.footprints

    def __or__(self, other: Demand) -> Demand:
        if self.is_everywhere:
            return self
        if other.is_everywhere:
            return other
        return Demand(self.footprints | other.footprints)

    def through(self, window: Window) -> Demand:
        """The demand on the input of a convolution whose output is needed as this demand says."""
        footprints = frozenset(footprint.through(window) for footprint in self.footprints)
        return Demand(footprints, self.reason, self.advice)

    def describe(self) -> str:
        """The demand in words, for reports."""
        if self.is_everywhere:
            return "everywhere"
        if self.is_nowhere:
            return "nowhere"
        reach = max(footprint.reach for footprint in self.footprints)
        step = max(footprint.step for footprint in self.footprints)
        masks = {footprint.mask for footprint in self.footprints}
        what = "mask" if len(masks) == 1 else f"{len(masks)} masks"
        if reach > 0:
            return f"{what} dilated by {reach}"
        return what if step == 1 else f"{what}, 1 pixel in {step**2}"


NOWHERE = Demand()

# A transfer function answers, for a node and the demand on its output, the demand on each of its inputs.
TransferFunction = Callable[[ir.Node, Demand], list[Demand]]


def everywhere(node: ir.Node) -> Demand:
    """Every pixel is needed, because `node` reads them all."""
    return Demand(
        reason=f"{operator(node)} {node.name} reads every pixel",
        advice=f"compute {operator(node)} {node.name} from the block's input, or from its output behind the sum, since "
        "whatever it reads is needed whole",
    )


def find_demands(graph: ir.Graph, gates: list[Gate], rules: Mapping[str, TransferFunction]) -> dict[ir.Value, Demand]:
    """The demand on every value of `graph`; values left out are needed nowhere.

    An operator without a rule demands everything of its inputs: correct, only slower. So does a decision of
    all it is computed from, since what waits for a mask must not be what the mask waits for.
    """
    gate_at = {gate.site: gate for gate in gates if gate.is_spatial}
    sources = {gate.mask.decision: _sources(gate.mask.decision) for gate in gate_at.values()}
    demands = {value: _as_output(value) for value in graph.outputs}
    for node in reversed(graph):
        output = NOWHERE
        for result in node.outputs:
            demands[result] = _computable(demands.get(result, NOWHERE), result, sources)
            output |= demands[result]
        if output.is_nowhere:
            continue
        on_inputs = _on_inputs(node, output, gate_at.get(node), rules)
        captured = [(value, everywhere(node)) for value in _captured(node)]
        for value, demand in (*zip(node.inputs, on_inputs, strict=True), *captured):
            if value is not None:
                demands[value] = demands.get(value, NOWHERE) | demand
    return demands


def _computable(demand: Demand, value: ir.Value, sources: Mapping[ir.Value, set[ir.Value]]) -> Demand:
    """Before: pixels of a mask whose decision is computed from `value`; after: every pixel."""
    masks = {footprint.mask for footprint in demand.footprints}
    before = sorted(mask.name for mask in masks if value in sources[mask.decision])
    if not before:
        return demand
    return Demand(
        reason=f"the decision {before[0]} is computed from it",
        advice="let the masker read the block's input, not what the mask is to skip",
    )


def _as_output(value: ir.Value) -> Demand:
    return Demand(
        reason=f"{value.name} is an output of the model",
        advice=f"do not return {value.name} from the model, or mask it as well",
    )


def _sources(value: ir.Value) -> set[ir.Value]:
    """All values that `value` is computed from, and itself."""
    found, pending = {value}, [value]
    while pending:
        node = pending.pop().producer()
        new = {source for source in node.inputs if source is not None} - found if node is not None else set()
        found |= new
        pending += new
    return found


def _on_inputs(node: ir.Node, output: Demand, gate: Gate | None, rules: Mapping[str, TransferFunction]) -> list[Demand]:
    if gate is not None:
        return [_through_gate(gate, value, output) for value in node.inputs]
    rule = rules.get(operator(node)) if len(node.outputs) == 1 else None
    if rule is not None:
        return rule(node, output)
    demand = everywhere(node) if output.is_everywhere else _unknown(node)
    return [demand] * len(node.inputs)


def _unknown(node: ir.Node) -> Demand:
    """Every pixel is needed, for all that is known of `node`."""
    return Demand(
        reason=f"{operator(node)} {node.name} has no transfer function, so it is taken to read every pixel",
        advice=f"move {node.name} out from between the mask and the convolutions, or add a transfer function "
        f"for {operator(node)} (docs/analysis.md)",
    )


def _through_gate(gate: Gate, value: ir.Value | None, output: Demand) -> Demand:
    """A gate asks for the gated map where its mask is on, and for the decision everywhere."""
    if value is gate.gated:
        return Demand(frozenset([Footprint(gate.mask)]))
    if value is gate.otherwise:
        return output
    return everywhere(gate.site)


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """The values that the subgraphs of `node` (`If`, `Loop`, `Scan`) read from outside."""
    for graph in _subgraphs(node):
        read = [value for inner in graph.all_nodes() for value in inner.inputs]
        yield from (value for value in (*read, *graph.outputs) if value is not None and value.graph is not graph)


def _subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
