"""The passes of onnxscript's optimizer, with those of its rewrite rules that never change a result.

Of its default rules, as of 0.7, these are left out:

- products and sums with what is nearly 1 or 0 (they match within 1e-5 and 1e-8; `identities` has the exact ones),
- Clip, Min, Max and Relu merged into one Clip, which is wrong where the bounds exclude each other,
- `auto_pad` written out, which forgets dilations,
- slices of an odd axis made a Split, of which the first part is the larger one,
- a MatMul without the reshapes around it, for which only the shape of the result is compared,
- casts of constants, batch norms, biases of zero, and shapes of reshapes, which other passes fold.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules.common import (
    _basic_rules,
    _collapse_slices,
    _fuse_pad_into_conv,
    _fuse_relus_clips,
    _redundant_scatter_nd,
)

from lascompile.frontend.identities import replace_identities
from lascompile.frontend.rewire import new_constant

EXACT_RULES = (
    _basic_rules.no_op_cast_rule,
    _basic_rules.no_op_expand_rule,
    _basic_rules.no_op_transpose_rule,
    _basic_rules.transpose_transpose_rule,
    _basic_rules.reshape_reshape_rule,
    _basic_rules.squeeze_reshape_1d_rule,
    _basic_rules.unsqueeze_unsqueeze_rule,
    _basic_rules.flatten_to_reshape_rule,
    _collapse_slices.collapse_slice_rule,
    _collapse_slices.collapse_slice2_rule,
    _fuse_relus_clips.successive_relu_rule,
    _fuse_pad_into_conv.fuse_pad_into_conv_rule,
    _redundant_scatter_nd.no_op_static_scatter_nd_rule,
)

# Constant folding stops at some size by default, lest models grow; our constants are read once at build time.
_ANY_SIZE = 1 << 40
_ROUNDS = 2


def fold_constants(model: ir.Model) -> None:
    """Compute what depends on no input."""
    optimizer.fold_constants_ir(
        model,
        onnx_shape_inference=True,
        input_size_limit=_ANY_SIZE,
        output_size_limit=_ANY_SIZE,
        should_fold=_folds,
    )


def rewrite_exactly(model: ir.Model) -> None:
    """Fold and rewrite `model` until nothing changes; then store what is equal once."""
    for _ in range(_ROUNDS):
        replace_identities(model.graph)
        fold_constants(model)
        rewriter.RewritePass(EXACT_RULES)(model)
        _apply(model, common.RemoveUnusedNodesPass(), common.RemoveUnusedFunctionsPass())
    _apply(
        model,
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )
    _store_returned_constants(model.graph)


def _apply(model: ir.Model, *passes: Callable[[ir.Model], object]) -> None:
    for transform in passes:
        transform(model)


def _store_returned_constants(graph: ir.Graph) -> None:
    """Make initialisers of the constants that are outputs, which the library leaves as nodes."""
    for node in list(graph):
        tensor = node.outputs[0].const_value if node.op_type == "Constant" and node.domain == "" else None
        if tensor is not None:
            constant = new_constant(graph, str(node.outputs[0].name), tensor.numpy())
            ir.convenience.replace_all_uses_with(node.outputs[0], constant, replace_graph_outputs=True)
            graph.remove(node, safe=True)


def _folds(node: ir.Node) -> bool | None:
    """Fold `ConstantOfShape` too, in which exporters write the sizes of `Expand`; None leaves the choice."""
    return True if node.op_type == "ConstantOfShape" else None
