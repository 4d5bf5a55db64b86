"""Nothing is believed: what TVM makes of a group of nodes is run, and compared with onnxruntime.

On a few inputs, made of what has been trouble: halves and whole numbers, where rounding decides; numbers that are large
enough for an exponential to overflow; zeros of both signs; and, in a turn of their own, NaN and infinities, where ONNX
says what becomes of them. A model that was compared once, as the maskers of a network are, is not compared again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
import tvm
from tvm import relax

from lascompile.lower.delegated.translate import without_notices
from lascompile.schedules.backends import backend_of
from lascompile.silent_onnxruntime import onnxruntime
from lascompile.target import Target, can_run_here

_RELATIVE, _OF_RANGE = 1e-5, 2e-6
"""Allowed error: of the number itself, and of the largest one."""

_USUAL, _HALVES, _LARGE, _SPECIAL = "usual", "halves", "large", "special"
_LOWEST, _HIGHEST = "all of them -inf", "all of them inf"
_EDGES = np.array([0.0, -0.0, 1e-40, -1e-40, 0.25, -0.75, 1.5, -2.5, 20.0, -20.0, 90.0, -90.0, 200.0, -200.0])
_NOT_FINITE = np.array([np.nan, np.inf, -np.inf])

OPEN_FOR_INFINITY = frozenset("Cast GridSample LRN Mod Pow ReduceLogSumExp ReduceProd Resize".split())
"""Operators of which onnxruntime's own way of computing decides what becomes of an infinity."""

OPEN_FOR_NAN = OPEN_FOR_INFINITY | frozenset(
    "ArgMax ArgMin Clip GlobalMaxPool Hardmax Max MaxPool Min ReduceMax ReduceMin Round".split()
)
"""Operators for which ONNX leaves open what becomes of NaN, or onnxruntime and ONNX's own reference do not agree; see
docs/contract.md."""

_ENOUGH, _MOST_TURNS = 64, 8
"""Elements that hold all of these numbers, likely; small inputs are drawn several times."""

_DIVIDES = frozenset(("Div", "Mod"))


def find_difference(model: onnx.ModelProto, module: tvm.IRModule, target: Target) -> str | None:
    """Where the functions `module` that TVM made of a model differ from onnxruntime on `model`, or None.

    Args:
        model: What is to be computed, with the operators as the user wrote them.
        module: What computes it.
        target: What they will be compiled for. What is compared is compiled for it as well, if this machine can run
            that: a CPU that multiplies and adds at once rounds otherwise than one that does not.
    """
    runs_as = target if can_run_here(target) else None
    content = model.SerializeToString(deterministic=True)
    key = content, runs_as
    if key not in _COMPARED:
        _COMPARED[key] = _compare(model, content, module, runs_as)
    return _COMPARED[key]


_COMPARED: dict[tuple[bytes, Target | None], str | None] = {}
"""What came out, by model and target: TVM makes the same of it each time."""


def _compare(model: onnx.ModelProto, content: bytes, module: tvm.IRModule, target: Target | None) -> str | None:
    session = onnxruntime.InferenceSession(content, _quiet(), providers=["CPUExecutionProvider"])
    run, compared = _runner(module, target), 0
    for feeds in _inputs(model, session):
        try:
            expected = session.run(None, feeds)
        except Exception:  # an index that there is not, and the like: other inputs tell
            continue
        compared += 1
        for got, reference in zip(run(list(feeds.values())), expected, strict=True):
            fault = _fault(got, reference)
            if fault is not None:
                return fault
    return None if compared else "what could not be compared: onnxruntime refused all inputs that were tried"


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # The reference computes what the file says, not what is left of it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _runner(module: tvm.IRModule, target: Target | None) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    with without_notices():
        if target is None:
            executable = tvm.compile(module, target="llvm")
        else:
            pipeline = backend_of(target.kind).pipeline()
            executable = tvm.compile(module, target=target.to_tvm(), tir_pipeline=pipeline)
    machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        result = machine["main"](*(tvm.runtime.tensor(np.asarray(array, order="C")) for array in arrays))
        tensors = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
        return [tensor.numpy() for tensor in tensors]

    return run


def _inputs(model: onnx.ModelProto, session: onnxruntime.InferenceSession) -> Iterator[dict[str, np.ndarray]]:
    """Feeds in the order of the model's inputs."""
    operators = {node.op_type for node in model.graph.node}
    kinds = [_USUAL, _HALVES, _LARGE]
    kinds += [] if operators & OPEN_FOR_INFINITY else [_LOWEST, _HIGHEST]
    kinds += [] if operators & OPEN_FOR_NAN else [_SPECIAL]
    smallest = min((_size(value) for value in model.graph.input), default=_ENOUGH)
    turns = min(_MOST_TURNS, -(-_ENOUGH // max(1, smallest)))
    for seed, kind in enumerate(kind for kind in kinds for _ in range(turns)):
        rng = np.random.default_rng(seed)
        yield {
            value.name: _numbers(value.type.tensor_type, kind, bool(operators & _DIVIDES), rng)
            for value in model.graph.input
        }


def _size(value: onnx.ValueInfoProto) -> int:
    return int(np.prod([dim.dim_value for dim in value.type.tensor_type.shape.dim], dtype=np.int64))


def _numbers(kind: onnx.TypeProto.Tensor, values: str, divides: bool, rng: np.random.Generator) -> np.ndarray:
    shape = [dim.dim_value for dim in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype == np.bool_:
        return np.asarray(rng.random(shape) < 0.5)
    if not np.issubdtype(dtype, np.floating):
        # Such as are indices as well; a division by zero ends the process.
        return rng.integers(1 if divides else 0, 5 if divides else 2, shape).astype(dtype)
    if values in (_LOWEST, _HIGHEST):
        return np.full(shape, -np.inf if values == _LOWEST else np.inf, dtype)
    usual = 3 * rng.standard_normal(shape)
    if values == _HALVES:
        usual = np.round(2 * usual) / 2
    elif values != _USUAL:
        chosen = _EDGES if values == _LARGE else np.concatenate([_NOT_FINITE, _EDGES[:4]])
        usual = np.where(rng.random(shape) < 0.3, rng.choice(chosen, shape), usual)
    return usual.astype(dtype)


def _fault(got: np.ndarray, expected: np.ndarray) -> str | None:
    """How `got` differs from `expected`, or None."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"{list(got.shape)} {got.dtype} where onnxruntime gives {list(expected.shape)} {expected.dtype}"
    if not got.size:
        return None
    if not np.issubdtype(got.dtype, np.floating):
        differs = got != expected
    else:
        finite = np.abs(expected[np.isfinite(expected)])
        allowed = _RELATIVE * np.abs(expected) + _OF_RANGE * (finite.max() if finite.size else 0.0)
        with np.errstate(invalid="ignore"):
            is_close = np.abs(got - expected) <= allowed
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        differs = ~(same | (is_close & np.isfinite(expected)))
    if not differs.any():
        return None
    place = tuple(int(index) for index in np.argwhere(differs)[0])
    return f"{got[place]} where onnxruntime computes {expected[place]} (element {list(place)})"
