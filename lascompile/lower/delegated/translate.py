"""Nodes become a model of their own, and that TVM's functions.

TVM writes what it makes of a model to the process's standard output and error; neither is for the user's eyes, and a
command that prints JSON must print nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from lascompile.lower.delegated.rewrite import rewritten

_OUT, _ERR = 1, 2


class TranslationError(Exception):
    """TVM cannot translate a model; the message says why."""


def as_model(
    nodes: Sequence[ir.Node], sources: Sequence[ir.Value], used: Sequence[ir.Value], *, rewrites: bool
) -> onnx.ModelProto:
    """The nodes as a model of their own, from `sources` to `used`, with names that TVM need not change.

    With `rewrites`, operators that TVM computes otherwise than onnxruntime are written in terms of others.
    """
    values = [value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None]
    names = {value: f"v{number}" for number, value in enumerate(dict.fromkeys(values))}
    constants = [
        onnx.numpy_helper.from_array(value.const_value.numpy(), names[value])
        for value in names
        if value.const_value is not None
    ]
    graph = onnx.helper.make_graph(
        [proto for node in nodes for proto in _renamed(node, names, rewrites)],
        "delegated",
        [_value_info(value, names) for value in sources],
        [_value_info(value, names) for value in used],
        constants,
    )
    versions = nodes[0].graph.opset_imports if nodes[0].graph is not None else {"": 17}
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", versions[""])])
    model.ir_version = min(model.ir_version, 10)
    return model


def translate(model: onnx.ModelProto) -> tvm.IRModule:
    """Functions of TVM's, called one after the other by `main`, that compute `model`.

    Raises:
        TranslationError: TVM cannot; it raises whatever its converters meet.
    """
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.LegalizeOps(),
        relax.transform.FoldConstant(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.DeadCodeElimination(["main"]),
    ]
    with tvm.target.Target("llvm"), without_notices():
        try:
            module = from_onnx(model, keep_params_in_input=False)
            return tvm.ir.transform.Sequential(passes)(module)
        except Exception as error:
            lines = str(error).strip().splitlines()
            reason = lines[-1].strip() if lines else type(error).__name__
        gc.collect()  # what is left half built complains when it goes
    raise TranslationError(reason)


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Keep what TVM writes, in Python or below it, from the user."""
    kept = {number: os.dup(number) for number in (_OUT, _ERR)}
    with Path(os.devnull).open("wb") as nowhere:
        for number in kept:
            os.dup2(nowhere.fileno(), number)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def _renamed(node: ir.Node, names: dict[ir.Value, str], rewrites: bool) -> list[onnx.NodeProto]:
    inputs = ["" if value is None else names[value] for value in node.inputs]
    outputs = [names[value] for value in node.outputs]
    if rewrites:
        return rewritten(node, inputs, outputs)
    proto = ir.to_proto(node)
    proto.name = ""
    del proto.input[:], proto.output[:]
    proto.input.extend(inputs)
    proto.output.extend(outputs)
    return [proto]


def _value_info(value: ir.Value, names: dict[ir.Value, str]) -> onnx.ValueInfoProto:
    assert value.shape is not None and value.dtype is not None
    return onnx.helper.make_tensor_value_info(names[value], int(value.dtype), value.shape.numpy())
