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


def _feeds(model: onnx.ModelProto, nudge: float = 0.0) -> dict[str, np.ndarray]:
    names = [value.name for value in model.graph.input]
    arrays = random_inputs(model)
    nudged = [array if array.dtype.kind != "f" else array * np.float32(1 + nudge) for array in arrays]
    return dict(zip(names, nudged, strict=True))


def _is_unstable(model: onnx.ModelProto) -> bool:
    """True if the outputs of onnxruntime move by far more than the inputs do."""
    session = session_of(model)
    before, after = (session.run(None, _feeds(model, nudge)) for nudge in (0.0, _NUDGE))
    return any(
        a.dtype.kind == "f" and a.size and float(np.nanmax(np.abs(a - b), initial=0)) > 5e-5 * (np.ptp(a) or 1)
        for a, b in zip(before, after, strict=True)
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
