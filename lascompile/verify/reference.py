"""onnxruntime as the reference: one session at a time, since each holds the model's weights again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.errors import UnsupportedModelError
from lascompile.frontend.counterpart import model_bytes
from lascompile.silent_onnxruntime import onnxruntime

_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Computed:
    """What one run computed.

    Attributes:
        outputs: The model's own outputs.
        values: All outputs by name, those that were added to look inside among them.
    """

    outputs: list[np.ndarray]
    values: dict[str, np.ndarray]


class Reference:
    """A model in onnxruntime."""

    def __init__(self, model: ir.Model, outputs: int, threads: int) -> None:
        """Load `model`, of which the first `outputs` outputs are the network's own."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # onnxruntime and the artifact take turns: threads that spin in between only take the other's time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                model_bytes(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a type for each status, with no parent of their own
            reason = str(error).strip().splitlines()[0]
            raise UnsupportedModelError(f"onnxruntime cannot load the model ({reason}); export it again") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._names = [value.name for value in self._session.get_outputs()]
        self._outputs = outputs

    def run(self, inputs: Sequence[np.ndarray], decisions: Mapping[str, np.ndarray] | None = None) -> Computed:
        """Run on the network's inputs, in order, and the imposed decisions by name."""
        imposed = decisions or {}
        own = [name for name in self._inputs if name not in imposed]
        feeds = {**dict(zip(own, inputs, strict=True)), **imposed}
        arrays = self._session.run(None, feeds)
        return Computed(arrays[: self._outputs], dict(zip(self._names, arrays, strict=True)))
