"""What must hold of demands and fills, whatever the network: checked by running it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from lascompile.analysis.demand import Demand, find_demands
from lascompile.analysis.fill import Fill, find_fills
from lascompile.analysis.gates import Gate, find_gates
from lascompile.analysis.rules import RULES
from lascompile.frontend.simplify import simplify
from tests.analysis.interpreter import evaluate, run_node, tensor_of


@dataclass(frozen=True)
class Analysis:
    """A simplified graph and what was found out about it."""

    graph: ir.Graph
    gates: list[Gate]
    demands: dict[ir.Value, Demand]
    fills: dict[ir.Value, Fill]

    def demand(self, node: str) -> Demand:
        """The demand on the output of the named node."""
        (value,) = (n.outputs[0] for n in self.graph if n.name == node)
        return self.demands[value]


def analyse(model: onnx.ModelProto) -> Analysis:
    """Simplify and analyse."""
    graph = simplify(ir.from_proto(model)).graph
    gates = find_gates(graph)
    return Analysis(graph, gates, find_demands(graph, gates, RULES), find_fills(graph, gates))


def check_demands(analysis: Analysis, inputs: dict[str, np.ndarray]) -> None:
    """What is not demanded must not matter: replaced by large random numbers, it changes no output's bit."""
    clean = evaluate(analysis.graph, inputs)
    rng = np.random.default_rng(0)

    def spoil(value: ir.Value, array: np.ndarray) -> np.ndarray:
        demand = analysis.demands.get(value, Demand())
        if demand.is_everywhere or array.ndim != 4 or array.dtype != np.float32:
            return array
        needed = np.zeros((len(array), *array.shape[2:]), bool)
        for footprint in demand.footprints:
            needed |= footprint.pixels(clean[footprint.mask.decision])
        return np.where(needed[:, None], array, 1e4 * rng.standard_normal(array.shape, dtype=np.float32))

    spoilt = evaluate(analysis.graph, inputs, spoil)
    for value in analysis.graph.outputs:
        np.testing.assert_array_equal(spoilt[value], clean[value])


def check_fills(analysis: Analysis, inputs: dict[str, np.ndarray]) -> None:
    """Where its mask is off, a value is what its fill says."""
    clean = evaluate(analysis.graph, inputs)
    for value, fill in analysis.fills.items():
        off = ~passes(fill.gate, clean[fill.gate.mask.decision])
        expected = np.zeros_like(clean[value]) if fill.base is None else clean[fill.base]
        for node in fill.then:
            first, *others = (v for v in node.inputs if v is not None)
            (expected,) = run_node(node, {first: expected, **{v: tensor_of(v) for v in others}})
        np.testing.assert_array_equal(clean[value][off], expected[off])
        if fill.is_zero:
            assert not clean[value][off].any()
        elif fill.is_base and fill.base is not None:
            np.testing.assert_array_equal(clean[value][off], clean[fill.base][off])


def passes(gate: Gate, decision: np.ndarray) -> np.ndarray:
    """Where `gate` lets its map through, bool [N, C, H, W]."""
    mask = gate.mask
    on = ((decision.reshape(-1) != 0) != mask.inverted)[mask.index]
    batch, height, width = mask.size
    return on.reshape(-1, batch, height, width)[gate.channel_group].swapaxes(0, 1)
