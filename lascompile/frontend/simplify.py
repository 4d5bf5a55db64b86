"""Bring what the exporters write into one canonical form.

Before: shape arithmetic, `Identity` nodes, shared initialisers, `Constant` nodes, functions, batch norms.
After: every constant is an initialiser, every value has a static shape, batch norms are folded into the
weights of the convolution before them (or are a `Mul` and an `Add`, where there is none), nothing is computed
that no output reads, and nodes keep the names that the file gives them.
"""

from __future__ import annotations

import re
from collections.abc import Container

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as ir_passes

from lascompile.analysis.elements import shape_of
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.binary_chains import split_into_pairs
from lascompile.frontend.expand_layer_norms import expand_layer_norms
from lascompile.frontend.fold_into_conv import fold_into_convs
from lascompile.frontend.old_dropouts import replace_old_dropouts
from lascompile.frontend.rewrite_exactly import fold_constants, rewrite_exactly
from lascompile.frontend.silence import silent
from lascompile.frontend.split_batch_norm import split_batch_norms
from lascompile.frontend.supported import check_supported

_COMPILED_TYPES = {
    *(ir.DataType.FLOAT, ir.DataType.BOOL, ir.DataType.INT8, ir.DataType.UINT8),
    *(ir.DataType.INT32, ir.DataType.INT64),
}


def simplify(model: ir.Model) -> ir.Model:
    """Return `model`, rewritten in place, in canonical form.

    Raises:
        UnsupportedModelError: A value's shape is still unknown afterwards (data-dependent shapes), or a value
            is of an element type that is not compiled.
    """
    names = _names_by_output(model.graph)
    inputs = [str(value.name) for value in model.graph.inputs]
    with silent("onnxscript", "onnx_ir"):
        ir_passes.InlinePass()(model)
        ir_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        _fold_constants(model)
        opset = model.opset_imports.get("", 0)
        replace_old_dropouts(model.graph, opset)
        expand_layer_norms(model.graph, opset)
        split_into_pairs(model.graph)
        split_batch_norms(model.graph)
        fold_into_convs(model.graph)
        rewrite_exactly(model)
        ir_passes.ShapeInferencePass()(model)
        ir_passes.RemoveUnusedNodesPass()(model)
    _name_nodes(model.graph, names)
    _name_inputs(model.graph, inputs)
    _check_static(model)
    _check_convolutions(model.graph)
    _check_element_types(model.graph)
    return model


def _fold_constants(model: ir.Model) -> None:
    """Fold until all shapes are known, or no more become known.

    Once is enough but where an operator's shape is inferred from the graph as a whole only, such as that of
    `GreaterOrEqual` of opset 12: then each round gets as far as the next such operator.
    """
    unknown = None
    while True:
        try:
            fold_constants(model)
        except RuntimeError as error:  # of sequences, which no pass knows
            raise UnsupportedModelError(f"{' '.join(str(error).split())}; export without it") from None
        ir_passes.ShapeInferencePass()(model)
        before, unknown = unknown, sum(not _is_static(value) for node in model.graph for value in node.outputs)
        if unknown in (0, before):
            return


def _names_by_output(graph: ir.Graph) -> dict[str, tuple[str, str]]:
    """For the name of every computed value, the operator and the name of the node that computes it."""
    names: dict[str, tuple[str, str]] = {}
    for node in graph:
        source = str(node.inputs[0].name) if node.op_type == "Identity" and node.inputs[0] is not None else ""
        for output in node.outputs:
            names[str(output.name)] = names.get(source, (node.op_type, node.name or ""))
    return names


def _name_nodes(graph: ir.Graph, names: dict[str, tuple[str, str]]) -> None:
    """Give every node the name it had, or one of its own, since reports and errors refer to nodes by name."""
    taken: set[str] = set()
    for position, node in enumerate(graph):
        operator, name = names.get(str(node.outputs[0].name), ("", ""))
        if name and operator == node.op_type:
            node.name = name
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{position}"
        taken.add(node.name)


def _name_inputs(graph: ir.Graph, names: list[str]) -> None:
    """Give the inputs their names back: the optimizer lends that of an input which is an output to the output."""
    for value, name in zip(graph.inputs, names, strict=True):
        if value.name != name:
            for output in graph.outputs:
                if output.name == name:
                    output.name = f"{name}.out"
            value.name = name


def _check_static(model: ir.Model) -> None:
    unknown = [
        node
        for node in model.graph
        for value in node.outputs
        if value.name and (value.uses() or value.is_graph_output()) and not _is_static(value)
    ]
    if unknown:
        check_supported(model.graph, _OnnxOperators())
        _check_consistent(model)
        raise UnsupportedModelError(
            f"the output shape of {_list(unknown)} depends on data; compile a graph whose shapes are static"
        )


class _OnnxOperators(Container[str]):
    """All that the installed onnx knows, compiled or not."""

    def __contains__(self, name: object) -> bool:
        return bool(onnx.defs.has(str(name)))


def _check_consistent(model: ir.Model) -> None:
    """Find out whether shapes are unknown because they contradict each other."""
    try:
        onnx.shape_inference.infer_shapes(ir.to_proto(model), check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        details = re.sub(r"\[\w+\] |Inference error\(s\): ", "", " ".join(str(error).split()))
        raise UnsupportedModelError(
            f"shapes or types in the graph do not fit together: {details}; check --shape, or export the model again"
        ) from None
    except ValueError:  # larger than the 2 GiB that this takes: go on without the details
        pass


def _check_convolutions(graph: ir.Graph) -> None:
    """Shape inference does not look at the channels of a convolution's input."""
    for node in graph:
        if node.op_type != "Conv":
            continue
        (_, channels, *_), (_, of_group, *_) = (shape_of(value) for value in node.inputs[:2] if value is not None)
        expected = of_group * node.attributes.get_int("group", 1)
        if channels != expected:
            raise UnsupportedModelError(
                f"node {node.name!r} (Conv) reads {channels} channels, but its weights are for {expected}; "
                "check --shape, or export the model again"
            )


def _is_static(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()


def _check_element_types(graph: ir.Graph) -> None:
    other = [
        node
        for node in graph
        for value in (*node.inputs, *node.outputs)
        if value is not None and value.dtype is not None and value.dtype not in _COMPILED_TYPES
    ]
    if other:
        types = {
            value.dtype.name.lower()
            for node in other
            for value in (*node.inputs, *node.outputs)
            if value is not None and value.dtype is not None and value.dtype not in _COMPILED_TYPES
        }
        raise UnsupportedModelError(
            f"{_list(other)}: elements of {' and '.join(sorted(types))}, but float32 is what is compiled; "
            "export the float32 model"
        )


def _list(nodes: list[ir.Node]) -> str:
    """The first few nodes, by name."""
    unique = list(dict.fromkeys(nodes))
    names = ", ".join(f"{node.name} ({node.op_type})" for node in unique[:5])
    return names + (f" and {len(unique) - 5} more" if len(unique) > 5 else "")
