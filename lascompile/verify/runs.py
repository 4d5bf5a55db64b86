"""What is held against the reference: runs of an artifact, and of the untouched file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx_ir as ir

from lascompile.frontend.impose import ImposedDecision
from lascompile.manifest import Manifest
from lascompile.verify.inputs import PATTERNS, InputCase, input_cases
from lascompile.verify.reference import Reference


class ComparedArtifact(Protocol):
    """What is asked of an artifact (`lascompile.runtime.artifact.Artifact`)."""

    @property
    def manifest(self) -> Manifest:
        """What it is."""

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs."""

    def run_with_masks(self, *inputs: np.ndarray) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
        """The outputs, and the mask decisions by name, bool."""

    def run_forced(self, *inputs: np.ndarray, masks: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs under the given masks."""


@dataclass(frozen=True)
class Run:
    """What came of one case.

    Attributes:
        name: As reported.
        kind: As reported, see `CaseResult`.
        inputs: Arrays, in the order of the model's inputs.
        outputs: Arrays, in the order of the model's outputs.
        decisions: By name, in the model's shapes.
        chosen: True if the decisions were taken; False if they were given, so that none is right or wrong.
        failures: What is wrong on its own, without a reference.
    """

    name: str
    kind: str
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    decisions: dict[str, np.ndarray]
    chosen: bool = True
    failures: list[str] = field(default_factory=list)


def run_artifact(artifact: ComparedArtifact, decisions: Mapping[str, ImposedDecision], seed: int) -> Iterator[Run]:
    """Run the artifact on every input with free decisions, and on the first input with forced ones."""
    cases = list(input_cases(artifact.manifest.inputs, seed))
    for case in cases:
        yield _run_free(artifact, decisions, case)
    shapes = {mask.name: mask.shape for mask in artifact.manifest.masks}
    if not shapes:
        return
    for name, pattern in PATTERNS.items():
        rng = np.random.default_rng([seed, len(name)])
        masks = {mask: pattern(rng, shape) for mask, shape in shapes.items()}
        outputs = artifact.run_forced(*cases[0].arrays, masks=masks)
        forced = _as_decisions(masks, decisions)
        yield Run(f"masks {name}", "forced", cases[0].arrays, list(outputs), forced, chosen=False)


def _run_free(artifact: ComparedArtifact, decisions: Mapping[str, ImposedDecision], case: InputCase) -> Run:
    outputs, masks = artifact.run_with_masks(*case.arrays)
    again = artifact.run(*case.arrays)
    failures = []
    if not all(_same(a, b) for a, b in zip(outputs, again, strict=True)):
        failures.append("two runs differ: the second, without reading the masks, gave other numbers")
    return Run(case.name, case.kind, case.arrays, list(outputs), _as_decisions(masks, decisions), failures=failures)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.floating))


def _as_decisions(masks: Mapping[str, np.ndarray], decisions: Mapping[str, ImposedDecision]) -> dict[str, np.ndarray]:
    return {name: decision.from_mask(masks[name]) for name, decision in decisions.items()}


def run_file(
    original: ir.Model, decisions: Mapping[str, ImposedDecision], runs: Sequence[Run], threads: int
) -> Iterator[Run]:
    """Run the file, as it was exported, on the natural and random inputs of `runs`.

    Held against the same reference, it shows that the reference computes what the file does. A file in which
    a decision has no name of its own yields nothing.
    """
    outputs = len(original.graph.outputs)
    named = {value.name: value for node in original.graph for value in node.outputs}
    given = [str(value.name) for value in original.graph.inputs]
    if any(name not in named and name not in given for name in decisions):
        return
    listed = {value.name for value in original.graph.outputs}
    original.graph.outputs.extend(named[name] for name in decisions if name in named and name not in listed)
    reference = Reference(original, outputs, threads)
    for run in runs:
        if run.chosen and run.kind in ("natural", "random"):
            outcome = reference.run(run.inputs)
            known = {**dict(zip(given, run.inputs, strict=False)), **outcome.values}
            taken = {name: known[name] for name in decisions}
            yield Run(f"file: {run.name}", "file", run.inputs, outcome.outputs, taken)
