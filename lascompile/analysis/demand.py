"""Where is each value needed? Computed backwards, from the graph's outputs to its inputs.

A demand is *nowhere*, *everywhere*, or *on* the pixels that one or more footprints cover. A footprint is a mask seen
through the convolutions behind it: the active pixels themselves, or every pixel that the windows of the active
ones reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

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


@dataclass(frozen=True)
class Footprint:
    """The pixels that `mask` reaches through `windows`, the outermost window first."""

    mask: Mask
    windows: tuple[Window, ...] = ()

    def through(self, window: Window) -> Footprint:
        """The pixels that are read in order to compute this footprint's pixels with `window`."""
        return self if window.is_pointwise else Footprint(self.mask, (*self.windows, window))


@dataclass(frozen=True)
class Demand:
    """Where a value is needed.

    Attributes:
        footprints: The pixels needed; empty together with no `reason` is nowhere.
        reason: Set if every pixel is needed: what asks for them, for reports.
    """

    footprints: frozenset[Footprint] = frozenset()
    reason: str | None = None

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
        return Demand(frozenset(fp.through(window) for fp in self.footprints), self.reason)

    def describe(self) -> str:
        """The demand in words, for reports."""
        if self.is_everywhere:
            return "everywhere"
        if self.is_nowhere:
            return "nowhere"
        reach = max(sum(max(w.kernel) // 2 for w in fp.windows) for fp in self.footprints)
        masks = {fp.mask.name for fp in self.footprints}
        what = "mask" if len(masks) == 1 else f"{len(masks)} masks"
        return what if reach == 0 else f"{what} dilated by {reach}"


NOWHERE = Demand()

# A transfer function answers, for a node and the demand on its output, the demand on each of its inputs.
TransferFunction = Callable[[ir.Node, Demand], list[Demand]]


def everywhere(node: ir.Node) -> Demand:
    """Every pixel is needed, because `node` reads them all."""
    return Demand(reason=f"{node.op_type} {node.name} reads every pixel")


def find_demands(
    graph: ir.Graph, gates: list[Gate], rules: Mapping[str, TransferFunction]
) -> dict[ir.Value, Demand]:
    """The demand on every value of `graph`.

    An operator without a rule demands everything of its inputs: correct, only slower.
    """
    gate_at = {gate.site: gate for gate in gates if gate.is_spatial}
    demands: dict[ir.Value, Demand] = {
        value: Demand(reason=f"{value.name} is an output of the model") for value in graph.outputs
    }
    for node in reversed(graph):
        output = NOWHERE
        for value in node.outputs:
            output |= demands.get(value, NOWHERE)
        if output.is_nowhere:
            continue
        for value, demand in zip(node.inputs, _on_inputs(node, output, gate_at.get(node), rules), strict=True):
            if value is not None:
                demands[value] = demands.get(value, NOWHERE) | demand
    return demands


def _on_inputs(
    node: ir.Node, output: Demand, gate: Gate | None, rules: Mapping[str, TransferFunction]
) -> list[Demand]:
    if gate is not None:
        return [_through_gate(gate, value, output) for value in node.inputs]
    rule = rules.get(node.op_type)
    if rule is None or len(node.outputs) != 1:
        return [everywhere(node)] * len(node.inputs)
    return rule(node, output)


def _through_gate(gate: Gate, value: ir.Value | None, output: Demand) -> Demand:
    """A gate asks for the gated map where its mask is on; for the decision and the other branch, everywhere."""
    if value is gate.gated:
        return Demand(frozenset([Footprint(gate.mask)]))
    if value is gate.otherwise:
        return output
    return everywhere(gate.site)
