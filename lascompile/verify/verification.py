"""Verify an artifact: run it, run the references, hold the one against the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from lascompile.cpu import physical_cores
from lascompile.frontend.built_from import load_built_from
from lascompile.frontend.impose import ImposedDecision, impose_decisions
from lascompile.frontend.simplify import simplify
from lascompile.verify.compare import TIE_TOLERANCE, TOLERANCE, Findings, compare_decisions, compare_outputs
from lascompile.verify.dense_ties import DenseTies
from lascompile.verify.file_reference import has_all, outcomes_of_file
from lascompile.verify.nan_bounds import defines_nans, fewest_nans, most_nans, reaches
from lascompile.verify.reference import Computed, Reference
from lascompile.verify.report import CaseResult, VerifyReport
from lascompile.verify.runs import ComparedArtifact, Run, run_artifact, run_file


@dataclass(frozen=True)
class VerifyConfig:
    """How to verify.

    Attributes:
        seed: Of inputs and masks.
        threads: For onnxruntime; None: the physical cores.
        tolerance: Largest difference over the range of an output.
        tie_tolerance: Largest relative margin with which a decision may fall either way.
    """

    seed: int = 0
    threads: int | None = None
    tolerance: float = TOLERANCE
    tie_tolerance: float = TIE_TOLERANCE


def verify(
    artifact: ComparedArtifact,
    onnx_path: str | Path,
    config: VerifyConfig | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> VerifyReport:
    """Compare `artifact` with onnxruntime on the file that it was built from.

    Each input is run with the artifact's own decisions. The same decisions are imposed on the file in onnxruntime,
    its outputs compared, and each decision held against the one that the file takes under the others. How close
    those are, the simplified model tells. Then masks are forced on, off, at random and in blobs, on the artifact and
    on the simplified model. Last, the untouched file is run, to show that the simplified model computes what it does.

    NaN: onnxruntime multiplies by a mask, and 0 x NaN is NaN; an artifact skips the pixel. An element that
    is a number in onnxruntime must be that number in the artifact. An element that is NaN must be NaN,
    unless it is so only through 0 x NaN, or through a maximum of numbers and NaN, which has no defined
    result (see `nan_bounds`). Where a fast algorithm computed a convolution, NaN may also stand in place of an
    infinity, and up to m - 1 pixels beyond the windows that read it, if tiles are m x m.

    Args:
        artifact: What `lascompile.load` returns.
        onnx_path: The ONNX file.
        config: None: the defaults.
        progress: Is told what is being done.

    Raises:
        UsageError: The file is missing, or not the one that the artifact was built from.
        UnsupportedModelError: The file cannot be read, or is too large to be a reference.
    """
    config, tell = config or VerifyConfig(), progress or (lambda _: None)
    threads = config.threads or physical_cores()
    manifest = artifact.manifest
    tell("reading the model")
    model = simplify(load_built_from(manifest, onnx_path))
    names = [mask.name for mask in manifest.masks]
    decisions = impose_decisions(model, names).decisions

    tell("running the artifact")
    runs = list(run_artifact(artifact, decisions, config.seed))
    tell("running the file in onnxruntime")
    runs += run_file(load_built_from(manifest, onnx_path), decisions, runs, threads)
    tell("running onnxruntime under the same decisions")
    judge = _Judge(config, decisions, [spec.name for spec in manifest.outputs], defines_nans(model))
    outcomes = _outcomes(model, names, runs, threads)
    original = load_built_from(manifest, onnx_path)
    if has_all(original, decisions):
        outcomes = outcomes_of_file(original, decisions, runs, outcomes, threads)
    tell("following NaN through onnxruntime")
    strange = [run for run, outcome in zip(runs, outcomes, strict=True) if _meets_nan(run, outcome)]
    bounds = _nan_bounds(model, reaches(manifest.steps, manifest.target["kind"]), names, strange, threads)
    cases = [judge(run, *bounds.get(run.name, (outcome,))) for run, outcome in zip(runs, outcomes, strict=True)]
    if not all(case.passed for case in cases):
        ties = DenseTies(model, names, config.tie_tolerance, threads)
        cases = [judge.settled(run, case, ties) for run, case in zip(runs, cases, strict=True)]
    return VerifyReport(
        artifact=manifest.onnx["name"],
        onnx=str(onnx_path),
        tolerance=config.tolerance,
        tie_tolerance=config.tie_tolerance,
        cases=cases,
        notes=_notes(decisions, runs),
    )


def _notes(decisions: Mapping[str, ImposedDecision], runs: Sequence[Run]) -> list[str]:
    notes = [
        f"how close the decisions of mask {decision.name!r} are cannot be derived from the graph: every "
        "disagreement counts as a failure"
        for decision in decisions.values()
        if decision.margin is None
    ]
    if not any(run.kind == "file" for run in runs):
        notes.append("a mask has no name in the file: the artifact was held against the simplified model, not the file")
    return notes


def _outcomes(model: ir.Model, names: Sequence[str], runs: Sequence[Run], threads: int) -> list[Computed]:
    """What onnxruntime makes of each run's inputs under its decisions; its session ends with this call."""
    reference = Reference(impose_decisions(model, names).model, len(model.graph.outputs), threads)
    return [reference.run(run.inputs, run.decisions) for run in runs]


def _nan_bounds(
    model: ir.Model, fast: Mapping[str, int], names: Sequence[str], runs: Sequence[Run], threads: int
) -> dict[str, tuple[Computed, Computed]]:
    """Of each run by name, the outcome in which NaN spreads as far as it may, and that in which as little."""
    if not runs:
        return {}
    most = _outcomes(most_nans(model, fast), names, runs, threads)
    fewest = _outcomes(fewest_nans(model), names, runs, threads)
    return {run.name: pair for run, pair in zip(runs, zip(most, fewest, strict=True), strict=True)}


def _meets_nan(run: Run, outcome: Computed) -> bool:
    """True if what is not finite went in, or came up on the way: 0 x infinity is NaN."""
    arrays = [*run.inputs, *run.outputs, *outcome.values.values()]
    return any(np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all() for array in arrays)


@dataclass(frozen=True)
class _Judge:
    """Turns a run and its references into a result."""

    config: VerifyConfig
    decisions: dict[str, ImposedDecision]
    output_names: list[str]
    defines_nans: bool

    def settled(self, run: Run, case: CaseResult, ties: DenseTies) -> CaseResult:
        """`case`, or, where ties among the decisions of dense masks explain what differs, the case with those."""
        found = None if case.passed or run.kind == "nan" else ties.settle(run)
        if found is None:
            return case
        again = self(run, found[0])
        return replace(again, ties=[*again.ties, *found[1]]) if again.passed else case

    def __call__(self, run: Run, most: Computed, fewest: Computed | None = None) -> CaseResult:
        found = Findings(failures=list(run.failures))
        lower = None if fewest is None else fewest.outputs
        compare_outputs(
            run.outputs,
            most.outputs,
            lower,
            self.output_names,
            self.config.tolerance,
            found,
            self.defines_nans,
        )
        if run.chosen:
            compare_decisions(run.decisions, self.decisions, most, fewest, self.config.tie_tolerance, found)
        return CaseResult(
            run.name,
            run.kind,
            found.error,
            found.margin,
            {name: decision.activation_rate(run.decisions[name]) for name, decision in self.decisions.items()},
            found.ties,
            found.failures,
        )
