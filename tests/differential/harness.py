"""Build a model, and hold what the artifact computes against onnxruntime, freely and under given decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from lascompile.analysis.elements import find_equals
from lascompile.compile import build
from lascompile.frontend.impose import ImposedDecision, impose_decisions
from lascompile.frontend.simplify import simplify
from lascompile.runtime.artifact import Artifact
from lascompile.verify.compare import scale_of

TOLERANCE = 1e-4
"""Largest difference over the range of the reference's output, as the project promises."""

Arrays = Sequence[np.ndarray]
Masks = Mapping[str, np.ndarray]


@dataclass
class Compiled:
    """An artifact beside the model it was built from."""

    model: onnx.ModelProto
    artifact: Artifact
    decisions: dict[str, ImposedDecision] = field(init=False)

    def __post_init__(self) -> None:
        self._free = session_of(self.model)
        names = [mask.name for mask in self.artifact.manifest.masks]
        imposed = impose_decisions(simplify(ir.from_proto(self.model)), names)
        self.decisions = imposed.decisions
        self._imposed = session_of(ir.to_proto(imposed.model))

    def check_free(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The artifact takes the decisions that the model takes, and computes what it computes; its outputs."""
        outputs, masks = self.artifact.run_with_masks(*inputs)
        values = self._run(self._imposed, inputs, masks)
        for name, decision in self.decisions.items():
            computed = values[decision.computed] != 0
            np.testing.assert_array_equal(masks[name].reshape(decision.shape), computed, err_msg=name)
        assert_close(outputs, list(self._run(self._free, inputs, {}).values()), self.names)
        return outputs

    def check_forced(self, masks: Masks, *inputs: np.ndarray) -> list[np.ndarray]:
        """Under the decisions `masks` the artifact computes what the model does under them; its outputs."""
        outputs = self.artifact.run_forced(*inputs, masks=masks)
        expected = list(self._run(self._imposed, inputs, masks).values())
        assert_close(outputs, expected[: len(outputs)], self.names)
        return outputs

    def check(self, *inputs: np.ndarray, seed: int = 0) -> None:
        """Free, and with every mask on, off, random, coherent, and on for one image of the batch only."""
        self.check_free(*inputs)
        for masks in self.mask_cases(seed):
            self.check_forced(masks, *inputs)

    def check_skips(self, *inputs: np.ndarray) -> None:
        """With all masks off dynamic kernels run on no row; with all on, those behind a gate run on every row."""
        steps = [step for step in self.artifact.manifest.steps if step.count is not None]
        assert steps, "nothing is dynamic"
        for on in (False, True):
            masks = {mask.name: np.full(mask.shape, on != mask.inverted) for mask in self.artifact.manifest.masks}
            self.artifact.run_forced(*inputs, masks=masks)
            for step in steps:
                assert step.count is not None
                (rows,) = self.artifact._workspace_arrays[step.count].tolist()
                assert rows <= step.rows if on else rows == 0, f"{step.label} of {step.node} runs on {rows} rows"
                assert rows == step.rows or not on or step.part != "scatter", f"{step.label} leaves rows out"

    def mask_cases(self, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Decisions of every kind for all masks; none where the network has no masks."""
        rng = np.random.default_rng(seed)
        shapes = {mask.name: mask.shape for mask in self.artifact.manifest.masks}
        if not shapes:
            return
        yield {name: np.ones(shape, bool) for name, shape in shapes.items()}
        yield {name: np.zeros(shape, bool) for name, shape in shapes.items()}
        yield {name: self._repeated(name, rng.random(shape) < 0.5) for name, shape in shapes.items()}
        yield {name: self._repeated(name, _coherent(shape, rng)) for name, shape in shapes.items()}
        yield {name: self._repeated(name, _first_image(shape)) for name, shape in shapes.items()}

    def _repeated(self, name: str, mask: np.ndarray) -> np.ndarray:
        """`mask`, equal where the network can only decide equally (a decision taken after upsampling)."""
        equal = find_equals(self.decisions[name].masks[0].decision)
        return mask if equal is None else mask.reshape(-1)[equal.reshape(-1)].reshape(mask.shape)

    @property
    def names(self) -> list[str]:
        """The model's outputs."""
        return [output.name for output in self.model.graph.output]

    def labels(self) -> list[str]:
        """What each step of the artifact does."""
        return [step.label for step in self.artifact.manifest.steps]

    def _run(self, session: onnxruntime.InferenceSession, inputs: Arrays, masks: Masks) -> dict[str, np.ndarray]:
        """All outputs of `session`, in order."""
        feeds = {value.name: array for value, array in zip(self.model.graph.input, inputs, strict=True)}
        for name, decision in self.decisions.items():
            if decision.computed in (value.name for value in session.get_inputs()):  # the caller gives it
                feeds[decision.computed] = feeds[name]
            if name in masks:
                feeds[name] = decision.from_mask(masks[name])
        wanted = {value.name: feeds[value.name] for value in session.get_inputs()}
        return dict(zip([value.name for value in session.get_outputs()], session.run(None, wanted), strict=True))


def compiled(model: onnx.ModelProto, folder: Path, **options: Any) -> Compiled:
    """Build `model` in `folder`, for two threads if `options` say nothing else."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return Compiled(model, build(path, **{"threads": 2, **options}))


def assert_close(got: Arrays, expected: Arrays, names: Sequence[str]) -> None:
    """The same shapes and element types, NaN in the same places, and no difference above the tolerance."""
    assert len(got) == len(expected) == len(names)
    for array, reference, name in zip(got, expected, names, strict=True):
        assert array.shape == reference.shape, f"{name}: {array.shape} instead of {reference.shape}"
        assert array.dtype == reference.dtype, f"{name}: {array.dtype} instead of {reference.dtype}"
        if reference.dtype.kind != "f":
            np.testing.assert_array_equal(array, reference, err_msg=name)
        else:
            scale = scale_of(reference[np.isfinite(reference)])
            np.testing.assert_allclose(array / scale, reference / scale, rtol=0, atol=TOLERANCE, err_msg=name)


def _coherent(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A disc, elsewhere in each image."""
    *leading, height, width = shape if len(shape) > 1 else (1, *shape)
    y, x = np.mgrid[:height, :width]
    centres = rng.random((*leading, 2))
    distance = np.hypot(y - centres[..., 0, None, None] * height, x - centres[..., 1, None, None] * width)
    return (distance < max(height, width) / 2).reshape(shape)


def _first_image(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:1] = True
    return mask


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
