"""Bring what the exporters write into one canonical form.

Before: shape arithmetic, `Identity` nodes, shared initialisers, `Constant` nodes, batch norms behind convolutions.
After: every constant is an initialiser, every value has a static shape, batch norms that follow a convolution are
folded into its weights, and nothing is computed that no output reads.
"""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnx_ir.passes import common as ir_passes
from onnxscript import optimizer

from lascompile.errors import UnsupportedModelError

# Constant folding stops at this size by default, lest models grow; our constants are read once at build time.
_ANY_SIZE = 1 << 40


def simplify(model: ir.Model) -> ir.Model:
    """Return `model`, rewritten in place, in canonical form.

    Raises:
        UnsupportedModelError: A value's shape is still unknown afterwards (data-dependent shapes).
    """
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    optimizer.optimize_ir(model, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE, should_fold=_folds)
    ir_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    ir_passes.ShapeInferencePass()(model)
    ir_passes.RemoveUnusedNodesPass()(model)
    _name_nodes(model.graph)
    _check_static(model.graph)
    return model


def _folds(node: ir.Node) -> bool | None:
    """Fold `ConstantOfShape` too, in which the exporters write the sizes of `Expand`; None leaves the choice."""
    return True if node.op_type == "ConstantOfShape" else None


def _name_nodes(graph: ir.Graph) -> None:
    """Give every node a name, since reports and errors refer to nodes by name."""
    for position, node in enumerate(graph):
        if not node.name:
            node.name = f"{node.op_type}_{position}"


def _check_static(graph: ir.Graph) -> None:
    unknown = [
        node
        for node in graph
        for value in node.outputs
        if value.name and value.uses() and (value.shape is None or not all(isinstance(dim, int) for dim in value.shape))
    ]
    if unknown:
        names = ", ".join(f"{node.name} ({node.op_type})" for node in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise UnsupportedModelError(
            f"the output shape of {names}{more} depends on data; compile a graph whose shapes are static"
        )
