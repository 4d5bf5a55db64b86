"""Load an artifact and run it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lascompile import __version__
from lascompile.cpu import cpu_supports, default_threads, processor
from lascompile.errors import ArtifactError, DeviceError, UsageError
from lascompile.manifest import CONSTANTS_NAME, Manifest, MaskSpec, check_files
from lascompile.runtime.contexts import Contexts
from lascompile.runtime.library import load_executable
from lascompile.runtime.memory import aligned, aligned_empty, allocate_block, as_tensor, views
from lascompile.runtime.pool import ThreadPool
from lascompile.runtime.profile import Profile, Profiler

_MOST_THREADS = 1024


def load(path: str | Path, threads: int | None = None) -> Artifact:
    """Load the artifact folder `path`.

    Args:
        path: What `build` wrote.
        threads: Threads to run on; by default as `lascompile.cpu.default_threads` says.

    Raises:
        ArtifactError: It is no artifact, or is damaged, or is of another version.
        DeviceError: This CPU lacks instructions that it was built with.
        UsageError: `threads` is not positive.
    """
    return Artifact(Path(path), threads)


class _Context:
    """What one call at a time uses: a workspace, and the library's functions, whose sequencer has a state."""

    def __init__(self, library: Path, manifest: Manifest) -> None:
        self.executable = load_executable(library)
        self.main, self.forced = self.executable["main"], self.executable["forced"]
        self.arrays = views(allocate_block(manifest.workspace_bytes), manifest.workspace)
        self.tensors = [as_tensor(array) for array in self.arrays]

    def decision(self, mask: MaskSpec) -> np.ndarray:
        """Where the decisions of `mask` stand."""
        return self.arrays[mask.workspace].reshape(mask.shape)


