"""The blocks of a network, as reports and manifests tell of them: what each skips, and what it does not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import onnx_ir as ir

from lascompile.analysis.coverage import Coverage
from lascompile.analysis.demand import NOWHERE, Demand, everywhere
from lascompile.analysis.facts import operator
from lascompile.analysis.fill import Fill
from lascompile.analysis.flops import flops_of
from lascompile.analysis.gates import Gate, Mask, feature_map_shape
from lascompile.analysis.names import common_module, module_of
from lascompile.analysis.reasons import why_dense
from lascompile.analysis.refusals import Refusal
from lascompile.analysis.regions import Region, ancestors, find_regions
from lascompile.analysis.rules.convolution import has_constant_weights, window_of
from lascompile.workload import NOMINAL_RATE

Kind = Literal["bottleneck", "basic", "residual", "plain"]
Part = Literal["branch", "shortcut", "masker", "attention"]


@dataclass(frozen=True)
class Convolution:
    """One convolution of a block.

    Attributes:
        name: Of the ONNX node.
        module: Of the author's module, as in `layer1.0.conv1`, or the name again where the file does not tell.
        part: Of the block: the masked branch, the way around it, what decides the mask, or what weighs channels.
        kernel: Height, width.
        stride: Height, width.
        dilation: Height, width.
        groups: Of channels.
        in_channels: Of all groups.
        out_channels: Of all groups.
        out_size: Height, width.
        demand: In words, where its output is needed.
        flops: For one image, two for each multiplication, computed everywhere.
        flops_at: Those expected at the nominal activation rate.
    """

    name: str
    module: str
    part: Part
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    in_channels: int
    out_channels: int
    out_size: tuple[int, int]
    demand: str
    flops: float
    flops_at: float


@dataclass(frozen=True)
class Block:
    """A residual block, or a masked part without a residual.

    Attributes:
        name: The author's, where the file tells, else `block1`, `block2`, …
        kind: "bottleneck" (1x1, 3x3, 1x1), "basic" (two 3x3), "plain" (masked, nothing added), else "residual".
        granularity: S, a number or [height, width]; None without a spatial mask.
        dynamic: True if some convolution of the branch is skipped where the mask is off.
        reason: Why the others are not, in words; None if there are none.
        advice: What to change about that.
        fill: What the output is where the mask is off, in words; None where that is not known.
        shape: C, H, W of the output.
        mask: Name of the ONNX value that decides.
        mask_channel_group: Masks for each pixel, that each rule a part of the channels.
        convolutions: In the order of the file.
        flops: Of all convolutions, for one image.
        flops_at: Those expected at the nominal activation rate.
        skippable: The share of them, 0 to 1, in convolutions that are not computed everywhere.
        activation_rate: The nominal one, at which these were counted.
    """

    name: str
    kind: Kind
    granularity: int | tuple[int, int] | None
    dynamic: bool
    reason: str | None
    advice: str | None
    fill: str | None
    shape: tuple[int, int, int]
    mask: str | None
    mask_channel_group: int | None
    convolutions: tuple[Convolution, ...]
    flops: float
    flops_at: float
    skippable: float
    activation_rate: float

    def to_dict(self) -> dict[str, Any]:
        """The block as `inspect --json` and manifests write it."""
        return asdict(self)


def find_blocks(
    graph: ir.Graph,
    gates: list[Gate],
    demands: Mapping[ir.Value, Demand],
    fills: Mapping[ir.Value, Fill],
    activation_rate: float = NOMINAL_RATE,
) -> list[Block]:
    """Every residual block and every masked part of `graph`, in topological order."""
    regions = find_regions(graph, gates)
    names = _unique(_name(region) or f"block{number}" for number, region in enumerate(regions, 1))
    describer = _Describer(gates, demands, fills, Coverage(activation_rate))
    return [describer.block(region, name) for region, name in zip(regions, names, strict=True)]


def network_flops(blocks: Sequence[Block], graph: ir.Graph, activation_rate: float = NOMINAL_RATE) -> dict[str, Any]:
    """The operations for one image, everywhere and at the nominal activation rate, and by part of the network.

    Args:
        blocks: The blocks of the network, counted at `activation_rate`.
        graph: The network.
        activation_rate: The nominal one.
    """
    dense = {part: 0.0 for part in ("stem", "branch", "shortcut", "masker", "attention", "other", "head")}
    at_rate = dict(dense)
    for convolution in (convolution for block in blocks for convolution in block.convolutions):
        dense[convolution.part] += convolution.flops
        at_rate[convolution.part] += convolution.flops_at
    for part, flops in _outside(graph, blocks).items():
        dense[part] += flops
        at_rate[part] += flops
    return {
        "dense": sum(dense.values()),
        "at_rate": sum(at_rate.values()),
        "activation_rate": activation_rate,
        "skippable": sum(block.flops * block.skippable for block in blocks) / (sum(dense.values()) or 1),
        "parts": {part: {"dense": dense[part], "at_rate": at_rate[part]} for part in dense if dense[part]},
    }


def _outside(graph: ir.Graph, blocks: Sequence[Block]) -> dict[str, float]:
    """The operations before the first block, between blocks, and behind the last."""
    inside = {convolution.name for block in blocks for convolution in block.convolutions}
    nodes = list(graph)
    places = [place for place, node in enumerate(nodes) if node.name in inside]
    totals = dict.fromkeys(("stem", "other", "head"), 0.0)
    for place, node in enumerate(nodes):
        if node.name in inside:
            continue
        totals[_place(place, places)] += flops_of(node) / _batch(graph)
    return totals


def _place(place: int, blocks: list[int]) -> str:
    """Before, between or behind blocks; where there are none, a network has neither stem nor head."""
    if not blocks or blocks[0] < place < blocks[-1]:
        return "other"
    return "head" if place > blocks[0] else "stem"


def _batch(graph: ir.Graph) -> int:
    shape = graph.inputs[0].shape if graph.inputs else None
    return int(shape[0]) if shape is not None and shape.rank() and isinstance(shape[0], int) else 1


class _Describer:
    """Describes the blocks of one network."""

    def __init__(
        self,
        gates: list[Gate],
        demands: Mapping[ir.Value, Demand],
        fills: Mapping[ir.Value, Fill],
        coverage: Coverage,
    ) -> None:
        self._gates = {gate.site: gate for gate in gates}
        self._demands = demands
        self._fills = fills
        self._coverage = coverage

    def block(self, region: Region, name: str) -> Block:
        """The description of one region."""
        branch = _convolutions(region.branch)
        dense = [node for node in branch if self._demand(node).is_everywhere]
        refusal = why_dense(region, dense, self._gates, self._demands) if dense else None
        mask = self._mask(region, branch)
        convolutions = self._convolutions(region, mask)
        return Block(
            name=name,
            kind=_kind(region, branch),
            granularity=_granularity(mask),
            dynamic=len(dense) < len(branch),
            reason=_reason(refusal, dense, branch),
            advice=refusal.advice if refusal is not None else None,
            fill=_fill(region.join.outputs[0], self._fills),
            shape=feature_map_shape(region.join.outputs[0])[1:],
            mask=mask.name if mask is not None else None,
            mask_channel_group=mask.groups if mask is not None else None,
            convolutions=convolutions,
            flops=sum(convolution.flops for convolution in convolutions),
            flops_at=sum(convolution.flops_at for convolution in convolutions),
            skippable=_skippable(convolutions),
            activation_rate=self._coverage.activation_rate,
        )

    def _mask(self, region: Region, branch: list[ir.Node]) -> Mask | None:
        """The mask of the last gate, spatial if there is one; or the one that a gate further on asks by."""
        gates = [self._gates[node] for node in region.branch if node in self._gates]
        gates.sort(key=lambda gate: gate.is_spatial)
        if gates and gates[-1].is_spatial:
            return gates[-1].mask
        footprints = {footprint for node in branch for footprint in self._demand(node).footprints}
        asking = min((footprint.mask for footprint in footprints), key=lambda mask: mask.name, default=None)
        return asking or (gates[-1].mask if gates else None)

    def _convolutions(self, region: Region, mask: Mask | None) -> tuple[Convolution, ...]:
        decision = mask.decision if mask is not None else None
        deciding = set() if decision is None else ancestors(decision)
        parts: dict[ir.Node, Part] = dict.fromkeys(region.shortcut, "shortcut")
        parts |= dict.fromkeys(region.branch, "branch")
        parts |= {node: "masker" if node in deciding else "attention" for node in region.side}
        return tuple(self._convolution(node, parts[node]) for node in _convolutions(parts))

    def _convolution(self, node: ir.Node, part: Part) -> Convolution:
        window = window_of(node)
        assert window is not None and node.inputs[0] is not None
        batch, out_channels, *_ = feature_map_shape(node.outputs[0])
        demand = self._demand(node)
        flops = flops_of(node) / batch
        return Convolution(
            name=str(node.name),
            module=module_of(node) or str(node.name),
            part=part,
            kernel=window.kernel,
            stride=window.stride,
            dilation=window.dilation,
            groups=node.attributes.get_int("group", 1),
            in_channels=feature_map_shape(node.inputs[0])[1],
            out_channels=out_channels,
            out_size=window.output_size,
            demand=demand.describe(),
            flops=flops,
            flops_at=flops * self._coverage.share(demand),
        )

    def _demand(self, node: ir.Node) -> Demand:
        """Where a convolution has to be computed: without known weights it has no kernel that skips anything."""
        if not has_constant_weights(node):
            return everywhere(node)
        return self._demands.get(node.outputs[0], NOWHERE)


def _skippable(convolutions: Sequence[Convolution]) -> float:
    total = sum(convolution.flops for convolution in convolutions)
    masked = [convolution.flops for convolution in convolutions if convolution.demand != "everywhere"]
    return sum(masked) / total if total else 0.0


def _convolutions(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """The two-dimensional convolutions among `nodes`."""
    return [node for node in nodes if operator(node) == "Conv" and window_of(node) is not None]


def _name(region: Region) -> str:
    """The module around the branch and the sum, or around the masker as well; empty if the file does not tell."""
    own = _modules([*_convolutions((*region.shortcut, *region.branch)), region.join])
    return common_module(own if len(own) > 1 else [*own, *_modules(_convolutions(region.side))])


def _modules(nodes: Iterable[ir.Node]) -> list[str]:
    return list(dict.fromkeys(module for node in nodes if (module := module_of(node)) is not None))


def _unique(names: Iterable[str]) -> list[str]:
    """Names as they are; a repeated one with its number."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique


