"""Build an artifact from an ONNX file: read, simplify, analyse, lower, generate code, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.errors import DeviceError, UnsupportedModelError, UsageError

if TYPE_CHECKING:
    from lascompile.analysis.blocks import Block
    from lascompile.runtime.artifact import Artifact
    from lascompile.target import Target

ProgressCallback = Callable[[str, float], None]
"""Told the phase that begins, and the share of the whole work that is done (0 to 1)."""

NOMINAL_RATE = 0.5
"""The activation rate at which a manifest counts operations."""


def build(
    path: str | Path,
    output: str | Path | None = None,
    *,
    target: str = "llvm",
    mcpu: str = "native",
    threads: int | None = None,
    require_dynamic: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    progress: ProgressCallback | None = None,
) -> Artifact:
    """Compile the ONNX file `path` into the artifact folder `output`, and load it.

    Args:
        path: The model, as PyTorch exported it.
        output: The folder to write; by default `path` with the ending `.lasc`. An artifact there is replaced.
        target: What to compile for, as `lascompile.target.parse_target` reads it.
        mcpu: The CPU to compile for; `native` is this one.
        threads: Threads that the schedules are made for; by default the physical cores.
        require_dynamic: Refuse a model of which a block stays dense.
        shapes: Shape by input name, for inputs that the file leaves dynamic.
        progress: Told how the build advances.

    Returns:
        The artifact, loaded; or, if it was built for another machine, an error says so when it is loaded there.

    Raises:
        UsageError: The file is missing, or an argument does not fit.
        UnsupportedModelError: The model cannot be compiled, or stays dense where `require_dynamic` forbids it.
        ToolchainError: Linking is not possible.
        DeviceError: The target is unknown or not supported.
    """
    from lascompile.runtime.artifact import load

    written = build_artifact(
        path,
        output,
        target=target,
        mcpu=mcpu,
        threads=threads,
        require_dynamic=require_dynamic,
        shapes=shapes,
        progress=progress,
    )
    return load(written, threads)


def build_artifact(
    path: str | Path,
    output: str | Path | None = None,
    *,
    target: str = "llvm",
    mcpu: str = "native",
    threads: int | None = None,
    require_dynamic: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """As `build`, but without loading the result, which may be for another machine. Returns the folder."""
    from lascompile.analysis.blocks import find_blocks, network_flops
    from lascompile.artifact_writer import check_destination, write_artifact
    from lascompile.cpu import physical_cores
    from lascompile.frontend.load import load_model
    from lascompile.frontend.simplify import simplify
    from lascompile.frontend.supported import check_supported
    from lascompile.lower.kernels import Scheduler
    from lascompile.lower.lower import analyse, lower
    from lascompile.lower.supported import SUPPORTED

    say = progress or (lambda phase, share: None)
    source = Path(path)
    chosen = _read_target(target, mcpu)
    folder = check_destination(Path(output) if output is not None else source.with_suffix(".lasc"))
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}, but at least 1 is needed")
    say("reading", 0.0)
    model = load_model(source, shapes)
    say("simplifying", 0.02)
    graph = simplify(model).graph
    check_supported(graph, SUPPORTED)
    say("analysing", 0.1)
    analysis = analyse(graph)
    blocks = find_blocks(graph, analysis.gates, analysis.demands, analysis.fills, NOMINAL_RATE)
    if require_dynamic:
        _require_dynamic(blocks)
    say("lowering", 0.15)
    scheduler = Scheduler(chosen, threads or physical_cores())
    program = lower(graph, analysis, scheduler)
    flops = network_flops(blocks, graph)
    return write_artifact(folder, source, program, scheduler, analysis.gates, blocks, flops, say)


def _read_target(text: str, mcpu: str) -> Target:
    """The target, refused if it is a GPU: before its spelling is checked, so that nobody mends that in vain."""
    from lascompile.target import parse_target

    chosen = None if text.split()[:1] == ["cuda"] else parse_target(text, mcpu)
    if chosen is None or chosen.kind != "llvm":
        raise DeviceError(f"target {text} is known, but code is generated for CPUs only so far: use --target llvm")
    return chosen


def _require_dynamic(blocks: Sequence[Block]) -> None:
    dense = [block for block in blocks if not block.dynamic]
    if not blocks:
        raise UnsupportedModelError("--require-dynamic: the model has neither residual blocks nor masks")
    if dense:
        first = f"; {dense[0].name}: {dense[0].reason}"
        raise UnsupportedModelError(
            f"--require-dynamic: {len(dense)} of {len(blocks)} blocks stay dense{first} (lascompile inspect lists all)"
        )