class Artifact:
    """A compiled model. May be called from any number of threads; see docs/runtime.md for how they share the CPUs."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = path
        self.manifest = Manifest.read(path)
        _check_version(path, self.manifest)
        _check_device(path, self.manifest)
        check_files(path, self.manifest)
        self.threads = _checked_threads(threads)
        library = path / self.manifest.library
        # More calls at a time than threads would take the CPUs from each other, not from anybody else.
        self._contexts = Contexts(partial(_Context, library, self.manifest), self.threads)
        self._pool = ThreadPool(library)
        self._constant_arrays = views(_read_block(path), self.manifest.constants)
        self._constants = [as_tensor(array) for array in self._constant_arrays]

    def __repr__(self) -> str:
        model, target, blocks = self.manifest.onnx["name"], self.manifest.target, self.manifest.blocks
        dynamic = sum(bool(block["dynamic"]) for block in blocks)
        return (
            f"<Artifact of {model} for {target['mtriple']} -mcpu={target['mcpu']}, "
            f"{self.threads} thread{'s' * (self.threads != 1)}, {dynamic} of {len(blocks)} blocks dynamic>"
        )

    def __call__(self, *inputs: Any) -> Any:  # noqa: ANN401 - whatever array type the caller has
        """Run the model on NumPy arrays or torch tensors, and return the same kind: one array, or a tuple of them."""
        wants_torch = any(type(value).__module__.partition(".")[0] == "torch" for value in inputs)
        outputs: list[Any] = self.run(*inputs)
        if wants_torch:
            import torch

            outputs = [torch.from_numpy(array) for array in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run(self, *inputs: Any) -> list[np.ndarray]:  # noqa: ANN401
        """Run the model; all outputs as NumPy arrays.

        Raises:
            UsageError: An input is missing, or of the wrong shape or element type.
        """
        with self._contexts.lent() as context:
            return self._call(context, context.main, inputs)

    def run_with_masks(self, *inputs: Any) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:  # noqa: ANN401
        """Run the model; its outputs, and by name the mask decisions that it took, as bool arrays."""
        with self._contexts.lent() as context:
            outputs = self._call(context, context.main, inputs)
            decisions = {mask.name: context.decision(mask) != 0 for mask in self.manifest.masks}
        return outputs, decisions

    def active_pixels(self, decisions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By mask name, the pixels that each mask group switches on under `decisions`, bool [N, G, H, W]."""
        active = {}
        for mask in self.manifest.masks:
            on = (decisions[mask.name].reshape(-1) != 0) != mask.inverted
            by_group = on[self._constant_arrays[mask.index]]
            active[mask.name] = by_group.reshape(len(by_group), -1, *mask.size).swapaxes(0, 1)
        return active

    def run_forced(self, *inputs: Any, masks: Mapping[str, np.ndarray]) -> list[np.ndarray]:  # noqa: ANN401
        """Run the model under the given mask decisions, which must be complete, instead of its maskers'.

        Raises:
            UsageError: A mask is missing, unknown, of the wrong shape, or holds anything but 0 and 1.
        """
        self._check_masks(masks)
        with self._contexts.lent() as context:
            for mask in self.manifest.masks:
                context.decision(mask)[...] = masks[mask.name]
            return self._call(context, context.forced, inputs)

    def profile(self, *inputs: Any, repeats: int = 10) -> Profile:  # noqa: ANN401
        """Run the model `repeats` times with a clock around every kernel.

        Raises:
            UsageError: `repeats` is not positive, or an input does not fit.
        """
        if repeats < 1:
            raise UsageError(f"repeats is {repeats}, but at least 1 is needed")
        with self._contexts.lent() as context:
            profiler = Profiler(self.manifest, context.arrays)
            self._call(context, context.main, inputs)  # warm-up
            for _ in range(repeats):
                with profiler.watch(context.executable):
                    self._call(context, context.main, inputs)
            return profiler.profile()

    @property
    def _workspace_arrays(self) -> list[np.ndarray]:
        """What the last call has left behind, if none is running and it was alone."""
        return self._contexts.idle.arrays

    def _call(self, context: _Context, function: Any, inputs: tuple[Any, ...]) -> list[np.ndarray]:  # noqa: ANN401
        arrays = self._checked_inputs(inputs)
        outputs = [aligned_empty(spec.shape, spec.dtype) for spec in self.manifest.outputs]
        arguments = [
            *(as_tensor(arrays[view.position].reshape(view.shape)) for view in self.manifest.input_views),
            *(as_tensor(outputs[view.position].reshape(view.shape)) for view in self.manifest.output_views),
        ]
        self._pool.enter(self.threads)
        try:
            function(*arguments, self._constants, context.tensors)
        except (RuntimeError, ValueError, TypeError) as error:  # TVM compares shapes and types with its own
            reason = str(error).strip().splitlines()[-1]
            raise ArtifactError(
                f"{self.path}: the library does not take what its manifest says ({reason}); build it again"
            ) from None
        finally:
            self._pool.leave()
        return outputs

    def _checked_inputs(self, inputs: tuple[Any, ...]) -> list[np.ndarray]:
        specs = self.manifest.inputs
        if len(inputs) != len(specs):
            names = ", ".join(spec.name for spec in specs)
            raise UsageError(f"the model takes {len(specs)} inputs ({names}), but {len(inputs)} were given")
        arrays = []
        for spec, value in zip(specs, inputs, strict=True):
            array = _as_array(spec.name, value)
            if tuple(array.shape) != tuple(spec.shape) or array.dtype.name != spec.dtype:
                raise UsageError(
                    f"input {spec.name!r} is {_show(array.shape)} {array.dtype.name}, but the model was built for "
                    f"{_show(spec.shape)} {spec.dtype}; convert it, or build for its shape"
                )
            arrays.append(aligned(array))
        return arrays

    def _check_masks(self, masks: Mapping[str, np.ndarray]) -> None:
        expected = {mask.name: mask.shape for mask in self.manifest.masks}
        missing, unknown = expected.keys() - masks.keys(), masks.keys() - expected.keys()
        if missing or unknown:
            raise UsageError(f"masks must name every decision: missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, shape in expected.items():
            given = np.shape(masks[name])
            if given != tuple(shape):
                raise UsageError(f"mask {name!r} is {_show(given)}, but {_show(shape)} is needed")
            values = np.asarray(masks[name])
            wrong = values[(values != 0) & (values != 1)] if values.dtype.kind in "biuf" else values.ravel()
            if wrong.size:
                raise UsageError(f"mask {name!r} holds {wrong.ravel()[0]!r}, but a decision is 0 or 1")


def _check_version(path: Path, manifest: Manifest) -> None:
    built = manifest.versions.get("lascompile")
    if built != __version__:
        raise ArtifactError(
            f"{path} was built by lascompile {built}, this is {__version__}; build the artifact again"
        )


def _check_device(path: Path, manifest: Manifest) -> None:
    target = manifest.target
    built_for = str(target.get("mtriple", "")).partition("-")[0]
    if built_for != processor():
        raise DeviceError(f"{path} was built for {built_for or target.get('kind')}, but this machine is {processor()}")
    missing = cpu_supports(target.get("features", ()))
    if missing:
        raise DeviceError(
            f"{path} was built for {target.get('mcpu')}, but this CPU lacks {', '.join(missing)}; "
            "build it here, or with --mcpu for the oldest CPU that it shall run on"
        )


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        return default_threads()
    if threads < 1:
        raise UsageError(f"threads is {threads}, but at least 1 is needed")
    if threads > _MOST_THREADS:
        raise UsageError(f"threads is {threads}, but at most {_MOST_THREADS} are possible")
    return threads


def _read_block(path: Path) -> np.ndarray:
    """The constants, in memory of their own."""
    file = path / CONSTANTS_NAME
    block = allocate_block(file.stat().st_size)
    with file.open("rb") as stream:
        stream.readinto(block.data)
    return block


def _as_array(name: str, value: Any) -> np.ndarray:  # noqa: ANN401
    """The array, sharing memory where DLPack allows."""
    if isinstance(value, np.ndarray):
        return value
    try:
        if hasattr(value, "__dlpack__"):
            return np.from_dlpack(value.detach() if hasattr(value, "detach") else value)
        return np.asarray(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"input {name!r} cannot be read as an array ({error}); convert it to NumPy") from None


def _show(shape: Any) -> str:  # noqa: ANN401
    return "x".join(str(dim) for dim in shape) or "a scalar"