def _kind(region: Region, branch: list[ir.Node]) -> Kind:
    if not region.is_residual:
        return "plain"
    kernels = [window.kernel for node in branch if (window := window_of(node)) is not None]
    if kernels == [(1, 1), (3, 3), (1, 1)]:
        return "bottleneck"
    return "basic" if kernels == [(3, 3), (3, 3)] else "residual"


def _fill(output: ir.Value, fills: Mapping[ir.Value, Fill]) -> str | None:
    """In words, what stands in a block's output, and in its activation, where the mask is off."""
    readers = {use.node for use in output.uses()}
    activated = next(iter(readers)).outputs[0] if len(readers) == 1 else output
    fill = fills.get(activated) or fills.get(output)
    if fill is None:
        return None
    base = "zero" if fill.base is None else "the residual"
    applied = [] if fill.is_base else [operator(node) for node in fill.then]
    return " of ".join([*reversed(applied), base])


def _granularity(mask: Mask | None) -> int | tuple[int, int] | None:
    if mask is None or not mask.is_spatial:
        return None
    height, width = mask.granularity
    return height if height == width else (height, width)


def _reason(refusal: Refusal | None, dense: list[ir.Node], branch: list[ir.Node]) -> str | None:
    if refusal is None or len(dense) == len(branch):
        return None if refusal is None else refusal.reason
    some = " and ".join(module_of(node) or str(node.name) for node in dense)
    return f"{some}: computed everywhere, since {refusal.reason}"
