"""Build a network and say what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from lascompile.compile import build
from lascompile.errors import UnsupportedModelError
from lascompile.verify import VerifyConfig, verify
from lascompile.verify.compare import TOLERANCE, largest_error
from tests.differential.harness import session_of
from tests.differential.networks import random_inputs

AGREES, REFUSED, WRONG, CRASHES = "agrees", "refused", "wrong", "crashes"
INVALID, UNSTABLE, NAN = "invalid", "unstable", "nan"
FAULTS = (WRONG, CRASHES)
_NUDGE = 2.0**-20


@dataclass(frozen=True)
class Verdict:
    """What came of one network.

    Attributes:
        kind: agrees; refused by lascompile; wrong; crashes; invalid: onnxruntime does not run it either; unstable: what
            it computes is decided by rounding, in onnxruntime alone as well; nan: it differs where NaN goes in, and
            nowhere else (what becomes of a NaN that is compared, counted or rounded, ONNX leaves open).
        detail: The message, or the first differences.
    """

    kind: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """`detail` without names and numbers, to count by."""
        return re.sub(r"\b\w*\d\w*(:0)?\b", "#", self.detail)[:160]


def judge(model: onnx.ModelProto, numerics: str = "fast") -> Verdict:
    """Build `model`, and verify it: free and forced, on random, constant and NaN inputs, against the file."""
    try:
        session = session_of(model)
        session.run(None, _feeds(model))
    except Exception as error:  # whatever onnxruntime has against it
        return Verdict(INVALID, _line(error))
    with TemporaryDirectory(prefix="lascompile-") as folder:
        path = Path(folder) / "m.onnx"
        onnx.save(model, path)
        try:
            artifact = build(path, threads=1, numerics=numerics, use_records=False)
            report = verify(artifact, path, VerifyConfig(threads=1))
        except UnsupportedModelError as error:
            return Verdict(REFUSED, _line(error))
        except Exception as error:  # nothing else may happen
            return Verdict(CRASHES, f"{type(error).__name__}: {_line(error)}")
    if report.passed:
        return Verdict(AGREES)
    if all(case.passed or case.kind == "nan" for case in report.cases):
        return Verdict(NAN, report.failures()[0])
    return Verdict(UNSTABLE if _is_unstable(model) else WRONG, "; ".join(report.failures()[:3]))


def _feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return dict(zip([value.name for value in model.graph.input], random_inputs(model), strict=True))


def _is_unstable(model: onnx.ModelProto) -> bool:
    """True if the outputs of onnxruntime move by far more than the inputs do: random ones, or the same everywhere."""
    session, rng = session_of(model), np.random.default_rng(0)
    given = _feeds(model)
    for constant in (None, 0.0, 1.0):
        feeds = {name: array if constant is None else np.full_like(array, constant) for name, array in given.items()}
        before = session.run(None, feeds)
        after = session.run(None, {name: _nudged(array, rng) for name, array in feeds.items()})
        if any(_moved(a, b) for a, b in zip(before, after, strict=True)):
            return True
    return False


def _nudged(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    return (array + _NUDGE * rng.standard_normal(array.shape)).astype(array.dtype)


def _moved(before: np.ndarray, after: np.ndarray) -> bool:
    if before.dtype.kind != "f":
        return not np.array_equal(before, after)
    error, _ = largest_error(after, before)
    return error is not None and error > TOLERANCE / 2


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
