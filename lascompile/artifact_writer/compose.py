"""Say in a manifest what a library computes and how it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lascompile import __version__
from lascompile.analysis.blocks import Block
from lascompile.analysis.gates import Gate
from lascompile.codegen import Signature
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.memory import MemoryPlan
from lascompile.lower.parts import StepParts, find_parts
from lascompile.lower.program import Buffer, Program, Step
from lascompile.manifest import Manifest, MaskSpec, StepSpec, StoredTensor, TensorSpec, ViewSpec, sha256
from lascompile.target import Target
from lascompile.workload import ConvWorkload, MapWorkload, WinogradWorkload


def compose_manifest(
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
    """The manifest of `library` and `constants` in the folder being written, but for the files' checksums."""
    parts = find_parts(program, blocks)
    return Manifest(
        versions={"lascompile": __version__, "tvm": version("apache-tvm"), "tvm_ffi": version("apache-tvm-ffi")},
        onnx={"name": source.name, "sha256": sha256(source)},
        target=_needed(scheduler.target, program).to_dict(),
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
        steps=[_step(step, parts, signature) for step in program.steps],
        library=library,
    )


def _needed(target: Target, program: Program) -> Target:
    """`target`, as far as the kernels of `program` ask for it."""
    kernels = [step.kernel for step in program.steps if isinstance(step.kernel, ScheduledKernel)]
    used = {name for kernel in kernels if kernel.algorithm is not None for name in kernel.algorithm.features}
    return target.needed(used)


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


def _step(step: Step, parts: Mapping[int, StepParts], signature: Signature) -> StepSpec:
    workload = getattr(step.kernel, "workload", None)
    where = parts[id(step)]
    rows, counter = 0, None
    if isinstance(workload, ConvWorkload | MapWorkload | WinogradWorkload) and workload.counted:
        rows = workload.tiles if isinstance(workload, WinogradWorkload) else workload.rows
        counter = step.arguments[workload.arguments().index("count")]
    kernel = step.kernel if isinstance(step.kernel, ScheduledKernel) else None
    algorithm = kernel.algorithm if kernel is not None else None
    return StepSpec(
        label=step.kernel.label,
        node=step.node,
        block=where.block,
        part=where.part,
        forced=where.forced,
        rows=rows,
        count=signature.workspace.index(counter) if counter is not None else None,
        algorithm=algorithm.name if algorithm is not None else None,
        candidates=[candidate.to_dict() for candidate in kernel.candidates] if kernel is not None else (),
    )
