"""Why is a convolution computed everywhere, and what would have to change?"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from lascompile.analysis.demand import NOWHERE, Demand
from lascompile.analysis.gates import Gate
from lascompile.analysis.names import module_of
from lascompile.analysis.refusals import Refusal, find_refusal
from lascompile.analysis.regions import Region
from lascompile.analysis.rules.convolution import has_constant_weights

_UNMASKED = Refusal(
    "no mask multiplies this branch",
    "train the network with a masker in this block (a LASNet), and export it in eval mode",
)


def why_dense(
    region: Region, dense: list[ir.Node], gates: Mapping[ir.Node, Gate], demands: Mapping[ir.Value, Demand]
) -> Refusal:
    """What keeps the convolutions `dense` of the branch of `region` from being skipped anywhere."""
    last = dense[-1]
    if not has_constant_weights(last):
        return _of_weights(last)
    behind = region.branch[region.branch.index(last) + 1 :]
    nearby = [gates[node] for node in behind if node in gates]
    if any(gate.is_spatial for gate in nearby):
        return _of_demand(demands.get(last.outputs[0], NOWHERE))
    channels = [gates[node] for node in region.branch if node in gates and not gates[node].is_spatial]
    if channels:
        return _of_channels(channels[-1])
    refusals = [refusal for node in behind if (refusal := find_refusal(node)) is not None]
    if refusals:
        return refusals[-1]
    masked = [gates[node] for node in region.branch if node in gates and node not in behind]
    if not masked:
        return _UNMASKED
    return Refusal(
        f"no mask multiplies what {module_of(last) or last.name} computes, since the mask stands before it",
        "mask the branch at its end, just before the residual is added",
    )


def _of_demand(demand: Demand) -> Refusal:
    return Refusal(demand.reason or "", demand.advice or "")


def _of_weights(convolution: ir.Node) -> Refusal:
    return Refusal(
        f"the weights of Conv {convolution.name} are computed while the network runs",
        "use weights that are known when the model is exported",
    )


def _of_channels(gate: Gate) -> Refusal:
    return Refusal(
        f"the mask {gate.mask.name} decides for {gate.mask.groups} groups of channels apart, and channel skipping "
        "is not compiled yet",
        "use a spatial mask, with one decision for all channels of a patch",
    )
