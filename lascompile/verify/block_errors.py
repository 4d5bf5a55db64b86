"""The error of each block on its own: fed with onnxruntime's activations, compared with what it makes of them.

The network is cut at its blocks (`frontend.cut`) and compiled like that, so that no block sees the errors of those
before it. Decisions are given, so that none can fall the other way.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from lascompile.artifact_writer import write_artifact
from lascompile.codegen import KernelObjects
from lascompile.frontend.cut import cut_at
from lascompile.frontend.impose import impose_decisions
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import Analysis, analyse, lower
from lascompile.lower.program import Program
from lascompile.manifest import TensorSpec
from lascompile.plan.choice import PlanError
from lascompile.plan.plan import Plan
from lascompile.runtime.artifact import Artifact, load
from lascompile.sample_inputs import natural_inputs
from lascompile.verify.compare import largest_error
from lascompile.verify.inputs import PATTERNS
from lascompile.verify.pieces import Piece, Pieces
from lascompile.verify.reference import Reference

_SEEDS = (0, 1)
_FORCED = ("on", "random")
"""Masks to force, beside the decisions that the network takes."""


@dataclass(frozen=True)
class Case:
    """What onnxruntime computed in one run.

    Attributes:
        decisions: By name, in the model's shapes.
        values: Inputs, and all values that were asked for, by name.
    """

    decisions: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BlockBuild:
    """How a network was built, and its blocks are to be.

    Attributes:
        scheduler: For which target, and by which numerics.
        algorithms: What computes each convolution in the network, by node.
        written: The network's artifact; blocks are built beside it.
        objects: The network's kernels, most of which the blocks share.
    """

    scheduler: Scheduler
    algorithms: Mapping[str, str]
    written: Path
    objects: KernelObjects


@dataclass(frozen=True)
class BlockErrors:
    """Measures the pieces of one network.

    Attributes:
        source: The ONNX file.
        model: The network in canonical form (see `simplify`).
        pieces: What it is cut into.
    """

    source: Path
    model: ir.Model
    pieces: Pieces

    def measure(
        self,
        names: Collection[str],
        build: BlockBuild,
        say: Callable[[str, float], None],
    ) -> dict[str, float]:
        """The error of each piece in `names`: the largest difference over the range of its output, on any run.

        Args:
            names: Of pieces.
            build: How the network was built.
            say: Told how the build of the pieces advances.

        Returns:
            Error by name; infinite if the result is not finite where onnxruntime's is.
        """
        wanted = [piece for piece in self.pieces.pieces if piece.name in names]
        cut, given = cut_at(self.model, self.pieces.cuts, [output for piece in wanted for output in piece.outputs])
        place = build.written.resolve()
        with tempfile.TemporaryDirectory(prefix="blocks.", dir=place) as folder:
            artifact = self._build(cut, build, Path(folder) / "blocks.lasc", say)
            say("comparing blocks with onnxruntime", 1.0)
            watched = {*given.values(), *(output for piece in wanted for output in piece.outputs)}
            cases = self._cases(watched, [mask.name for mask in artifact.manifest.masks], artifact.threads)
            return _largest(self._errors(artifact, wanted, given, case) for case in cases)

    def _build(self, cut: ir.Model, build: BlockBuild, folder: Path, say: Callable[[str, float], None]) -> Artifact:
        analysis = analyse(cut.graph)
        program = _lower_alike(cut.graph, analysis, build)
        write_artifact(
            folder, self.source, program, build.scheduler, analysis.gates, (), {}, say, objects=build.objects
        )
        return load(folder, build.scheduler.threads)

    def _cases(self, watched: Collection[str], decisions: Collection[str], threads: int) -> Iterator[Case]:
        """Natural-like inputs, under onnxruntime's own `decisions` and under forced ones."""
        specs = [_spec(value) for value in self.model.graph.inputs]
        inputs = [natural_inputs(specs, seed) for seed in _SEEDS]
        names = [spec.name for spec in specs]
        own = Reference(_watching(self.model, [*watched, *decisions]), 0, threads)
        for arrays in inputs:
            values = dict(zip(names, arrays, strict=True)) | own.run(arrays).values
            yield Case({name: values[name] for name in decisions}, values)
        del own  # one session at a time, since each holds the weights again
        if not decisions:
            return
        imposed = impose_decisions(self.model, decisions)
        reference = Reference(_watching(imposed.model, watched), 0, threads)
        for seed, arrays in zip(_SEEDS, inputs, strict=True):
            for pattern in _FORCED:
                rng = np.random.default_rng(seed)
                forced = {
                    name: decision.from_mask(PATTERNS[pattern](rng, decision.shape))
                    for name, decision in imposed.decisions.items()
                }
                outcome = reference.run(arrays, forced)
                yield Case(forced, dict(zip(names, arrays, strict=True)) | outcome.values)

    @staticmethod
    def _errors(artifact: Artifact, pieces: Sequence[Piece], given: Mapping[str, str], case: Case) -> dict[str, float]:
        manifest = artifact.manifest
        inputs = [case.values[given.get(spec.name, spec.name)] for spec in manifest.inputs]
        masks = {mask.name: case.decisions[mask.name].reshape(mask.shape) for mask in manifest.masks}
        outputs = artifact.run_forced(*inputs, masks=masks)
        got = {spec.name: output for spec, output in zip(manifest.outputs, outputs, strict=True)}
        return {
            piece.name: max(error_of(got[output], case.values[output]) for output in piece.outputs) for piece in pieces
        }


def error_of(output: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the range of `expected`; infinite where `output` alone is not finite."""
    if (np.isfinite(expected) & ~np.isfinite(output)).any():
        return math.inf
    error, _ = largest_error(output, expected)
    return error or 0.0


def _lower_alike(graph: ir.Graph, analysis: Analysis, build: BlockBuild) -> Program:
    """The program of `graph`, by the same algorithms as in the network."""
    algorithms = dict(build.algorithms)
    while True:
        alike = replace(build.scheduler, plan=Plan(algorithms))
        try:
            return lower(graph, analysis, alike)
        except PlanError as error:
            # A convolution may take another form where its neighbour is cut off, which not every algorithm can compute.
            del algorithms[error.node]


def _watching(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy of `model` with the values `names` among its outputs."""
    copy = model.clone()
    listed = {value.name for value in copy.graph.outputs}
    values = {str(value.name): value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.extend(values[name] for name in dict.fromkeys(names) if name in values and name not in listed)
    return copy


def _spec(value: ir.Value) -> TensorSpec:
    assert value.shape is not None and value.dtype is not None
    return TensorSpec(str(value.name), tuple(value.shape.numpy()), value.dtype.numpy().name)


def _largest(errors: Iterable[Mapping[str, float]]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for case in errors:
        for name, error in case.items():
            largest[name] = max(error, largest.get(name, 0.0))
    return largest
