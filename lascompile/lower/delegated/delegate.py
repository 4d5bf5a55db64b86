"""Which nodes go to TVM together, and what happens where it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import tvm
from tvm import relax, tirx
from tvm.ir import Constant

from lascompile.errors import UnsupportedModelError
from lascompile.lower.context import Context
from lascompile.lower.delegated.move import has_computed_indices, is_move, lower_move
from lascompile.lower.delegated.translate import TranslationError, as_model, translate
from lascompile.lower.delegated.trust import find_difference
from lascompile.lower.program import Buffer


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
    """Emit the steps of `nodes`, of whose results those in `used` are read elsewhere.

    Raises:
        UnsupportedModelError: TVM cannot translate one of them, or computes something else than onnxruntime, and it is
            none that moves elements.
    """
    fault = _lower_together(context, nodes, used)
    if fault is None:
        return
    if len(nodes) > 1:
        _lower_one_by_one(context, nodes, used)
        return
    [node] = nodes
    if not (is_move(node) and lower_move(context, node)):
        raise UnsupportedModelError(f"{node.name} ({node.op_type}) is not compiled: {fault}")


def _lower_together(context: Context, nodes: Sequence[ir.Node], used: Sequence[ir.Value]) -> str | None:
    """Emit the steps of `nodes` as one group; or say what stands against it, having emitted nothing."""
    if any(_may_be_random(node) for node in nodes):
        return "whether it drops out at random is computed; export the model in eval mode"
    if any(is_move(node) and has_computed_indices(node) for node in nodes):
        # Where a coordinate is exactly k + 0.5, the target's own rounding decides, which no comparison here would see.
        return "an index by arithmetic on float32, which rounds as the target does"
    sources = _sources(nodes)
    try:
        module = translate(as_model(nodes, sources, used, rewrites=True))
    except TranslationError as error:
        return f"TVM cannot translate it: {error}"
    written, target = as_model(nodes, sources, used, rewrites=False), context.scheduler.target
    fault = _unsuitable(module) or find_difference(written, module, target)
    if fault is not None:
        return f"TVM computes {fault}"
    inputs = [context.plain_of(value) for value in sources]
    results = _emit_bindings(context, module, inputs, nodes)
    for value, buffer in zip(used, results, strict=True):
        context.plain[value] = buffer
    return None


def _lower_one_by_one(context: Context, nodes: Sequence[ir.Node], used: Sequence[ir.Value]) -> None:
    """Emit each of `nodes` by itself, so that one is to blame."""
    wanted, inside = set(used), set(nodes)
    for node in nodes:
        read = [value for value in node.outputs if value in wanted or any(r in inside for r, _ in value.uses())]
        lower_delegated(context, [node], read)


def _may_be_random(node: ir.Node) -> bool:
    mode = node.inputs[2] if node.op_type == "Dropout" and len(node.inputs) > 2 else None
    return mode is not None and mode.const_value is None


def _sources(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What `nodes` read that none of them computes and nobody knows."""
    given = (value for node in nodes for value in node.inputs)
    return list(
        dict.fromkeys(
            value
            for value in given
            if value is not None and value.const_value is None and value.producer() not in nodes
        )
    )


def _unsuitable(module: tvm.IRModule) -> str | None:
    """Why what TVM made of a model is no list of kernels, or None."""
    call_tir = tvm.ir.Op.get("relax.call_tir")
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.Call) and value.op != call_tir:
                return f"{value.op} by a function of its own, which no kernel of an artifact can call"
    return None


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
