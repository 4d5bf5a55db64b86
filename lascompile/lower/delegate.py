"""Operators without a kernel of ours go through TVM's own ONNX frontend and its default code.

These are the small ones around a masker (reshapes, comparisons, indexing), whose speed does not matter. Neighbours are
handed over together, so that TVM fuses them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import tvm
from tvm import relax, tirx
from tvm.ir import Constant
from tvm.relax.frontend.onnx import from_onnx

from lascompile.errors import UnsupportedModelError
from lascompile.lower.context import Context
from lascompile.lower.program import Buffer
from lascompile.lower.rewrite import rewritten


@dataclass(frozen=True)
class DelegatedKernel:
    """A function that TVM generated."""

    label: str
    symbol: str
    code: tirx.PrimFunc

    def function(self) -> tirx.PrimFunc:
        """The code, as TVM generated it."""
        return self.code


def lower_delegated(context: Context, nodes: Sequence[ir.Node], used: Sequence[ir.Value]) -> None:
    """Emit the steps of `nodes`, of whose results those in `used` are read elsewhere."""
    sources = list(
        dict.fromkeys(
            value
            for node in nodes
            for value in node.inputs
            if value is not None and value.const_value is None and value.producer() not in nodes
        )
    )
    inputs = [context.plain_of(value) for value in sources]
    module = _compile_graph(nodes, sources, used)
    results = _emit_bindings(context, module, inputs, nodes)
    for value, buffer in zip(used, results, strict=True):
        context.plain[value] = buffer


def _compile_graph(nodes: Sequence[ir.Node], sources: Sequence[ir.Value], used: Sequence[ir.Value]) -> tvm.IRModule:
    names = ", ".join(f"{node.name} ({node.op_type})" for node in nodes)
    try:
        module = from_onnx(_as_model(nodes, sources, used), keep_params_in_input=False)
        passes = [
            relax.transform.DecomposeOpsForInference(),
            relax.transform.LegalizeOps(),
            relax.transform.FoldConstant(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
            relax.transform.DeadCodeElimination(["main"]),
        ]
        with tvm.target.Target("llvm"), _without_notices():
            return tvm.ir.transform.Sequential(passes)(module)
    except Exception as error:  # TVM raises whatever its converters meet
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise UnsupportedModelError(f"TVM cannot translate {names}: {reason}") from error


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Keep what TVM writes to the process's stderr from the user: notes on indices that are constants here."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _as_model(nodes: Sequence[ir.Node], sources: Sequence[ir.Value], used: Sequence[ir.Value]) -> onnx.ModelProto:
    """The nodes as a model of their own, with names that TVM need not change."""
    values = [value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None]
    names = {value: f"v{number}" for number, value in enumerate(dict.fromkeys(values))}
    constants = [
        onnx.numpy_helper.from_array(value.const_value.numpy(), names[value])
        for value in names
        if value.const_value is not None
    ]
    graph = onnx.helper.make_graph(
        [proto for node in nodes for proto in _renamed(node, names)],
        "delegated",
        [_value_info(value, names) for value in sources],
        [_value_info(value, names) for value in used],
        constants,
    )
    versions = nodes[0].graph.opset_imports if nodes[0].graph is not None else {"": 17}
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", versions[""])])


def _renamed(node: ir.Node, names: dict[ir.Value, str]) -> list[onnx.NodeProto]:
    inputs = ["" if value is None else names[value] for value in node.inputs]
    return rewritten(node, inputs, [names[value] for value in node.outputs])


def _value_info(value: ir.Value, names: dict[ir.Value, str]) -> onnx.ValueInfoProto:
    assert value.shape is not None and value.dtype is not None
    return onnx.helper.make_tensor_value_info(names[value], int(value.dtype), value.shape.numpy())


def _emit_bindings(
    context: Context, module: tvm.IRModule, inputs: list[Buffer], nodes: Sequence[ir.Node]
) -> list[Buffer]:
    """Run through the function `main` that TVM made, and emit a step for each of its calls."""
    main = module["main"]
    known: dict[relax.Var, list[Buffer]] = {param: [buffer] for param, buffer in zip(main.params, inputs, strict=True)}
    name = str(nodes[-1].name)

    def resolve(expr: relax.Expr) -> list[Buffer]:
        if isinstance(expr, relax.Var):
            return known[expr]
        if isinstance(expr, Constant):
            return [context.constant(name, np.asarray(expr.value.numpy()))]
        if isinstance(expr, relax.Tuple):
            return [buffer for item in expr.fields for buffer in resolve(item)]
        if isinstance(expr, relax.TupleGetItem):
            return [resolve(expr.tuple_value)[expr.index]]
        if isinstance(expr, relax.Call) and expr.op == tvm.ir.Op.get("relax.call_tir"):
            return _emit_call(context, module, expr, resolve(expr.args[1]), name)
        raise UnsupportedModelError(f"TVM translated {name} into {type(expr).__name__} {expr}, which has no kernel")

    for block in main.body.blocks:
        for binding in block.bindings:
            known[binding.var] = resolve(binding.value)
    return resolve(main.body.body)


def _emit_call(
    context: Context, module: tvm.IRModule, call: relax.Call, arguments: list[Buffer], name: str
) -> list[Buffer]:
    gvar = call.args[0]
    code = module[gvar]
    types = call.ty_args[0]
    tensors = types.fields if hasattr(types, "fields") else [types]
    outputs = [Buffer(name, tuple(int(dim) for dim in tensor.shape), _dtype(str(tensor.dtype))) for tensor in tensors]
    script = code.without_attr("global_symbol").script() if "global_symbol" in code.attrs else code.script()
    symbol = f"{gvar.name_hint}_{hashlib.sha256(script.encode()).hexdigest()[:10]}"
    kernel = DelegatedKernel(gvar.name_hint, symbol, code)
    context.run(kernel, [*arguments, *outputs], outputs, name)
    return outputs


def _dtype(name: str) -> str:
    return np.dtype(name).name
