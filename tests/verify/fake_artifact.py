"""An artifact made of onnxruntime: correct by construction, and easy to break in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir

from lascompile.frontend.impose import ImposedDecision, impose_decisions
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.manifest import Manifest, MaskSpec, TensorSpec, sha256
from lascompile.verify.nan_bounds import fewest_nans
from lascompile.verify.reference import Reference

Arrays = list[np.ndarray]
Masks = dict[str, np.ndarray]


class FakeArtifact:
    """Behaves as `lascompile.Artifact` does, and lets a test spoil decisions and outputs on their way."""

    def __init__(self, path: Path, *, selects: bool = True) -> None:
        """Read the ONNX file; `selects`: skip the map where a mask is off, instead of multiplying by zero."""
        model = simplify(load_model(path))
        self.spoil_masks: Callable[[Masks, Arrays], object] = lambda masks, inputs: None
        self.spoil_outputs: Callable[[Arrays, Arrays], object] = lambda outputs, inputs: None
        imposed = impose_decisions(fewest_nans(model) if selects else model)
        self._decisions = imposed.decisions
        self._reference = Reference(imposed.model, len(model.graph.outputs), threads=1)
        self.threads = 1
        self.manifest = Manifest(
            versions={},
            onnx={"name": path.name, "sha256": sha256(path)},
            target={"kind": "llvm"},
            threads=1,
            inputs=[_tensor(value) for value in model.graph.inputs],
            outputs=[_tensor(value) for value in model.graph.outputs],
            masks=[_mask(decision) for decision in imposed.decisions.values()],
            blocks=[],
            flops={},
            dense_operators=[],
            input_views=[],
            output_views=[],
            constants=[],
            workspace=[],
            workspace_bytes=0,
            steps=[],
        library="model.so",
        )

    def run(self, *inputs: np.ndarray) -> Arrays:
        return self.run_with_masks(*inputs)[0]

    def run_with_masks(self, *inputs: np.ndarray) -> tuple[Arrays, Masks]:
        """Decisions one after the other, each under those before it."""
        masks = {name: np.ones(decision.shape, bool) for name, decision in self._decisions.items()}
        for name, decision in self._decisions.items():
            masks[name] = self._run(inputs, masks).values[decision.computed] != 0
        self.spoil_masks(masks, list(inputs))
        return self.run_forced(*inputs, masks=masks), masks

    def run_forced(self, *inputs: np.ndarray, masks: Masks) -> Arrays:
        outputs = [array.copy() for array in self._run(inputs, masks).outputs]
        self.spoil_outputs(outputs, list(inputs))
        return outputs

    def _run(self, inputs, masks):
        given = {name: decision.from_mask(masks[name]) for name, decision in self._decisions.items()}
        return self._reference.run(inputs, given)


def _tensor(value: ir.Value) -> TensorSpec:
    assert value.shape is not None and value.dtype is not None
    return TensorSpec(str(value.name), tuple(value.shape.numpy()), value.dtype.numpy().name)


def _mask(decision: ImposedDecision) -> MaskSpec:
    mask = decision.masks[0]
    dtype = decision.dtype.numpy().name
    return MaskSpec(decision.name, decision.shape, dtype, "", mask.granularity, mask.size[1:], 0, 0, mask.inverted)
