"""What a model, or an artifact built from one, skips: the facts that `lascompile inspect` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from lascompile.analysis.blocks import find_blocks, network_flops
from lascompile.analysis.demand import find_demands
from lascompile.analysis.elements import shape_of
from lascompile.analysis.fill import find_fills
from lascompile.analysis.gates import find_gates
from lascompile.analysis.rules import RULES
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.blame import refuses_malformed
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.frontend.supported import find_unsupported
from lascompile.lower.supported import SUPPORTED
from lascompile.workload import NOMINAL_RATE

SCHEMA = 1


@dataclass(frozen=True)
class Inspection:
    """Blocks and operations of a network.

    Attributes:
        inputs: Name and shape of each.
        outputs: Name and shape of each.
        blocks: As `Block.to_dict` writes them.
        flops: As `network_flops` writes them.
        unsupported: Names of the nodes that `build` refuses the model for, by operator.
    """

    inputs: Mapping[str, Sequence[int]]
    outputs: Mapping[str, Sequence[int]]
    blocks: Sequence[Mapping[str, Any]]
    flops: Mapping[str, Any]
    unsupported: Mapping[str, Sequence[str]]

    def to_dict(self) -> dict[str, Any]:
        """As `inspect --json` prints it."""
        return {
            "kind": "model",
            "schema": SCHEMA,
            "inputs": [{"name": name, "shape": list(shape)} for name, shape in self.inputs.items()],
            "outputs": [{"name": name, "shape": list(shape)} for name, shape in self.outputs.items()],
            "blocks": list(self.blocks),
            "flops": dict(self.flops),
            "unsupported": dict(self.unsupported),
        }


@refuses_malformed
def inspect_model(
    path: str | Path,
    shapes: Mapping[str, Sequence[int]] | None = None,
    activation_rate: float = NOMINAL_RATE,
) -> Inspection:
    """Analyse the ONNX file `path` as `build` does, without compiling it.

    Raises:
        UsageError: As `load_model`.
        UnsupportedModelError: As `load_model` and `simplify`.
    """
    graph = simplify(load_model(path, shapes)).graph
    gates = find_gates(graph)
    demands, fills = find_demands(graph, gates, RULES), find_fills(graph, gates)
    blocks = find_blocks(graph, gates, demands, fills, activation_rate)
    return Inspection(
        inputs=_shapes(graph.inputs),
        outputs=_shapes(graph.outputs),
        blocks=[block.to_dict() for block in blocks],
        flops=network_flops(blocks, graph, activation_rate),
        unsupported=find_unsupported(graph, SUPPORTED),
    )


def require_dynamic(blocks: Sequence[Mapping[str, Any]]) -> None:
    """Check that every block skips something.

    Raises:
        UnsupportedModelError: One does not, or there is none.
    """
    dense = [block["name"] for block in blocks if not block["dynamic"]]
    if not blocks:
        raise UnsupportedModelError("--require-dynamic: the model has no masked block")
    if dense:
        raise UnsupportedModelError(
            f"--require-dynamic: {len(dense)} of {len(blocks)} blocks stay dense: {', '.join(dense)}; "
            "lascompile inspect says why"
        )


def _shapes(values: Sequence[ir.Value]) -> dict[str, tuple[int, ...]]:
    return {str(value.name): shape_of(value) for value in values}
