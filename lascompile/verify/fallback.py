"""Build, compare with onnxruntime, and let fast convolutions fall back to the direct one where they err too much.

First by block: what differs too much on its own is computed directly. Then the network: as long as it differs, the
blocks that err most follow. Nothing stands at the destination before the network agrees.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from lascompile.analysis.blocks import Block
from lascompile.artifact_writer import write_artifact
from lascompile.codegen import KernelObjects
from lascompile.errors import LascompileError
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import Analysis, lower
from lascompile.lower.parts import algorithms_of
from lascompile.runtime.artifact import load
from lascompile.schedules.backends import algorithm_of, backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.target import check_runs_here
from lascompile.verify.block_errors import BlockBuild, BlockErrors
from lascompile.verify.compare import TOLERANCE
from lascompile.verify.outcome import BlockOutcome, Verification
from lascompile.verify.pieces import Piece, find_pieces
from lascompile.verify.report import VerifyReport
from lascompile.verify.verification import VerifyConfig, verify

Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Network:
    """A network as it is before it is lowered.

    Attributes:
        source: The ONNX file.
        model: In canonical form (see `simplify`).
        analysis: What is known of its graph.
        blocks: Its blocks.
        flops: Its operations.
    """

    source: Path
    model: ir.Model
    analysis: Analysis
    blocks: Sequence[Block]
    flops: Mapping[str, Any]


class _FallBack(Exception):  # noqa: N818 - caught here, always
    """What was written has to be built again, with other algorithms."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        """Say why, by the names of the pieces that are to be computed directly."""
        super().__init__(reasons)
        self.reasons = reasons


def build_verified(folder: Path, network: Network, scheduler: Scheduler, say: Say) -> Path:
    """Write the artifact `folder` of `network`, which agrees with onnxruntime.

    Args:
        folder: Where it shall stand.
        network: What to build.
        scheduler: For which target, by which numerics and plan. Where a block falls back, its plan is overruled.
        say: Told how the build advances, from 0 to 1.

    Raises:
        LascompileError: It does not agree, even with every convolution computed directly.
        DeviceError: This machine cannot run it.
    """
    check_runs_here(scheduler.target, "--verify", "build without it, and run lascompile verify there")
    return _VerifiedBuild(folder, network, scheduler, say).run()


class _VerifiedBuild:
    def __init__(self, folder: Path, network: Network, scheduler: Scheduler, say: Say) -> None:
        self._folder = folder
        self._network = network
        self._scheduler = scheduler
        self._say = say
        pieces = find_pieces(network.model.graph, network.analysis.gates, network.blocks)
        self._pieces = {piece.name: piece for piece in pieces.pieces}
        self._blocks = BlockErrors(network.source, network.model, pieces)
        self._errors: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._builds = 0
        self._lower()

    def run(self) -> Path:
        begin = 0.0
        while True:
            end = (1 + begin) / 2
            try:
                written = self._write(_within(self._say, begin, end))
            except _FallBack as fall_back:
                self._fall_back(fall_back.reasons)
                self._say(f"{len(fall_back.reasons)} blocks fall back to direct", end)
                begin = end
            else:
                self._say("done", 1.0)
                return written

    def _lower(self) -> None:
        network = self._network
        self._program = lower(network.model.graph, network.analysis, self._scheduler)
        self._algorithms = algorithms_of(self._program)
        self._scheduler.plan.check_nodes(self._algorithms)

    def _write(self, say: Say) -> Path:
        """Write the artifact, if it agrees.

        Raises:
            _FallBack: It does not, and another one might.
            LascompileError: It does not, and no other one will.
        """
        network = self._network
        self._builds += 1
        with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
            objects = KernelObjects(Path(folder))
            return write_artifact(
                self._folder,
                network.source,
                self._program,
                self._scheduler,
                network.analysis.gates,
                network.blocks,
                network.flops,
                _within(say, 0.0, 0.5),
                lambda written: self._check(written, objects, say).to_dict(),
                objects,
            )

    def _check(self, written: Path, objects: KernelObjects, say: Say) -> Verification:
        unknown = [name for name in self._pieces if name not in self._errors]
        build = BlockBuild(self._scheduler, self._algorithms, written, objects)
        self._errors |= self._blocks.measure(unknown, build, _within(say, 0.5, 0.8))
        inexact = [name for name in self._pieces if self._fast(name) and not self._errors[name] <= TOLERANCE]
        if inexact:
            raise _FallBack({name: _why_block(self._fast(name), self._errors[name]) for name in inexact})
        config = VerifyConfig(threads=self._scheduler.threads)
        artifact = load(written, self._scheduler.threads)
        report = verify(artifact, self._network.source, config, progress=lambda phase: say(phase, 0.8))
        if not report.passed:
            raise _FallBack(self._next(report))
        return self._outcome(report)

    def _fast(self, name: str) -> list[str]:
        """The algorithms of a piece that take products apart."""
        kind = self._scheduler.target.kind
        used = sorted(set(self._of(self._pieces[name]).values()))
        return [name for name in used if algorithm_of(kind, name).numerics is Numerics.FAST]

    def _of(self, piece: Piece) -> dict[str, str]:
        return {node: algorithm for node, algorithm in self._algorithms.items() if node in piece.nodes}

    def _fall_back(self, reasons: Mapping[str, str]) -> None:
        """Compute all convolutions of some pieces by the exact algorithm from now on."""
        exact = backend_of(self._scheduler.target.kind).exact.name
        direct = {node: exact for name in reasons for node in self._of(self._pieces[name])}
        self._scheduler = replace(self._scheduler, plan=self._scheduler.plan.but(direct))
        self._reasons |= reasons
        self._errors = {name: error for name, error in self._errors.items() if name not in reasons}
        self._lower()

    def _next(self, report: VerifyReport) -> dict[str, str]:
        """Which pieces are to fall back when the network differs, and why.

        Raises:
            LascompileError: None is left.
        """
        fast = [name for name in self._pieces if self._fast(name)]
        failure = report.failures()[0]
        if not fast:
            raise LascompileError(
                f"--verify: {self._network.source} differs from onnxruntime with every convolution computed directly, "
                f"so no artifact was written: {failure}"
            )
        # More each time, since a build takes long; and all, if it is not the size of errors that is wrong.
        is_error = report.error is not None and report.error > report.tolerance
        count = 2 ** (self._builds - 1) if is_error else len(fast)
        worst = sorted(fast, key=lambda name: -self._errors[name])[:count]
        return {name: f"with {' and '.join(self._fast(name))} here the network differed: {failure}" for name in worst}

    def _outcome(self, report: VerifyReport) -> Verification:
        blocks = tuple(
            BlockOutcome(name, _finite(self._errors[name]), self._of(piece), self._reasons.get(name))
            for name, piece in self._pieces.items()
        )
        return Verification(report.tolerance, report.error, len(report.cases), blocks)


def _why_block(algorithms: Iterable[str], error: float) -> str:
    fast = " and ".join(algorithms)
    if math.isinf(error):
        return f"{fast} gave numbers that are not finite where onnxruntime's are"
    return f"{fast} differed by {error:.1e} of the output's range (allowed: {TOLERANCE:.0e})"


def _finite(error: float) -> float | None:
    return error if math.isfinite(error) else None


def _within(say: Say, begin: float, end: float) -> Say:
    """Pass on what a part of the work tells, as the part of the whole that it is."""

    def told(phase: str, share: float) -> None:
        if phase != "done":
            say(phase, begin + share * (end - begin))

    return told
