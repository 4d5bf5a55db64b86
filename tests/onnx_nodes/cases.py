"""ONNX's own node tests through `build` and `run`, each with what came of it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx

PASSED, REFUSED, WRONG, INTERNAL = "passed", "refused", "wrong", "internal error"
_LEAST_ATOL = 1e-6
_LONGEST_REASON = 160


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        status: `passed`, `refused`, `wrong` or `internal error`.
        reason: The refusal's message, or the fault.
    """

    name: str
    status: str
    reason: str = ""


@cache
def load_cases() -> dict[str, Any]:
    """All node tests of the installed ONNX by name."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they compute infinities on purpose
        return {case.name: case for case in load_model_tests(kind="node")}


def run_case(name: str) -> Result:
    """Build the model of a case, run it on the case's inputs, and compare."""
    from lascompile.compile import build
    from lascompile.errors import LascompileError

    case = load_cases()[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        onnx.save(case.model, path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                artifact = build(path, threads=1, use_records=False)
                for inputs, expected in case.data_sets:
                    fault = _fault(case, artifact.run(*inputs), inputs, expected)
                    if fault:
                        return Result(name, WRONG, fault)
        except LascompileError as error:
            return Result(name, REFUSED, str(error).replace(str(path), "m.onnx")[:_LONGEST_REASON])
        except Exception as error:
            return Result(name, INTERNAL, f"{type(error).__name__}: {error}"[:_LONGEST_REASON])
    return Result(name, PASSED)


def run_cases(names: Iterable[str], jobs: int) -> Iterator[Result]:
    """The results of `names`, in processes of their own: one that dies is an internal error of its case alone."""
    waiting = list(names)
    while waiting:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            futures = {name: pool.submit(run_case, name) for name in waiting}
            for name, future in futures.items():
                try:
                    result = future.result()
                except Exception as error:  # the pool is broken: nobody knows whose fault that was
                    yield run_alone(name) if jobs > 1 else Result(name, INTERNAL, type(error).__name__)
                    waiting = waiting[waiting.index(name) + 1 :]
                    break
                yield result
            else:
                return


def run_alone(name: str) -> Result:
    """The result of one case in a process of its own."""
    return next(run_cases([name], 1))


def _fault(case: Any, got: list[np.ndarray], inputs: list[np.ndarray], expected: list[Any]) -> str:
    """What is wrong with the outputs, unless onnxruntime computes the same: it is what we promise to follow."""
    if _close(case, got, expected):
        return ""
    from lascompile.silent_onnxruntime import onnxruntime

    session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
    named = {value.name: np.asarray(given) for value, given in zip(session.get_inputs(), inputs, strict=True)}
    if _close(case, got, session.run(None, named)):
        return ""
    computed, wanted = ([np.asarray(array).reshape(-1)[:4] for array in arrays] for arrays in (got, expected))
    return f"computed {computed} where {wanted} is expected"[:_LONGEST_REASON]


def _close(case: Any, got: list[np.ndarray], expected: list[Any]) -> bool:
    if len(got) != len(expected):
        return False
    for one, other in zip(got, expected, strict=True):
        reference = np.asarray(other)
        if one.shape != reference.shape or one.dtype != reference.dtype:
            return False
        atol = max(case.atol, _LEAST_ATOL)
        if not np.allclose(one, reference, rtol=case.rtol, atol=atol, equal_nan=True):
            return False
    return True
