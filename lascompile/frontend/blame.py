"""Whose fault it is when a model cannot be read: the file's, if onnx or onnxruntime refuses it too.

A damaged or hand-made file can go wrong in any of a hundred places. Each of them is left to fail as it does; only then
is the file shown to those who define what a model is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lascompile.errors import LascompileError, UnsupportedModelError

_Called = TypeVar("_Called", bound=Callable[..., Any])


def refuses_malformed(function: _Called) -> _Called:
    """What takes the path of an ONNX file first: unforeseen failures are UnsupportedModelErrors if it is at fault.

    Ours is left as it is: a failure on a file that onnxruntime loads.
    """

    @functools.wraps(function)
    def call(path: str | Path, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it returns
        try:
            return function(path, *args, **kwargs)
        except (LascompileError, OSError, MemoryError):
            raise
        except Exception as error:
            reason = what_is_wrong(Path(path))
            if reason is None:
                raise
            raise UnsupportedModelError(
                f"{path}: the ONNX graph is malformed ({reason}); export it again"
            ) from error

    return call  # type: ignore[return-value]


def what_is_wrong(path: Path) -> str | None:
    """Why no runtime can load the ONNX file `path`, in one line; None if onnxruntime can."""
    import onnx

    from lascompile.silent_onnxruntime import onnxruntime

    try:
        onnx.checker.check_model(str(path), full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # the reason is what it raises
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # neither has a type of its own for all of this
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return " ".join(lines[0].split())
    return None
