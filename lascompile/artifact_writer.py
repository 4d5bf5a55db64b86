"""Write an artifact: beside its place under another name, and renamed when it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lascompile import __version__
from lascompile.analysis.blocks import Block
from lascompile.analysis.gates import Gate
from lascompile.codegen import Signature, build_library
from lascompile.errors import UsageError
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.memory import ALIGNMENT, MemoryPlan, plan_memory
from lascompile.lower.parts import StepParts, find_parts
from lascompile.lower.program import Buffer, Program, Step
from lascompile.manifest import (
    CONSTANTS_NAME,
    MANIFEST_NAME,
    Manifest,
    MaskSpec,
    StepSpec,
    StoredTensor,
    TensorSpec,
    ViewSpec,
    sha256,
)
from lascompile.toolchain import link_function
from lascompile.workload import ConvWorkload, MapWorkload

_UNNAMED_LIBRARY = "model.so"


def check_destination(folder: Path) -> Path:
    """`folder`, if an artifact may be written there.

    Raises:
        UsageError: Its parent is missing, or something else stands there.
    """
    if not folder.resolve().parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder; make it, or give another place with -o")
    if folder.exists() and not (folder / MANIFEST_NAME).is_file():
        raise UsageError(f"{folder} exists and is not an artifact; remove it, or give another place with -o")
    return folder


def write_artifact(
    folder: Path,
    source: Path,
    program: Program,
    scheduler: Scheduler,
    gates: Sequence[Gate],
    blocks: Sequence[Block],
    flops: Mapping[str, Any],
    say: Callable[[str, float], None],
) -> Path:
    """Generate code for `program` and write it, its constants and its manifest to `folder`."""
    plan = plan_memory(program)
    with _replacing(folder) as aside:

        def on_kernel(done: int, total: int) -> None:
            say(f"scheduling kernel {done} of {total}", 0.2 + 0.4 * done / total)

        link = link_function(scheduler.target.mtriple)
        signature = build_library(program, scheduler.target, aside / _UNNAMED_LIBRARY, link, on_kernel)
        library = _name_library(aside)
        say("writing weights", 0.95)
        constants = _write_constants(aside / CONSTANTS_NAME, signature.constants)
        manifest = _manifest(source, program, scheduler, gates, blocks, flops, signature, plan, constants, library)
        files = {name: sha256(aside / name) for name in (library, CONSTANTS_NAME)}
        (aside / MANIFEST_NAME).write_text(replace(manifest, files=files).to_json())
    say("done", 1.0)
    return folder


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when all went well, and vanishes otherwise."""
    place = folder.resolve()  # where a link leads
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        # The one aside is not what the user asked for.
        raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from error
    old = aside.with_name(f"{aside.name}.old")
    try:
        yield aside
        aside.chmod(0o755)
        if place.exists():
            place.rename(old)
        aside.rename(place)
    finally:
        if old.exists() and not place.exists():
            old.rename(place)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _name_library(folder: Path) -> str:
    """Name the library by its content; see `Manifest`."""
    name = f"model-{sha256(folder / _UNNAMED_LIBRARY)[:12]}.so"
    (folder / _UNNAMED_LIBRARY).rename(folder / name)
    return name


def _write_constants(path: Path, constants: Sequence[Buffer]) -> list[StoredTensor]:
    stored = []
    with path.open("wb") as file:
        for buffer in constants:
            assert buffer.data is not None
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            stored.append(StoredTensor(file.tell(), buffer.shape, buffer.dtype))
            file.write(np.ascontiguousarray(buffer.data).tobytes())
    return stored


def _manifest(
    source: Path,
    program: Program,
    scheduler: Scheduler,
    gates: Sequence[Gate],
    blocks: Sequence[Block],
    flops: Mapping[str, Any],
    signature: Signature,
    plan: MemoryPlan,
    constants: Sequence[StoredTensor],
    library: str,
) -> Manifest:
    parts = find_parts(program, blocks)
    return Manifest(
        versions={"lascompile": __version__, "tvm": version("apache-tvm"), "tvm_ffi": version("apache-tvm-ffi")},
        onnx={"name": source.name, "sha256": sha256(source)},
        target=scheduler.target.to_dict(),
        threads=scheduler.threads,
        inputs=[_tensor(buffer) for buffer in program.inputs],
        outputs=[_tensor(buffer) for buffer in program.outputs],
        masks=_masks(program, gates, blocks, signature),
        blocks=[block.to_dict() for block in blocks],
        flops=flops,
        dense_operators=sorted({step.node for step in program.steps if not isinstance(step.kernel, ScheduledKernel)}),
        input_views=_views(signature.inputs, program.inputs),
        output_views=_views(signature.outputs, program.outputs),
        constants=constants,
        workspace=[StoredTensor(plan.offsets[b.root], b.shape, b.dtype) for b in signature.workspace],
        workspace_bytes=plan.nbytes,
        steps=[_step(step, program, parts, signature) for step in program.steps],
        library=library,
    )


def _tensor(buffer: Buffer) -> TensorSpec:
    return TensorSpec(buffer.name, buffer.shape, buffer.dtype)


def _views(shown: Sequence[Buffer], owners: Sequence[Buffer]) -> list[ViewSpec]:
    return [ViewSpec(owners.index(buffer.root), buffer.shape) for buffer in shown]


def _masks(
    program: Program, gates: Sequence[Gate], blocks: Sequence[Block], signature: Signature
) -> list[MaskSpec]:
    block_of = {block.mask: block.name for block in reversed(blocks) if block.mask}
    spatial = [gate.mask for gate in gates if gate.is_spatial]  # a decision may switch channels elsewhere
    masks = {mask.name: mask for mask in spatial if mask.name in program.decisions}
    position = {buffer.root: place for place, buffer in enumerate(signature.workspace)}
    return [
        MaskSpec(
            name=name,
            shape=program.decisions[name].shape,
            dtype=program.decisions[name].dtype,
            block=block_of.get(name, ""),
            granularity=mask.granularity,
            size=mask.size[1:],
            workspace=position[program.decisions[name].root],
            index=_position_of_index(mask.index, signature.constants),
            inverted=mask.inverted,
        )
        for name, mask in masks.items()
    ]


def _position_of_index(index: np.ndarray, constants: Sequence[Buffer]) -> int:
    return next(
        position
        for position, buffer in enumerate(constants)
        if buffer.dtype == "int32" and buffer.data is not None and np.array_equal(buffer.data, index)
    )


def _step(step: Step, program: Program, parts: Mapping[int, StepParts], signature: Signature) -> StepSpec:
    workload = getattr(step.kernel, "workload", None)
    where = parts[id(step)]
    rows = workload.rows if isinstance(workload, ConvWorkload | MapWorkload) and workload.counted else 0
    count = signature.workspace.index(program.counts[step.node]) if rows else None
    return StepSpec(
        label=step.kernel.label,
        node=step.node,
        block=where.block,
        part=where.part,
        forced=where.forced,
        rows=rows,
        count=count,
    )

