"""Generate code, and write it with the constants and the manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lascompile.analysis.blocks import Block
from lascompile.analysis.gates import Gate
from lascompile.artifact_writer.compose import compose_manifest
from lascompile.artifact_writer.destination import check_replaceable
from lascompile.codegen import KernelObjects, build_library
from lascompile.files import writing_folder
from lascompile.lower.kernels import Scheduler
from lascompile.lower.memory import plan_memory
from lascompile.lower.program import Buffer, Program
from lascompile.manifest import ALIGNMENT, CONSTANTS_NAME, MANIFEST_NAME, StoredTensor, sha256
from lascompile.toolchain import link_function

_UNNAMED_LIBRARY = "model.so"


def write_artifact(
    folder: Path,
    source: Path,
    program: Program,
    scheduler: Scheduler,
    gates: Sequence[Gate],
    blocks: Sequence[Block],
    flops: Mapping[str, Any],
    say: Callable[[str, float], None],
    check: Callable[[Path], Mapping[str, Any]] | None = None,
    objects: KernelObjects | None = None,
) -> Path:
    """Generate code for `program` and write it, its constants and its manifest to `folder`.

    With `check`, the artifact is shown to it, whole, before it takes its place. What it returns is the manifest's
    `verification`; if it raises, nothing has changed. With `objects`, kernels are shared with other libraries.
    """
    plan = plan_memory(program)
    with writing_folder(folder, lambda found: check_replaceable(found, folder)) as aside:

        def on_kernel(done: int, total: int) -> None:
            say(f"scheduling kernel {done} of {total}", 0.2 + 0.4 * done / total)

        link = link_function(scheduler.target.host_triple)
        signature = build_library(program, scheduler.target, aside / _UNNAMED_LIBRARY, link, on_kernel, objects)
        library = _name_library(aside)
        say("writing weights", 0.95)
        constants = _write_constants(aside / CONSTANTS_NAME, signature.constants)
        manifest = compose_manifest(
            source, program, scheduler, gates, blocks, flops, signature, plan, constants, library
        )
        manifest = replace(manifest, files={name: sha256(aside / name) for name in (library, CONSTANTS_NAME)})
        (aside / MANIFEST_NAME).write_text(manifest.to_json())
        if check is not None:
            manifest = replace(manifest, verification=check(aside))
            (aside / MANIFEST_NAME).write_text(manifest.to_json())
    say("done", 1.0)
    return folder


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
