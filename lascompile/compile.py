"""Build an artifact from an ONNX file: read, simplify, analyse, lower, generate code, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.errors import DeviceError, UnsupportedModelError, UsageError
from lascompile.frontend.blame import refuses_malformed

if TYPE_CHECKING:
    from lascompile.analysis.blocks import Block
    from lascompile.runtime.artifact import Artifact
    from lascompile.target import Target

ProgressCallback = Callable[[str, float], None]
"""Told the phase that begins, and the share of the whole work that is done (0 to 1)."""


def build(
    path: str | Path,
    output: str | Path | None = None,
    *,
    target: str = "llvm",
    mcpu: str = "native",
    threads: int | None = None,
    numerics: str = "fast",
    plan: str | Path | None = None,
    records: str | Path | None = None,
    use_records: bool = True,
    require_dynamic: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    verify: bool = False,
    progress: ProgressCallback | None = None,
) -> Artifact:
    """Compile the ONNX file `path` into the artifact folder `output`, and load it.

    Args:
        path: The model, as PyTorch exported it.
        output: The folder to write; by default `path` with the ending `.lasc`. An artifact there is replaced.
        target: What to compile for, as `lascompile.target.parse_target` reads it.
        mcpu: The CPU to compile for; `native` is this one.
        threads: Threads that the schedules are made for; by default the physical cores.
        numerics: `exact` keeps to float32 products; `fast` also allows algorithms that take them apart, with relative
            errors of about 1e-5.
        plan: A file that says which algorithm computes which convolution; see `lascompile.plan.plan`.
        records: The folder of records and latency table that go before what is predicted; by default the user's.
            Those that lascompile comes with stand behind them.
        use_records: False leaves out both.
        require_dynamic: Refuse a model of which a block stays dense.
        shapes: Shape by input name, for inputs that the file leaves dynamic.
        verify: Compare each block and the network with onnxruntime, and let convolutions fall back to the direct
            algorithm where their error is too large; what was found is in the manifest (`verification`).
        progress: Told how the build advances.

    Returns:
        The artifact, loaded; or, if it was built for another machine, an error says so when it is loaded there.

    Raises:
        UsageError: The file is missing, the target unknown, or an argument does not fit.
        UnsupportedModelError: The model cannot be compiled, or stays dense where `require_dynamic` forbids it.
        ToolchainError: Linking is not possible.
        DeviceError: The target is not supported yet, or this machine cannot run what `verify` has to.
        LascompileError: `verify` found that the artifact differs, whatever the algorithms.
    """
    from lascompile.runtime.artifact import load

    written = build_artifact(
        path,
        output,
        target=target,
        mcpu=mcpu,
        threads=threads,
        numerics=numerics,
        plan=plan,
        records=records,
        use_records=use_records,
        require_dynamic=require_dynamic,
        shapes=shapes,
        verify=verify,
        progress=progress,
    )
    return load(written, threads)


@refuses_malformed
def build_artifact(
    path: str | Path,
    output: str | Path | None = None,
    *,
    target: str = "llvm",
    mcpu: str = "native",
    threads: int | None = None,
    numerics: str = "fast",
    plan: str | Path | None = None,
    records: str | Path | None = None,
    use_records: bool = True,
    require_dynamic: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    verify: bool = False,
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
    from lascompile.lower.parts import algorithms_of
    from lascompile.lower.supported import SUPPORTED
    from lascompile.plan.measured import open_measurements
    from lascompile.plan.plan import Plan
    from lascompile.schedules.numerics import Numerics
    from lascompile.workload import NOMINAL_RATE

    say = progress or (lambda phase, share: None)
    source = Path(path)
    chosen = _read_target(target, mcpu)
    folder = check_destination(Path(output) if output is not None else source.with_suffix(".lasc"))
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}, but at least 1 is needed")
    if numerics not in (known := [item.value for item in Numerics]):
        raise UsageError(f"--numerics is {numerics!r}, allowed are {' and '.join(known)}")
    wishes = Plan() if plan is None else Plan.read(Path(plan))
    threads = threads or physical_cores()
    folder_of_records = None if records is None else Path(records)
    measurements = open_measurements(folder_of_records, chosen, threads) if use_records else None
    say("reading", 0.0)
    model = load_model(source, shapes)
    say("simplifying", 0.02)
    graph = simplify(model).graph  # in place
    check_supported(graph, SUPPORTED)
    say("analysing", 0.1)
    analysis = analyse(graph)
    blocks = find_blocks(graph, analysis.gates, analysis.demands, analysis.fills, NOMINAL_RATE)
    if require_dynamic:
        _require_dynamic(blocks)
    say("lowering", 0.15)
    scheduler = Scheduler(chosen, threads, Numerics(numerics), wishes, measurements)
    flops = network_flops(blocks, graph)
    if verify:
        from lascompile.verify.fallback import Network, build_verified

        network = Network(source, model, analysis, blocks, flops)
        return build_verified(folder, network, scheduler, _from(0.15, say))
    program = lower(graph, analysis, scheduler)
    wishes.check_nodes(algorithms_of(program))
    return write_artifact(folder, source, program, scheduler, analysis.gates, blocks, flops, say)


def _from(begin: float, say: ProgressCallback) -> ProgressCallback:
    """For a part of the build that begins when the share `begin` is done, and counts from 0."""
    return lambda phase, share: say(phase, begin + share * (1 - begin))


def _read_target(text: str, mcpu: str) -> Target:
    """The target, refused if it is a GPU."""
    from lascompile.target import parse_targets

    target, *others = parse_targets(text, mcpu)
    if target.kind != "llvm":
        archs = ",".join(each.name for each in (target, *others))
        raise DeviceError(
            f"target cuda -arch={archs} is known, but code is generated for CPUs only so far: use --target llvm"
        )
    return target


def _require_dynamic(blocks: Sequence[Block]) -> None:
    dense = [block for block in blocks if not block.dynamic]
    if not blocks:
        raise UnsupportedModelError("--require-dynamic: the model has neither residual blocks nor masks")
    if dense:
        first = f"; {dense[0].name}: {dense[0].reason}"
        raise UnsupportedModelError(
            f"--require-dynamic: {len(dense)} of {len(blocks)} blocks stay dense{first} (lascompile inspect lists all)"
        )
